"""Texts from a writer on their own: prompts in, texts with their log-probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tolerate.base.files import read_json
from tolerate.data import tables
from tolerate.errors import DataError, OptionError, hint
from tolerate.jobs import job as find
from tolerate.jobs.texts.task import TextTask
from tolerate.llm.model_names import is_pretrained_folder, is_pretrained_name, parse_pretrained
from tolerate.runs.pipeline import Options, Say

DECODING: dict[str, Any] = {
    "limit": int,
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "min_p": float,
    "beams": int,
    "contrast": float,
}
LIMIT = 200  # tokens of a text, where nobody says


@dataclass(frozen=True)
class Made:
    """One text and what its writer thinks of it."""

    prompt: str
    text: str
    mean: float  # log-probability of a token, on average
    least: float  # of the least likely token
    total: float  # of the whole text
    tokens: int
    ended: bool  # False where the limit cut it off

    def to_json(self) -> dict[str, Any]:
        """As a row of a table."""
        return dict(vars(self))


def writes(model: str) -> bool:
    """Whether a name or a folder means a writer of texts."""
    if is_pretrained_name(model):
        return True
    about = Path(model) / "about.json"
    if about.exists():
        return not read_json(about, "a folder that `tolerate train` wrote").get("classes", [])
    return (Path(model) / "config.json").exists()  # of transformers, written without hf:


def generate_texts(
    model: str,
    prompts: Sequence[str],
    count: int,
    seed: int,
    say: Say,
    *,
    system: str = "",
    data: Path | None = None,
    decoding: dict[str, Any],
) -> list[Made]:
    """`count` texts, each prompt in turn; without prompts, by requests of the job that the writer was trained for.

    decoding: fields of `tolerate.models.texts.decoding.Decoding`.
    """
    if count < 1:
        raise OptionError(f"count is {count}; expected at least 1")
    name = _named(model)
    shown, read, said = _asked(name, list(prompts), count, seed, data)
    say.stage("generate")
    found = _write(name, read, seed, system, decoding, say)
    return [
        Made(
            prompt,
            said(at, one.text),
            one.mean_logprob,
            one.min_logprob,
            one.total_logprob,
            one.token_count,
            one.ended,
        )
        for at, (prompt, one) in enumerate(zip(shown, found, strict=True))
    ]


def _named(model: str) -> str:
    """A folder as a name: of our own training, or of transformers."""
    if is_pretrained_name(model):
        if parse_pretrained(model).tune:
            raise OptionError(
                f'"{model}" is to be tuned; do so with `tolerate train`, and name its folder here'
            )
        return model
    folder = Path(model)
    if (folder / "config.json").exists() and not (folder / "model.json").exists():
        return f"hf:{folder}"
    return model


def _asked(
    name: str, prompts: list[str], count: int, seed: int, data: Path | None
) -> tuple[list[str], list[str], Any]:
    """Prompts as people see them and as the writer reads them, one a text, and how its words are shown."""
    if prompts:
        asked = [prompts[at % len(prompts)] for at in range(count)]
        return asked, asked, lambda at, text: text
    about = Path(name) / "about.json"
    if is_pretrained_name(name) or not about.exists():
        return [""] * count, [""] * count, lambda at, text: text
    task = _task(str(read_json(about, "a folder that `tolerate train` wrote")["job"]), data, seed)
    requests = task.requests(count, seed)
    if len(requests) < count:
        raise OptionError(
            f"the data has {len(requests)} requests; ask for as many with --count, or give --prompt"
        )
    return (
        [task.prompt(int(one)) for one in requests],
        [task.reads(int(one)) for one in requests],
        lambda at, text: task.said(text, int(requests[at])),
    )


def _task(job: str, data: Path | None, seed: int) -> TextTask:
    """The data and check of the job that a writer was trained for."""
    from tolerate.runs.pipeline import Quiet
    from tolerate.runs.steps import open_workshop

    workshop: Any = open_workshop(find(job), Options(data=data, seed=seed), Path("."), Quiet())
    task = getattr(workshop, "task", None)
    if not isinstance(task, TextTask):
        raise OptionError(f"the job {job} has no prompts to write by; give --prompt")
    return task


def _write(
    name: str, prompts: list[str], seed: int, system: str, decoding: dict[str, Any], say: Say
) -> list[Any]:
    from tolerate.models.texts.decoding import Decoding
    from tolerate.models.writers.writing import write

    own = (
        parse_pretrained(name).kind == "own"
        if is_pretrained_name(name)
        else not is_pretrained_folder(Path(name))
    )
    if own:
        how = Decoding(**{"limit": LIMIT, **decoding})
        if system:
            raise OptionError(
                "--system is for pretrained models; a writer that was trained here reads its prompt alone"
            )
        folder = Path(parse_pretrained(name).place) if is_pretrained_name(name) else Path(name)
        return [row[0] for row in write(folder, prompts, 1, seed, how)]
    from tolerate.models.writers.pretrained import opened, write_with

    model = opened(parse_pretrained(name if is_pretrained_name(name) else f"hf:{name}"))
    how = Decoding(**{"limit": LIMIT, **model.source.decoding, **decoding})
    told = lambda done, total: say.progress(done / total, f"{done} of {total}")  # noqa: E731
    return [row[0] for row in write_with(model, prompts, 1, seed, how, system, False, told)]


def decoding(text: str) -> dict[str, Any]:
    """Fields of a decoding, written as name=value with commas.

    >>> decoding("temperature=0.8, top_k=40")
    {'temperature': 0.8, 'top_k': 40}
    """
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in DECODING:
            raise OptionError(f'"{part}" says nothing about decoding. {hint(name, DECODING)}')
        try:
            found[name] = DECODING[name](value)
        except ValueError:
            raise OptionError(f'{name} is "{value}"; expected a number, such as temperature=0.8') from None
    return found


def prompts_in(path: Path) -> list[str]:
    """Prompts from a table's column `prompt`, or from the lines of a text file."""
    if path.name.lower().endswith(tables.FORMATS):
        return tables.read_texts(path, ("prompt",))["prompt"]
    try:
        found = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as prompts: {error}; expected a line each, in UTF-8"
        ) from None
    if not found:
        raise DataError(f"{path} holds no prompts; expected a line each")
    return found


def keep_texts(made: Sequence[Made], out: Path) -> None:
    """Write texts as a table: CSV, JSONL or Parquet by its name."""
    rows = [one.to_json() for one in made]
    tables.write(out, {name: [row[name] for row in rows] for name in rows[0]})
