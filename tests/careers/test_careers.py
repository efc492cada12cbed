"""Careers: the embedded atlas, finding titles, tolerances and choices, moves, paths, the page; imports of releases."""

import io
import json
import queue
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.sitting import Sitter
from tolerate.careers.data import atlas, skills, titles
from tolerate.careers.data.atlas import EMBEDDED, Figure
from tolerate.careers.data.onet import Release, gather
from tolerate.careers.model import choice, path, simulate
from tolerate.careers.model.choice import Detection, Evidence, Work
from tolerate.careers.model.severity import Harm, severity
from tolerate.careers.person import interview, me
from tolerate.careers.planning import advice, evidence, moves, plan
from tolerate.cli import app
from tolerate.errors import DataError, OptionError
from tolerate.service.local.interview import talk_at_desk

RUN = CliRunner()


@pytest.fixture(scope="module")
def there() -> atlas.Atlas:
    return atlas.load(EMBEDDED)


@pytest.fixture(autouse=True)
def fresh_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLERATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOLERATE_LANG", "en")
    monkeypatch.chdir(tmp_path)


def say(*words: str, fails: bool = False) -> str:
    done = RUN.invoke(app, ["career", *words])
    if fails:
        assert isinstance(done.exception, (DataError, OptionError)), done.output
        return str(done.exception)
    assert done.exit_code == 0, f"{done.output}\n{done.exception}"
    return done.output


# The embedded atlas


def test_the_embedded_atlas_is_whole(there: atlas.Atlas) -> None:
    assert 60 <= len(there.occupations) <= 80
    for code, each in there.occupations.items():
        assert each.title_zh and each.severity and each.exactness and there.tasks[code], code
        assert 1 <= each.severity.low <= each.severity.value <= each.severity.high <= 5
        assert each.severity.estimated == (each.severity.low < each.severity.high)
    assert all(source.licence and source.date for source in there.sources)
    assert there.demands["29-1051.00"] > 0.9 > 0.2 > there.demands["25-3041.00"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("translator", "27-3091.00"),
        ("Translater", "27-3091.00"),
        ("翻译", "27-3091.00"),
        ("game artist", "27-1014.00"),
        ("游戏原画", "27-1014.00"),
        ("nurse", "29-1141.00"),
        ("前端", "15-1254.00"),
        ("27-3022.00", "27-3023.00"),
        ("15-1131.00", "15-1251.00"),
        ("video editing", "27-4032.00"),
        ("software enginer", "15-1252.00"),
        ("27-3091", "27-3091.00"),
    ],
)
def test_titles_are_found(there: atlas.Atlas, wanted: str, code: str) -> None:
    assert titles.find(there, wanted).code == code


def test_a_title_that_matches_nothing_names_the_nearest(there: atlas.Atlas) -> None:
    with pytest.raises(DataError, match='called "astronaut of artists"') as told:
        titles.find(there, "astronaut of artists")
    assert "Nearest:" in str(told.value) and "tolerate career data --from" in str(told.value)


def test_an_atlas_survives_the_disk(there: atlas.Atlas, tmp_path: Path) -> None:
    atlas.save(there, tmp_path / "copy")
    again = atlas.load(tmp_path / "copy")
    assert again.occupations == there.occupations and again.related == there.related
    assert all(again.tasks[code] == there.tasks[code] for code in there.tasks)
    with pytest.raises(DataError, match="is no atlas"):
        atlas.load(tmp_path)


# Tolerances and choices


def test_tolerances_are_where_the_costs_meet() -> None:
    work, d, at = Work(hours=2, review=0.2, rework=0.4, human_error=0.03), 0.8, 2.5
    for harm in (5.0, 20.0, 300.0):
        p = float(choice.release_tolerance(harm, work, d, at))
        spent = choice.costs(p, harm, work, d)
        assert spent["released"] == pytest.approx(min(spent["reviewed"], spent["human"]))
        p = float(choice.review_tolerance(harm, work, d, at))
        spent = choice.costs(p, harm, work, d)
        assert p == 1 or spent["reviewed"] == pytest.approx(spent["human"])


def test_serious_work_is_never_worse_than_a_person() -> None:
    work = Work(human_error=0.02)
    assert float(choice.release_tolerance(1.0, work, 0.5, 3.0)) <= 0.02
    p = float(choice.review_tolerance(1.0, work, 0.5, 3.0))
    assert p * 0.5 <= 0.02 + 1e-12


def test_severity_is_shrunk_to_the_occupation() -> None:
    told = severity(Figure.measured(2.0), answer=5)
    assert 2 < told.mean < 5 and told.spread < severity(Figure.measured(2.0)).spread
    unsure = severity(Figure(2.0, 1.2, 2.8, estimated=True), answer=5)
    assert unsure.mean > told.mean
    with pytest.raises(OptionError, match="outside 1 to 5"):
        severity(None, answer=9)


def test_without_a_measured_error_nothing_is_released() -> None:
    found = choice.choose(severity(Figure.measured(1.2), 1), Harm(), Work())
    assert found.choice == "undecided" and found.labels["clean"] > 0


def test_a_gate_allows_review_at_most() -> None:
    free = choice.choose(severity(Figure.measured(1.5), 1), Harm(), Work(), Evidence(0, 2000, "typed"))
    shut = choice.choose(
        severity(Figure.measured(1.5), 1), Harm(), Work(), Evidence(0, 2000, "typed"), gates=["licensed"]
    )
    assert (free.choice, shut.choice) == ("released", "reviewed")


def test_a_reviewer_nobody_measured_is_not_trusted() -> None:
    at, work, seen = severity(Figure.measured(3.6), 4), Work(), Evidence(8, 200, "typed")
    blind = choice.choose(at, Harm(), work, seen)
    measured = choice.choose(at, Harm(), work, seen, Detection(98, 100))
    assert (blind.choice, measured.choice) == ("undecided", "reviewed")


def test_released_tasks_exceed_their_tolerance_rarely_and_the_broken_twin_is_caught() -> None:
    """In simulation, with known truth: the standard error of a share of 5% in 200 released tasks is 1.5%."""
    honest, naive = simulate.simulate(220, seed=3), simulate.simulate(220, seed=3, choice=simulate.naive)
    assert honest.counts["released"] > 100 and honest.wrong <= 0.05
    assert honest.counts["undecided"] > 0
    assert naive.wrong > 0.05


def test_labels_are_enough_and_no_more() -> None:
    from tolerate.stats.bounds import binomial_upper

    n = choice.labels(0.01, None, 0.975)["clean"]
    assert binomial_upper(0, n, 0.975) <= 0.01 < binomial_upper(0, n - 1, 0.975)
    assert choice.labels(0.01, Evidence(5, 100, ""), 0.975)["likely"] == float("inf")


# Evidence


def test_evidence_comes_from_tables_and_certificates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(1500)
    lines = ["wrong,score", *(f"{int(rng.random() > s**0.05)},{s:.4f}" for s in scores)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    someone = me.person({"occupation": "translator"}, tmp_path)
    piece = me.Piece(text="x", table="labels.csv", loss="wrong", score="score")
    seen = evidence.of_piece(piece, someone, 0.05, None)
    assert seen is not None and seen.upper is not None and seen.upper <= 0.05 and 0 < seen.share <= 1
    none = evidence.of_piece(piece, someone, 0.0001, None)
    assert none is not None and none.upper is None and none.errors > 0

    from tolerate import certify, read

    certificate = certify(
        read(tmp_path / "labels.csv", loss="wrong", score="score"), tolerance=0.05, confidence=0.95
    )
    (tmp_path / "certificate.json").write_text(certificate.dumps())
    linked = evidence.of_piece(me.Piece(text="x", certificate="certificate.json"), someone, 0.05, None)
    assert linked is not None and linked.upper == certificate.risk_bound
    with pytest.raises(DataError, match="does not exist"):
        evidence.of_piece(me.Piece(text="x", certificate="no.json"), someone, 0.05, None)


def test_typed_slips_count_by_how_much_they_matter() -> None:
    someone = me.person({"occupation": "translator"})
    plain = evidence.of_piece(me.Piece(text="x", errors=10, checked=100), someone, 0.1, 2.0)
    raw = evidence.of_piece(me.Piece(text="x", errors=10, checked=100, raw=True), someone, 0.1, 2.0)
    assert plain and raw and raw.bound(0.95) == pytest.approx(0.4 * plain.bound(0.95))


def map_of(folder: Path) -> None:
    folder.mkdir(parents=True)
    best = [
        {"tolerance": 0.1, "zone": "auto", "coverage": 1.0, "cost": 0.1, "strategy": "vae"},
        {"tolerance": 0.02, "zone": "part", "coverage": 0.6, "cost": 0.4, "strategy": "flow best-of-4"},
        {"tolerance": 0.01, "zone": "none", "coverage": 0.0, "cost": 5.0, "strategy": "people"},
    ]
    strategies = [
        {"id": "vae", "model": "vae", "family": "VAE"},
        {"id": "flow best-of-4", "model": "flow", "family": "flow", "refine": "best-of-4"},
    ]
    (folder / "summary.json").write_text(
        json.dumps(
            {"best": best, "strategies": strategies, "job": {"name": "digits"}, "created": "2026-01-01"}
        )
    )


def test_advice_rests_on_maps_of_this_machine(tmp_path: Path) -> None:
    map_of(tmp_path / "runs" / "digits")
    maps = advice.summaries(tmp_path / "runs")
    loose, strict = advice.advise("image", 0.15, maps), advice.advise("image", 0.03, maps)
    assert loose.measured[0].strategy.en == "vae" and strict.measured[0].tolerance == 0.02
    assert strict.measured[0].strategy.en == "flow, best of 4"
    assert not advice.advise("image", 0.005, maps).measured and not advice.advise("text", 0.15, maps).measured
    assert advice.summaries(tmp_path / "nowhere") == []


# Moves


def test_the_pareto_set_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = rng.normal(0, 3, (25, 4))
        slow = [not any((other >= row).all() and (other > row + 1).any() for other in table) for row in table]
        assert moves.front(table).tolist() == slow


def test_moves_have_reasons_and_contradicting_wishes_the_nearest(there: atlas.Atlas) -> None:
    found = plan.make(there, me.person({"occupation": "editor"}))
    assert found.moves is not None and 3 <= len(found.moves.found) <= 12
    for move in found.moves.found:
        assert 0 <= move.feasibility <= 1 and all(0 <= share <= 1 for share in move.durability)
        assert list(move.durability) == sorted(move.durability, reverse=True)
    none = plan.make(
        there, me.person({"occupation": "editor", "wishes": {"pay": 2.0, "new_field": True, "learning": 0}})
    )
    assert none.moves is not None and not none.moves.found and len(none.moves.nearest) == 3
    assert all(move.fails for move in none.moves.nearest)


def test_a_filter_can_be_moved(there: atlas.Atlas) -> None:
    passed = []
    for pay in (0.5, 0.75, 1.0, 1.5):
        found = plan.make(there, me.person({"occupation": "editor", "wishes": {"pay": pay}})).moves
        assert found is not None
        passed.append(found.passed)
    assert passed == sorted(passed, reverse=True) and passed[0] > passed[-1]


# Skills and paths


def test_the_skill_graph_is_whole() -> None:
    graph = skills.graph()
    assert 80 <= len(graph) <= 120
    assert skills.possible(graph, graph)
    commands = {each.name or each.callback.__name__ for each in app.registered_commands if each.callback} | {
        "career"
    }
    from tolerate.models.registry import ZOO

    for skill in graph.values():
        assert skill.hours > 0 and skill.name.zh and skill.resource
        words = skill.here.split()
        if words:
            assert words[0] == "tolerate" and (words[1] in commands or words[1].startswith("-")), skill.here
        if "--models" in words:
            assert words[words.index("--models") + 1] in ZOO, skill.here


def test_paths_are_as_short_as_the_exact_optimum() -> None:
    hours, delays = path.against_exact(skills.graph(), trials=25, size=11, seed=5)
    assert max(hours) <= 1 + 1e-9 and max(delays) <= 1.05


def test_a_greedy_twin_is_seen_to_be_longer() -> None:
    """Two targets share a dear prerequisite that beats two cheap ones apart: taking the cheapest of each clause fails."""
    from tolerate.messages.both import both

    made = {
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
        for name, (needs, hours) in made.items()
    }
    best = sum(graph[name].hours for name in path.choose(graph, ["t", "u"]))
    greedy = sum(made[name][1] for name in ("a", "b", "t", "u"))
    assert best == path.fewest_hours(graph, ["t", "u"], list(graph)) == 12 < greedy


def test_a_path_respects_what_is_needed_and_skips_what_is_known() -> None:
    graph = skills.graph()
    found = path.plan(graph, ["vae", "rag"], ["pytorch", "statistics"])
    names = [step.id for step in found.steps]
    assert skills.possible(graph, names, skills.implied(graph, ["pytorch", "statistics"]))
    assert "pytorch" not in names and "python" not in names and {"vae", "rag"} <= set(names)
    assert found.hours < path.plan(graph, ["vae", "rag"]).hours
    with pytest.raises(OptionError, match='no skill is called "pythn"'):
        skills.named(graph, ["pythn"])


def test_circles_are_refused() -> None:
    from tolerate.messages.both import both

    graph = {n: skills.Skill(n, both(n), "", 1, ((m,),)) for n, m in (("a", "b"), ("b", "a"))}
    with pytest.raises(DataError, match="circle"):
        skills.ordered(graph)


# me.toml and the questions


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("occupation = translator", "no TOML"),
        ('ocupation = "x"', 'Did you mean "occupation"'),
        ('occupation = "x"\n[[task]]\nseverity = 3', "neither text nor id"),
        ('occupation = "x"\n[[task]]\ntext = "a"\nerrors = 3', "both errors and checked"),
        ('occupation = "x"\n[[task]]\ntext = "a"\nlicensed = "yes"', "expected true or false"),
        ('occupation = "x"\n[wishes]\ntolerance = "strict"', "stricter"),
        ('occupation = "x"\n[harm]\nslip = "much"', "expected a number"),
        ('occupation = "x"\nage = 40', 'unknown key "age"'),
        ('occupation = "x"\n[[task]]\ntext = "a"\nkind = "pictures"', "Known: translation"),
    ],
)
def test_mistakes_in_me_are_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "me.toml").write_text(text)
    with pytest.raises(DataError, match=told):
        me.read(tmp_path / "me.toml")


def test_answers_are_kept_and_make_a_plan(there: atlas.Atlas, tmp_path: Path) -> None:
    talk = interview.Interview(there, tmp_path / "me.toml")
    given = iter(["no such thing", "graphic designer", "10", "7", "2", "i", "3/200", "u", "3/250", "q"])
    told: list[str] = []
    interview.at_terminal(talk, lambda: next(given), told.append)
    assert any("no occupation" in line for line in told) and any("outside 1 to 5" in line for line in told)
    again = interview.Interview(there, tmp_path / "me.toml")
    assert again.answers == talk.answers and len(again.answers) == 5
    interview.at_terminal(again, lambda: "", told.append)
    assert again.next is None
    person = me.read(tmp_path / "me.toml")
    assert person.task[0].irreversible and (person.task[0].errors, person.task[0].checked) == (3, 250)
    assert plan.make(there, person).rows[0].choice.shut == ("irreversible",)


def test_the_page_of_questions_answers_this_machine_alone(there: atlas.Atlas, tmp_path: Path) -> None:
    talk = interview.Interview(there, tmp_path / "me.toml", "zh")
    links: queue.Queue[str] = queue.Queue()
    thread = threading.Thread(target=talk_at_desk, args=(talk, "me", links.put), daemon=True)
    thread.start()
    link = links.get(timeout=20).split()[-1]
    person = Sitter(link)
    person.ask("/desk/talk")
    assert "default-src 'none'" in person.headers["content-security-policy"] and "您的职业" in person.page
    stranger = Sitter(link)
    assert stranger.status == 403 and "新链接" in stranger.page
    stranger.ask("/desk/talk")
    assert stranger.status == 403
    person.ask("/desk/answer", {"text": "x", "csrf": "guess"})
    assert person.status == 403
    person.ask("/desk/talk")
    person.press("answer", text="zzzz<b>")
    assert person.status == 400 and 'role="alert"' in person.page and 'value="zzzz&lt;b&gt;"' in person.page
    person.press("answer", text="翻译")
    assert "每周几小时" in person.page
    person.press("undo")
    assert "您的职业" in person.page
    person.press("answer", text="翻译")
    while 'name="text"' in person.page:
        person.press("answer", text="")
    assert "tolerate career plan --me" in person.page
    person.press("enough")
    thread.join(20)
    assert not thread.is_alive() and me.read(tmp_path / "me.toml").occupation == "翻译"


# The commands and the page


def test_show_and_compare_on_a_fresh_machine() -> None:
    text = say("show", "translator")
    assert "27-3091.00" in text and "undecided" in text and "CC BY 4.0" in text
    assert "口译与笔译员" in say("show", "翻译", "--lang", "zh")
    assert "Registered Nurses" in say("compare", "nurse", "game artist", "--out", "both.html")
    assert Path("both.html").stat().st_size < 300_000
    record = json.loads(say("show", "nurse", "--json"))
    assert record["occupation"]["code"] == "29-1141.00" and record["tasks"]


def test_a_plan_from_a_written_file_is_a_small_page_without_a_network() -> None:
    say("plan", "game artist", "--write", "me.toml")
    map_of(Path("runs/digits"))
    text = say("plan", "--me", "me.toml", "--done", "git,python")
    assert "Learning path" in text and "report: career.html" in text
    assert "python" in Path("me.progress.tsv").read_text()
    page = Path("career.html").read_text("utf-8")
    assert len(page.encode()) < 300_000 and "default-src 'none'" in page
    assert "http://" not in page and "https://" not in page
    assert all(
        f'id="{name}"' in page
        for name in ("tasks", "map", "moves", "path", "techniques", "limits", "appendix")
    )
    assert "no error rate" in page and "不是错误率" in page
    for word in ("% automatable", "will disappear", "career score"):
        assert word not in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show", "qqqq"), "no occupation"),
        (("plan",), "say who you are"),
        (("plan", "--me", "no.toml"), "tolerate career plan OCCUPATION --write"),
        (("compare", "nurse"), "two occupations"),
        (("data", "--from", "no.zip"), "does not exist"),
        (("data", "--pay", "x.csv"), "together with a release"),
        (("show", "nurse", "--lang", "fr"), "unsupported language"),
    ],
)
def test_bad_input_is_told_plainly(words: tuple[str, ...], told: str) -> None:
    assert told in say(*words, fails=True)


# Releases


def release_of(folder: Path, missing: tuple[str, ...] = ()) -> Path:
    """A release of three occupations, in the layout of 30.x: other order of columns, other names of the folder."""
    tables = {
        "Occupation Data": (
            "Title\tO*NET-SOC "
            "Code\tDescription\nPainters\t99-1000.00\tPaint.\nBakers\t99-2000.00\tBake.\nPilots\t99-3000.00\tFly.\n"
        ),
        "Task Statements": (
            "Task ID\tO*NET-SOC Code\tTask\tTask Type\n1\t99-1000.00\tPaint pictures of "
            "bread.\tCore\n2\t99-2000.00\tBake bread.\tCore\n3\t99-3000.00\tFly aircraft.\t\n"
        ),
        "Work Context": (
            "O*NET-SOC Code\tElement Name\tScale ID\tData Value\n99-3000.00\tConsequence "
            "of Error\tCX\t4.9\n99-3000.00\tImportance of Being Exact or Accurate\tCX\t4.8\n"
        ),
        "Job Zones": "O*NET-SOC Code\tJob Zone\n99-1000.00\t2\n99-2000.00\t2\n99-3000.00\t4\n",
    }
    folder.mkdir()
    for name, text in tables.items():
        if name not in missing:
            (folder / f"{name}.txt").write_text(text, "utf-8")
    return folder


def test_a_small_release_of_another_version_is_read(tmp_path: Path) -> None:
    text = say("data", "--from", str(release_of(tmp_path / "db_30_1_text")))
    assert "O*NET 30.1: 3" in text and "Skills.txt is not in the release" in text
    assert "Pilots" in say("show", "pilot") and "Fly aircraft" in say("show", "pilot")


def test_a_zip_reads_as_its_folder(tmp_path: Path) -> None:
    folder = release_of(tmp_path / "db_30_1_text")
    packed = tmp_path / "db_30_1_text.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"db_30_1_text/{file.name}")
    one, other = gather(Release(packed)), gather(Release(folder))
    assert one.codes == other.codes and one.tasks == other.tasks


def test_a_release_without_its_core_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table Task Statements"):
        Release(release_of(tmp_path / "x", missing=("Task Statements",)))
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no zip file"):
        Release(tmp_path / "no.zip")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "")
    (tmp_path / "other.zip").write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="It holds"):
        Release(tmp_path / "other.zip")


@pytest.mark.shared
def test_a_real_release_teaches_relatedness(shared: Path) -> None:
    """On a third of the figures' fold: learned weights beat the plain likeness of tasks."""
    from tolerate.careers.model import relate

    file = shared / "careers" / "db_29_3_text.zip"
    if not file.exists():
        pytest.skip("the careers data is absent")
    it = gather(Release(file))
    table = {name: relate.profile(it, name) for name in ("skill", "knowledge", "interest")}
    relate._add(
        table, "tasks", [[w for _, t, _ in it.tasks.get(c, ()) for w in relate.tokens(t)] for c in it.codes]
    )
    found = relate.candidates(table, relate.usable(it))
    lists = relate.lists_of(it)
    origins = sorted(lists)
    scorer = relate.learn(found, {i: lists[i] for i in origins[::2]}, rounds=40)
    score = scorer(found)

    def recall(order: np.ndarray, i: int) -> float:
        return len(set(order[:10].tolist()) & set(lists[i])) / len(lists[i])

    learned = np.mean([recall(found.places[i][np.argsort(-score[i])], i) for i in origins[1::2]])
    plain = np.mean(
        [
            recall(np.argsort(-np.where(np.arange(len(table["tasks"])) == i, -1, table["tasks"][i])), i)
            for i in origins[1::2]
        ]
    )
    assert learned > plain + 0.03


def test_intervals_cover_what_they_should_and_a_narrow_twin_does_not() -> None:
    """Figures made up from words of known likeness: 90% intervals cover 90% of those left out (s.e. 1.2%)."""
    from tolerate.careers.model import estimate

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(700, 6))
    kernel = estimate.Kernels((rows @ rows.T / 6,), (estimate._distances(rows),))
    truth = np.clip(3 + rows @ rng.normal(size=6) * 0.2 + rng.normal(size=700) * 0.4, 1, 5)
    values = np.where(np.arange(700) < 150, truth, np.nan)
    found = estimate.estimate(kernel, values, np.arange(700).astype(str))
    new = [(each, t) for each, t in zip(found[150:], truth[150:], strict=True) if each is not None]
    inside = np.mean([each.low <= t <= each.high for each, t in new])
    narrow = np.mean([abs(t - each.value) <= 0.6 * (each.high - each.value) for each, t in new])
    assert 0.86 <= inside <= 0.945 and narrow < 0.8 and all(each.estimated for each, _ in new)
