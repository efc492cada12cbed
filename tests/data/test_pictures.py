"""Reading pictures: real sets, every way in which a user's files can be wrong, and the split."""

import gzip
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tolerate.data import pictures as data
from tolerate.errors import DataError, OptionError


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def mnist_like(folder: Path, n: int = 40, part: str = "train", zipped: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(len(part))
    arrays = {"images-idx3": rng.integers(0, 256, (n, 5, 4)), "labels-idx1": np.arange(n) % 10}
    for name, array in arrays.items():
        raw = idx_bytes(array)
        path = folder / f"{part}-{name}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(raw) if zipped else raw)
    return folder


def picture_folder(
    top: Path, n: int = 30, size: tuple[int, int] = (9, 7), classes: tuple[str, ...] = ("cat", "dog")
) -> Path:
    rng = np.random.default_rng(1)
    for name in classes:
        (top / name).mkdir(parents=True)
        for place in range(n):
            pixels = rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(top / name / f"{place}.png")
    return top


def test_digits_are_the_published_ones() -> None:
    pictures = data.digits()
    assert np.bincount(pictures.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert pictures.images.dtype == np.float32
    assert (pictures.images.min(), pictures.images.max()) == (0, 1)
    assert data.digits().sha256 == pictures.sha256


def test_mnist_as_published(shared: Path) -> None:
    pictures = data.idx(shared / "raw" / "mnist")
    assert (len(pictures), pictures.shape, pictures.classes) == (70_000, (1, 28, 28), tuple("0123456789"))
    assert pictures.labels[:5].tolist() == [5, 0, 4, 1, 9]  # the first of the training file
    assert pictures.labels[60_000:60_003].tolist() == [7, 2, 1]  # the first of the test file
    assert abs(pictures.images[:60_000].mean() - 0.1307) < 1e-4  # the mean everyone normalises by


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files(tmp_path: Path, zipped: bool) -> None:
    mnist_like(tmp_path, 40, "train", zipped)
    mnist_like(tmp_path, 20, "t10k", zipped)
    both = data.idx(tmp_path, classes=list("abcdefghij"))
    assert (len(both), both.shape, both.classes[2]) == (60, (1, 5, 4), "c")
    train = data.idx(tmp_path, parts=["train"])
    assert np.array_equal(both.images[:40], train.images)
    assert both.sha256 != train.sha256


def damage(folder: Path, how: str) -> None:
    images, labels = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    if how == "missing":
        labels.unlink()
    elif how == "magic":
        images.write_bytes(b"\x89PNG" + images.read_bytes()[4:])
    elif how == "swapped":
        images.write_bytes(labels.read_bytes())
    elif how == "short":
        images.write_bytes(images.read_bytes()[:-3])
    elif how == "header":
        images.write_bytes(images.read_bytes()[:9])
    elif how == "empty":
        images.write_bytes(b"")
    elif how == "count":
        labels.write_bytes(idx_bytes(np.arange(39) % 10))
    elif how == "single":
        labels.write_bytes(idx_bytes(np.full(40, 3)))
    elif how == "zip":
        images.with_name(images.name + ".gz").write_bytes(gzip.compress(images.read_bytes())[:-20])
    elif how == "not zip":
        images.with_name(images.name + ".gz").write_bytes(images.read_bytes())


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "no train-labels-idx1-ubyte.gz and no train-labels-idx1-ubyte; .*holds: train-images"),
        ("magic", "starts with 89 50 4e 47, expected 00 00 08 03"),
        ("swapped", "starts with 00 00 08 01, expected 00 00 08 03"),
        ("short", "announces 40x5x4 = 800 bytes but holds 797.*get it again"),
        ("header", "ends inside its header"),
        ("empty", "starts with , expected"),
        ("count", "40 train pictures but 39 labels"),
        ("single", r"single class \(3\)"),
        ("zip", "cannot be unzipped"),
        ("not zip", "cannot be unzipped"),
    ],
)
def test_idx_files_that_cannot_be_used(tmp_path: Path, how: str, message: str) -> None:
    mnist_like(tmp_path, zipped=False)
    damage(tmp_path, how)
    with pytest.raises(DataError, match=message):
        data.idx(tmp_path, parts=["train"])


def test_idx_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data.idx(tmp_path / "no")
    with pytest.raises(DataError, match="holds: nothing"):
        data.idx(tmp_path)
    mnist_like(tmp_path)
    with pytest.raises(DataError, match="label 9, but only 2 classes"):
        data.idx(tmp_path, parts=["train"], classes=["a", "b"])


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    pictures = data.folder(picture_folder(tmp_path / "pets"))
    assert (len(pictures), pictures.shape, pictures.classes) == (60, (3, 7, 9), ("cat", "dog"))
    assert np.bincount(pictures.labels).tolist() == [30, 30]
    assert pictures.name == "pets" and pictures.notes == ()
    shown = np.asarray(Image.open(tmp_path / "pets" / "cat" / "0.png")) / 255
    assert np.allclose(pictures.images[0], shown.transpose(2, 0, 1), atol=1e-6)


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    """Greyscale, palette, transparent, 16 bits, moving, turned: each by its rule."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    grey = np.tile(np.arange(0, 250, 10, dtype=np.uint8)[:16], (16, 1))
    Image.fromarray(grey).save(tmp_path / "a" / "grey.png")
    Image.fromarray(grey.T.copy()).save(tmp_path / "a" / "grey.bmp")
    Image.fromarray(grey[::-1, ::-1].copy()).save(tmp_path / "a" / "lossy.jpg", quality=95)
    clear = np.dstack([grey, grey, grey, np.where(grey > 100, 255, 0).astype(np.uint8)])
    Image.fromarray(clear, "RGBA").save(tmp_path / "b" / "clear.webp", lossless=True)
    deep = (grey.astype(np.uint16) + 3) * 257
    Image.fromarray(deep).save(tmp_path / "b" / "deep.png")
    frames = [Image.fromarray(np.full((16, 16), value, np.uint8)) for value in (40, 200)]
    frames[0].save(tmp_path / "b" / "moving.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "a" / ".DS_Store").write_bytes(b"junk")
    pictures = data.folder(tmp_path)
    by_name = dict(
        zip(
            ["grey.bmp", "grey.png", "lossy.jpg", "clear.webp", "deep.png", "moving.gif"],
            pictures.images[:, 0] * 255,
            strict=True,
        )
    )
    assert pictures.shape == (1, 16, 16)
    assert np.allclose(by_name["grey.png"], grey)
    assert np.abs(by_name["lossy.jpg"] - grey[::-1, ::-1]).max() < 8
    assert np.allclose(by_name["clear.webp"], np.where(grey > 100, grey, 255))
    assert np.allclose(by_name["deep.png"], grey + 3.0)
    assert np.allclose(by_name["moving.gif"], 40)


def test_a_turned_picture_is_turned_back(tmp_path: Path) -> None:
    picture_folder(tmp_path, 2, (8, 8))
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side: turn right by 90 degrees to see it
    Image.fromarray(pixels).save(tmp_path / "cat" / "turned.png", exif=exif)
    turned = data.folder(tmp_path).images[2]
    assert turned[:, :, 4:].min() > 0.9 and turned[:, :, :4].max() < 0.1


def test_mixed_sizes_become_one(tmp_path: Path) -> None:
    picture_folder(tmp_path, 3, (90, 60))
    pixels = np.zeros((50, 100, 3), np.uint8)
    pixels[:, 25:75] = 255  # the middle square is white
    Image.fromarray(pixels).save(tmp_path / "cat" / "white.png")
    pictures = data.folder(tmp_path)
    assert pictures.shape == (3, 32, 32)
    assert "brought to 32x32" in pictures.notes[0]
    assert pictures.images[3].min() == 1
    assert data.folder(tmp_path, size=16).shape == (3, 16, 16)


def test_identical_pictures_are_kept_once(tmp_path: Path) -> None:
    picture_folder(tmp_path, 5)
    first = (tmp_path / "cat" / "0.png").read_bytes()
    (tmp_path / "cat" / "copy.png").write_bytes(first)
    pictures = data.folder(tmp_path)
    assert (len(pictures), pictures.notes) == (10, ("1 identical pictures left out",))
    (tmp_path / "dog" / "copy.png").write_bytes(first)
    with pytest.raises(DataError, match=r"copy\.png are the same picture in two classes"):
        data.folder(tmp_path)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        data.folder(tmp_path / "no")
    with pytest.raises(DataError, match="0 subfolders; expected one subfolder a class"):
        data.folder(tmp_path)
    picture_folder(tmp_path / "one", 3, classes=("cat",))
    with pytest.raises(DataError, match=r"1 subfolders; .*two at least"):
        data.folder(tmp_path / "one")
    (tmp_path / "one" / "dog").mkdir()
    with pytest.raises(DataError, match="dog is empty"):
        data.folder(tmp_path / "one")
    note = tmp_path / "one" / "dog" / "notes.png"
    note.write_text("not a picture")
    with pytest.raises(DataError, match=r"notes.png is no picture; expected png"):
        data.folder(tmp_path / "one")
    whole = (tmp_path / "one" / "cat" / "0.png").read_bytes()
    note.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as a picture"):
        data.folder(tmp_path / "one")
    with pytest.raises(DataError, match="is a file"):
        data.folder(note)


def test_no_real_picture_serves_two_purposes() -> None:
    """Parts are disjoint, use every digit, and hold the classes in proportion."""
    pictures = data.digits()
    for seed in range(20):
        parts = data.split(pictures, seed=seed)
        assert list(parts) == list(data.PARTS)
        counts = Counter(np.concatenate(list(parts.values())).tolist())
        assert set(counts.values()) == {1} and len(counts) == len(pictures)
        for name, indices in parts.items():
            assert abs(len(indices) - data.PARTS[name] * len(pictures)) < 1
            in_part = np.bincount(pictures.labels[indices], minlength=10)
            expected = np.bincount(pictures.labels) * len(indices) / len(pictures)
            assert np.abs(in_part - expected).max() <= 2


def test_the_split_is_fixed_by_its_seed() -> None:
    pictures = data.digits()
    first, same, other = (data.split(pictures, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["reader"], other["reader"])


def test_identical_digits_do_not_cross_parts() -> None:
    """Among the published digits no two are the same, so no part sees another's picture."""
    images = data.digits().images
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_numbers_and_shares() -> None:
    pictures = data.digits()
    parts = data.split(pictures, {"reader": 500, "rest": 0.5})
    assert [len(part) for part in parts.values()] == [500, 898]
    assert not set(parts["reader"]) & set(parts["rest"])
    with pytest.raises(OptionError, match="ask for 1,900 of 1,797"):
        data.split(pictures, {"reader": 1000, "rest": 900})
    with pytest.raises(OptionError, match=r'part "reader" is -0\.5'):
        data.split(pictures, {"reader": -0.5})
    with pytest.raises(OptionError, match=r"is 1.5; expected a share in \(0, 1\]"):
        data.split(pictures, {"reader": 1.5})


def test_too_few_of_a_class(tmp_path: Path) -> None:
    pictures = data.folder(picture_folder(tmp_path, 12))
    with pytest.raises(DataError, match=r'class "(cat|dog)" .* has 12 pictures,.*would get [01],.*about 50'):
        data.split(pictures)


def test_the_split_is_written_and_read(tmp_path: Path) -> None:
    pictures = data.digits()
    parts = data.split(pictures)
    path = tmp_path / "split.json"
    data.write_parts(path, pictures, parts)
    again = data.read_parts(path, pictures)
    assert list(again) == list(parts)
    assert all(np.array_equal(again[name], parts[name]) for name in parts)


def test_a_written_split_that_cannot_be_trusted(tmp_path: Path) -> None:
    pictures = data.digits()
    parts = data.split(pictures)
    path = tmp_path / "split.json"
    with pytest.raises(DataError, match="no split that can be read"):
        data.read_parts(path, pictures)
    twice = {**parts, "judge": np.append(parts["judge"], parts["reader"][0])}
    data.write_parts(path, pictures, twice)
    with pytest.raises(DataError, match=f'picture {parts["reader"][0]} to both "reader" and "judge"'):
        data.read_parts(path, pictures)
    data.write_parts(path, pictures.part(parts["judge"]), parts)
    with pytest.raises(DataError, match="splits other pictures"):
        data.read_parts(path, pictures)
    path.write_text(json.dumps({"parts": [1, 2]}))
    with pytest.raises(DataError, match="no split that can be read"):
        data.read_parts(path, pictures)
