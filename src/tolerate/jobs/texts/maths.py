"""Solve grade-school problems with a model of the user's, and release the answers that its samples agree on.

The data is a table with the columns `question` and `answer`; an answer may be a worked one that ends in `#### 9`,
as in GSM8K (Cobbe et al. 2021, arXiv:2110.14168), or the number alone. Wrong is another final number, by a grader
that knows "$9.00" is 9.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tolerate.checks.texts.maths import final_number, grade, statement
from tolerate.errors import DataError
from tolerate.jobs.texts.options import SCORE_OPTIONS
from tolerate.jobs.texts.remote_workshop import PromptedWorkshop, TableTask, rows_by_purpose, table_in
from tolerate.jobs.texts.task import SeededText, TextVerdict
from tolerate.messages.catalogue import message
from tolerate.records import Job, Prices
from tolerate.runs.plan import RunPlan
from tolerate.runs.progress import ProgressReporter

JOB = Job(
    name="maths",
    title={"en": "Solve grade-school problems", "zh": "解小学应用题"},
    workshop="tolerate.jobs.texts.maths:open_maths",
    tolerance=0.05,
    confidence=0.95,
    tolerances=(0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005),
    models=(),
    refine=("plain", "vote-of-5+rules"),
    labels=1000,
    proof=500,
    prices=Prices.per_million(review_seconds=60, dollars_an_hour=40),
    check="final number",
    judge="agreement",
    example="tolerate run maths --data problems.jsonl --models openai:MODEL@URL",
    modality="texts",
    options=SCORE_OPTIONS,
)


def open_maths(plan: RunPlan, folder: Path, reporter: ProgressReporter) -> PromptedWorkshop:
    """The workshop of problems."""
    table = table_in(plan.data, preferred=("test",))
    return PromptedWorkshop(
        plan, folder, reporter, lambda: Maths(table, rows_by_purpose(plan), plan.options.seed)
    )


class Maths(TableTask):
    """Problems with their keys, and the grader."""

    system = "Solve the problem step by step. End with a line that has only #### and the final number, such as: #### 9"

    def __init__(self, table: Path, rows: Mapping[str, int], seed: int) -> None:
        super().__init__(table, ("question", "answer"), rows, seed)
        self.keys = [_key(answer) for answer in self.columns["answer"]]
        for row in np.concatenate(list(self.parts.values())):
            if final_number(f"#### {self.keys[row]}") is None:
                raise DataError(
                    f'row {row + 1} of {table} has the answer "{self.keys[row][:40]}", which is no number; expected '
                    "a number or a worked answer that ends in #### and a number"
                )

    def prompt(self, request: int) -> str:
        """The problem."""
        return self.columns["question"][request]

    def check(self, text: str, request: int) -> TextVerdict:
        """Wrong if the final number is another one than the key's, or there is no single one."""
        graded = grade(text, self.keys[request], self.columns["question"][request])
        if graded.right:
            return TextVerdict(False, graded.read)
        start = text.rfind(graded.shown) if graded.shown else -1
        marks = ((start, start + len(graded.shown)),) if start >= 0 else ()
        return TextVerdict(True, message("read.key", answer=graded.read, key=self.keys[request]), marks)

    def meaning(self, text: str) -> str:
        """The final number."""
        return str(final_number(text) or "")

    def passes_rule(self, text: str, request: int) -> bool:
        """Whether there is a single number; without one an answer cannot be right."""
        return final_number(text) is not None

    def seeded_texts(self, n: int, seed: int) -> Iterator[SeededText]:
        """Keys written in many forms, which are right, and other numbers written so, which are wrong."""
        rng = np.random.default_rng(seed)
        rows = self.parts["sample"]
        for index in range(n):
            row = int(rows[index % len(rows)])
            key = final_number(f"#### {self.keys[row]}")
            if key is None or key.time or key.percent or key.whole.denominator != 1:
                continue
            number, form = int(key.whole), ANSWER_FORMS[rng.integers(len(ANSWER_FORMS))]
            other = number + int(rng.choice([-100, -10, -1, 1, 10, 100]))
            yield SeededText(form.format(n=number), row, wrong=False)
            yield SeededText(form.format(n=other), row, wrong=True)


def _key(answer: str) -> str:
    """The end of a worked answer, or a bare one."""
    final = statement(answer)
    return (final if final is not None else answer).strip()


ANSWER_FORMS = (
    "#### {n}",
    "#### ${n}.00",
    "He needs 3 of 7 boxes. The answer is {n:,}.",
    "The answer is **{n}** in all.",
    "So it is 2 + 5 = 7, and then x = {n}",
    r"Therefore \boxed{{{n}}}.",
    r"\[ \text{{total}} = \${n} \]",
    "In 4 days she earns {n:,} dollars.",
    "Final answer: {n}.0 km",
    "{n}",
)
