"""Turns a release of O*NET, with optional tables of exposure, pay and outlook, into an atlas.

Everything that is missing is named in the atlas' notes; nothing is filled in silently.
"""

import csv
import gzip
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tolerate.careers.data.atlas import (
    EMBEDDED,
    Atlas,
    Figure,
    Occupation,
    Source,
    Task,
    Tasks,
    load,
    retired,
    tasks_of,
    with_chinese,
)
from tolerate.careers.data.onet import Gathered, Release, gather
from tolerate.careers.model import estimate, relate
from tolerate.careers.model.tasks import Published, rated
from tolerate.errors import DataError
from tolerate.records import Floats

Rows = list[dict[str, str]]
PAY = ("soc6", "medianPay", "payLow", "payHigh", "numJobs", "annualOpenings", "growth", "license")


def build(
    path: Path,
    exposure: Path | None = None,
    pay: Path | None = None,
    tell: Callable[[str], None] = print,
    kept: int = relate.KEPT,
) -> Atlas:
    """The atlas of a release. kept: neighbours kept of each occupation."""
    release = Release(path)
    it = gather(release)
    tell(
        f"O*NET {release.version}: {len(it.codes):,} occupations, {sum(map(len, it.tasks.values())):,} tasks"
    )
    notes = [
        f"{name}.txt is not in the release; without it: {loss}" for name, loss in release.missing.items()
    ]
    sources = [_onet(release)]
    tell("comparing occupations")
    table = relate.similarities(it)
    occupations = _occupations(it, table, notes)
    if pay is not None:
        occupations = _paid(occupations, read(pay), notes)
        sources.append(
            Source(
                "BLS pay and outlook",
                "public domain",
                "pay May 2025, outlook 2024-34",
                pay.name,
                "https://www.bls.gov",
            )
        )
    published = Published()
    if exposure is not None:
        occupations, published = _exposed(occupations, exposure, sources)
    related, _ = relate.related(it, table, kept)
    return Atlas(
        version=f"O*NET {release.version}",
        occupations={each.code: each for each in with_chinese(occupations.values()).values()},
        tasks=_tasks(it, published),
        profiles=_profiles(it),
        elements=_elements(it),
        related=related,
        sources=tuple(sources),
        notes=tuple(notes),
        retired=retired(),
    )


def _onet(release: Release) -> Source:
    return Source(
        f"O*NET {release.version} Database",
        "CC BY 4.0, US Department of Labor, Employment and Training Administration; modified by tolerate: "
        "a part of it, with estimates added",
        release.version,
        "titles, tasks, skills, knowledge, context, job zones, related occupations",
        "https://www.onetcenter.org/database.html",
    )


def _occupations(it: Gathered, words: relate.Table, notes: list[str]) -> dict[str, Occupation]:
    groups = np.array([code[:7] for code in it.codes])
    context = it.blocks["context"]
    exact = estimate.estimate(estimate.kernels(it, words), context.of("exactness"), groups, rounds=6)
    severe = estimate.estimate(estimate.kernels(it, words, ("exactness",)), context.of("severity"), groups)
    usable = relate.usable(it)
    guessed = sum(each is not None and each.estimated for each, ok in zip(severe, usable, strict=True) if ok)
    if guessed:
        notes.append(f"consequence of error of {guessed} occupations is estimated; an interval goes with it")
    found = {}
    for k, code in enumerate(it.codes):
        found[code] = Occupation(
            code=code,
            title=it.titles[k],
            aliases=tuple(it.aliases.get(code, ())),
            description=it.descriptions[k],
            severity=severe[k] if usable[k] else None,
            exactness=exact[k] if usable[k] else None,
            freedom=_figure(context.of("freedom")[k]),
            pressure=_figure(context.of("pressure")[k]),
            zone=_plain(it.zones[k]),
        )
    return found


def _figure(value: float) -> Figure | None:
    return Figure.measured(float(value)) if np.isfinite(value) else None


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tasks(it: Gathered, published: Published) -> Tasks:
    ratings = rated(it, published)
    known = (
        {task.id: task for tasks in load(EMBEDDED).tasks.values() for task in tasks} if _embedded() else {}
    )
    made = []
    for code, tasks in it.tasks.items():
        for number, text, core in tasks:
            task = Task(number, code, text, core=core, **ratings.get(number, {}))
            old = known.get(number)
            if old is not None:
                task = replace(task, text_zh=old.text_zh if old.text == text else "")
                if not ratings:
                    task = replace(
                        task, physical=old.physical, personal=old.personal, agency=old.agency, keep=old.keep
                    )
            made.append(task)
    return tasks_of(made)


def _embedded() -> bool:
    return (EMBEDDED / "sources.json").exists()


def _elements(it: Gathered) -> tuple[str, ...]:
    return tuple(f"{name}: {each}" for name in KEPT_BLOCKS for each in it.blocks[name].names)


KEPT_BLOCKS = ("skill", "skill level", "knowledge", "knowledge level", "interest")


def _profiles(it: Gathered) -> dict[str, Floats]:
    table = np.hstack([it.blocks[name].values for name in KEPT_BLOCKS])
    known: NDArray[np.bool_] = np.asarray(np.isfinite(table).any(axis=1))
    return {code: table[k] for k, code in enumerate(it.codes) if known[k]}


# Pay, outlook, exposure


def read(path: Path) -> Rows:
    """The rows of a CSV or TSV table, plain or gzipped."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected a table (CSV or TSV, also .gz)")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        return list(csv.DictReader(file, delimiter="\t" if head.count("\t") > head.count(",") else ","))


def _paid(occupations: Mapping[str, Occupation], rows: Rows, notes: list[str]) -> dict[str, Occupation]:
    if not rows or "soc6" not in rows[0]:
        raise DataError(
            f"the pay table has the columns "
            f"{', '.join(rows[0]) if rows else 'none'}; expected {', '.join(PAY)}"
        )
    atlas = Atlas("", dict(occupations), Tasks(()), {}, (), {}, (), retired=retired())
    out, unmatched = dict(occupations), []
    for row in rows:
        codes = [code for code in occupations if code.startswith(row["soc6"])] or list(
            atlas.current(row["soc6"])
        )
        if not codes:
            unmatched.append(f"{row['soc6']} {row.get('title', '')}")
        for code in codes:
            out[code] = replace(
                out[code],
                pay=_cell(row, "medianPay"),
                pay_low=_cell(row, "payLow"),
                pay_high=_cell(row, "payHigh"),
                jobs=_cell(row, "numJobs"),
                openings=_cell(row, "annualOpenings"),
                growth=_cell(row, "growth"),
                licence="often" if row.get("license", "").lower() == "true" else "",
            )
    if unmatched:
        notes.append(
            f"{len(unmatched)} rows of the pay table match no occupation: {'; '.join(unmatched[:5])}"
        )
    return out


def _cell(row: Mapping[str, str], name: str) -> float | None:
    try:
        return float(row.get(name) or "")
    except ValueError:
        return None


def _exposed(
    occupations: Mapping[str, Occupation], folder: Path, sources: list[Source]
) -> tuple[dict[str, Occupation], Published]:
    """Exposure tables are told by their columns, whatever their names."""
    out, published = dict(occupations), Published()
    files = [folder] if folder.is_file() else sorted(each for each in folder.iterdir() if _is_table(each))
    if not files:
        raise DataError(f"{folder} holds no table; expected exposure tables (CSV or TSV, also .gz)")
    for file in files:
        rows = read(file)
        columns = set(rows[0]) if rows else set()
        if {"O*NET-SOC Code", "human_rating_beta"} <= columns:
            values = {row["O*NET-SOC Code"]: float(row["human_rating_beta"]) for row in rows}
            out = {c: replace(each, exposure=values.get(c)) for c, each in out.items()}
            sources.append(Source("GPTs are GPTs", "MIT, OpenAI", "2023", file.name))
        elif "ai_applicability_score" in columns:
            values = {row["SOC Code"]: float(row["ai_applicability_score"]) for row in rows}
            out = {c: replace(each, use=values.get(c[:7])) for c, each in out.items()}
            sources.append(Source("Working with AI", "CC BY 4.0, Microsoft", "2025", file.name))
        elif {"IWA", "completion_ai"} <= columns:
            published = replace(published, use=rows)
        elif {"Task ID", "gpt4_exposure"} <= columns:
            published = replace(published, exposure=rows)
        elif "Human Agency Scale Rating" in columns and "Automation Capacity Rating" in columns:
            published = replace(published, experts=rows)
            sources.append(Source("WORKBank experts' ratings", "CC BY 4.0, SALT-NLP", "2025", file.name))
    return out, published


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz"))


def shrink(atlas: Atlas, codes: Iterable[str], tasks: int = 10) -> Atlas:
    """A part of an atlas: these occupations, the first tasks of each, relatedness among them."""
    kept = [code for code in codes if code in atlas.occupations]
    guessed = sum(bool((found := atlas.occupations[c].severity) and found.estimated) for c in kept)
    inside = set(kept)
    return replace(
        atlas,
        notes=(
            f"consequence of error of {guessed} of these {len(kept)} occupations is estimated; "
            "an interval goes with it",
        ),
        occupations=with_chinese(_short(atlas.occupations[c]) for c in kept),
        tasks=tasks_of(
            task for c in kept for task in sorted(atlas.tasks.get(c, ()), key=lambda t: not t.core)[:tasks]
        ),
        profiles={c: atlas.profiles[c] for c in kept if c in atlas.profiles},
        related={c: tuple((d, s) for d, s in atlas.related.get(c, ()) if d in inside)[:25] for c in kept},
    )


def _short(occupation: Occupation) -> Occupation:
    """An occupation without what the embedded table has no room for."""
    return replace(
        occupation, aliases=(), description=occupation.description.split(". ")[0].rstrip(".") + "."
    )
