"""The sheets of items: released, held, released but wrong, and the nearest to copies."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from markupsafe import Markup

from tolerate.errors import OptionError
from tolerate.messages.both import Both, both, join
from tolerate.messages.numbers import at_most, digits
from tolerate.messages.report import say, say_of
from tolerate.modality import find_modality
from tolerate.report.json_reading import LocalizedText
from tolerate.report.section import Section
from tolerate.report.summary import CopyCard, ItemCard, RunSummary

Card: TypeAlias = ItemCard | CopyCard
MAX_SHEET_BYTES = 330_000  # of the items in a page, all sheets together


def sheets_section(summary: RunSummary) -> Section | None:
    """The sheets of items, with as many of each as the page has room for."""
    cards = cards_by_sheet(summary)
    shown = fit_cards(cards, MAX_SHEET_BYTES)
    sheets = [
        _sheet(name, shown[name], len(cards[name]), summary.job.kind, summary.lang)
        for name in cards
        if shown[name]
    ]
    return {"parts": sheets} if sheets else None


def nouns_of(kind: str) -> Both:
    """The plural noun of a modality as a title; "Items" if the modality is unknown.

    >>> nouns_of("pictures").en
    'Pictures'
    """
    try:
        noun = find_modality(kind).noun
    except OptionError:
        return Both("Items", "作品")
    return Both(noun.plural.capitalize(), noun.chinese)


def cards_by_sheet(summary: RunSummary) -> dict[str, Sequence[Card]]:
    """The cards of every sheet, in the page's order."""
    decided, copies = summary.sheets.decided, summary.sheets.copies
    if decided is None:
        return {"copies": copies}
    return {"released": decided.released, "held": decided.held, "wrong": decided.wrong, "copies": copies}


def fit_cards(cards: Mapping[str, Sequence[Card]], room: int) -> dict[str, list[Card]]:
    """Keep as many cards as fit into so many characters, one of each sheet in turn, so that every sheet has some."""
    shown: dict[str, list[Card]] = {name: [] for name in cards}
    for index in range(max(map(len, cards.values()), default=0)):
        for name, sheet in cards.items():
            size = _size(sheet[index]) if index < len(sheet) else room + 1
            if size <= room:
                room -= size
                shown[name].append(sheet[index])
    return shown


def _size(card: Card) -> int:
    return sum(len(str(value)) for value in card.to_json().values())


def _sheet(name: str, cards: Sequence[Card], total: int, kind: str, lang: str) -> Section:
    omitted = total - len(cards)
    return {
        "name": name,
        "title": say_of(kind, f"sheet.{name}"),
        "note": say_of(kind, f"sheet.{name}.note"),
        "cards": [_card(card, kind, lang) for card in cards],
        "more": say("sheet.more", n=omitted) if omitted else None,
    }


def _card(card: Card, kind: str, lang: str) -> Section:
    captions = _item_captions(card, kind) if isinstance(card, ItemCard) else _copy_captions(card)
    caption = join(captions, ", ", "，")
    alternative = Both(
        *(f"{noun}: {text}" for noun, text in zip(say_of(kind, "sheet.drawing"), caption, strict=True))
    )
    html = card.display.html(alternative, lang)
    if isinstance(card, CopyCard) and card.example.twin:
        html += card.example.twin.html(say_of(kind, "sheet.twin"), lang)
    is_media = bool(card.display.image)
    return {
        "html": Markup('<span class="pair">{}</span>').format(html) if is_media else html,
        "captions": captions,
    }


def _item_captions(card: ItemCard, kind: str) -> list[Both]:
    captions = []
    if card.asked is not None:
        captions.append(say_of(kind, "sheet.asked", asked=both(card.asked)))
    if card.read is not None:
        captions.append(say_of(kind, "sheet.read", read=_reading(card.read)))
    if card.score is not None:
        captions.append(say("sheet.score", score=digits(card.score)))
    if card.tolerance is not None:
        captions.append(say("sheet.tolerance", tolerance=at_most(card.tolerance)))
    return captions


def _reading(text: LocalizedText) -> Both:
    """What the check read; an item in which it recognised nothing says so."""
    return both(text) if text else say("sheet.nothing")


def _copy_captions(card: CopyCard) -> list[Both]:
    distance = card.example.distance
    return [] if distance is None else [say("sheet.distance", distance=digits(distance))]
