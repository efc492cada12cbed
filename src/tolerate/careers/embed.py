"""Makes the embedded default from a release: `python -m tolerate.careers.embed RELEASE EXPOSURE PAY`.

Facts and figures only, each with its source in `sources.json`; the Chinese titles are in `chinese.tsv`, ours.
"""

import csv
import sys
from pathlib import Path

from tolerate.careers.atlas import EMBEDDED, save
from tolerate.careers.release import build, shrink


def main(release: str, exposure: str, pay: str) -> None:
    """Write the tables of the embedded default."""
    with (EMBEDDED / "chinese.tsv").open(encoding="utf-8") as file:
        codes = [row["code"] for row in csv.DictReader(file, delimiter="\t")]
    save(shrink(build(Path(release), Path(exposure), Path(pay), kept=10_000), codes), EMBEDDED)


if __name__ == "__main__":
    main(*sys.argv[1:])
