"""A classifier of texts: any encoder of the `transformers` library with one layer on its mean.

    teach_encoder(texts, classes, folder)                       pretrained from nothing on raw texts (see `bert`)
    teach_encoder(texts, classes, folder, name="hf:FOLDER")     one that was pretrained elsewhere, fine-tuned

Both stages are trainings by `train`, each with a folder and checkpoints of its own: an interrupted training continues
where it stood. Howard and Ruder 2018, arXiv:1801.06146; Devlin et al. 2019, arXiv:1810.04805.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from tolerate.models.texts.corpus import read_lines
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.texts.language import PAD
from tolerate.models.training.cost import core_seconds
from tolerate.models.training.loop import ReportProgress, train
from tolerate.models.training.optimizers import adam, length_buckets, matrix_optimizers, optimizer_step
from tolerate.models.training.plan import TrainingOptions
from tolerate.models.writers.registry import Setting, parse_settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer as LibraryTokenizer

Floats = NDArray[np.float64]
CONTEXT = 64  # pieces of a text that are read, those behind are not
TOKENIZER, CLASSES = "tokenizer.json", "reader.json"
PATH = "tolerate.models.writers.text_classifier:ClassifierNetwork"
KIND = "texts"  # in the file of classes, where other readers say what they are
PRETRAINING_SHARE = 1 / 3  # of a training
BERT_SETTINGS = ("width", "layers", "heads", "masked", "table_rate")  # of the pretraining


@dataclass(frozen=True)
class ClassifierTraining:
    """Options of the training of a classifier.

    fresh: whether the encoder was pretrained by tolerate, so that Muon trains its matrices; else AdamW takes small
    steps (`rate`) and larger ones for the new layer (`head_rate`). smooth: of the labels; drop: dropout before the
    new layer.
    """

    fresh: bool = True
    rate: float = 0.02
    head_rate: float = 0.01
    smooth: float = 0.1
    drop: float = 0.2


class ClassifierNetwork(TextModel):
    """Predicts the class of a row of tokens.

    config: of the encoder, as JSON; labels: number of classes; pad: the token that fills rows up. Further options are
    the fields of `ClassifierTraining`.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        config: str,
        labels: int,
        pad: int = 0,
        **options: Any,
    ) -> None:
        training = ClassifierTraining(**options)
        super().__init__(context, vocabulary, config=config, labels=labels, pad=pad, **asdict(training))
        self.pad, self.training_options = pad, training
        rate, head_rate = training.rate, training.head_rate
        self.rates = {"muon": rate, "adam": head_rate if training.fresh else rate, "head": head_rate}
        self.encoder = _encoder(config)
        self.head = nn.Linear(self.encoder.config.hidden_size, labels)

    def recipe(self, texts: int) -> Recipe:
        """Ten passes over the texts, no average."""
        return Recipe(steps=max(300, 10 * texts // 64), batch=64, ema=0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of rows [n, length]."""
        outputs = [self._read(tokens[bucket]) for bucket in length_buckets(tokens, self.pad)]
        back = torch.cat(length_buckets(tokens, self.pad)).argsort()
        logits: Tensor = self.head(
            F.dropout(torch.cat(outputs)[back], self.training_options.drop, self.training)
        )
        return logits

    def _read(self, tokens: Tensor) -> Tensor:
        """The mean of the encoder's last layer over the tokens of each row: [n, width]."""
        rows = tokens[:, : max(1, int((tokens != self.pad).sum(1).max()))]
        real = rows != self.pad
        read = self.encoder(input_ids=rows, attention_mask=real).last_hidden_state
        mean: Tensor = (read * real[:, :, None]).sum(1) / real.sum(1, keepdim=True).clamp_min(1)
        return mean

    def optimizers(self) -> Optimizers:
        """Muon for the matrices of a fresh encoder, AdamW for the rest."""
        encoder_optimizers = (
            matrix_optimizers(self.encoder, self.rates)
            if self.training_options.fresh
            else {"adam": adam(self.encoder.parameters(), self.rates["adam"])}
        )
        return {**encoder_optimizers, "head": adam(self.head.parameters(), self.rates["head"])}

    def step(
        self, rows: Tensor, labels: Tensor, optimizers: Optimizers, rng: torch.Generator, progress: float
    ) -> Losses:
        """Take one step; the rates rise for a tenth of the training and fall to 0 over the rest."""
        loss = F.cross_entropy(self(rows), labels, label_smoothing=self.training_options.smooth)
        optimizer_step(optimizers, self.rates, loss, min(1.0, (progress + 0.005) / 0.1, (1 - progress) / 0.9))
        return {"loss": loss}


def _encoder(config: str) -> Any:
    """The library's encoder of a configuration, with fresh weights."""
    from transformers import AutoConfig, AutoModel

    fields = json.loads(config)
    return AutoModel.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))


@dataclass(frozen=True)
class TextClassifier:
    """A trained classifier of texts; calling it gives log probabilities of each class."""

    classes: tuple[str, ...]
    tokenizer: "LibraryTokenizer"
    model: ClassifierNetwork

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
        """The likeliest class of each text, and its lead: its log probability less that of the runner-up."""
        logs = self(texts)
        best_two = np.partition(logs, -2, axis=1)[:, -2:]
        return logs.argmax(1), best_two[:, 1] - best_two[:, 0]

    @property
    def size(self) -> int:
        """Weights."""
        return sum(weight.numel() for weight in self.model.parameters())

    def cost(self, texts: Sequence[str]) -> float:
        """Core-seconds to read one text, counted in operations."""
        return core_seconds(lambda: self(texts, batch=1)) / len(texts)


def rows_of(tokenizer: "LibraryTokenizer", texts: Sequence[str], pad: int) -> Tensor:
    """Texts as rows of tokens [n, longest], truncated to the context and padded."""
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=True)]
    rows = torch.full((len(encoded), max(map(len, encoded), default=1)), pad, dtype=torch.int32)
    for index, row in enumerate(encoded):
        rows[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return rows


def teach_encoder(
    texts: Sequence[str],
    classes: Sequence[str],
    folder: Path,
    options: TrainingOptions | None = None,
    *,
    name: str = "bert",
    raw: Sequence[str] = (),
    on_progress: Callable[[float], None] | None = None,
) -> TextClassifier:
    """Teach a classifier of texts whose classes are known; stored in the folder.

    options: of both trainings together; a third of the seconds or steps is for pretraining. name: bert, or hf:FOLDER
    for an encoder pretrained elsewhere, with settings behind a `#`: bert#width=96+layers=3, bert#pretraining=0
    (without), bert#raw=FILE (also on the lines of a file), hf:FOLDER#full+rate=3e-5. raw: more texts, without classes,
    to pretrain on.
    """
    if len(texts) != len(classes) or len(set(classes)) < 2:
        raise DataError(
            f"{len(texts)} texts with {len(set(classes))} different classes; expected one each, of two or more"
        )
    options = options or TrainingOptions()
    report = on_progress or (lambda share: None)
    share = 0.0  # of the training that is pretraining
    settings: dict[str, Setting]
    if is_pretrained_name(name):
        spec = parse_pretrained(name)
        encoder, settings = load_encoder(spec), _fine_tuning_settings(spec)
        options = replace(
            options, batch=spec.batch or options.batch, steps=options.steps or spec.steps or None
        )
    else:
        settings = parse_settings(name.partition("#")[2]) if "#" in name else {}
        share = float(settings.pop("pretraining", PRETRAINING_SHARE))
        bert_settings = {key: settings.pop(key) for key in BERT_SETTINGS if key in settings}
        raw = [*raw, *(read_lines(Path(str(settings.pop("raw")))) if "raw" in settings else ())]
        encoder = pretrain_on_texts(
            [*texts, *raw],
            folder / "pretraining",
            bert_settings,
            _share_of(options, share),
            lambda progress: report(share * progress.share),
        )
    class_names = tuple(sorted(set(classes)))
    tokenizer = load_tokenizer(encoder.tokenizer)
    rows = rows_of(tokenizer, texts, encoder.pad)
    model = build(
        PATH,
        CONTEXT,
        max(tokenizer.get_vocab_size(), int(rows.max()) + 1),
        seed=options.seed,
        config=encoder.config,
        labels=len(class_names),
        pad=encoder.pad,
        **settings,
    )
    assert isinstance(model, ClassifierNetwork)
    model.encoder.load_state_dict(encoder.weights)
    trained = train(
        model,
        TokenExamples(rows, np.searchsorted(class_names, classes)),
        _share_of(options, 1 - share),
        folder,
        lambda progress: report(share + (1 - share) * progress.share),
    )
    if is_first_process():
        write_whole(folder / TOKENIZER, encoder.tokenizer.encode())
        write_whole(folder / CLASSES, to_json({"kind": KIND, "classes": list(class_names)}))
    return TextClassifier(class_names, tokenizer, trained.model)


def _fine_tuning_settings(spec: PretrainedSpec) -> dict[str, Setting]:
    """Options of a `ClassifierNetwork` on an encoder from elsewhere: small steps, larger ones for the new layer."""
    rate = spec.rate or 5e-5
    return {"fresh": False, "rate": rate, "head_rate": max(rate, 1e-3), "smooth": 0.0, "drop": 0.1}


def _share_of(options: TrainingOptions, share: float) -> TrainingOptions:
    """The options with this share of their seconds and steps."""
    return replace(
        options,
        budget=None if options.budget is None else max(share * options.budget, 1e-3),
        steps=None if options.steps is None else max(1, round(share * options.steps)),
    )


def pretrain_on_texts(
    texts: Sequence[str],
    folder: Path,
    model: Mapping[str, object],
    options: TrainingOptions,
    on_progress: ReportProgress,
) -> Encoder:
    """An encoder pretrained on these texts as `bert` describes, with a vocabulary learned from them.

    model: options of `Bert`; options: of the training.
    """
    tokens = learn_pieces(texts)
    trained = pretrain(
        texts, folder, options, tokens=tokens, context=CONTEXT, model=model, on_progress=on_progress
    )
    assert isinstance(trained.model, Bert)
    core = trained.model.core.bert
    return Encoder(core.config.to_json_string(), core.state_dict(), tokenizer_with_ends(tokens).to_str(), PAD)


def load_tokenizer(definition: str) -> "LibraryTokenizer":
    """A tokenizer from its JSON; it truncates long texts, and reads special tokens such as [SEP] in a text as text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(definition)
    tokenizer.no_padding()
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.encode_special_tokens = True
    return tokenizer


def load_text_reader(folder: Path) -> TextClassifier:
    """The classifier that `teach_encoder` stored in a folder."""
    about = read_json(folder / CLASSES, "a reader of texts")
    model = load(folder, ClassifierNetwork)
    tokenizer = load_tokenizer((folder / TOKENIZER).read_text("utf-8"))
    if tokenizer.get_vocab_size() > model.vocabulary:
        raise DataError(
            f"the reader in {folder} knows {model.vocabulary} tokens, its tokenizer {tokenizer.get_vocab_size()}: they "
            "do not fit; train it again, or put the tokenizer back that it was trained with"
        )
    return TextClassifier(tuple(about["classes"]), tokenizer, model)
