"""Do two Chinese characters rhyme? By the finals of their readings, in modern Mandarin.

Tang poets rhymed by the sounds of their time, so some of their rhymes no longer do; how many real poems this
refuses is measured wherever it is used. Needs pypinyin.
"""

from functools import lru_cache

from tolerate.errors import OptionError

# Finals that rhyme, after the eighteen groups of Zhonghua Xinyun, some taken together as is usual in singing.
GROUPS = (
    ("a", "ia", "ua"),
    ("o", "uo", "e"),
    ("ie", "ve", "ue", "üe"),
    ("i", "er"),
    ("u",),
    ("v", "ü"),
    ("ai", "uai"),
    ("ei", "ui", "uei"),
    ("ao", "iao"),
    ("ou", "iu", "iou"),
    ("an", "ian", "uan", "van", "üan"),
    ("en", "in", "un", "uen", "vn", "ün"),
    ("ang", "iang", "uang"),
    ("eng", "ing", "ueng", "ong", "iong"),
)
_PLACE = {final: place for place, group in enumerate(GROUPS) for final in group}


@lru_cache(maxsize=20_000)
def groups_of(sign: str) -> frozenset[int]:
    """The rhyme groups of a character's readings; empty for what is no character."""
    try:
        from pypinyin import Style, pinyin
    except ModuleNotFoundError:
        raise OptionError('rhymes need pypinyin; try: pip install "tolerate[text]"') from None
    finals = pinyin(sign, style=Style.FINALS, heteronym=True, strict=False, errors="ignore")
    return frozenset(_PLACE[final] for final in (finals[0] if finals else ()) if final in _PLACE)


def rhymes(one: str, other: str) -> bool:
    """Whether some readings of two different characters rhyme.

    >>> rhymes("光", "霜"), rhymes("光", "月"), rhymes("光", "光")
    (True, False, False)
    """
    return one != other and bool(groups_of(one) & groups_of(other))
