"""Learning paths."""

import pytest

from tolerate.careers.data import skills
from tolerate.careers.model import path
from tolerate.errors import OptionError
from tolerate.messages.both import both


def test_paths_are_as_short_as_the_exact_optimum() -> None:
    hours, delays = path.compare_with_exact(skills.graph(), trials=25, size=11, seed=5)
    assert max(hours) <= 1 + 1e-9 and max(delays) <= 1.05


def test_taking_the_cheapest_of_each_clause_is_longer() -> None:
    """Two targets share an expensive prerequisite that costs less than two cheap ones apart."""
    needs_and_hours = {
        "x": ("", 10),
        "a": ("", 7),
        "b": ("", 7),
        "t": ("a|x", 1),
        "u": ("b|x", 1),
    }
    graph = {
        name: skills.Skill(
            name, both(name), "", hours, tuple(tuple(c.split("|")) for c in needs.split(";") if c)
        )
        for name, (needs, hours) in needs_and_hours.items()
    }
    best = sum(graph[name].hours for name in path.choose_skills(graph, ["t", "u"]))
    greedy = sum(needs_and_hours[name][1] for name in ("a", "b", "t", "u"))
    assert best == path.fewest_hours(graph, ["t", "u"], list(graph)) == 12 < greedy


def test_a_path_respects_needs_and_skips_acquired_skills() -> None:
    graph = skills.graph()
    plan = path.plan_path(graph, ["vae", "rag"], ["pytorch", "statistics"])
    names = [step.id for step in plan.steps]
    assert skills.is_learnable(graph, names, skills.with_prerequisites(graph, ["pytorch", "statistics"]))
    assert "pytorch" not in names and "python" not in names and {"vae", "rag"} <= set(names)
    assert plan.hours < path.plan_path(graph, ["vae", "rag"]).hours
    with pytest.raises(OptionError, match='no skill is called "pythn"'):
        skills.find_skills(graph, ["pythn"])
