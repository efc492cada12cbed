"""Makes the embedded default from a release: `python -m tolerate.careers.model.embed RELEASE EXPOSURE PAY`.

Facts and figures only, each with its source in `sources.json`; the Chinese is ours, in `chinese*.tsv`.
"""

import csv
import sys
from dataclasses import replace
from pathlib import Path

from tolerate.careers.data.atlas import EMBEDDED, Atlas, save, tasks_of
from tolerate.careers.model.release import build, shrink


def main(release: str, exposure: str, pay: str) -> None:
    """Write the tables of the embedded default."""
    with (EMBEDDED / "chinese.tsv").open(encoding="utf-8") as file:
        codes = [row["code"] for row in csv.DictReader(file, delimiter="\t")]
    save(in_chinese(shrink(build(Path(release), Path(exposure), Path(pay), kept=10_000), codes)), EMBEDDED)


def in_chinese(atlas: Atlas) -> Atlas:
    """The atlas with the Chinese texts of the tasks that `chinese_tasks.tsv` has."""
    with (EMBEDDED / "chinese_tasks.tsv").open(encoding="utf-8") as file:
        known = {row["id"]: row["text_zh"] for row in csv.DictReader(file, delimiter="\t")}
    tasks = (task for each in atlas.tasks.values() for task in each)
    return replace(atlas, tasks=tasks_of(replace(t, text_zh=known.get(t.id, t.text_zh)) for t in tasks))


if __name__ == "__main__":
    main(*sys.argv[1:])
