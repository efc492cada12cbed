"""Texts from one writer: prompts in, texts with their log-probabilities out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tolerate.base.files import read_json
from tolerate.base.json_types import JsonValue
from tolerate.data import tables
from tolerate.errors import DataError, OptionError, hint
from tolerate.jobs import job as find_job
from tolerate.jobs.texts.task import TextTask
from tolerate.jobs.texts.workshop import TextWorkshop
from tolerate.llm.generated_text import GeneratedText
from tolerate.llm.model_names import is_pretrained_folder, is_pretrained_name, parse_pretrained
from tolerate.runs.options import RunOptions
from tolerate.runs.progress import ProgressReporter, SilentReporter
from tolerate.runs.steps import ABOUT, workshop_of

TRAINED_FOLDER = "a folder that `tolerate train` wrote"
DEFAULT_LIMIT = 200  # tokens of a text


DecodingOptions = Mapping[str, Any]  # fields of `tolerate.models.texts.decoding.Decoding`
DECODING_FIELDS: dict[str, Callable[[str], float]] = {
    "limit": int,
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "min_p": float,
    "beams": int,
    "contrast": float,
}


@dataclass(frozen=True)
class TextRow:
    """One generated text with its log-probabilities: a row of the table that `tolerate generate` writes."""

    prompt: str
    text: str
    mean: float  # log-probability of a token, on average
    least: float  # of the least likely token
    total: float  # of the text
    tokens: int
    ended: bool  # False where the limit cut it off

    def to_json(self) -> dict[str, JsonValue]:
        """The row as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PromptList:
    """The prompts of some texts, one each, as people see them and as the writer reads them.

    show: a text as people see it, by its index.
    """

    shown: Sequence[str]
    inputs: Sequence[str]
    show: Callable[[int, str], str] = lambda index, text: text


@dataclass(frozen=True)
class WriterRequest:
    """Options of `tolerate generate` for texts. prompts: used in turn; none for requests of the model's own job."""

    model: str  # a folder that `tolerate train` wrote, or hf:NAME_OR_FOLDER
    prompts: Sequence[str] = ()
    count: int = 100
    seed: int = 0
    system: str = ""  # before each prompt of a pretrained model
    data: Path | None = None  # of the writer's job
    decoding: DecodingOptions = field(default_factory=dict)


def is_writer(model: str) -> bool:
    """Whether a name or a folder means a writer of texts."""
    if is_pretrained_name(model):
        return True
    about = Path(model) / ABOUT
    if about.exists():
        return not read_json(about, TRAINED_FOLDER).get("classes", [])
    return (Path(model) / "config.json").exists()  # of transformers, written without hf:


def generate_texts(request: WriterRequest, reporter: ProgressReporter) -> list[TextRow]:
    """The texts that are asked for, each prompt in turn."""
    if request.count < 1:
        raise OptionError(f"count is {request.count}; expected at least 1")
    request = replace(request, model=_writer_name(request.model))
    prompts = _prompts(request)
    reporter.stage("generate")
    texts = _write(request, prompts.inputs, reporter)
    return [
        TextRow(
            prompt,
            prompts.show(index, text.text),
            text.mean_logprob,
            text.min_logprob,
            text.total_logprob,
            text.token_count,
            text.ended,
        )
        for index, (prompt, text) in enumerate(zip(prompts.shown, texts, strict=True))
    ]


def _writer_name(model: str) -> str:
    """A name as it is; a folder of our own training as it is, one of transformers with hf: before it."""
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


def _prompts(request: WriterRequest) -> PromptList:
    """One prompt a text: the user's in turn, or requests of the job that the writer was trained for."""
    if request.prompts:
        repeated = [request.prompts[index % len(request.prompts)] for index in range(request.count)]
        return PromptList(repeated, repeated)
    about = Path(request.model) / ABOUT
    if is_pretrained_name(request.model) or not about.exists():
        return PromptList([""] * request.count, [""] * request.count)
    task = _task(str(read_json(about, TRAINED_FOLDER)["job"]), request.data, request.seed)
    requests = [int(number) for number in task.requests(request.count, request.seed)]
    if len(requests) < request.count:
        raise OptionError(
            f"the data has {len(requests)} requests; ask for as many with --count, or give --prompt"
        )
    return PromptList(
        [task.prompt(number) for number in requests],
        [task.model_input(number) for number in requests],
        lambda index, text: task.shown_text(text, requests[index]),
    )


def _task(name: str, data: Path | None, seed: int) -> TextTask:
    """The data and check of the job that a writer was trained for."""
    options = RunOptions(data=data, seed=seed)
    workshop = workshop_of(find_job(name), options, Path("."), SilentReporter())
    if not isinstance(workshop, TextWorkshop):
        raise OptionError(f"the job {name} has no prompts to write by; give --prompt")
    return workshop.task


def _write(request: WriterRequest, inputs: Sequence[str], reporter: ProgressReporter) -> list[GeneratedText]:
    from tolerate.models.texts.decoding import Decoding
    from tolerate.models.writers.writing import write

    name, chosen = request.model, request.decoding
    named = is_pretrained_name(name)
    own = parse_pretrained(name).kind == "own" if named else not is_pretrained_folder(Path(name))
    if own:
        if request.system:
            raise OptionError(
                "--system is for pretrained models; a writer that was trained here reads its prompt alone"
            )
        folder = Path(parse_pretrained(name).place) if named else Path(name)
        decoding = replace(Decoding(limit=DEFAULT_LIMIT), **chosen)
        return [row[0] for row in write(folder, inputs, 1, request.seed, decoding)]
    from tolerate.models.writers.pretrained import open_model, write_with

    model = open_model(parse_pretrained(name if named else f"hf:{name}"))
    decoding = replace(replace(Decoding(limit=DEFAULT_LIMIT), **model.source.decoding), **chosen)
    rows = write_with(
        model,
        inputs,
        1,
        request.seed,
        decoding,
        request.system,
        False,
        lambda done, total: reporter.progress(done / total, f"{done} of {total}"),
    )
    return [row[0] for row in rows]


def parse_decoding(text: str) -> DecodingOptions:
    """Fields of a decoding, written as name=value with commas.

    >>> parse_decoding("temperature=0.8, top_k=40")
    {'temperature': 0.8, 'top_k': 40}
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        if name not in DECODING_FIELDS:
            raise OptionError(f'"{part}" is no field of decoding. {hint(name, DECODING_FIELDS)}')
        try:
            values[name] = DECODING_FIELDS[name](value)
        except ValueError:
            raise OptionError(f'{name} is "{value}"; expected a number, such as temperature=0.8') from None
    return values


def read_prompts(path: Path) -> list[str]:
    """Prompts from a table's column `prompt`, or from the lines of a text file."""
    if path.name.lower().endswith(tables.FORMATS):
        return tables.read_texts(path, ("prompt",))["prompt"]
    try:
        prompts = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as prompts: {error}; expected a line each, in UTF-8"
        ) from None
    if not prompts:
        raise DataError(f"{path} holds no prompts; expected a line each")
    return prompts


def write_texts(rows: Sequence[TextRow], out: Path) -> None:
    """Write texts as a table: CSV, JSONL or Parquet by its name."""
    records = [row.to_json() for row in rows]
    tables.write(out, {name: [record[name] for record in records] for name in records[0]})
