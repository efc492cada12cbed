"""The pictures of the idea pages: whole, safe, shown, and drawn from what the code computes."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmarks import plots

IDEAS = Path(__file__).resolve().parent.parent / "docs" / "ideas"
PAGES = ("audit", "threshold", "assisted", "watch")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_shows_its_picture(name: str) -> None:
    assert f"](figures/{name}.svg)" in (IDEAS / f"{name}.md").read_text("utf-8")
    picture = ElementTree.parse(IDEAS / "figures" / f"{name}.svg").getroot()
    kinds = {element.tag.rsplit("}")[-1] for element in picture.iter()}
    assert {"path", "text", "line"} <= kinds and not kinds & {"script", "image", "foreignObject"}
    assert picture.get("aria-label")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_says_what_is_promised_when_not_how_many_and_which_mistake(name: str) -> None:
    page = (IDEAS / f"{name}.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)$", page, re.M)
    for phrase in ("What is promised", "When it is not", "mistake"):
        assert any(phrase in heading for heading in headings), (name, phrase)
    assert "How many labels" in headings or "How much is released" in headings
    assert page.rstrip().endswith("```") or "```python" in page[page.index("mistake") :]


def test_the_audits_picture_is_drawn_again_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "FOLDER", tmp_path)
    plots.audit()
    assert (tmp_path / "audit.svg").read_text() == (IDEAS / "figures" / "audit.svg").read_text()
