"""Every listed picture model trains on pictures of any shape, draws what it is asked for, and is saved whole."""

import math
from pathlib import Path

import pytest
import torch

from tests.support.training import train_pictures
from tolerate.models.base import generator
from tolerate.models.pictures.base import PictureModel, draws
from tolerate.models.registry import ZOO, build, find, name_of
from tolerate.models.storage import load

SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 5, 9))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ZOO)
def test_any_shape_trains_draws_and_is_saved(name: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    rng = generator(0)
    images, labels = torch.rand(40, *shape, generator=rng), torch.arange(40) % 4
    trained = train_pictures(
        build(name, shape, 4), images, labels, steps=6, batch=8, every=2, folder=tmp_path
    )
    assert all(math.isfinite(value) for line in trained.history for value in line.values())
    requests = torch.tensor([3, 0, 0, 2, 1])
    drawn = draws(trained.model, requests, seed=1)
    assert drawn.shape == (5, *shape)
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1
    assert drawn.equal(draws(load(tmp_path, PictureModel), requests, seed=1))
    assert not drawn.equal(draws(trained.model, requests, seed=2))
    assert not drawn[1].equal(drawn[2])  # two zeros are not the same zero


@pytest.mark.parametrize("name", ZOO)
def test_a_listed_model_is_a_picture_model_with_a_title_and_a_source(name: str) -> None:
    entry = ZOO[name]
    assert issubclass(find(name), PictureModel) and name_of(find(name)) == name
    assert entry.title and entry.paper and entry.family in ("likelihood", "adversarial", "flow")
