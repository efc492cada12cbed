"""The skill graph."""

import pytest

from tolerate.careers.data import skills
from tolerate.cli import app
from tolerate.errors import DataError
from tolerate.messages.both import both
from tolerate.models.registry import ZOO


def test_the_skill_graph_is_complete_and_its_commands_exist() -> None:
    graph = skills.graph()
    assert 80 <= len(graph) <= 120
    assert skills.is_learnable(graph, graph)
    registered = app.registered_commands
    commands = {command.name or command.callback.__name__ for command in registered if command.callback}
    commands.add("career")
    for skill in graph.values():
        assert skill.hours > 0 and skill.name.zh and skill.resource
        arguments = skill.command.split()
        if arguments:
            assert arguments[0] == "tolerate" and (
                arguments[1] in commands or arguments[1].startswith("-")
            ), skill.command
        if "--models" in arguments:
            assert arguments[arguments.index("--models") + 1] in ZOO, skill.command


def test_cycles_are_refused() -> None:
    graph = {n: skills.Skill(n, both(n), "", 1, ((m,),)) for n, m in (("a", "b"), ("b", "a"))}
    with pytest.raises(DataError, match="cycle"):
        skills.sort_skills(graph)
