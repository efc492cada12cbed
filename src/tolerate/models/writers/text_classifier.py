"""A reader of texts that ends in classes: any encoder of the `transformers` library with one layer on its mean.

    teach_encoder(texts, classes, folder)                       pretrained from nothing on raw texts (see `bert`)
    teach_encoder(texts, classes, folder, name="hf:FOLDER")     one that was pretrained elsewhere, fine-tuned

Both stages are trainings of the one loop, each with a folder and checkpoints of its own: what was killed goes on
where it stood. Howard and Ruder 2018, arXiv:1801.06146; Devlin et al. 2019, arXiv:1810.04805.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tolerate.base.files import read_json, to_json, write_whole
from tolerate.base.workers import is_first_process
from tolerate.errors import DataError
from tolerate.llm.model_names import PretrainedSpec, is_pretrained_name, parse_pretrained
from tolerate.models.base import Losses, Optimizers, Recipe, torch_threads
from tolerate.models.pretrained.encoder import Encoder, load_encoder
from tolerate.models.registry import build
from tolerate.models.storage import load
from tolerate.models.texts.base import TextModel
from tolerate.models.texts.bert import Bert, learn_pieces, pretrain, tokenizer_with_ends
from tolerate.models.texts.corpus import lines
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.language import PAD
from tolerate.models.training.cost import core_seconds
from tolerate.models.training.loop import TrainingProgress, train
from tolerate.models.training.optimizers import adam, length_buckets, matrix_optimizers, optimizer_step
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.registry import parse_settings

Floats = NDArray[np.float64]
CONTEXT = 64  # pieces of a text that are read, those behind are not
TOKENIZER, CLASSES = "tokenizer.json", "reader.json"
PATH = "tolerate.models.writers.text_classifier:Classifier"
KIND = "texts"  # in the file of classes, where other readers say what they are
FIRST = 1 / 3  # of a training is pretraining
OF_BERT = ("width", "layers", "heads", "masked", "table_rate")  # settings of the pretraining


class Classifier(TextModel):
    """Which class a row of tokens is of.

    config: of the encoder, as JSON; pad: the token that fills rows up. fresh: whether the encoder was made here, so
    that Muon trains its matrices; else AdamW takes small steps (`rate`) and larger ones for the new layer.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        config: str,
        labels: int,
        pad: int = 0,
        fresh: bool = True,
        rate: float = 0.02,
        head_rate: float = 0.01,
        smooth: float = 0.1,
        drop: float = 0.2,
    ) -> None:
        own: dict[str, Any] = {"config": config, "labels": labels, "pad": pad, "fresh": fresh, "drop": drop}
        super().__init__(context, vocabulary, rate=rate, head_rate=head_rate, smooth=smooth, **own)
        self.pad, self.fresh, self.smooth, self.drop = pad, fresh, smooth, drop
        self.rates = {"muon": rate, "adam": head_rate if fresh else rate, "head": head_rate}
        self.encoder = _encoder(config)
        self.head = nn.Linear(self.encoder.config.hidden_size, labels)

    def recipe(self, texts: int) -> Recipe:
        """Ten passes over the texts, no average."""
        return Recipe(steps=max(300, 10 * texts // 64), batch=64, ema=0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of rows [n, length]."""
        outputs = [self._read(tokens[bucket]) for bucket in length_buckets(tokens, self.pad)]
        back = torch.cat(length_buckets(tokens, self.pad)).argsort()
        logits: Tensor = self.head(F.dropout(torch.cat(outputs)[back], self.drop, self.training))
        return logits

    def _read(self, tokens: Tensor) -> Tensor:
        """The mean of what the encoder makes of each row: [n, width]."""
        rows = tokens[:, : max(1, int((tokens != self.pad).sum(1).max()))]
        real = rows != self.pad
        read = self.encoder(input_ids=rows, attention_mask=real).last_hidden_state
        mean: Tensor = (read * real[:, :, None]).sum(1) / real.sum(1, keepdim=True).clamp_min(1)
        return mean

    def optimizers(self) -> Optimizers:
        """Muon for the matrices of a fresh encoder, AdamW for the rest."""
        encoder_optimizers = (
            matrix_optimizers(self.encoder, self.rates)
            if self.fresh
            else {"adam": adam(self.encoder.parameters(), self.rates["adam"])}
        )
        return {**encoder_optimizers, "head": adam(self.head.parameters(), self.rates["head"])}

    def step(
        self, rows: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """One update; the rates rise for a tenth of the training and fall to 0 over the rest."""
        loss = F.cross_entropy(self(rows), labels, label_smoothing=self.smooth)
        optimizer_step(optimizers, self.rates, loss, min(1.0, (progress + 0.005) / 0.1, (1 - progress) / 0.9))
        return {"loss": loss}


def _encoder(config: str) -> Any:
    """The library's encoder of a configuration, with fresh weights."""
    from transformers import AutoConfig, AutoModel

    chosen = json.loads(config)
    return AutoModel.from_config(AutoConfig.for_model(chosen.pop("model_type"), **chosen))


@dataclass(frozen=True)
class TextReader:
    """A taught classifier of texts: log probabilities of each class."""

    classes: tuple[str, ...]
    tokenizer: Any  # of the `tokenizers` library
    model: Classifier

    def __call__(self, texts: Sequence[str], *, batch: int = 128) -> Floats:
        """Log probabilities [n, classes]; texts of like length are read together."""
        if not texts:
            return np.zeros((0, len(self.classes)))
        rows = rows_of(self.tokenizer, texts, self.model.pad)
        log_probabilities = torch.zeros(len(texts), len(self.classes))
        self.model.eval()
        with torch.no_grad(), torch_threads(1):
            for part in length_buckets(rows, self.model.pad, batch):
                log_probabilities[part] = self.model(rows[part].long()).float().log_softmax(-1)
        return np.asarray(log_probabilities.numpy(), dtype=np.float64)

    def answers(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], Floats]:
        """The likeliest class of each text, and how far it leads: log p of it less log p of the next."""
        logs = self(texts)
        two = np.partition(logs, -2, axis=1)[:, -2:]
        return logs.argmax(1), two[:, 1] - two[:, 0]

    @property
    def size(self) -> int:
        """Weights."""
        return sum(weight.numel() for weight in self.model.parameters())

    def cost(self, texts: Sequence[str]) -> float:
        """Core-seconds to read one text, counted in operations."""
        return core_seconds(lambda: self(texts, batch=1)) / len(texts)


def rows_of(tokenizer: Any, texts: Sequence[str], pad: int) -> Tensor:
    """Texts as rows of tokens [n, longest], cut to what is read at once and filled up."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=True)]
    rows = torch.full((len(encoded), max(map(len, encoded), default=1)), pad, dtype=torch.int32)
    for index, row in enumerate(encoded):
        rows[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return rows


def teach_encoder(
    texts: Sequence[str],
    classes: Sequence[str],
    folder: Path,
    *,
    name: str = "bert",
    raw: Sequence[str] = (),
    budget: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
    **plan: Any,
) -> TextReader:
    """Teach a classifier of texts whose classes are known; kept in the folder.

    name: bert, or hf:FOLDER for an encoder pretrained elsewhere, with settings behind a `#`: bert#width=96+layers=3,
    bert#pretraining=0 (without), bert#raw=FILE (also on the lines of a file), hf:FOLDER#full+rate=3e-5. raw: more
    texts, without classes, to pretrain on. budget: seconds of both trainings; a third of them, or of the steps, is
    for pretraining. plan: what else `train` takes.
    """
    if len(texts) != len(classes) or len(set(classes)) < 2:
        raise DataError(
            f"{len(texts)} texts with {len(set(classes))} different classes; expected one each, of two or more"
        )
    report = on_progress or (lambda share: None)
    share = 0.0  # of the training that is pretraining
    if is_pretrained_name(name):
        spec = parse_pretrained(name)
        encoder, options = load_encoder(spec), _foreign(spec)
        plan = {**plan, **({"batch": spec.batch} if spec.batch else {})}
        steps = steps or spec.steps or None
    else:
        options = parse_settings(name.partition("#")[2]) if "#" in name else {}
        share = float(options.pop("pretraining", FIRST))
        own = {key: options.pop(key) for key in OF_BERT if key in options}
        raw = [*raw, *(lines(Path(str(options.pop("raw")))) if "raw" in options else ())]
        encoder = pretrained_here(
            [*texts, *raw],
            folder / "pretraining",
            own,
            seed,
            lambda progress: report(share * progress.share),
            **_course(share, budget, steps),
            **plan,
        )
    class_names = tuple(sorted(set(classes)))
    tokenizer = load_tokenizer(encoder.tokenizer)
    rows = rows_of(tokenizer, texts, encoder.pad)
    model = build(
        PATH,
        CONTEXT,
        max(tokenizer.get_vocab_size(), int(rows.max()) + 1),
        seed=seed,
        config=encoder.config,
        labels=len(class_names),
        pad=encoder.pad,
        **options,
    )
    assert isinstance(model, Classifier)
    model.encoder.load_state_dict(encoder.weights)
    trained = train(
        model,
        TokenExamples(rows, np.searchsorted(class_names, classes)),
        TrainingOptions(seed=seed, **_course(1 - share, budget, steps), **plan),
        folder,
        lambda progress: report(share + (1 - share) * progress.share),
    )
    if is_first_process():
        write_whole(folder / TOKENIZER, encoder.tokenizer.encode())
        write_whole(folder / CLASSES, to_json({"kind": KIND, "classes": list(class_names)}))
    return TextReader(class_names, tokenizer, trained.model)


def _foreign(spec: PretrainedSpec) -> dict[str, Any]:
    """How an encoder from elsewhere is fine-tuned: small steps, larger ones for the new layer."""
    rate = spec.rate or 5e-5
    return {"fresh": False, "rate": rate, "head_rate": max(rate, 1e-3), "smooth": 0.0, "drop": 0.1}


def _course(share: float, budget: float | None, steps: int | None) -> dict[str, Any]:
    """One training's part of the seconds and steps."""
    return {
        "budget": None if budget is None else max(share * budget, 1e-3),
        "steps": None if steps is None else max(1, round(share * steps)),
    }


def pretrained_here(
    texts: Sequence[str],
    folder: Path,
    options: dict[str, Any],
    seed: int,
    on_progress: Callable[[TrainingProgress], None],
    **plan: Any,
) -> Encoder:
    """An encoder pretrained on these texts by what `bert` does; its vocabulary is theirs."""
    tokens = learn_pieces(texts)
    trained = pretrain(
        texts,
        folder,
        tokens=tokens,
        context=CONTEXT,
        model=options,
        seed=seed,
        on_progress=on_progress,
        **plan,
    )
    assert isinstance(trained.model, Bert)
    core = trained.model.core.bert
    return Encoder(core.config.to_json_string(), core.state_dict(), tokenizer_with_ends(tokens).to_str(), PAD)


def load_tokenizer(definition: str) -> Any:
    """A tokenizer as written down, that cuts what is too long and takes signs such as [SEP] in a text for text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(definition)
    tokenizer.no_padding()
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.encode_special_tokens = True
    return tokenizer


def load_text_reader(folder: Path) -> TextReader:
    """The classifier that `teach_encoder` left in a folder."""
    about = read_json(folder / CLASSES, "a reader of texts")
    model = load(folder, Classifier)
    tokenizer = load_tokenizer((folder / TOKENIZER).read_text("utf-8"))
    if tokenizer.get_vocab_size() > model.vocabulary:
        raise DataError(
            f"the reader in {folder} knows {model.vocabulary} tokens, its tokenizer {tokenizer.get_vocab_size()}: they "
            "do not fit; teach it again, or put the tokenizer back that it was taught with"
        )
    return TextReader(tuple(about["classes"]), tokenizer, model)
