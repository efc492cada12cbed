"""Every listed modality, and one of the tests' own: items survive saving, are shown, and have a stable hash."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.toy.modality import Melodies
from tolerate.errors import DataError, OptionError
from tolerate.messages.both import Both
from tolerate.modality import MODALITIES, Content, Display, Modality, find_modality, from_image, to_png

ITEMS: dict[str, list[Content]] = {
    "pictures": [
        np.arange(64, dtype=np.uint8).reshape(1, 8, 8),
        np.arange(75, dtype=np.uint8).reshape(3, 5, 5),
    ],
    "texts": ["", 'Radius is "high" at <18.0>.', "床前明月光，疑是地上霜。"],
    Melodies.name: [np.array([0, 1, 2, 3, 4, 5, 6, 0])],
}
CASES = [(find_modality(name), item) for name, items in ITEMS.items() for item in items]


def test_every_modality_has_items_here() -> None:
    assert set(MODALITIES) <= set(ITEMS)


@pytest.mark.parametrize(("modality", "item"), CASES)
def test_items_survive_saving(modality: Modality, item: Content, tmp_path: Path) -> None:
    saved = modality.save(item)
    assert np.array_equal(modality.open(saved), item)
    path = tmp_path / f"item{modality.suffix}"
    path.write_bytes(saved.encode() if isinstance(saved, str) else saved)
    assert np.array_equal(modality.open_file(path), item)
    assert modality.digest(item) == modality.digest(modality.open(saved)) and len(modality.digest(item)) == 64


@pytest.mark.parametrize(("modality", "item"), CASES)
def test_items_are_shown_escaped_and_without_a_network(modality: Modality, item: Content) -> None:
    display = modality.show(item, ())
    assert Display.from_json(display.to_json()) == display
    html = str(display.html(Both("caption", "说明"), "en"))
    assert "<18.0>" not in html and "http" not in html


def test_names_and_units() -> None:
    assert [modality.rate_unit for modality in MODALITIES.values()] == ["pictures/s", "texts/s"]
    assert find_modality(Melodies.name) is Melodies
    with pytest.raises(OptionError, match='no modality is called "picture".*Did you mean "pictures"'):
        find_modality("picture")
    with pytest.raises(OptionError, match="expected a tolerate.modality.Modality"):
        find_modality("math:pi")


def test_bytes_that_are_no_item(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture that can be read"):
        MODALITIES["pictures"].open(b"not an image")
    with pytest.raises(DataError, match="expected UTF-8"):
        MODALITIES["texts"].open(b"\xff\xfe\xfd")
    with pytest.raises(DataError, match="cannot be read"):
        MODALITIES["texts"].open_file(tmp_path / "missing.txt")


def test_a_colour_image_is_read_as_grey_where_grey_is_needed() -> None:
    colour = np.zeros((3, 4, 4), np.uint8)
    colour[:, 1:3] = 200
    assert from_image(to_png(colour), channels=1).shape == (1, 4, 4)
    assert from_image(to_png(colour)).shape == (3, 4, 4)
