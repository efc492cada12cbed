"""Builds an atlas from a release of O*NET, with optional tables of exposure, pay and outlook.

Missing tables and estimated figures are named in the notes of the atlas.
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
    DataSource,
    Figure,
    Occupation,
    OnetTask,
    OnetTasks,
    index_tasks,
    load,
    read_retired_codes,
    with_chinese_titles,
)
from tolerate.careers.data.onet import OnetData, Release, read_release
from tolerate.careers.model import estimate, relate
from tolerate.careers.model.tasks import PublishedTables, TaskRatings, rate_tasks
from tolerate.errors import DataError
from tolerate.records import Floats

Rows = list[dict[str, str]]
PAY_COLUMNS = ("soc6", "medianPay", "payLow", "payHigh", "numJobs", "annualOpenings", "growth", "license")
PROFILE_TABLES = ("skill", "skill level", "knowledge", "knowledge level", "interest")


def build_atlas(
    path: Path,
    exposure: Path | None = None,
    pay: Path | None = None,
    report: Callable[[str], None] = print,
    neighbours: int = relate.NEIGHBOUR_COUNT,
) -> Atlas:
    """The atlas of a release. neighbours: related occupations of each one; report: receives progress messages."""
    release = Release(path)
    data = read_release(release)
    report(
        f"O*NET {release.version}: {len(data.codes):,} occupations, {sum(map(len, data.tasks.values())):,} tasks"
    )
    notes = [
        f"{name}.txt is not in the release; without it: {loss}" for name, loss in release.missing.items()
    ]
    sources = [_onet_source(release)]
    report("comparing occupations")
    table = relate.similarities(data)
    occupations = estimate_occupations(data, table, notes)
    if pay is not None:
        occupations = with_pay(occupations, read_table(pay), notes)
        sources.append(
            DataSource(
                "BLS pay and outlook",
                "public domain",
                "pay May 2025, outlook 2024-34",
                pay.name,
                "https://www.bls.gov",
            )
        )
    published = PublishedTables()
    if exposure is not None:
        occupations, published = _with_exposure(occupations, exposure, sources)
    related, _ = relate.relate_occupations(data, table, neighbours)
    return Atlas(
        version=f"O*NET {release.version}",
        occupations=with_chinese_titles(occupations.values()),
        tasks=_tasks(data, published),
        profiles=_profiles(data),
        elements=_elements(data),
        related=related,
        sources=tuple(sources),
        notes=tuple(notes),
        retired_codes=read_retired_codes(),
    )


def _onet_source(release: Release) -> DataSource:
    return DataSource(
        f"O*NET {release.version} Database",
        "CC BY 4.0, US Department of Labor, Employment and Training Administration; modified by tolerate: "
        "a part of it, with estimates added",
        release.version,
        "titles, tasks, skills, knowledge, context, job zones, related occupations",
        "https://www.onetcenter.org/database.html",
    )


def estimate_occupations(
    data: OnetData, words: relate.Similarities, notes: list[str]
) -> dict[str, Occupation]:
    """The occupations of a release, with missing severity and exactness estimated.

    words: similarities of the occupations; notes: is told how many severities are estimated.
    """
    groups = np.array([code[:7] for code in data.codes])
    context = data.tables["context"]
    exact = estimate.estimate(
        estimate.build_kernels(data, words), context.column("exactness"), groups, max_iterations=6
    )
    severe = estimate.estimate(
        estimate.build_kernels(data, words, ("exactness",)), context.column("severity"), groups
    )
    usable = relate.usable_mask(data)
    severe = [figure if ok else None for figure, ok in zip(severe, usable, strict=True)]
    exact = [figure if ok else None for figure, ok in zip(exact, usable, strict=True)]
    estimated = sum(figure is not None and figure.estimated for figure in severe)
    if estimated:
        notes.append(
            f"consequence of error of {estimated} occupations is estimated; an interval goes with it"
        )
    return {
        code: Occupation(
            code=code,
            title=data.titles[k],
            aliases=tuple(data.aliases.get(code, ())),
            description=data.descriptions[k],
            severity=severe[k],
            exactness=exact[k],
            freedom=_measured_figure(context.column("freedom")[k]),
            pressure=_measured_figure(context.column("pressure")[k]),
            zone=_finite(data.zones[k]),
        )
        for k, code in enumerate(data.codes)
    }


def _measured_figure(value: float) -> Figure | None:
    return Figure.from_measurement(float(value)) if np.isfinite(value) else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tasks(data: OnetData, published: PublishedTables) -> OnetTasks:
    """The tasks with ratings; the embedded atlas supplies Chinese texts and, without published tables, ratings."""
    ratings = rate_tasks(data, published)
    embedded = _embedded_tasks()
    onet_tasks = []
    for code, tasks in data.tasks.items():
        for number, text, core in tasks:
            task, same = OnetTask(number, code, text, core=core), embedded.get(number)
            if same is not None and same.text == text:
                task = replace(task, text_zh=same.text_zh)
            if number in ratings:
                task = _with_ratings(task, ratings[number])
            elif same is not None and not ratings:
                task = _with_ratings(task, same)
            onet_tasks.append(task)
    return index_tasks(onet_tasks)


def _with_ratings(task: OnetTask, ratings: TaskRatings | OnetTask) -> OnetTask:
    return replace(
        task,
        physical=ratings.physical,
        personal=ratings.personal,
        agency=ratings.agency,
        keep=ratings.keep,
    )


def _embedded_tasks() -> dict[str, OnetTask]:
    """The tasks of the embedded atlas by id; none while it is being made."""
    if not (EMBEDDED / "sources.json").exists():
        return {}
    return {task.id: task for tasks in load(EMBEDDED).tasks.values() for task in tasks}


def _elements(data: OnetData) -> tuple[str, ...]:
    return tuple(f"{name}: {element}" for name in PROFILE_TABLES for element in data.tables[name].names)


def _profiles(data: OnetData) -> dict[str, Floats]:
    table = np.hstack([data.tables[name].values for name in PROFILE_TABLES])
    mask: NDArray[np.bool_] = np.asarray(np.isfinite(table).any(axis=1))
    return {code: table[k] for k, code in enumerate(data.codes) if mask[k]}


# Pay, outlook, exposure


def read_table(path: Path) -> Rows:
    """The rows of a CSV or TSV table, which may be gzipped."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected a table (CSV or TSV, also .gz)")
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        head = file.readline()
        file.seek(0)
        return list(csv.DictReader(file, delimiter="\t" if head.count("\t") > head.count(",") else ","))


def with_pay(occupations: Mapping[str, Occupation], rows: Rows, notes: list[str]) -> dict[str, Occupation]:
    """Occupations with pay and outlook from the rows of a table; unmatched rows are added to the notes."""
    if not rows or "soc6" not in rows[0]:
        raise DataError(
            f"the pay table has the columns "
            f"{', '.join(rows[0]) if rows else 'none'}; expected {', '.join(PAY_COLUMNS)}"
        )
    atlas = Atlas("", dict(occupations), OnetTasks(()), {}, (), {}, (), retired_codes=read_retired_codes())
    updated, unmatched = dict(occupations), []
    for row in rows:
        codes = [code for code in occupations if code.startswith(row["soc6"])] or list(
            atlas.current_codes(row["soc6"])
        )
        if not codes:
            unmatched.append(f"{row['soc6']} {row.get('title', '')}")
        for code in codes:
            updated[code] = replace(
                updated[code],
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
    return updated


def _cell(row: Mapping[str, str], name: str) -> float | None:
    try:
        return float(row.get(name) or "")
    except ValueError:
        return None


def _with_exposure(
    occupations: Mapping[str, Occupation], folder: Path, sources: list[DataSource]
) -> tuple[dict[str, Occupation], PublishedTables]:
    """Occupations with exposure figures, and the tables about tasks. Tables are recognised by their columns."""
    updated, published = dict(occupations), PublishedTables()
    files = [folder] if folder.is_file() else sorted(path for path in folder.iterdir() if _is_table(path))
    if not files:
        raise DataError(f"{folder} holds no table; expected exposure tables (CSV or TSV, also .gz)")
    for file in files:
        rows = read_table(file)
        columns = set(rows[0]) if rows else set()
        if {"O*NET-SOC Code", "human_rating_beta"} <= columns:
            values = {row["O*NET-SOC Code"]: float(row["human_rating_beta"]) for row in rows}
            updated = {c: replace(occupation, exposure=values.get(c)) for c, occupation in updated.items()}
            sources.append(DataSource("GPTs are GPTs", "MIT, OpenAI", "2023", file.name))
        elif "ai_applicability_score" in columns:
            values = {row["SOC Code"]: float(row["ai_applicability_score"]) for row in rows}
            updated = {c: replace(occupation, use=values.get(c[:7])) for c, occupation in updated.items()}
            sources.append(DataSource("Working with AI", "CC BY 4.0, Microsoft", "2025", file.name))
        elif {"IWA", "completion_ai"} <= columns:
            published = replace(published, use=rows)
        elif {"Task ID", "gpt4_exposure"} <= columns:
            published = replace(published, exposure=rows)
        elif "Human Agency Scale Rating" in columns and "Automation Capacity Rating" in columns:
            published = replace(published, experts=rows)
            sources.append(DataSource("WORKBank experts' ratings", "CC BY 4.0, SALT-NLP", "2025", file.name))
    return updated, published


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz"))


def shrink(atlas: Atlas, codes: Iterable[str], tasks: int = 10) -> Atlas:
    """A part of an atlas: these occupations, the first tasks of each, and relatedness among them."""
    present = [code for code in codes if code in atlas.occupations]
    severities = [atlas.occupations[code].severity for code in present]
    estimated = sum(severity is not None and severity.estimated for severity in severities)
    code_set = set(present)
    return replace(
        atlas,
        notes=(
            f"consequence of error of {estimated} of these {len(present)} occupations is estimated; "
            "an interval goes with it",
        ),
        occupations=with_chinese_titles(_shorten(atlas.occupations[c]) for c in present),
        tasks=index_tasks(
            task for c in present for task in sorted(atlas.tasks.get(c, ()), key=lambda t: not t.core)[:tasks]
        ),
        profiles={c: atlas.profiles[c] for c in present if c in atlas.profiles},
        related={
            c: tuple((d, s) for d, s in atlas.related.get(c, ()) if d in code_set)[:25] for c in present
        },
    )


def _shorten(occupation: Occupation) -> Occupation:
    """An occupation without aliases, and with the first sentence of its description."""
    return replace(
        occupation, aliases=(), description=occupation.description.split(". ")[0].rstrip(".") + "."
    )
