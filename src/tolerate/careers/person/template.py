"""Writes a me.toml to be filled in by hand, with an occupation's tasks and an explanation of every key."""

from pathlib import Path

from tolerate.base.files import write_whole
from tolerate.careers.data.atlas import Atlas, OnetTask
from tolerate.careers.data.titles import find_occupation
from tolerate.errors import DataError
from tolerate.messages.careers import say

MAX_TASKS = 8


def write_me(atlas: Atlas, query: str, path: Path, lang: str) -> str:
    """Write the template for the occupation that is meant; return what to do next. No file is overwritten."""
    if path.exists():
        raise DataError(
            f"{path} already exists; give another name, or plan with it: tolerate career plan --me {path}"
        )
    occupation = find_occupation(atlas, query)
    text = say("me.template", name=path.name, title=occupation.title, lang=lang).pick(lang)
    tasks = sorted(atlas.tasks.get(occupation.code, ()), key=lambda task: not task.core)
    text += "".join(_task_section(task, lang) for task in tasks[:MAX_TASKS])
    write_whole(path, text.encode())
    return say("me.written", path=path).pick(lang)


def _task_section(task: OnetTask, lang: str) -> str:
    return (
        f'\n[[task]]\nid = "{task.id}"           # {task.name.pick(lang)[:90]}\n'
        "share = 1\nhours = 1\n# severity = 3\n"
    )
