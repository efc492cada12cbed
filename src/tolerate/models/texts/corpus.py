"""Read texts from a file, one a line; memory does not depend on the size of the file."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from tolerate.errors import DataError

MAX_LINE_BYTES = 1_000_000


def read_lines(path: Path, max_bytes: int = MAX_LINE_BYTES) -> Iterator[str]:
    """The lines of a UTF-8 file, gzipped or not, without line ends; empty lines are skipped.

    Raises DataError, with the line's number, for a line of more than `max_bytes` or that is no UTF-8, and for a file
    without any text.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from _texts(path, iter(lambda: file.readline(max_bytes + 1), b""), max_bytes)
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
        raise DataError(f"{path} holds no text; expected at least one line that is not blank")
