"""The tolerance map: marks, lines, zones and labels."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.support.reports import TOLERANCES, digits_summary
from tolerate.messages.report import WORDS
from tolerate.report import svg, tolerance_map
from tolerate.report.overview import map_sentence
from tolerate.report.page import render
from tolerate.report.summary import BestPoint, StrategyPoint


def drawn_marks(picture: str) -> list[str]:
    return re.findall(r'<(?:path|circle)[^>]*class="mark[^"]*"', picture)


def wide_scene() -> tolerance_map.MapScene:
    scene = tolerance_map.map_scene(digits_summary(), tolerance_map.WIDE)
    assert scene is not None
    return scene


def test_the_map_marks_the_cheapest_strategy_at_every_tolerance() -> None:
    summary = digits_summary()
    for narrow in (False, True):
        picture = str(tolerance_map.draw_map(summary, narrow))
        assert len(drawn_marks(picture)) == len(TOLERANCES)
        assert picture.count('class="line ') == len(summary.strategies)
        winners = {best.strategy for best in summary.best if best.zone != "none"}
        assert picture.count(" wins") == len(winners)
        names = [tolerance_map.strategy_name(summary, winner).en for winner in winners]
        assert all((f">{name}</text>" in picture) is not narrow for name in names)
        stretches = len(tolerance_map.winning_stretches(summary))
        assert not narrow or all(f">{k + 1}</text>" in picture for k in range(stretches))


def test_stricter_is_further_right_and_cheaper_is_lower() -> None:
    scene = wide_scene()
    pixels = [scene.position(StrategyPoint(tolerance, cost=0.01))[0] for tolerance in TOLERANCES]
    assert pixels == sorted(pixels)
    dear, cheap = (scene.position(StrategyPoint(0.1, cost=cost))[1] for cost in (0.2, 0.002))
    assert dear < cheap
    assert "stricter →" in str(tolerance_map.draw_map(digits_summary()))


def test_the_three_zones_are_bands_that_end_behind_their_last_tolerance() -> None:
    """Each band ends where the next begins, soon after its last mark, and together they fill the plot."""
    summary, scene = digits_summary(), wide_scene()
    picture = str(tolerance_map.draw_map(summary))
    bands = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*class="zone zone-(\w+)"', picture)
    runs = tolerance_map.zone_runs(summary)
    assert [zone for _, _, zone in bands] == [zone for zone, _ in runs] == ["auto", "part", "none"]
    left, _, right, _ = tolerance_map.WIDE.plot
    edges = [left, *(float(x) + float(width) for x, width, _ in bands)]
    assert [float(x) for x, _, _ in bands] == pytest.approx(edges[:-1], abs=0.11)
    assert edges[-1] == pytest.approx(right, abs=0.11)
    for (_, points), edge in zip(runs[:-1], edges[1:], strict=False):
        assert 0 < edge - scene.x.pixel(points[-1].tolerance) <= 20.2
    for zone in ("auto", "part", "none"):
        assert WORDS[f"zone.{zone}"][1] in render(summary)


@pytest.mark.parametrize(("scope", "solid", "dotted"), [("all", 1, 0), ("nothing", 0, 1)])
def test_a_line_is_dotted_if_it_proves_nothing(scope: str, solid: int, dotted: int) -> None:
    scene = wide_scene()
    strategy = scene.summary.strategies[0]
    strategy = replace(strategy, points=tuple(replace(point, scope=scope) for point in strategy.points))
    line = str(tolerance_map.strategy_line(scene, strategy, 0, is_winner=False))
    assert (line.count('class="stroke"'), line.count('class="stroke dotted"')) == (solid, dotted)


def test_families_keep_their_colour_and_their_marker() -> None:
    names = tolerance_map.families(digits_summary())
    assert names == ["vae", "gan", "flow"]
    styles = [tolerance_map.style(names, name) for name in names]
    assert len({colour for colour, _ in styles}) == len({shape for _, shape in styles}) == 3


def test_labels_hide_neither_each_other_nor_the_cheapest_points() -> None:
    rng = np.random.default_rng(1)
    anchors = [(float(x), float(y)) for x, y in rng.uniform((150, 120), (850, 420), (7, 2))]
    marks = [(x - 9, y - 9, x + 9, y + 9) for x, y in anchors]
    frame = (64, 44, 948, 484)
    boxes = svg.place_labels(anchors, [120.0] * 7, marks, frame)
    for k, box in enumerate(boxes):
        assert all(svg.overlap(box, other) == 0 for other in [*boxes[:k], *marks])
        assert svg.overlap(box, frame) == pytest.approx(120 * 16)


def test_the_sentence_under_the_map_goes_through_the_zones() -> None:
    best = (
        BestPoint(0.1, zone="auto", coverage=1.0),
        BestPoint(0.05, zone="auto", coverage=0.999),
        BestPoint(0.01, zone="part", coverage=0.41),
        BestPoint(0.001, zone="none", coverage=0.0),
    )
    sentence = map_sentence(replace(digits_summary(), best=best))
    assert sentence.en.startswith(
        "Read from the left: from 10% to 5% machines may release it all; at 1% they may release a part (41%)"
    )
    assert sentence.en.endswith("at 0.1% this much evidence proves nothing and people do it all.")
    assert "10% 至 5%：机器可自动放行" in sentence.zh
