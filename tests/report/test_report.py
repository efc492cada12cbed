"""The report: one page that needs no network, in two languages, with the tolerance map first."""

import base64
import copy
import io
import math
import re
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tolerate.errors import DataError, OptionError
from tolerate.messages.both import Both, both
from tolerate.messages.report import WORDS, say
from tolerate.records import Certificate
from tolerate.report import closing_line, print_map, svg, write_certificate_report, write_report
from tolerate.report import map as tmap
from tolerate.report.charts import proof_plot, risk_curve, training_curve, verdict
from tolerate.report.page import render, render_certificate
from tolerate.report.sections import PARTS, sections
from tolerate.report.svg import Axis
from tolerate.report.terminal import cells, columns, map_lines
from tolerate.stats.calibration import calibration

TOLERANCES = (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
MODELS = (  # name, title, paper, family, share wrong, seconds a drawing, FID
    ("cvae", "Conditional VAE", "Kingma & Welling 2013", "vae", 0.07, 2e-5, 31.0),
    ("vae-mixture", "VAE with a mixture over its latents", "Ghosh et al. 2020", "vae", 0.05, 3e-5, 9.6),
    ("dcgan", "DCGAN", "Radford et al. 2015", "gan", 0.12, 2e-5, 58.2),
    ("wgan-gp", "WGAN-GP", "Gulrajani et al. 2017", "gan", 0.22, 5e-5, 80.1),
    ("flow", "Flow matching", "Lipman et al. 2023", "flow", 0.03, 2e-4, 44.0),
)
REFINES = {"plain": 1, "best-of-4": 4, "best-of-4+no-copies": 4, "best-of-16": 16}
REVIEW = 0.25  # what a person costs, a picture


# A realistic summary


def png(pixels: np.ndarray) -> str:
    """A grey picture as a data address, written by hand: no picture library needed."""
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


def points(wrong: float, candidates: int, seconds: float) -> list[dict[str, Any]]:
    """What a strategy releases and costs at each tolerance: less, the stricter; nothing below its reach."""
    left = wrong / candidates**0.8
    return [point(tolerance, left, 8 * seconds * candidates) for tolerance in TOLERANCES]


def point(tolerance: float, left: float, compute: float) -> dict[str, Any]:
    if tolerance > 1.3 * left and tolerance > 0.015:
        return {
            "tolerance": tolerance,
            "scope": "all",
            "threshold": None,
            "coverage": 1.0,
            "cost": compute + 0.001,
        }
    coverage = min(0.98, 0.9 - 0.3 * math.log(1.3 * left / tolerance))
    if coverage < 0.1 or tolerance < 0.002:
        return {
            "tolerance": tolerance,
            "scope": "nothing",
            "threshold": None,
            "coverage": 0.0,
            "cost": REVIEW,
        }
    cost = compute + (1 - coverage) * REVIEW
    return {
        "tolerance": tolerance,
        "scope": "above",
        "threshold": 1 - tolerance,
        "coverage": coverage,
        "cost": cost,
    }


def strategies() -> list[dict[str, Any]]:
    return [
        {
            "id": f"{name} {refine}", "model": name, "refine": refine, "family": family, "compute_seconds": each * n,
            "candidates": n, "labels": 8000, "risk": wrong / n**0.8, "points": points(wrong, n, each),
        }
        for name, _, _, family, wrong, each, _ in MODELS
        for refine, n in REFINES.items()
    ]  # fmt: skip


def best_of(ways: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for k, tolerance in enumerate(TOLERANCES):
        cost, _, way = min((way["points"][k]["cost"], j, way) for j, way in enumerate(ways))
        found = way["points"][k]
        zone = "none" if found["scope"] == "nothing" else "auto" if found["coverage"] >= 0.995 else "part"
        yield {
            **found,
            "strategy": way["id"],
            "zone": zone,
            "cost": cost,
            "proof": proof(tolerance, found["coverage"]),
        }


def proof(tolerance: float, coverage: float) -> dict[str, Any]:
    out = round(4000 * coverage)
    wrong = round(out * tolerance * 0.6)
    if not out:
        return {"requests": 4000, "released": 0, "wrong": 0, "risk": None, "low": None, "high": None}
    risk, width = wrong / out, 2 * math.sqrt(wrong + 1) / out
    return {
        "requests": 4000,
        "released": out,
        "wrong": wrong,
        "risk": risk,
        "low": max(0.0, risk - width),
        "high": risk + width,
    }


def model(
    name: str, title: str, paper: str, family: str, wrong: float, each: float, fid: float
) -> dict[str, Any]:
    steps = range(0, 3001, 10)
    losses = {"loss": [[s, 40 + 120 * math.exp(-s / 400)] for s in steps]}
    if family == "gan":
        losses = {
            "generator": [[s, 0.7 + 0.5 * math.sin(s / 90) * math.exp(-s / 2000)] for s in steps],
            "critic": [[s, 0.6 - 0.2 * math.exp(-s / 500)] for s in steps],
        }
    return {
        "name": name, "title": title, "paper": paper, "family": family, "parameters": 412_345, "steps": 3000,
        "seconds": 5.2, "draws_per_second": 1 / each, "curve": losses,
        "metrics": {
            "fid": fid, "kid": fid / 900, "is": 9.4 - fid / 30, "precision": 0.95 - wrong, "recall": 0.9 - wrong,
            "as_requested": 1 - wrong, "copies": 3, "nelbo": 98.4 if family == "vae" else None,
        },
        "findings": [],
    }  # fmt: skip


def digits(lang: str = "en") -> dict[str, Any]:
    """The summary that a run of the digits job could have written."""
    ways, models = strategies(), [model(*each) for each in MODELS]
    chance = np.random.default_rng(1).random(2000)
    ways[0]["calibration"] = calibration(chance, np.random.default_rng(2).random(2000) < chance).to_json()
    models[3]["findings"] = [
        {
            "what": {
                "en": "It draws 6 of 10 classes only: collapse to few modes.",
                "zh": "只画出 10 类中的 6 类：模式坍缩。",
            },
            "try": {
                "en": "more critic steps, or wgan-gp with a lower learning rate",
                "zh": "增加判别器步数，或降低学习率",
            },
        }
    ]
    rng = np.random.default_rng(0)
    pictures = [png(rng.integers(0, 255, (8, 8))) for _ in range(12)]
    drawn = [
        {"png": p, "asked": str(k % 10), "read": str(k % 10), "score": 0.99 - k / 50}
        for k, p in enumerate(pictures)
    ]
    return {
        "lang": lang,
        "job": {
            "name": "digits", "title": {"en": "Digits", "zh": "手写数字"}, "tolerance": 0.01, "confidence": 0.95,
            "currency": "cents", "prices": {"compute_per_second": 0.01, "review": REVIEW, "unit": "cents"},
        },
        "created": "2025-11-23T20:00:00+00:00", "version": "0.1.0", "seed": 0, "seconds": 123.4,
        "versions": {"python": "3.11.2", "torch": "2.13.0"}, "options": {"labels": 8000}, "command": "tolerate run digits",
        "data": {
            "name": "digits", "total": 1797, "sha256": "ab" * 32, "classes": [str(k) for k in range(10)],
            "split": [
                {"name": name, "n": n, "use": {"en": en, "zh": zh}}
                for name, n, en, zh in (
                    ("generator", 800, "trains the generators", "训练生成器"),
                    ("reader", 500, "trains the reader that decides what is wrong", "训练判读模型"),
                    ("judge", 200, "trains the judge that ranks", "训练评分模型"),
                    ("test", 297, "measures the reader's own error", "测量判读模型自身的误差"),
                )
            ],
        },
        "models": models, "strategies": ways, "best": list(best_of(ways)),
        "certificate": {
            "sentence": {
                "en": "With 95% confidence, at most 1% of the drawings released are wrong. This rests on "
                      "8,000 labelled drawings.",
                "zh": "在 95% 的置信度下，放行的作品中出错者不超过 1%。依据为 8,000 件已标注作品。",
            },
            "brief": {"en": "release when score >= 0.81: 97% of items", "zh": "分数 ≥ 0.81 即放行：97% "
                                                                              "的作品"},
            "json": certificate().to_json(),
        },
        "reader": {
            "name": "small convolutional reader", "trained_on": 500, "tested_on": 297, "wrong": 4, "rejected": 3,
            "rate": 0.0135, "low": 0.0037, "high": 0.0341, "by": "reader",
        },
        "judge": {"name": "logistic regression", "trained_on": 200, "auroc": 0.97},
        "anomaly": {"auroc_shuffled": 0.999, "auroc_foreign": 0.94},
        "sheets": {
            "released": drawn, "held": drawn[:5], "wrong": [{**drawn[7], "read": "1", "tolerance": 0.01}],
            "copies": [{"png": pictures[0], "twin": pictures[1], "distance": 0.013}],
        },
        "assumptions": [{"en": "Requests are as in the calibration: every digit equally often.", "zh": "请求分布与校准时相同：各数字机会均等。"}],
        "limits": [{"en": "It says nothing about other handwriting.", "zh": "不适用于其他笔迹。"}],
    }  # fmt: skip


def certificate(**changes: Any) -> Certificate:
    given: dict[str, Any] = {
        "tolerance": 0.01, "confidence": 0.95, "scope": "above", "threshold": 0.81, "coverage": 0.97, "risk_bound": 0.0098,
        "risk_seen": 0.0079, "labels": 8000, "clusters": 8000, "released": 7760, "method": "exact binomial, fixed order",
        "assumptions": ("Items are exchangeable.",), "advice": ("2,000 more labels would prove 0.5%.",),
        "slices": ({"name": "seven", "labels": 800, "released": 700, "risk_seen": 0.01, "risk_bound": 0.02},),
        "losses_by": "reader", "made": "2025-11-23T20:00:00+00:00", "version": "0.1.0",
    }  # fmt: skip
    return Certificate(**{**given, **changes})


# Reading a page as a browser would

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reading(HTMLParser):
    """The tags of a page; fails where a tag is not closed, or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> names an attribute twice: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.tags if "id" in attrs]

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture(scope="module")
def page() -> str:
    return render(digits())


def test_the_page_is_whole_and_well_formed(tmp_path: Path) -> None:
    """It opens with its type, closes every tag, names every part once, and leaves nothing else behind."""
    path = write_report(digits(), tmp_path / "digits")
    text = path.read_text("utf-8")
    assert path == tmp_path / "digits" / "report.html"
    assert [each.name for each in path.parent.iterdir()] == ["report.html"]
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert write_report(digits(), tmp_path / "other.html") == tmp_path / "other.html"
    ids = Reading(text).ids()
    assert len(ids) == len(set(ids))


def test_the_page_asks_nothing_of_a_network(page: str) -> None:
    """No address leads out: not in a tag, not in the styles, not in the script; and the policy forbids it."""
    reading = Reading(page)
    for _, attrs in reading.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"):
            assert (attrs.get(name) or "#").startswith(("#", "data:image/"))
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page.replace("</", ""))
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|sendBeacon", page)
    assert {tag for tag, _ in reading.tags}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    policy = next(
        m["content"] for m in reading.named("meta") if m.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy and policy.startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-"
    )


def test_the_policy_names_the_one_script(page: str) -> None:
    """Only the page's own script may run: the policy holds its hash, and nothing runs from an attribute."""
    import hashlib

    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert not [name for _, attrs in Reading(page).tags for name in attrs if name.startswith("on")]


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


def poisoned(value: Any) -> Any:
    """The same summary with every text replaced by a hostile one, the few that steer apart."""
    if isinstance(value, dict):
        kept = {"scope", "zone", "by", "lang", "id", "strategy", "model"}
        return {key: item if key in kept else poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_texts_from_outside_are_shown_and_never_obeyed(lang: str) -> None:
    """Hostile names, captions, options and findings come out as text; pictures that are no data are dropped."""
    clean, dirty = Reading(render(digits(lang))), render({**poisoned(digits()), "lang": lang})
    reading = Reading(dirty)
    assert len(reading.named("script")) == len(clean.named("script")) == 1
    assert reading.named("img") == []
    assert not [name for _, attrs in reading.tags for name in attrs if name.startswith("on")]
    assert "&lt;script&gt;alert(1)" in dirty
    assert "<script>alert" not in dirty
    assert "{{ 7*7 }}" in dirty


def test_hostile_keys_are_escaped_too() -> None:
    summary = digits()
    summary["options"] = {HOSTILE: HOSTILE}
    summary["models"][0]["curve"] = {"</svg><b>": [[0, 1.0], [1, 0.5]]}
    summary["strategies"][0]["refine"] = HOSTILE
    summary["strategies"][0]["family"] = "</button><b>"
    assert Reading(render(summary)).named("b") == []


def test_pictures_must_be_data() -> None:
    """A picture from outside is left out wherever it would lead, and its twin too."""
    summary = digits()
    for source in (
        "https://example.org/x.png",
        "javascript:alert(1)",
        "data:text/html;base64,PGI+",
        'data:image/png;base64,"',
        7,
    ):
        summary["sheets"] = {"released": [{"png": source, "asked": "1"}]}
        assert "sheets" not in sections(summary)
    good = digits()["sheets"]["copies"][0]["png"]
    summary["sheets"] = {"copies": [{"png": good, "twin": "//example.org/x.png"}]}
    assert [image["src"] for image in Reading(render(summary)).named("img")] == [good]


# Parts

NEEDS = {
    "glance": "best", "map": "strategies", "certificate": "certificate", "proof": "best", "sheets": "sheets",
    "metrics": "models", "curves": "models", "findings": "models", "split": "data", "reader": "reader",
    "assumptions": "assumptions", "limits": "limits", "calibration": "strategies",
}  # fmt: skip


@pytest.mark.parametrize("part", NEEDS)
def test_a_part_appears_exactly_when_its_data_is_there(part: str, page: str) -> None:
    heading = f'id="{part}"' if part != "glance" else 'class="glance"'
    assert heading in page
    summary = digits()
    del summary[NEEDS[part]]
    without = render(summary)
    assert heading not in without
    Reading(without)


def test_every_part_is_in_the_page_or_tested_apart(page: str) -> None:
    assert set(NEEDS) | {"appendix"} == set(PARTS) - {"scores"} == set(sections(digits()))  # test_calibration
    assert 'id="appendix"' in page


@pytest.mark.parametrize(
    "summary", [{}, {"job": {"name": "digits"}}, {"best": [], "strategies": [], "models": [{}]}]
)
def test_a_summary_with_next_to_nothing_still_makes_a_page(summary: dict[str, Any]) -> None:
    reading = Reading(render(summary))
    assert len(reading.named("h1")) == 1
    assert reading.named("section") == []


@pytest.mark.parametrize("key", sorted(digits()))
def test_nulls_are_like_absent_data(key: str) -> None:
    """A run that stopped early writes nulls; the page holds what there is."""
    summary = digits()
    summary[key] = None
    Reading(render(summary))


def test_missing_numbers_do_not_break_a_picture() -> None:
    summary = digits()
    for way in summary["strategies"]:
        way["points"][0]["cost"] = None
        way["points"][1]["coverage"] = float("nan")
    summary["best"][0]["cost"] = None
    summary["best"][2]["proof"] = None
    summary["models"][0]["curve"]["loss"][5][1] = None
    assert "nan" not in re.sub(r"data:image[^\"]*", "", render(summary)).lower().split()


def test_the_page_stays_small() -> None:
    """With more drawings than a page can hold, each sheet keeps some and says how many were left out."""
    summary = digits()
    big = "data:image/png;base64," + "A" * 8000
    summary["sheets"] = {name: [{"png": big, "asked": "7"}] * 100 for name in ("released", "held", "wrong")}
    text = render(summary)
    assert len(text.encode()) < 600_000
    parts = sections(summary)["sheets"]["parts"]
    assert [part["name"] for part in parts] == ["released", "held", "wrong"]
    assert all(5 <= len(part["drawings"]) < 100 for part in parts)
    assert all(str(100 - len(part["drawings"])) in part["more"].en for part in parts)


# Languages


def test_every_word_is_there_in_both_languages() -> None:
    """Both texts of every entry are filled, and name the same fields."""
    fields = re.compile(r"{(\w+)}")
    for key, (en, zh) in WORDS.items():
        assert en and zh, key
        assert sorted(fields.findall(en)) == sorted(fields.findall(zh)), key
        assert not re.search(r"[\u4e00-\u9fff]", en), key
    same = {key for key, (en, zh) in WORDS.items() if en == zh}
    own = {
        "metric.bleu",
        "metric.chrf",
        "metric.bits_kn",
        "metric.distinct",
    }  # names that both languages share
    assert same <= own | {
        "metric.fid",
        "metric.kid",
        "metric.is",
        "metric.nelbo",
        "appendix.version",
        "map.alt",
    }


def test_the_language_asked_for_is_shown_first_and_the_other_is_there() -> None:
    for lang, code in (("en", "en"), ("zh", "zh-Hans")):
        text = render(digits(lang))
        root = Reading(text).named("html")[0]
        assert (root["lang"], root["data-lang"]) == (code, lang)
        assert "The tolerance map" in text and "容错图" in text
        assert "It says nothing about other handwriting." in text and "不适用于其他笔迹。" in text
        shown = re.search(r"<title[^>]*>(.*?)</title>", text)
        assert shown and shown[1] == f"{'Digits' if lang == 'en' else '手写数字'} · tolerate"


def test_an_unknown_language_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match='"fr" is not known; expected one of: en, zh'):
        render({**digits(), "lang": "fr"})


def test_each_text_in_two_languages_is_marked_with_its_own(page: str) -> None:
    """Whatever is hidden by language also says which language it is, for a voice that reads it."""
    for _, attrs in Reading(page).tags:
        kinds = (attrs.get("class") or "").split()
        if "en" in kinds or "zh" in kinds:
            assert attrs["lang"] == ("en" if "en" in kinds else "zh-Hans")


def test_a_text_in_one_language_is_written_once() -> None:
    assert both("a < b").__html__() == "a &lt; b"
    assert both({"en": "seven"}) == Both("seven", "seven")
    assert "&lt;" in Both("<", "<").__html__()


# The tolerance map


def test_a_log_axis_puts_equal_ratios_at_equal_distances() -> None:
    axis = Axis(0.2, 0.001, 100, 900, log=True)
    assert (axis.at(0.2), axis.at(0.001)) == (100, 900)
    assert axis.at(0.02) - axis.at(0.2) == pytest.approx(axis.at(0.002) - axis.at(0.02))
    assert axis.at(0.02) - axis.at(0.2) == pytest.approx(800 / math.log10(200))
    assert Axis(0, 10, 0, 100).at(2.5) == 25


@pytest.mark.parametrize(("low", "high"), [(0.001, 0.2), (1e-6, 1e5), (0.03, 0.04), (1, 2), (0.5, 0.5)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    for ticks in (svg.log_ticks(low, high, 6), svg.linear_ticks(low, high, 6)):
        assert len(ticks) <= 8
        assert all(low - 1e-9 * high <= tick <= high * (1 + 1e-9) for tick in ticks)
        assert ticks == sorted(set(ticks))


def drawn_marks(picture: str) -> list[str]:
    return re.findall(r'<(?:path|circle)[^>]*class="mark[^"]*"', picture)


def test_the_map_marks_the_cheapest_way_at_every_tolerance() -> None:
    summary = digits()
    for narrow in (False, True):
        picture = str(tmap.tolerance_map(summary, narrow))
        assert len(drawn_marks(picture)) == len(TOLERANCES)
        assert picture.count('class="line ') == len(summary["strategies"])
        winners = {b["strategy"] for b in summary["best"] if b["zone"] != "none"}
        assert picture.count(" wins") == len(winners)
        said = [tmap.strategy_name(summary, wanted).en for wanted in winners]
        assert all((f">{name}</text>" in picture) is not narrow for name in said)
        stretches = len(tmap.wins(summary))
        assert not narrow or all(f">{k + 1}</text>" in picture for k in range(stretches))


def test_stricter_is_further_right_and_cheaper_is_lower() -> None:
    scene = tmap._scene(digits(), tmap.WIDE)
    assert scene is not None
    places = [scene.at({"tolerance": t, "cost": 0.01}) for t in TOLERANCES]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert scene.at({"tolerance": 0.1, "cost": 0.2})[1] < scene.at({"tolerance": 0.1, "cost": 0.002})[1]
    assert "stricter →" in str(tmap.tolerance_map(digits()))


def test_the_three_zones_are_bands_that_end_behind_their_last_tolerance() -> None:
    """Each band ends where the next begins, soon after its last mark, and together they fill the plot."""
    summary = digits()
    picture = str(tmap.tolerance_map(summary))
    bands = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*class="zone zone-(\w+)"', picture)
    assert (
        [zone for _, _, zone in bands]
        == [zone for zone, _ in tmap.zone_runs(summary)]
        == ["auto", "part", "none"]
    )
    left, _, right, _ = tmap.WIDE.plot
    edges = [left, *(float(x) + float(width) for x, width, _ in bands)]
    assert [float(x) for x, _, _ in bands] == pytest.approx(edges[:-1], abs=0.11)
    assert edges[-1] == pytest.approx(right, abs=0.11)
    scene = tmap._scene(summary, tmap.WIDE)
    assert scene is not None
    for (_, run), edge in zip(tmap.zone_runs(summary)[:-1], edges[1:], strict=False):
        assert 0 < edge - scene.x.at(run[-1]["tolerance"]) <= 20.2
    for zone in ("auto", "part", "none"):
        assert WORDS[f"zone.{zone}"][1] in render(summary)


def test_a_line_is_dotted_where_it_proves_nothing() -> None:
    summary = digits()
    way = summary["strategies"][0]
    for scope, solid, dotted in (("all", 1, 0), ("nothing", 0, 1)):
        for each in way["points"]:
            each["scope"] = scope
        scene = tmap._scene(summary, tmap.WIDE)
        assert scene is not None
        drawn = str(tmap._strategy(scene, way, 0, wins=False))
        assert (drawn.count('class="stroke"'), drawn.count('class="stroke dotted"')) == (solid, dotted)


def test_families_keep_their_colour_and_their_marker() -> None:
    summary = digits()
    names = tmap.families(summary)
    assert names == ["vae", "gan", "flow"]
    styles = [tmap.style(names, name) for name in names]
    assert len({colour for colour, _ in styles}) == len({shape for _, shape in styles}) == 3


def test_labels_hide_neither_each_other_nor_the_cheapest_points() -> None:
    scene = tmap._scene(digits(), tmap.WIDE)
    assert scene is not None
    rng = np.random.default_rng(1)
    anchors = [(float(x), float(y)) for x, y in rng.uniform((150, 120), (850, 420), (7, 2))]
    marks = [(x - 9, y - 9, x + 9, y + 9) for x, y in anchors]
    boxes = svg.place(anchors, [120.0] * 7, marks, (64, 44, 948, 484))
    for k, box in enumerate(boxes):
        assert all(svg.overlap(box, other) == 0 for other in [*boxes[:k], *marks])
        assert svg.overlap(box, (64, 44, 948, 484)) == pytest.approx(120 * 16)


def test_the_sentence_under_the_map_goes_through_the_zones() -> None:
    summary = digits()
    summary["best"] = [
        {"tolerance": 0.1, "zone": "auto", "coverage": 1.0},
        {"tolerance": 0.05, "zone": "auto", "coverage": 0.999},
        {"tolerance": 0.01, "zone": "part", "coverage": 0.41},
        {"tolerance": 0.001, "zone": "none", "coverage": 0.0},
    ]
    said = sections({**summary, "strategies": strategies()})["map"]["sentence"]
    assert said.en.startswith(
        "Read from the left: from 10% to 5% machines may release it all; at 1% they may release a part (41%)"
    )
    assert said.en.endswith("at 0.1% this much evidence proves nothing and people do it all.")
    assert "10% 至 5%：机器可自动放行" in said.zh


# Proof and curves


@pytest.mark.parametrize(
    ("risk", "low", "found"),
    [(0.0, 0.0, "kept"), (0.01, 0.004, "kept"), (0.012, 0.006, "chance"), (0.03, 0.02, "broken")],
)
def test_a_promise_is_kept_missed_by_chance_or_broken(risk: float, low: float, found: str) -> None:
    best = {
        "tolerance": 0.01,
        "proof": {"released": 1000, "risk": risk, "low": low, "high": 2 * risk + 0.004},
    }
    assert verdict(best) == found
    summary = {"best": [{**best, "coverage": 1.0}]}
    assert WORDS[f"proof.{found}"][0] in render(summary)
    assert f"proof-mark {found}" in str(proof_plot(summary))


@pytest.mark.parametrize("proof", [None, {"requests": 4000, "released": 0, "wrong": 0, "risk": None}])
def test_nothing_released_is_nothing_to_prove(proof: Any) -> None:
    best = {"tolerance": 0.01, "proof": proof}
    assert verdict(best) == "idle"
    assert proof_plot({"best": [best]}) is None
    page = render({"best": [best]})
    assert WORDS["proof.none"][0] in page
    assert WORDS["proof.idle"][0] in page


def test_proof_points_stand_where_their_share_is() -> None:
    """On the line where risk equals tolerance, lower where less was wrong, on the shelf where none was."""

    def height(risk: float) -> float:
        best = {"tolerance": 0.05, "proof": {"released": 1000, "risk": risk, "low": 0.001, "high": 0.06}}
        drawn = str(proof_plot({"best": [best, {"tolerance": 0.01, "proof": {"released": 0}}]}))
        (promise,) = re.findall(r'd="M[\d.]+ ([\d.]+)L[^"]*" fill="none" class="promise"', drawn)
        (point,) = re.findall(r'cy="([\d.]+)" r="6"', drawn)
        return float(point) - float(promise)

    assert height(0.05) == pytest.approx(0, abs=0.11)
    assert 0 < height(0.02) < height(0.005) < height(0)


def test_a_training_curve_breaks_where_there_is_no_number() -> None:
    curve = {"loss": [[k, None if k == 5 else 1.0 / (k + 1)] for k in range(11)]}
    drawn = str(training_curve({"name": "a", "curve": curve}))
    (path,) = re.findall(r'<path d="([^"]*)" fill="none" class="stroke f0"', drawn)
    assert path.count("M") == 2
    assert training_curve({"name": "a", "curve": {"loss": [[0, None], [1, float("nan")]]}}) is None
    assert training_curve({"name": "a"}) is None


def test_a_long_curve_stays_short() -> None:
    curve = {"loss": [[k, math.sin(k)] for k in range(100_000)]}
    assert len(str(training_curve({"name": "a", "curve": curve}))) < 6_000


def test_the_best_figure_of_each_column_is_marked() -> None:
    rows = sections(digits())["metrics"]["rows"]
    fid = [row["cells"][1]["best"] for row in rows]
    assert fid == [False, True, False, False, False]
    assert not any(row["cells"][-1]["best"] for row in rows)  # no prize for the time it took


# One certificate


def test_one_certificate_makes_one_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=3000)
    losses = (rng.uniform(size=3000) > 0.9 + 0.1 * scores).astype(float)
    path = write_certificate_report(certificate(), tmp_path / "one.html", "zh", scores=scores, losses=losses)
    assert path == tmp_path / "one.html"
    text = path.read_text("utf-8")
    reading = Reading(text)
    assert {"certificate", "curve", "slices", "assumptions", "advice", "appendix"} <= set(reading.ids())
    assert reading.named("html")[0]["data-lang"] == "zh"
    assert "2,000 more labels would prove 0.5%." in text
    assert len(text.encode()) < 100_000


def test_a_certificate_without_arrays_has_no_curve(tmp_path: Path) -> None:
    bare = certificate(
        scope="nothing", threshold=None, coverage=0.0, risk_bound=None, slices=(), advice=(), assumptions=()
    )
    assert write_certificate_report(bare, tmp_path).name == "report.html"
    assert set(Reading(render_certificate(bare)).ids()) == {"certificate", "appendix"}
    hostile = certificate(method=HOSTILE, assumptions=(HOSTILE,), losses_by=HOSTILE)
    assert len(Reading(render_certificate(hostile)).named("script")) == 1


def test_columns_of_different_tables_are_refused() -> None:
    with pytest.raises(DataError, match="got 3 scores and 2 losses"):
        render_certificate(certificate(), scores=np.zeros(3), losses=np.zeros(2))


def test_the_risk_curve_is_the_slow_one() -> None:
    """Against the definition: at each distinct score, the mean loss of all items that score as much or more."""
    rng = np.random.default_rng(2)
    scores, losses = rng.integers(0, 20, 200) / 20, rng.uniform(size=200)
    scores[:7] = np.nan
    coverage, risk = risk_curve(scores, losses)
    levels = sorted({s for s in scores if not math.isnan(s)}, reverse=True)
    assert coverage == pytest.approx([np.mean(scores >= level) for level in levels])
    assert risk == pytest.approx([losses[scores >= level].mean() for level in levels])


# The terminal


def test_the_closing_line_is_one_that_a_person_understands() -> None:
    summary = digits()
    summary["best"] = [
        {
            "tolerance": 0.01,
            "strategy": "vae-mixture best-of-4",
            "zone": "part",
            "scope": "above",
            "coverage": 0.97,
        }
    ]
    assert closing_line(summary, "en", "runs/digits/report.html") == (
        "Digits: with vae-mixture, best of 4, 97% of requests may be released without a person, "
        "at most 1% of them wrong (95% sure); the rest go to review. Report: runs/digits/report.html"
    )
    assert closing_line(summary, "zh") == (
        "手写数字：用 vae-mixture，4 选 1，97% 的请求无需人工即可放行，"
        "其中出错不超过 1%（把握 95%）；其余转人工审查。"
    )


def test_the_closing_line_says_when_nothing_is_proven_and_what_is() -> None:
    summary = digits()
    summary["best"] = [
        {"tolerance": 0.05, "strategy": "cvae plain", "zone": "part", "coverage": 0.6},
        {"tolerance": 0.01, "strategy": None, "zone": "none", "coverage": 0.0},
    ]
    line = closing_line(summary)
    assert line.startswith("Digits: nothing is proven at a tolerance of 1% (95% confidence)")
    assert line.endswith("The strictest tolerance proven is 5%.")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_terminal_map_has_a_row_a_tolerance_and_straight_columns(lang: str) -> None:
    lines = map_lines(digits(lang), lang)
    assert len(lines) == 2 + len(TOLERANCES)
    starts = {cells(row[: re.search("[█░]", row).start()]) for row in lines[2:] if re.search("[█░]", row)}  # type: ignore[union-attr]
    assert len(starts) == 1
    assert max(map(cells, lines)) <= 90
    assert [line for line in lines if line.startswith(">")] == [line for line in lines if " 1% " in line[:9]]


def test_columns_count_chinese_signs_as_two() -> None:
    assert columns([["容错", "x"], ["abcd", "x"], ["é", "x"]]) == ["容错  x", "abcd  x", "é     x"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colours_and_a_file_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words are the same; only a terminal sees escape signs."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, colour = io.StringIO(), Terminal()
    print_map(digits(), "zh", plain)
    print_map(digits(), "zh", colour)
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[" in colour.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", colour.getvalue()) == plain.getvalue()


def test_an_old_terminal_gets_signs_it_can_show() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="latin-1", write_through=True)
    print_map(digits(), "en", file)
    assert b"###" in raw.getvalue()


def test_the_summary_is_left_as_it_was() -> None:
    summary = digits()
    before = copy.deepcopy(summary)
    render(summary)
    map_lines(summary)
    assert summary == before


def test_say_fills_both_languages() -> None:
    assert say("findings.try", hint=Both("rest", "休息")) == Both("Try: rest", "建议：休息")


def test_the_page_about_the_map_runs() -> None:
    """The example in docs/ideas/tolerance-map.md does what it says."""
    import doctest

    guide = Path(__file__).resolve().parents[2] / "docs" / "ideas" / "tolerance-map.md"
    failed, tried = doctest.testfile(str(guide), module_relative=False)
    assert (failed, tried > 5) == (0, True)
