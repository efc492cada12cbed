"""Solve grade-school problems with a model of the user's, and release the answers that its samples agree on.

The data is a table with the columns `question` and `answer`; an answer may be a worked one that ends in `#### 9`,
as in GSM8K (Cobbe et al. 2021, arXiv:2110.14168), or the number alone. Wrong is another final number, by a grader
that knows "$9.00" is 9.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tolerate.checks.texts.maths import final_number, grade, statement
from tolerate.errors import DataError
from tolerate.jobs.texts.remote_workshop import ServedWorkshop, TableTask, table_in, wanted_rows
from tolerate.jobs.texts.task import Checked, Seeded
from tolerate.messages.catalogue import message
from tolerate.records import Job, Prices
from tolerate.runs.pipeline import Options, Say

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
    # Dollars for a million problems: a core at 4 cents an hour; a person who solves one in a minute at 40 dollars.
    prices=Prices(compute=1e6 * 0.04 / 3600, review=1e6 * 60 * 40 / 3600, unit="$/million"),
    check="final number",
    judge="agreement",
    example="tolerate run maths --data problems.jsonl --models openai:MODEL@URL",
    kind="texts",
)


def open_maths(job: Job, options: Options, folder: Path, say: Say) -> ServedWorkshop:
    """The workshop of problems."""
    assert options.data is not None
    table = table_in(options.data, preferred=("test",))
    return ServedWorkshop(
        job, options, folder, say, lambda: Maths(table, wanted_rows(job, options), options.seed)
    )


class Maths(TableTask):
    """Problems with their keys, and the grader."""

    system = "Solve the problem step by step. End with a line that has only #### and the final number, such as: #### 9"

    def __init__(self, table: Path, wanted: dict[str, int], seed: int) -> None:
        super().__init__(table, ("question", "answer"), wanted, seed)
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

    def check(self, text: str, request: int) -> Checked:
        """Wrong if the final number is another one than the key's, or there is no single one."""
        found = grade(text, self.keys[request], self.columns["question"][request])
        at = text.rfind(found.shown) if found.shown and not found.right else -1
        marks = ((at, at + len(found.shown)),) if at >= 0 else ()
        read = found.read if found.right else message("read.key", answer=found.read, key=self.keys[request])
        return Checked(not found.right, read, marks)

    def meaning(self, text: str) -> str:
        """The final number."""
        return str(final_number(text) or "")

    def rule(self, text: str, request: int) -> bool:
        """An answer without a single number cannot be right."""
        return final_number(text) is not None

    def seeded(self, n: int, seed: int) -> Iterator[Seeded]:
        """Keys written in many ways, which are right, and other numbers written so, which are wrong."""
        rng = np.random.default_rng(seed)
        rows = self.parts["sample"]
        for at in range(n):
            row = int(rows[at % len(rows)])
            key = final_number(f"#### {self.keys[row]}")
            if key is None or key.time or key.percent or key.whole.denominator != 1:
                continue
            number, way = int(key.whole), WAYS[rng.integers(len(WAYS))]
            other = number + int(rng.choice([-100, -10, -1, 1, 10, 100]))
            yield Seeded(way.format(n=number), row, wrong=False)
            yield Seeded(way.format(n=other), row, wrong=True)


def _key(answer: str) -> str:
    """What a worked answer, or a bare one, ends in."""
    said = statement(answer)
    return (said if said is not None else answer).strip()


WAYS = (
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
