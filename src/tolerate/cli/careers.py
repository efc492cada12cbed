"""`tolerate career`: each command parses, calls one function and prints. Nothing leaves this machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tolerate.cli.options import Json, Lang, choose_language
from tolerate.errors import OptionError

if TYPE_CHECKING:
    from tolerate.base.json_types import JsonObject
    from tolerate.careers.planning.plan import CareerPlan

career = typer.Typer(
    help="Plan a career by error tolerance: tasks, moves, learning. Nothing leaves this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
AtlasFolder = Annotated[
    Path | None,
    typer.Option(
        "--atlas", help="Folder of an imported atlas. By default the last import, else the embedded one."
    ),
]
MIN_OTHER_SCORE = 0.8  # of a title match that is named beside the best one
Out = Annotated[Path | None, typer.Option(help="Write the report to this file or folder.")]


@career.command(epilog="Example: tolerate career data --from db_29_3_text.zip --pay bls_pay_outlook.csv")
def data(
    release: Annotated[
        Path | None, typer.Option("--from", help="O*NET's text release: a zip or its folder.")
    ] = None,
    exposure: Annotated[
        Path | None, typer.Option(help="Folder or file of exposure tables and experts' ratings.")
    ] = None,
    pay: Annotated[
        Path | None, typer.Option(help="Table of pay and outlook (columns soc6, medianPay ...).")
    ] = None,
    atlas: AtlasFolder = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Import a release of O*NET, or list what the atlas holds."""
    from tolerate.careers.data.atlas import import_folder, open_atlas, save
    from tolerate.careers.pages.terminal import atlas_lines

    lang = choose_language(lang)
    if release is not None:
        from tolerate.careers.model.release import build_atlas

        save(
            build_atlas(release, exposure, pay, report=_ignore if as_json else print),
            atlas or import_folder(),
        )
    elif exposure is not None or pay is not None:
        raise OptionError(
            "exposure and pay tables are imported together with a release; give --from RELEASE too"
        )
    loaded_atlas = open_atlas(atlas)
    if as_json:
        print(
            json.dumps(
                {
                    "version": loaded_atlas.version,
                    "occupations": len(loaded_atlas.occupations),
                    "notes": loaded_atlas.notes,
                    "sources": [vars(source) for source in loaded_atlas.sources],
                },
                indent=1,
                ensure_ascii=False,
            )
        )
        return
    print("\n".join(atlas_lines(loaded_atlas, lang)))


def _ignore(_: str) -> None:
    pass


@career.command(epilog='Example: tolerate career show "translator"')
def show(
    occupation: Annotated[
        str, typer.Argument(help="A title, another name for it, or a code, in English or Chinese.")
    ],
    out: Out = None,
    atlas: AtlasFolder = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Show the tasks of an occupation from tolerant to strict, and what would let a machine do them."""
    from tolerate.careers.data import titles
    from tolerate.careers.data.atlas import open_atlas
    from tolerate.careers.pages import terminal
    from tolerate.careers.planning.plan import plan_occupation

    lang = choose_language(lang)
    loaded_atlas = open_atlas(atlas)
    occupation_plan = plan_occupation(loaded_atlas, occupation, lang)
    if as_json:
        return _print_json(occupation_plan)
    lines = terminal.plan_lines(occupation_plan, lang)
    matches = titles.search_titles(loaded_atlas, occupation)[1:4]
    others = [match.occupation.title for match in matches if match.score > MIN_OTHER_SCORE]
    if others:
        lines.append(terminal.other_occupations_line(others, lang))
    print("\n".join([*lines, "", terminal.sources_line(loaded_atlas, lang)]))
    _write_report(occupation_plan, out, lang)
    return None


@career.command(epilog="Example: tolerate career plan --me me.toml --lang zh")
def plan(
    occupation: Annotated[str, typer.Argument(help="An occupation, if you have no me.toml yet.")] = "",
    me: Annotated[Path | None, typer.Option(help="Your me.toml, written by hand or by `career ask`.")] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write a me.toml to fill in, for this occupation.")
    ] = None,
    done: Annotated[
        str, typer.Option(help="Newly learned skills, separated by commas; stored beside me.toml.")
    ] = "",
    out: Annotated[Path, typer.Option(help="File or folder of the report.")] = Path("career.html"),
    atlas: AtlasFolder = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Make a plan from your tasks, skills and wishes: tasks, moves and a learning path, with a report."""
    from tolerate.careers.data.atlas import open_atlas
    from tolerate.careers.pages import terminal
    from tolerate.careers.person import progress
    from tolerate.careers.person.me import ASSUMABLE_KEYS, Person, read_person
    from tolerate.careers.planning.plan import make_plan

    if me is None and not occupation:
        raise OptionError("name an occupation, or give --me me.toml (write one with: tolerate career ask)")
    loaded_atlas = open_atlas(atlas)
    if write is not None:
        from tolerate.careers.person.template import write_me

        print(write_me(loaded_atlas, occupation, write, choose_language(lang)))
        return None
    person = read_person(me) if me is not None else Person(occupation=occupation, assumed=ASSUMABLE_KEYS)
    lang = choose_language(lang, person.lang)
    if done and me is None:
        raise OptionError("progress is stored beside me.toml; give --me me.toml together with --done")
    if me is not None:
        person = progress.with_progress(person, me, [name for name in done.split(",") if name.strip()])
    career_plan = make_plan(loaded_atlas, person)
    if as_json:
        return _print_json(career_plan)
    print("\n".join(terminal.plan_lines(career_plan, lang)))
    _write_report(career_plan, out, lang)
    return None


@career.command(epilog='Example: tolerate career compare "nurse" "game artist"')
def compare(
    occupations: Annotated[list[str], typer.Argument(help="Two occupations or more.")],
    out: Out = None,
    atlas: AtlasFolder = None,
    as_json: Json = False,
    lang: Lang = "",
) -> None:
    """Compare occupations: strictness, tolerance of errors, pay, openings."""
    from tolerate.careers.data.atlas import open_atlas
    from tolerate.careers.pages import terminal
    from tolerate.careers.planning.plan import plan_occupation

    lang = choose_language(lang)
    if len(occupations) < 2:
        raise OptionError('name two occupations or more: tolerate career compare "nurse" "game artist"')
    loaded_atlas = open_atlas(atlas)
    plans = [plan_occupation(loaded_atlas, name, lang) for name in occupations]
    if as_json:
        print(json.dumps([_record(plan) for plan in plans], indent=1, ensure_ascii=False))
        return
    print("\n".join(terminal.compare_lines(plans, lang)))
    if out is not None:
        from tolerate.careers.pages.page import write_comparison

        print(write_comparison(plans, out, lang))


@career.command(epilog="Example: tolerate career ask --me me.toml   (or --page, to answer in a browser)")
def ask(
    me: Annotated[Path, typer.Option(help="File for your answers.")] = Path("me.toml"),
    page: Annotated[bool, typer.Option("--page", help="Ask in a browser on this machine.")] = False,
    atlas: AtlasFolder = None,
    lang: Lang = "",
) -> None:
    """Answer questions about your work one by one; answers are saved at once, and the same command continues."""
    from tolerate.careers.data.atlas import open_atlas
    from tolerate.careers.person.interview import Interview, ask_at_terminal

    lang = choose_language(lang)
    interview = Interview(open_atlas(atlas), me, lang)
    if page:
        from tolerate.service.local.interview import ask_in_browser

        ask_in_browser(interview, str(me.resolve()))
    else:
        ask_at_terminal(interview, _read_line, print)


def _read_line() -> str | None:
    """One line of the input; None at its end."""
    try:
        return input("> ")
    except EOFError:
        return None


def _write_report(plan: "CareerPlan", out: Path | None, lang: str) -> None:
    if out is None:
        return
    from tolerate.careers.pages.page import write_plan
    from tolerate.messages.careers import say

    print(say("t.report", path=str(write_plan(plan, out, lang))).pick(lang))


def _print_json(plan: "CareerPlan") -> None:
    print(json.dumps(_record(plan), indent=1, ensure_ascii=False))


def _record(plan: "CareerPlan") -> "JsonObject":
    from tolerate.careers.pages.record import plan_record

    return plan_record(plan)


__all__: Sequence[str] = ("career",)
