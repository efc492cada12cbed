"""Training in one call: examples and options made from plain arguments."""

from pathlib import Path

from tolerate.models.base import Trainable
from tolerate.models.pictures.examples import PictureExamples
from tolerate.models.texts.examples import TokenExamples
from tolerate.models.training.examples import ArrayOrTensor
from tolerate.models.training.loop import ReportProgress, Trained, train
from tolerate.models.training.plan import TrainingOptions


def train_pictures(
    model: Trainable,
    images: ArrayOrTensor,
    labels: ArrayOrTensor,
    folder: Path | None = None,
    on_progress: ReportProgress | None = None,
    **options: object,
) -> Trained:
    """Train on labelled pictures; options are those of TrainingOptions."""
    return train(model, PictureExamples(images, labels), TrainingOptions(**options), folder, on_progress)


def train_texts(
    model: Trainable,
    rows: ArrayOrTensor,
    starts: ArrayOrTensor,
    folder: Path | None = None,
    on_progress: ReportProgress | None = None,
    **options: object,
) -> Trained:
    """Train on rows of tokens; options are those of TrainingOptions."""
    return train(model, TokenExamples(rows, starts), TrainingOptions(**options), folder, on_progress)
