"""Check whether two Chinese characters rhyme, by the finals of their readings in modern Mandarin.

Tang poets rhymed by the pronunciation of their time, so some of their rhymes no longer rhyme; the share of real
poems that this check refuses is measured wherever it is used. Needs pypinyin.
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
_GROUP_OF = {final: index for index, group in enumerate(GROUPS) for final in group}


@lru_cache(maxsize=20_000)
def groups_of(sign: str) -> frozenset[int]:
    """The rhyme groups of a character's readings; empty for what is no character."""
    try:
        from pypinyin import Style, pinyin
    except ModuleNotFoundError:
        raise OptionError('rhymes need pypinyin; try: pip install "tolerate[text]"') from None
    finals = pinyin(sign, style=Style.FINALS, heteronym=True, strict=False, errors="ignore")
    return frozenset(_GROUP_OF[final] for final in (finals[0] if finals else ()) if final in _GROUP_OF)


def rhymes(first: str, second: str) -> bool:
    """Whether two different characters rhyme in at least one of their readings.

    >>> rhymes("光", "霜"), rhymes("光", "月"), rhymes("光", "光")
    (True, False, False)
    """
    return first != second and bool(groups_of(first) & groups_of(second))
