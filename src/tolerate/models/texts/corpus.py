"""Texts of one's own from a file, a line each, read one after the other: a file of any size needs no more memory."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from tolerate.errors import DataError

MAX_LINE_BYTES = 1_000_000  # bytes of a line; none of people's is so long


def read_lines(path: Path, longest: int = MAX_LINE_BYTES) -> Iterator[str]:
    """The lines of a UTF-8 file, gzipped or not, without their ends; empty ones are left out.

    Raises DataError, with the line, where one is too long to be a text, or in another encoding than the rest; and
    for a file with no text at all.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from _texts(path, iter(lambda: file.readline(longest + 1), b""), longest)
    except (OSError, EOFError) as error:
        raise DataError(f"cannot read {path}: {error}; expected a file of texts, a line each") from None


def _texts(path: Path, raw: Iterator[bytes], longest: int) -> Iterator[str]:
    count = 0
    for number, line in enumerate(raw, 1):
        if len(line) > longest:
            raise DataError(
                f"line {number:,} of {path} has more than {longest:,} bytes; expected a text a line: cut it into "
                "sentences"
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number:,} of {path} is no UTF-8 (byte {error.start:,} is 0x{line[error.start]:02x}); convert "
                "the whole file first: iconv -f latin1 -t utf-8"
            ) from None
        count += bool(text)
        if text:
            yield text
    if not count:
        raise DataError(f"{path} holds no text; expected at least one line with a sign in it")
