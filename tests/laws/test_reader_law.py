"""The reader of MNIST: taught on its own part, measured on thousands of pictures that nothing has seen."""

from pathlib import Path

import pytest

from tolerate.checks.pictures.own_error import own_error_of
from tolerate.data.pictures import idx, split
from tolerate.models.pictures.evaluation.classifier import class_probabilities
from tolerate.models.pictures.evaluation.reader import fit_reader


@pytest.mark.law
def test_mnist_is_read(shared: Path) -> None:
    """At least 98.5% are most like their own class, and few are misread once it may say none."""
    pictures = idx(shared / "raw" / "mnist")
    parts = split(pictures)
    real, test = pictures.part(parts["reader"]), pictures.part(parts["reader_test"])
    reader = fit_reader(real.images, real.labels, real.classes)
    error = own_error_of(reader(test.images, test.labels), test.classes)
    likely = sum(class_probabilities(network, test.images)[:, :10] for network in reader.networks)
    assert (likely.argmax(axis=1) == test.labels).mean() >= 0.985
    assert error.pictures == 8400
    assert error.misread / error.pictures < 0.01
    assert error.rate < 0.025
