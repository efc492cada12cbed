"""The summary of a run: everything its report shows, as plain JSON values."""

import base64
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tolerate import __version__
from tolerate.messages.certificates import brief, say_certificate
from tolerate.records import Certificate, Job

if TYPE_CHECKING:
    from tolerate.base.folder import RunFolder
    from tolerate.runs.pipeline import Options, Workshop

SHEET = 24  # items on a sheet
PARTS = ("numpy", "scipy", "pyarrow", "torch", "scikit-learn", "transformers", "tokenizers", "peft")
Row = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]


def summarise(
    job: Job,
    options: "Options",
    workshop: "Workshop",
    folder: "RunFolder",
    command: str,
    about: Row,
    models: Sequence[tuple[Row, Arrays]],
    strategies: Sequence[Row],
    best: Sequence[Row],
    certificate: Certificate,
    proofs: Sequence[Row | None],
    fresh: Mapping[str, Arrays],
    seconds: float,
) -> dict[str, Any]:
    """All that the page needs; `fresh` holds the fresh answers of each strategy that releases."""
    family = {model["name"]: model["family"] for model, _ in models}
    return {
        "lang": options.lang,
        "job": {**job.to_json(), "currency": job.prices.unit},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "seed": options.seed,
        "seconds": round(seconds, 1),
        "versions": versions(),
        "options": {"labels": job.labels, "proof": job.proof, "models": job.models, "refine": job.refine},
        "command": command,
        **{key: about[key] for key in ("data", "reader", "judge", "assumptions", "limits") if key in about},
        "anomaly": next(
            (model["metrics"] for model, _ in models if "auroc_shuffled" in model["metrics"]), None
        ),
        "models": [model for model, _ in models],
        "strategies": [{**one, "family": family[one["model"]]} for one in strategies],
        "best": [{**row, "proof": proof} for row, proof in zip(best, proofs, strict=True)],
        "certificate": {
            "sentence": {lang: say_certificate(certificate, lang) for lang in ("en", "zh")},
            "brief": {lang: brief(certificate, lang) for lang in ("en", "zh")},
            "json": certificate.to_json(),
        },
        "sheets": sheets(workshop, job, best, fresh, models),
    }


def versions() -> dict[str, str]:
    """The versions that made the result."""
    found = {"python": platform.python_version(), "tolerate": __version__}
    for name in PARTS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def sheets(
    workshop: "Workshop",
    job: Job,
    best: Sequence[Row],
    fresh: Mapping[str, Arrays],
    models: Sequence[tuple[Row, Arrays]],
) -> dict[str, Any]:
    """Fresh items as they were decided: released, held, released and wrong; and the nearest to copies.

    Released and held are of the job's own tolerance where it releases anything, else of the
    strictest that does; wrong ones come from every tolerance, the strictest first, since a good
    promise leaves few of them.
    """
    rows = [row for row in best if row["zone"] != "none"]
    if not rows:
        return {"copies": copies(workshop, models)}
    own = [row for row in rows if row["tolerance"] == job.tolerance] or rows[-1:]
    out, held = _parted(own[0], fresh)
    return {
        "released": _cards(workshop, own[0], fresh, out[:SHEET]),
        "held": _cards(workshop, own[0], fresh, held[:SHEET]),
        "wrong": _wrong(workshop, rows, fresh),
        "copies": copies(workshop, models),
    }


def _parted(row: Row, fresh: Mapping[str, Arrays]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    out = released(row["scope"], row["threshold"], fresh[row["strategy"]]["scores"])
    return np.flatnonzero(out), np.flatnonzero(~out)


def released(scope: str, threshold: float | None, scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which answers a rule releases, for many scores at once; where there is no answer, nothing."""
    if scope == "above" and threshold is not None:
        return np.asarray(scores >= threshold)
    return ~np.isnan(scores) if scope == "all" else np.zeros(len(scores), dtype=bool)


def _wrong(workshop: "Workshop", rows: Sequence[Row], fresh: Mapping[str, Arrays]) -> list[dict[str, Any]]:
    """Released and wrong, each once, the strictest tolerance first."""
    cards: list[dict[str, Any]] = []
    seen: set[tuple[str, int]] = set()
    for row in reversed(rows):
        out, _ = _parted(row, fresh)
        wrong = [
            at
            for at in out[fresh[row["strategy"]]["losses"][out] > 0]
            if (row["strategy"], int(at)) not in seen
        ]
        seen |= {(row["strategy"], int(at)) for at in wrong}
        cards += [{**card, "tolerance": row["tolerance"]} for card in _cards(workshop, row, fresh, wrong)]
        if len(cards) >= SHEET:
            break
    return cards[:SHEET]


def _cards(
    workshop: "Workshop", row: Row, fresh: Mapping[str, Arrays], which: Sequence[int] | NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Items with what was asked, what was read, and the judge's score."""
    arrays = fresh[row["strategy"]]
    return [
        {
            **shown(workshop, arrays["contents"][at], int(arrays["requests"][at])),
            "asked": workshop.asked(int(arrays["requests"][at])),
            "read": read_by(workshop, str(arrays["reads"][at])),
            "score": None if np.isnan(arrays["scores"][at]) else float(arrays["scores"][at]),
            "strategy": row["strategy"],
        }
        for at in which
    ]


def read_by(workshop: "Workshop", read: str) -> Any:
    """What the check saw; in both languages where a workshop knows how to say it."""
    words = getattr(workshop, "words", None)
    return words(read) if words is not None and read else read


def shown(workshop: "Workshop", content: Any, request: int) -> dict[str, Any]:
    """One item as a page shows it: a picture, or the pieces of a text, each with whether it is a wrong part."""
    pieces = getattr(workshop, "text", None)
    if pieces is not None:
        return {"pieces": [list(piece) for piece in pieces(content, request)]}
    return {"png": uri(workshop.picture(content))}


def copies(workshop: "Workshop", models: Sequence[tuple[Row, Arrays]]) -> list[dict[str, Any]]:
    """Drawings nearest to a real one they were trained on, beside it; the nearest first."""
    pairs = [
        (
            pair["distance"],
            {"png": uri(workshop.picture(arrays["shown"][pair["item"]])), **pair, "model": model["name"]},
        )
        for model, arrays in models
        for pair in model["metrics"].get("nearest", ())
    ]
    return [card for _, card in sorted(pairs, key=lambda pair: pair[0])[: SHEET // 2]]


def uri(png: bytes) -> str:
    """A picture that a page carries in itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
