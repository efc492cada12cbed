"""Modalities: what a kind of content is called, and how one item of it is saved, opened, shown and hashed.

A new modality is one record here, plus folders of its name in `models`, `checks` and `jobs`. Wherever the name of a
modality is accepted, `package.module:attribute` of a `Modality` is too.
"""

import base64
import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from tolerate.base.json_types import JsonObject
from tolerate.base.registry import attribute, entry_named
from tolerate.errors import DataError, OptionError
from tolerate.messages.both import Both

Content: TypeAlias = Any  # one item, such as an array [channels, height, width] of bytes, or a str
Span: TypeAlias = tuple[int, int]  # from, to: characters of a text
Saved: TypeAlias = bytes | str  # one item as a table or a file keeps it
EMBEDDED_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+=*")


@dataclass(frozen=True)
class Noun:
    """What one item and several items are called, in English and Chinese (which has no plural)."""

    singular: str
    plural: str
    chinese: str


@dataclass(frozen=True)
class Display:
    """What a page shows of one item: an embedded image, or the pieces of a text, each with whether it is wrong.

    Raises DataError where the image is not embedded in its URI: a page loads nothing from a network.
    """

    image: str = ""  # a data: URI
    pieces: tuple[tuple[str, bool], ...] = ()

    def __post_init__(self) -> None:
        if self.image and not EMBEDDED_IMAGE.fullmatch(self.image):
            raise DataError(
                f'the image "{self.image[:40]}" is not embedded; expected a data: URI with base64'
            )

    def to_json(self) -> JsonObject:
        """What a run's summary keeps: {"png": URI} or {"pieces": [[text, is_wrong], ...]}.

        >>> Display(pieces=(("fine ", False), ("wrong", True))).to_json()
        {'pieces': [['fine ', False], ['wrong', True]]}
        """
        return {"png": self.image} if self.image else {"pieces": [list(piece) for piece in self.pieces]}

    @classmethod
    def from_json(cls, record: JsonObject) -> "Display | None":
        """The display that `to_json` wrote; None where the record has nothing that a page may show.

        >>> Display.from_json({"png": "//example.org/x.png"}), Display.from_json({"pieces": "fine"})
        (None, None)
        """
        image, pieces = record.get("png"), record.get("pieces")
        if isinstance(image, str) and EMBEDDED_IMAGE.fullmatch(image):
            return cls(image=image)
        if not isinstance(pieces, list | tuple):
            return None
        pairs = [piece for piece in pieces if isinstance(piece, list | tuple) and len(piece) == 2]
        if len(pairs) < len(pieces) or not all(isinstance(text, str) for text, _ in pairs):
            return None
        return cls(pieces=tuple((str(text), bool(is_wrong)) for text, is_wrong in pairs))

    def html(self, caption: Both, lang: str) -> Markup:
        """The element that shows the item: an <img> that says its caption in both languages, or a <blockquote>.

        lang: the language of the caption until the reader of the page chooses another.
        """
        if self.image:
            return Markup('<img src="{}" alt="{}" data-en="{}" data-zh="{}">').format(
                self.image, caption.pick(lang), *caption
            )
        pieces = (Markup("<mark>{}</mark>" if wrong else "{}").format(text) for text, wrong in self.pieces)
        return Markup('<blockquote class="made-text">{}</blockquote>').format(Markup("").join(pieces))


@dataclass(frozen=True)
class Modality:
    """One kind of content.

    save: the item as `items.parquet` keeps it, bytes or str. open: the item in a saved value. show: the item with
    the marked spans as wrong parts (only texts have any).
    """

    name: str
    noun: Noun
    suffix: str  # of a file that holds one item
    save: Callable[[Content], Saved]
    open: Callable[[Saved], Content]
    show: Callable[[Content, Sequence[Span]], Display]

    @property
    def rate_unit(self) -> str:
        """The unit of speed, such as "pictures/s"."""
        return f"{self.noun.plural}/s"

    def digest(self, content: Content) -> str:
        """The SHA-256 of an item as it is saved.

        >>> Texts.digest("a text")[:8]
        '734194ed'
        """
        saved = self.save(content)
        return hashlib.sha256(saved.encode() if isinstance(saved, str) else saved).hexdigest()

    def open_file(self, path: Path) -> Content:
        """The item in a file; raises DataError if there is none."""
        try:
            body = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        return self.open(body)


def to_png(content: NDArray[np.uint8]) -> bytes:
    """A picture [channels, height, width] as PNG."""
    from PIL import Image

    array = content[0] if len(content) == 1 else content.transpose(1, 2, 0)
    image, buffer = Image.fromarray(np.ascontiguousarray(array)), io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def from_image(saved: Saved, channels: int | None = None) -> NDArray[np.uint8]:
    """The picture [channels, height, width] in the bytes of a PNG or another image format.

    channels: 1 for grey, 3 for colour; None for those that the image has.
    """
    from PIL import Image, UnidentifiedImageError

    if isinstance(saved, str):
        raise DataError("expected the bytes of an image, got a str")
    try:
        with Image.open(io.BytesIO(saved)) as image:
            grey = image.mode in ("1", "L") if channels is None else channels == 1
            array = np.asarray(image.convert("L" if grey else "RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"this is no picture that can be read: {error}") from None
    return array[None] if grey else array.transpose(2, 0, 1)


def data_uri(body: bytes, media_type: str = "image/png") -> str:
    """Bytes as a URI that a page carries in itself.

    >>> data_uri(b"abc")
    'data:image/png;base64,YWJj'
    """
    return f"data:{media_type};base64,{base64.b64encode(body).decode()}"


def split_at_marks(text: str, marks: Sequence[Span]) -> tuple[tuple[str, bool], ...]:
    """A text cut into pieces, each with whether it is marked.

    >>> split_at_marks("a wrong word", [(2, 7)])
    (('a ', False), ('wrong', True), (' word', False))
    """
    inside = np.zeros(len(text), dtype=bool)
    for start, end in marks:
        inside[start:end] = True
    cuts = [0, *(np.flatnonzero(np.diff(inside)) + 1).tolist(), len(text)]
    return tuple((text[start:end], bool(inside[start])) for start, end in pairwise(cuts) if start < end)


def _show_picture(content: NDArray[np.uint8], marks: Sequence[Span]) -> Display:
    return Display(image=data_uri(to_png(content)))


def _show_text(content: str, marks: Sequence[Span]) -> Display:
    return Display(pieces=split_at_marks(str(content), marks))


def _open_text(saved: Saved) -> str:
    try:
        return saved.decode("utf-8") if isinstance(saved, bytes) else saved
    except UnicodeDecodeError as error:
        raise DataError(f"a text cannot be read: {error}; expected UTF-8") from None


Pictures = Modality(
    name="pictures",
    noun=Noun("picture", "pictures", "图片"),
    suffix=".png",
    save=to_png,
    open=from_image,
    show=_show_picture,
)
Texts = Modality(
    name="texts",
    noun=Noun("text", "texts", "文本"),
    suffix=".txt",
    save=str,
    open=_open_text,
    show=_show_text,
)
MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (Pictures, Texts)}


def find_modality(name: str) -> Modality:
    """The modality of a name, or in `package.module:attribute`.

    >>> find_modality("texts").rate_unit
    'texts/s'
    """
    if ":" not in name:
        return entry_named(name, MODALITIES, "modality")
    modality = attribute(name)
    if not isinstance(modality, Modality):
        raise OptionError(f"{name} is a {type(modality).__name__}, expected a tolerate.modality.Modality")
    return modality
