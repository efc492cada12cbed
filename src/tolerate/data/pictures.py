"""Labelled pictures to learn from, and the split that gives each of them one purpose.

    digits()       the 1,797 handwritten digits that scikit-learn ships, 8x8
    idx(folder)    MNIST and its kin, as published (idx files, gzipped or not)
    folder(path)   one's own pictures, one subfolder a class

A picture that trained a generator must not help to check it, and one that trained the reader must
not measure the reader's error. So `split` deals the pictures to purposes: disjoint, in proportion
in every class, the same for the same seed; `write_parts` writes down who got what.
"""

import gzip
import hashlib
import json
import math
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tolerate.base.files import to_json, write_whole
from tolerate.errors import DataError, OptionError

Images = NDArray[np.float32]  # [n, channels, height, width] in [0, 1]
Ints = NDArray[np.int64]

# What real pictures are for, and the share that each purpose gets unless a job says otherwise.
if TYPE_CHECKING:
    from PIL import Image

PARTS: dict[str, float] = {
    "generator": 0.38,  # trains the generators; copies are looked for among these
    "reader": 0.26,  # trains the reader and sets what it calls no picture of any class
    "reader_test": 0.12,  # measures the reader's own error
    "judge": 0.08,  # trains the judge
    "features": 0.06,  # trains the feature network of the metrics
    "reference": 0.10,  # what drawings are compared with: FID, KID, precision, recall, copies
}
MIN_PICTURES_PER_CLASS = 2  # pictures of each class in each part
DEFAULT_SIDE_PIXELS = 32  # pixels a side that pictures of mixed or large size are brought to
MAX_SIDE_PIXELS = 64  # pixels a side up to which pictures of one size stay as they are
_READERS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
FORMATS = ("png", "jpg", "jpeg", "bmp", "gif", "webp")


@dataclass(frozen=True)
class LabelledPictures:
    """Labelled pictures: images [n, channels, height, width] in [0, 1], labels [n] into `classes`."""

    images: Images
    labels: Ints
    classes: tuple[str, ...]
    name: str
    sha256: str  # of the pictures, labels and class names
    notes: tuple[str, ...] = ()  # what was done to them on the way in

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def part(self, indices: Ints) -> "LabelledPictures":
        """The pictures at these indices, in this order."""
        sha256 = _hash(self.images[indices], self.labels[indices], self.classes)
        return LabelledPictures(self.images[indices], self.labels[indices], self.classes, self.name, sha256)


def digits() -> LabelledPictures:
    """The 1,797 handwritten digits that scikit-learn ships: 8x8 pixels, one channel.

    They are the test part of the UCI set of Alpaydin and Kaynak (1998), by 13 writers. Who wrote which
    is not recorded, so parts of a split share writers.

    >>> pictures = digits()
    >>> len(pictures), pictures.shape, pictures.classes[7]
    (1797, (1, 8, 8), '7')
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise OptionError('the digits come with scikit-learn; try: pip install "tolerate[models]"') from None
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return _checked_pictures(images, labels.astype(np.int64), tuple("0123456789"), "scikit-learn digits")


def idx(
    path: str | Path, parts: Sequence[str] = ("train", "t10k"), classes: Sequence[str] = ()
) -> LabelledPictures:
    """Pictures in the idx files of MNIST and its kin, `train` first, then `t10k`.

    path: folder with {part}-images-idx3-ubyte and {part}-labels-idx1-ubyte, with or without .gz.
    classes: names of the labels 0, 1, ...; the numbers themselves unless given.
    """
    folder = _existing_folder(path)
    read = [_idx_part(folder, part) for part in parts]
    if len({images.shape[1:] for images, _ in read}) != 1:
        sizes = ", ".join(f"{part} {images.shape[1:]}" for part, (images, _) in zip(parts, read, strict=True))
        raise DataError(f"the pictures in {folder} differ in size ({sizes}); expected one size")
    images = np.concatenate([images for images, _ in read])[:, None]
    labels = np.concatenate([labels for _, labels in read]).astype(np.int64)
    names = tuple(classes) or tuple(str(label) for label in range(int(labels.max(initial=0)) + 1))
    if labels.max(initial=0) >= len(names):
        raise DataError(f"{folder} has label {labels.max()}, but only {len(names)} classes were named")
    return _checked_pictures(np.divide(images, 255, dtype=np.float32), labels, names, folder.name)


def _idx_part(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images = _idx_array(_find_idx_file(folder, f"{part}-images-idx3-ubyte"), 3)
    labels = _idx_array(_find_idx_file(folder, f"{part}-labels-idx1-ubyte"), 1)
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} {part} pictures but {len(labels)} labels")
    return images, labels


def _find_idx_file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    listing = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
    raise DataError(
        f"{folder} has no {name}.gz and no {name}; expected the four files as published. It holds: {listing}"
    )


def _idx_array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The bytes of one idx file: two zeros, type 8 (bytes), dimensions, sizes (big-endian), then data."""
    data = _bytes(path)
    head = 4 + 4 * dimensions
    magic = bytes([0, 0, 8, dimensions])
    if data[:4] != magic:
        raise DataError(
            f"{path} starts with {data[:4].hex(' ')}, expected {magic.hex(' ')}: no such idx file"
        )
    if len(data) < head:
        raise DataError(f"{path} ends inside its header; get it again")
    shape = tuple(int.from_bytes(data[start : start + 4], "big") for start in range(4, head, 4))
    if len(data) - head != math.prod(shape):
        raise DataError(
            f"{path} announces {'x'.join(map(str, shape))} = {math.prod(shape):,} bytes but holds "
            f"{len(data) - head:,}; it is cut short or not the published file: get it again"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _bytes(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix != ".gz":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be unzipped ({error}); it is damaged or cut short: get it again"
        ) from None


def folder(path: str | Path, size: int | None = None) -> LabelledPictures:
    """Read a folder of pictures: one subfolder a class, whose name is the class.

    One channel if every picture is grey, else red, green, blue. Transparent parts become white, of
    moving pictures the first frame counts, and a picture that was turned by its camera is turned back.
    Pictures of one size up to 64 pixels a side stay as they are; otherwise each is cropped to its
    middle square and brought to `size` x `size` (32 unless given). Of identical pictures one is kept.
    """
    top = _existing_folder(path)
    subfolders = sorted(sub for sub in top.iterdir() if sub.is_dir() and not sub.name.startswith("."))
    if len(subfolders) < 2:
        raise DataError(
            f"{top} has {len(subfolders)} subfolders; expected one subfolder a class, two at least, such as "
            f"{top.name}/cats and {top.name}/dogs with the pictures inside"
        )
    files = [(file, label) for label, sub in enumerate(subfolders) for file in _files(sub)]
    raws = [_open(file) for file, _ in files]
    grey = all(_is_grey(raw) for raw in raws)
    same = len({raw.shape for raw in raws}) == 1 and max(raws[0].shape) <= MAX_SIDE_PIXELS
    side = size or (None if same else DEFAULT_SIDE_PIXELS)
    images = np.stack([_resize(raw, side, grey) for raw in raws])
    labels = np.array([label for _, label in files], dtype=np.int64)
    keep, notes = _distinct(images, labels, [file for file, _ in files])
    if side:
        notes = (f"cropped to the middle square and brought to {side}x{side} pixels", *notes)
    names = tuple(sub.name for sub in subfolders)
    return _checked_pictures(images[keep], labels[keep], names, top.name, notes)


def _existing_folder(path: str | Path) -> Path:
    folder = Path(path)
    if folder.is_dir():
        return folder
    what = "is a file" if folder.exists() else "does not exist"
    raise DataError(f"{folder} {what}; expected a folder of pictures")


def _files(sub: Path) -> list[Path]:
    files = sorted(file for file in sub.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise DataError(f"the class folder {sub} is empty; put its pictures there or remove it")
    return files


def _open(path: Path) -> NDArray[np.uint8]:
    """A picture file as [height, width, 3] bytes."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError:
        raise OptionError('pictures are read by Pillow; try: pip install "tolerate[models]"') from None
    try:
        with warnings.catch_warnings(), Image.open(path, formats=_READERS) as picture:
            warnings.simplefilter("error")
            return _to_rgb_bytes(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise DataError(
            f"{path} is no picture; expected {', '.join(FORMATS)}. Mend it or move it elsewhere"
        ) from None
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read as a picture ({error}); mend it or move it elsewhere"
        ) from None


def _to_rgb_bytes(picture: "Image.Image") -> NDArray[np.uint8]:
    """A Pillow picture as bytes: 16 bits become 8, transparent becomes white."""
    from PIL import Image

    if picture.mode.startswith("I"):
        grey = (np.asarray(picture).clip(0, 65535) / 257).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    clear = picture.convert("RGBA")
    white = Image.new("RGBA", clear.size, "white")
    return np.asarray(Image.alpha_composite(white, clear).convert("RGB"))


def _is_grey(raw: NDArray[np.uint8]) -> bool:
    return bool((raw[..., 0] == raw[..., 1]).all() and (raw[..., 0] == raw[..., 2]).all())


def _resize(raw: NDArray[np.uint8], side: int | None, grey: bool) -> Images:
    """Bytes [height, width, 3] to [channels, side, side] in [0, 1]; the size stays if `side` is None."""
    if side is not None:
        raw = _square(raw, side)
    image: Images = np.divide(raw.transpose(2, 0, 1), 255, dtype=np.float32)
    return image[:1] if grey else image


def _square(raw: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    from PIL import Image

    height, width = raw.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    middle = Image.fromarray(raw[top : top + edge, left : left + edge])
    return np.asarray(middle.resize((side, side), Image.Resampling.LANCZOS))


def _distinct(images: Images, labels: Ints, files: Sequence[Path]) -> tuple[Ints, tuple[str, ...]]:
    """The indices of distinct pictures; the same picture in two classes is refused."""
    first: dict[bytes, int] = {}
    for index, image in enumerate(images):
        same = first.setdefault(image.tobytes(), index)
        if labels[same] != labels[index]:
            raise DataError(
                f"{files[same]} and {files[index]} are the same picture in two classes; remove one of them"
            )
    dropped = len(images) - len(first)
    notes = (f"{dropped} identical pictures left out",) if dropped else ()
    return np.array(list(first.values()), dtype=np.int64), notes


def _checked_pictures(
    images: Images, labels: Ints, classes: tuple[str, ...], name: str, notes: tuple[str, ...] = ()
) -> LabelledPictures:
    present = np.bincount(labels, minlength=len(classes))
    if (present > 0).sum() < 2:
        single_class = classes[int(present.argmax())] if len(labels) else "none"
        raise DataError(
            f"{name} has pictures of a single class ({single_class}); expected two classes or more"
        )
    return LabelledPictures(images, labels, classes, name, _hash(images, labels, classes), notes)


def _hash(images: Images, labels: Ints, classes: Sequence[str]) -> str:
    """SHA-256 of the pictures, labels and classes, whatever files they came from."""
    digest = hashlib.sha256(json.dumps([images.shape, list(classes)]).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def split(
    pictures: LabelledPictures, parts: Mapping[str, float | int] = PARTS, seed: int = 0
) -> dict[str, Ints]:
    """Split the pictures into parts for different purposes: no picture in two parts, every class in proportion.

    parts: for each purpose a share of all pictures (float) or a number of them (int). Shares that
    add up to 1 use every picture. Sizes are exact, and within a part each class is within 2 pictures
    of its share. The pictures of each class are shuffled and placed evenly on a line from 0 to 1; the
    line is then cut into the parts (systematic sampling).

    >>> parts = split(digits())
    >>> sum(len(indices) for indices in parts.values())
    1797
    """
    sizes = _sizes(len(pictures), parts)
    rng = np.random.default_rng([seed, zlib.crc32(b"split")])
    line = _stratified_order(pictures.labels, rng)
    ends = np.cumsum(list(sizes.values()))
    cut = {name: np.sort(line[end - sizes[name] : end]) for name, end in zip(sizes, ends, strict=True)}
    _check_class_sizes(
        pictures, cut, min(part if isinstance(part, float) else part / len(line) for part in parts.values())
    )
    return cut


def _stratified_order(labels: Ints, rng: np.random.Generator) -> Ints:
    """All indices in an order in which every stretch holds the classes in proportion."""
    order = rng.permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(position, kind="stable")


def _sizes(n: int, parts: Mapping[str, float | int]) -> dict[str, int]:
    """The size of each part: numbers as they are, shares rounded by the largest-remainder method."""
    for name, part in parts.items():
        if not part > 0 or (isinstance(part, float) and part > 1):
            raise OptionError(f'part "{name}" is {part}; expected a share in (0, 1] or a number of pictures')
    exact = {name: part * n if isinstance(part, float) else float(part) for name, part in parts.items()}
    sizes = {name: math.floor(size + 1e-9) for name, size in exact.items()}
    spare = round(sum(exact.values())) - sum(sizes.values())
    for name in sorted(exact, key=lambda name: sizes[name] - exact[name])[:spare]:
        sizes[name] += 1
    if sum(sizes.values()) > n:
        raise OptionError(f"the parts ask for {sum(sizes.values()):,} of {n:,} pictures; ask for less")
    return sizes


def _check_class_sizes(pictures: LabelledPictures, parts: Mapping[str, Ints], smallest: float) -> None:
    """Raise DataError if a part has too few pictures of a class."""
    for name, indices in sorted(parts.items(), key=lambda part: len(part[1])):
        counts = np.bincount(pictures.labels[indices], minlength=len(pictures.classes))
        if counts.min() < MIN_PICTURES_PER_CLASS:
            rarest = int(counts.argmin())
            raise DataError(
                f'class "{pictures.classes[rarest]}" of {pictures.name} has {(pictures.labels == rarest).sum()} '
                f'pictures, of which part "{name}" would get {counts.min()}, expected at least '
                f"{MIN_PICTURES_PER_CLASS}; the smallest class "
                f"should have about {math.ceil((MIN_PICTURES_PER_CLASS + 1) / smallest)}"
            )


def write_parts(path: Path, pictures: LabelledPictures, parts: Mapping[str, Ints]) -> None:
    """Write the split as JSON, with the hash of the pictures."""
    indices = {name: part.tolist() for name, part in parts.items()}
    write_whole(path, to_json({"data": pictures.name, "data_sha256": pictures.sha256, "parts": indices}))


def read_parts(path: Path, pictures: LabelledPictures) -> dict[str, Ints]:
    """The split that `write_parts` wrote, if it is of these pictures and gives each one purpose."""
    try:
        written = json.loads(path.read_text("utf-8"))
        parts = {str(name): np.array(part, dtype=np.int64) for name, part in written["parts"].items()}
        sha256 = written["data_sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no split that can be read ({error}); remove it and split again") from None
    if sha256 != pictures.sha256:
        raise DataError(f"{path} splits other pictures than {pictures.name}; remove it and split again")
    for first, second, index in _in_two_parts(parts):
        raise DataError(
            f'{path} gives picture {index} to both "{first}" and "{second}"; remove it and split again'
        )
    return parts


def _in_two_parts(parts: Mapping[str, Ints]) -> Iterator[tuple[str, str, int]]:
    """Iterate over pictures that are in two parts: first part, second part, index."""
    purpose_of: dict[int, str] = {}
    for name, part in parts.items():
        for index in part.tolist():
            if index in purpose_of:
                yield purpose_of[index], name, index
            purpose_of[index] = name
