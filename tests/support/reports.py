"""A realistic summary of a run, a certificate, and a reader of the pages made from them."""

import math
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import numpy as np

from tolerate.records import Certificate
from tolerate.report.page import render
from tolerate.report.summary import RunSummary
from tolerate.stats.calibration import calibration

TOLERANCES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
MODELS = (  # name, title, paper, family, share wrong, seconds a drawing, FID
    ("cvae", "Conditional VAE", "Kingma & Welling 2013", "vae", 0.07, 2e-5, 31.0),
    ("vae-mixture", "VAE with a mixture over its latents", "Ghosh et al. 2020", "vae", 0.05, 3e-5, 9.6),
    ("dcgan", "DCGAN", "Radford et al. 2015", "gan", 0.12, 2e-5, 58.2),
    ("wgan-gp", "WGAN-GP", "Gulrajani et al. 2017", "gan", 0.22, 5e-5, 80.1),
    ("flow", "Flow matching", "Lipman et al. 2023", "flow", 0.03, 2e-4, 44.0),
)
REFININGS = {"plain": 1, "best-of-4": 4, "best-of-4+no-copies": 4, "best-of-16": 16}  # name -> candidates
REVIEW_PRICE = 0.25  # cents a picture
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"
VOID_TAGS = {"meta", "img", "br", "link", "input", "hr"}


def png(pixels: np.ndarray) -> str:
    """A grey picture as a data URI, written by hand: no picture library needed."""
    import base64

    height, width = pixels.shape
    raw = b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in pixels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def points_json(wrong: float, candidates: int, seconds: float) -> list[dict[str, Any]]:
    """Coverage and cost of a strategy at each tolerance: less coverage, the stricter."""
    remaining = wrong / candidates**0.8
    return [_point_json(tolerance, remaining, 8 * seconds * candidates) for tolerance in TOLERANCES]


def _point_json(tolerance: float, risk: float, compute: float) -> dict[str, Any]:
    if tolerance > 1.3 * risk and tolerance > 0.015:
        scope, threshold, coverage, cost = "all", None, 1.0, compute + 0.001
    else:
        coverage = min(0.98, 0.9 - 0.3 * math.log(1.3 * risk / tolerance))
        scope, threshold, cost = "above", 1 - tolerance, compute + (1 - coverage) * REVIEW_PRICE
        if coverage < 0.1 or tolerance < 0.002:
            scope, threshold, coverage, cost = "nothing", None, 0.0, REVIEW_PRICE
    return {
        "tolerance": tolerance,
        "scope": scope,
        "threshold": threshold,
        "coverage": coverage,
        "cost": cost,
    }


def strategies_json() -> list[dict[str, Any]]:
    """Every model with every refining."""
    return [
        {
            "id": f"{name} {refining}", "model": name, "refine": refining, "candidates": candidates,
            "compute_seconds": seconds * candidates, "labels": 8000, "risk": wrong / candidates**0.8,
            "points": points_json(wrong, candidates, seconds), "family": family,
        }
        for name, _, _, family, wrong, seconds, _ in MODELS
        for refining, candidates in REFININGS.items()
    ]  # fmt: skip


def best_json(strategies: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The cheapest strategy at each tolerance, with its proof."""
    for k, tolerance in enumerate(TOLERANCES):
        strategy = min(strategies, key=lambda strategy: strategy["points"][k]["cost"])
        point = strategy["points"][k]
        zone = "none" if point["scope"] == "nothing" else "auto" if point["coverage"] >= 0.995 else "part"
        proof = proof_json(tolerance, point["coverage"])
        yield {**point, "strategy": strategy["id"], "zone": zone, "proof": proof}


def proof_json(tolerance: float, coverage: float) -> dict[str, Any]:
    """What fresh requests came to."""
    released = round(4000 * coverage)
    wrong = round(released * tolerance * 0.6)
    counts = {"requests": 4000, "released": released, "wrong": wrong}
    if not released:
        return {**counts, "risk": None, "low": None, "high": None}
    risk, width = wrong / released, 2 * math.sqrt(wrong + 1) / released
    return {**counts, "risk": risk, "low": max(0.0, risk - width), "high": risk + width}


def model_json(
    name: str, title: str, paper: str, family: str, wrong: float, seconds: float, fid: float
) -> dict[str, Any]:
    """A trained model."""
    steps = range(0, 3001, 10)
    losses = {"loss": [[step, 40 + 120 * math.exp(-step / 400)] for step in steps]}
    if family == "gan":
        losses = {
            "generator": [[s, 0.7 + 0.5 * math.sin(s / 90) * math.exp(-s / 2000)] for s in steps],
            "critic": [[s, 0.6 - 0.2 * math.exp(-s / 500)] for s in steps],
        }
    return {
        "name": name, "title": title, "paper": paper, "family": family, "parameters": 412_345, "steps": 3000,
        "seconds": 5.2, "draws_per_second": 1 / seconds, "curve": losses, "findings": [],
        "metrics": {
            "fid": fid, "kid": fid / 900, "is": 9.4 - fid / 30, "precision": 0.95 - wrong, "recall": 0.9 - wrong,
            "as_requested": 1 - wrong, "copies": 3, "nelbo": 98.4 if family == "vae" else None,
        },
    }  # fmt: skip


def digits_json(lang: str = "en") -> dict[str, Any]:
    """The summary.json that a run of the digits job could have written."""
    strategies, models = strategies_json(), [model_json(*model) for model in MODELS]
    scores = np.random.default_rng(1).random(2000)
    strategies[0]["calibration"] = calibration(
        scores, np.random.default_rng(2).random(2000) < scores
    ).to_json()
    models[3]["findings"] = [
        {
            "what": {
                "en": "It draws 6 of 10 classes only: mode collapse.",
                "zh": "只画出 10 类中的 6 类：模式坍缩。",
            },
            "try": {
                "en": "more critic steps, or a lower learning rate",
                "zh": "增加判别器步数，或降低学习率",
            },
        }
    ]
    rng = np.random.default_rng(0)
    pictures = [png(rng.integers(0, 255, (8, 8))) for _ in range(12)]
    cards = [
        {
            "png": picture,
            "asked": str(k % 10),
            "read": str(k % 10),
            "score": 0.99 - k / 50,
            "strategy": "cvae plain",
        }
        for k, picture in enumerate(pictures)
    ]
    uses = (
        ("generator", 800, "trains the generators", "训练生成器"),
        ("reader", 500, "trains the reader that decides what is wrong", "训练判读模型"),
        ("judge", 200, "trains the judge that ranks", "训练评分模型"),
        ("test", 297, "measures the reader's own error", "测量判读模型自身的误差"),
    )
    return {
        "lang": lang,
        "job": {
            "name": "digits", "title": {"en": "Digits", "zh": "手写数字"}, "tolerance": 0.01, "confidence": 0.95,
            "currency": "cents", "prices": {"compute_per_second": 0.01, "review": REVIEW_PRICE, "unit": "cents"},
        },
        "created": "2025-11-23T20:00:00+00:00", "version": "0.1.0", "seed": 0, "seconds": 123.4,
        "versions": {"python": "3.11.2", "torch": "2.13.0"}, "options": {"labels": 8000}, "command": "tolerate run digits",
        "data": {
            "name": "digits", "total": 1797, "sha256": "ab" * 32, "classes": [str(k) for k in range(10)],
            "split": [{"name": name, "n": n, "use": {"en": en, "zh": zh}} for name, n, en, zh in uses],
        },
        "models": models, "strategies": strategies, "best": list(best_json(strategies)),
        "certificate": {
            "sentence": {
                "en": "With 95% confidence, at most 1% of the drawings released are wrong. This rests on "
                      "8,000 labelled drawings.",
                "zh": "在 95% 的置信度下，放行的作品中出错者不超过 1%。依据为 8,000 件已标注作品。",
            },
            "brief": {"en": "release when score >= 0.81: 97% of items", "zh": "分数 ≥ 0.81 即放行：97% 的作品"},
            "json": certificate().to_json(),
        },
        "reader": {
            "name": "small convolutional reader", "trained_on": 500, "tested_on": 297, "wrong": 4, "rejected": 3,
            "rate": 0.0135, "low": 0.0037, "high": 0.0341, "by": "reader", "sentence": "",
        },
        "judge": {"name": "logistic regression", "trained_on": 200, "auroc": 0.97},
        "anomaly": {"auroc_shuffled": 0.999, "auroc_foreign": 0.94},
        "sheets": {
            "released": cards, "held": cards[:5], "wrong": [{**cards[7], "read": "1", "tolerance": 0.01}],
            "copies": [
                {"png": pictures[0], "item": 3, "twin": pictures[1], "distance": 0.013, "copy": True, "model": "cvae"}
            ],
        },
        "assumptions": [{"en": "Requests are as in the calibration: every digit equally often.", "zh": "请求分布与校准时相同：各数字机会均等。"}],
        "limits": [{"en": "It says nothing about other handwriting.", "zh": "不适用于其他笔迹。"}],
    }  # fmt: skip


def digits_summary(lang: str = "en") -> RunSummary:
    """The record of `digits_json`."""
    return RunSummary.from_json(digits_json(lang))


def render_json(summary: dict[str, Any]) -> str:
    """The page of a summary in JSON."""
    return render(RunSummary.from_json(summary))


def certificate(**changes: Any) -> Certificate:
    """A certificate of the digits job."""
    fields: dict[str, Any] = {
        "tolerance": 0.01, "confidence": 0.95, "scope": "above", "threshold": 0.81, "coverage": 0.97, "risk_bound": 0.0098,
        "risk_seen": 0.0079, "labels": 8000, "clusters": 8000, "released": 7760, "method": "exact binomial, fixed order",
        "assumptions": ("Items are exchangeable.",), "advice": ("2,000 more labels would prove 0.5%.",),
        "slices": ({"name": "seven", "labels": 800, "released": 700, "risk_seen": 0.01, "risk_bound": 0.02},),
        "losses_by": "reader", "made": "2025-11-23T20:00:00+00:00", "version": "0.1.0",
    }  # fmt: skip
    return Certificate(**{**fields, **changes})


class ParsedPage(HTMLParser):
    """The tags of a page; fails if a tag is not closed, or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag and its attributes."""
        assert len(dict(attrs)) == len(attrs), f"<{tag}> names an attribute twice: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag."""
        assert self.open.pop() == tag

    def ids(self) -> list[str]:
        """The ids in the page's order."""
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every tag of that name."""
        return [attributes for name, attributes in self.tags if name == tag]
