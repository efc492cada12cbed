"""The sheets of items: only embedded content is shown, and the page stays small."""

import re

from tests.support.reports import ParsedPage, digits_json, render_json
from tolerate.modality import Display
from tolerate.report.item_sheets import fit_cards
from tolerate.report.sections import sections_of
from tolerate.report.summary import ItemCard, RunSummary


def test_pictures_must_be_embedded() -> None:
    """A picture with an outside address is left out, and so is a training example with one."""
    summary = digits_json()
    for source in (
        "https://example.org/x.png",
        "javascript:alert(1)",
        "data:text/html;base64,PGI+",
        'data:image/png;base64,"',
        7,
    ):
        summary["sheets"] = {"released": [{"png": source, "asked": "1"}]}
        assert "sheets" not in sections_of(RunSummary.from_json(summary))
    embedded = digits_json()["sheets"]["copies"][0]["png"]
    summary["sheets"] = {"copies": [{"png": embedded, "twin": "//example.org/x.png"}]}
    assert [image["src"] for image in ParsedPage(render_json(summary)).attributes("img")] == [embedded]


def test_a_copy_stands_beside_its_training_example() -> None:
    summary = digits_json()
    card = summary["sheets"]["copies"][0]
    summary["sheets"] = {"copies": [card]}
    page = render_json(summary)
    pair = re.findall(r'<span class="pair"><img src="([^"]*)"[^>]*><img src="([^"]*)"[^>]*></span>', page)
    assert pair == [(card["png"], card["twin"])]
    assert "distance 0.013" in page


def test_texts_are_quoted_with_their_wrong_parts_marked() -> None:
    summary = digits_json()
    summary["job"]["kind"] = "texts"
    cards = [
        {"pieces": [["fine <b>", False], ["wrong", True]], "asked": "a note", "read": "", "score": 0.5},
        {"pieces": [], "asked": "a note", "read": {"en": "empty", "zh": "空"}, "score": None},
    ]
    summary["sheets"] = {"released": cards}
    page = render_json(summary)
    quotes = re.findall(r'<blockquote class="made-text">(.*?)</blockquote>', page)
    assert quotes == ["fine &lt;b&gt;<mark>wrong</mark>", ""]
    assert ParsedPage(page).attributes("img") == []


def test_every_sheet_gets_its_turn() -> None:
    card = ItemCard(Display(pieces=(("x" * 40, False),)))
    shown = fit_cards({"a": [card] * 3, "b": [card]}, room=200)
    assert {name: len(cards) for name, cards in shown.items()} == {"a": 2, "b": 1}


def test_the_page_stays_small() -> None:
    """With more items than a page can hold, each sheet keeps some and says how many were left out."""
    summary = digits_json()
    card = {"png": "data:image/png;base64," + "A" * 8000, "asked": "7"}
    summary["sheets"] = {name: [card] * 100 for name in ("released", "held", "wrong")}
    assert len(render_json(summary).encode()) < 600_000
    sheets = sections_of(RunSummary.from_json(summary))["sheets"]["parts"]
    assert [sheet["name"] for sheet in sheets] == ["released", "held", "wrong"]
    assert all(5 <= len(sheet["cards"]) < 100 for sheet in sheets)
    assert all(str(100 - len(sheet["cards"])) in sheet["more"].en for sheet in sheets)
