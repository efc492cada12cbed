"""Moves to other occupations."""

import numpy as np

from tolerate.careers.data.atlas import Atlas
from tolerate.careers.person import me
from tolerate.careers.planning import moves, plan


def test_the_pareto_set_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = rng.normal(0, 3, (25, 4))
        slow = [not any((other >= row).all() and (other > row + 1).any() for other in table) for row in table]
        assert moves.pareto_mask(table).tolist() == slow


def test_moves_have_reasons_and_contradicting_wishes_the_nearest(embedded_atlas: Atlas) -> None:
    possible = plan.make_plan(embedded_atlas, me.parse_person({"occupation": "editor"}))
    assert possible.moves is not None and 3 <= len(possible.moves.moves) <= 12
    for move in possible.moves.moves:
        assert 0 <= move.feasibility <= 1 and all(0 <= share <= 1 for share in move.durability)
        assert list(move.durability) == sorted(move.durability, reverse=True)
    impossible = plan.make_plan(
        embedded_atlas,
        me.parse_person({"occupation": "editor", "wishes": {"pay": 2.0, "new_field": True, "learning": 0}}),
    )
    assert impossible.moves is not None and not impossible.moves.moves and len(impossible.moves.nearest) == 3
    assert all(move.fails for move in impossible.moves.nearest)


def test_a_stricter_filter_passes_fewer_moves(embedded_atlas: Atlas) -> None:
    passed = []
    for pay in (0.5, 0.75, 1.0, 1.5):
        selected = plan.make_plan(
            embedded_atlas, me.parse_person({"occupation": "editor", "wishes": {"pay": pay}})
        ).moves
        assert selected is not None
        passed.append(selected.passed)
    assert passed == sorted(passed, reverse=True) and passed[0] > passed[-1]
