"""The catalogues: every text in both languages, every key used and known, and sentences that survive being stored."""

import ast
import copy
import importlib
import json
import pickle
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter

import pytest

from tolerate import messages
from tolerate.messages import careers, certificates, desk, pictures, remote, report, terminal, texts
from tolerate.messages.catalogue import FIXED, fill, joined, message, render
from tolerate.messages.sentences import SENTENCES
from tolerate.records import Certificate, Message
from tolerate.stats.certify.threshold import certify

SOURCE = Path(certificates.__file__).parents[1]


def catalogues() -> dict[str, Mapping[str, tuple[str, str]]]:
    """Every table of texts in the messages: a dictionary from keys to a text in English and one in Chinese."""
    modules = [
        importlib.import_module(f"{messages.__name__}.{info.name}")
        for info in pkgutil.iter_modules(messages.__path__)
        if info.name != "catalogue"
    ]
    return {
        module.__name__.rpartition(".")[2]: value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper()
        and isinstance(value, dict)
        and value
        and all(
            isinstance(texts, tuple) and len(texts) == 2 and isinstance(texts[0], str)
            for texts in value.values()
        )
    }


CATALOGUES = catalogues()
ENTRIES = [(name, key) for name, catalogue in CATALOGUES.items() for key in catalogue]
LISTS = {"pictures": pictures, "remote": remote, "texts": texts}
CHINESE = re.compile(r"[\u3400-\u9fff]")
FORMS = {"", ",", ".2f", ".0f", ",.0f", ".6g", "percent", "at_most", "at_least", "threshold"}


def fields_of(template: str) -> set[str]:
    """The fields of a template with their formats."""
    return {f"{name}:{form}" for _, name, form, _ in Formatter().parse(template) if name is not None}


@pytest.mark.parametrize(("catalogue", "key"), ENTRIES)
def test_every_text_has_both_languages_with_the_same_fields(catalogue: str, key: str) -> None:
    english, chinese = CATALOGUES[catalogue][key]
    assert english and chinese
    assert {field.split(":")[0] for field in fields_of(english)} - {"s"} == {
        field.split(":")[0] for field in fields_of(chinese)
    }
    assert {field.split(":")[1] for field in fields_of(english) | fields_of(chinese)} <= FORMS
    assert not CHINESE.search(english) or key in ("language",)


@pytest.mark.parametrize("key", sorted(SENTENCES))
def test_stored_sentences_format_their_numbers_alike(key: str) -> None:
    english, chinese = SENTENCES[key]
    assert fields_of(english) == fields_of(chinese)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_the_lists_of_a_run_have_both_languages(name: str) -> None:
    module = LISTS[name]
    lists = [getattr(module, list_name, []) for list_name in ("ASSUMPTIONS", "LIMITS")]
    for text in [*module.USES.values(), *lists[0], *lists[1]]:
        assert set(text) == {"en", "zh"} and CHINESE.search(text["zh"]) and not CHINESE.search(text["en"])


# Which keys the source uses


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCE.rglob("*.py"):
        yield path, ast.parse(path.read_text("utf-8"))


def literal_keys(node: ast.expr) -> list[str]:
    """The keys that an argument can be; of an f-string the part before its first field, with a star."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*literal_keys(node.body), *literal_keys(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        return [f"{first.value}*"] if isinstance(first, ast.Constant) else []
    return []


def calls_of(function: str, module: str) -> list[tuple[Path, str]]:
    """The keys with which a function of a module is called, in all files that import it."""
    return [
        (path, key)
        for path, tree in trees()
        if function in names_from(tree, module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == function
        and node.args
        for key in literal_keys(node.args[0])
    ]


def names_from(tree: ast.Module, module: str) -> set[str]:
    """The names that a file imports from a module, at its top or inside functions."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def test_every_key_of_a_sentence_exists() -> None:
    calls = calls_of("message", "tolerate.messages.catalogue")
    assert len(calls) > 60
    for path, key in calls:
        assert key in SENTENCES, f"{path}: {key}"


def strings_of_the_source() -> set[str]:
    """Every string of the source that is no key of a catalogue's own entry."""
    strings: set[str] = set()
    for path, tree in trees():
        keys = keys_of_entries(tree) if path.parent == SOURCE / "messages" else set()
        strings |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys
        }
    return strings


def keys_of_entries(tree: ast.Module) -> set[int]:
    """The nodes that are keys of a catalogue: of the dictionaries assigned at the top of a file."""
    return {
        id(key)
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict)
        for key in statement.value.keys
    }


def test_every_sentence_is_used() -> None:
    assert set(SENTENCES) - strings_of_the_source() - {"list"} == set()


@pytest.mark.parametrize(
    ("function", "module", "catalogue"),
    [
        ("say", "report", report.WORDS),
        ("say", "careers", careers.WORDS),
        ("terminal_text", "terminal", terminal.TEXTS),
    ],
)
def test_every_key_of_a_page_exists(function: str, module: str, catalogue: Mapping[str, object]) -> None:
    calls = calls_of(function, f"tolerate.messages.{module}")
    assert calls
    for path, key in calls:
        start = key.removesuffix("*")
        assert key in catalogue or (key != start and any(name.startswith(start) for name in catalogue)), (
            path,
            key,
        )


TEMPLATES = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.html"))


def test_every_key_of_a_desk_page_exists() -> None:
    keys = re.findall(r"\bt\('([^']+)'[,)]", TEMPLATES)
    starts = re.findall(r"\bt\('([^']+ )' [+~]", TEMPLATES)
    assert len(keys) > 100 and starts
    assert set(keys) <= set(desk.WORDS)
    assert all(any(key.startswith(start) for key in desk.WORDS) for start in starts)


@pytest.mark.parametrize("name", sorted(set(CATALOGUES) - {"sentences"}))
def test_every_text_of_a_page_is_used(name: str) -> None:
    """Its key stands somewhere in the source or in a template, or the beginning of it does before a variable part."""
    texts_used = {key for key in strings_of_the_source() if key}
    for pattern in (r"'([^'\n]*)'", r'"([^"\n]*)"', r"words\.(\w+)"):
        texts_used |= set(re.findall(pattern, TEMPLATES))
    starts = {text for text in texts_used if len(text) > 2 and text[-1] in ". -"} | starts_of_the_source()
    for key in CATALOGUES[name]:
        kindless = key.split("@")[0]
        assert kindless in texts_used or any(key.startswith(start) for start in starts), key


def starts_of_the_source() -> set[str]:
    """The literal beginnings of the f-strings of the source."""
    return {
        str(node.values[0].value)
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        and node.values
        and isinstance(node.values[0], ast.Constant)
        and len(str(node.values[0].value)) > 2
    }


def test_no_regular_expression_recovers_a_language() -> None:
    """Only names of refinings are read by patterns in the messages."""
    for path in (SOURCE / "messages").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        uses = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "re"
        ]
        assert uses == ([] if path.name != "report.py" else ["re.split", "re.fullmatch"]), path


# Sentences that are stored


EXAMPLE = {
    "": "x",
    ",": 1200,
    ".2f": 0.5,
    ",.0f": 25.0,
    ".6g": 3.25,
    "percent": 0.25,
    "at_most": 0.02,
    "at_least": 0.95,
    "threshold": 0.5,
}


def example(key: str) -> Message:
    """A sentence of that key with some parameters."""
    forms = {
        name: form or "" for _, name, form, _ in Formatter().parse(SENTENCES[key][0]) if name is not None
    }
    return message(key, **{name: EXAMPLE[form] for name, form in forms.items()})


@pytest.mark.parametrize("key", sorted(SENTENCES))
def test_a_sentence_survives_its_json_and_copies(key: str) -> None:
    sentence = example(key)
    stored = json.loads(json.dumps(sentence.to_json()))
    restored = Message.from_json(str(sentence), stored)
    for twin in (restored, copy.deepcopy(sentence), pickle.loads(pickle.dumps(sentence))):
        assert isinstance(twin, Message) and twin == sentence == str(sentence)
        assert render(twin, "zh") == render(sentence, "zh") and twin.to_json() == stored
    assert CHINESE.search(render(sentence, "zh")) or key == "list"
    assert "{" not in sentence + render(sentence, "zh")


def test_sentences_in_sentences_are_rendered_too() -> None:
    inner = joined([message("check.missed", faulty=1000, missed=3), message("check.refused_unknown"), "Ann"])
    sentence = message("check.column", error=inner)
    assert isinstance(inner, Message)
    stored = Message.from_json(str(sentence), json.loads(json.dumps(sentence.to_json())))
    assert render(stored, "zh") == (
        "由人标注（表中的 label 列）；答案的读法：1,000 篇放入错误的文本中漏判 3 篇；误判正确文本的比率未测；Ann"
    )


def test_sentences_without_a_key_stay_unless_they_are_word_for_word_known() -> None:
    assert render("as the lawyer wrote", "zh") == "as the lawyer wrote"
    for english, key in FIXED.items():
        assert render(english, "zh") == SENTENCES[key][1]
    assert render("about 700 labels (now 100) would probably prove it", "zh").startswith("about 700")


def test_a_key_or_parameters_of_another_version_leave_the_english_text() -> None:
    assert render(Message("it holds", "assume.of_the_future", {}), "zh") == "it holds"
    assert render(Message("3 wait", "audit.waiting", {"count": 3}), "zh") == "3 wait"
    assert render(Message("3 wait", "audit.waiting", {"items": "three"}), "zh") == "3 wait"
    assert Message.from_json("text", {"params": {}}) == "text"
    assert not isinstance(Message.from_json("text", None), Message)


def test_a_missing_number_is_a_dash() -> None:
    assert "alpha –)" in message("people.each_item", people=2, items=10, apart=1, alpha=None)
    assert fill("{share:percent}", "en", {"share": float("nan")}) == "–"


# Certificates of this version and of older ones


def without_messages(certificate: Certificate) -> dict[str, object]:
    """A certificate as older versions wrote it."""
    return {key: value for key, value in certificate.to_json().items() if key != "messages"}


def test_certificates_of_both_versions_are_read() -> None:
    certificate = certify(losses=[0] * 100, tolerance=0.05)
    record = json.loads(certificate.dumps())
    assert record["assumptions"] == [str(sentence) for sentence in certificate.assumptions]
    assert [stored["key"] for stored in record["messages"]["assumptions"]] == [
        "assume.same_population",
        "assume.rows",
        "assume.losses",
    ]
    for version in (record, without_messages(certificate)):
        assert Certificate.from_json(version) == certificate  # type: ignore[arg-type]
    assert "messages" not in Certificate.from_json(without_messages(certificate)).to_json()  # type: ignore[arg-type]
    assert Certificate.from_json(record).to_json() == record
