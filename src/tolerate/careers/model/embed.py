"""Makes the embedded atlas from a release: `python -m tolerate.careers.model.embed RELEASE EXPOSURE PAY`.

It holds facts and figures only, with their sources in `sources.json`; the Chinese texts are ours, in `chinese*.tsv`.
"""

import csv
import sys
from dataclasses import replace
from pathlib import Path

from tolerate.careers.data.atlas import EMBEDDED, Atlas, index_tasks, save
from tolerate.careers.model.release import build_atlas, shrink


def main(release: str, exposure: str, pay: str) -> None:
    """Write the tables of the embedded atlas."""
    with (EMBEDDED / "chinese.tsv").open(encoding="utf-8") as file:
        codes = [row["code"] for row in csv.DictReader(file, delimiter="\t")]
    save(
        with_chinese_tasks(
            shrink(build_atlas(Path(release), Path(exposure), Path(pay), neighbours=10_000), codes)
        ),
        EMBEDDED,
    )


def with_chinese_tasks(atlas: Atlas) -> Atlas:
    """The atlas with the Chinese task texts of `chinese_tasks.tsv`."""
    with (EMBEDDED / "chinese_tasks.tsv").open(encoding="utf-8") as file:
        texts = {row["id"]: row["text_zh"] for row in csv.DictReader(file, delimiter="\t")}
    tasks = (task for occupation_tasks in atlas.tasks.values() for task in occupation_tasks)
    return replace(atlas, tasks=index_tasks(replace(t, text_zh=texts.get(t.id, t.text_zh)) for t in tasks))


if __name__ == "__main__":
    main(*sys.argv[1:])
