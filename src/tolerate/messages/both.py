"""One text in English and Chinese."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from tolerate.errors import OptionError

Lang = Literal["en", "zh"]


class Both(NamedTuple):
    """One text in both languages. In a page it writes both, marked with their language; the page shows one."""

    en: str
    zh: str

    def __html__(self) -> str:
        """Both texts, escaped; a text that is the same in both languages is written once."""
        from markupsafe import Markup, escape  # pages only: certificates must not wait for it

        if self.en == self.zh:
            return str(escape(self.en))
        return str(
            Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh-Hans">{}</span>').format(
                *self
            )
        )

    def pick(self, lang: str) -> str:
        """The text in one language; anything but "zh" is English."""
        return self.zh if lang == "zh" else self.en


def both(value: object) -> Both:
    """A text from outside in both languages, whether it came as one string or as {"en": ..., "zh": ...}.

    >>> both({"en": "seven", "zh": "七"}).zh
    '七'
    >>> both("seven")
    Both(en='seven', zh='seven')
    """
    if isinstance(value, Both):
        return value
    if isinstance(value, Mapping):
        either = value.get("en") or value.get("zh") or ""
        return Both(str(value.get("en") or either), str(value.get("zh") or either))
    return Both(str(value), str(value)) if value is not None else Both("", "")


def join(texts: Iterable[Both], en: str = "; ", zh: str = "；") -> Both:
    """Several texts in a row, with each language's own separator."""
    parts = list(texts)
    return Both(en.join(text.en for text in parts), zh.join(text.zh for text in parts))


def checked_lang(lang: str) -> Lang:
    """A language by its name, refused if there are no texts in it."""
    if lang == "en":
        return "en"
    if lang == "zh":
        return "zh"
    raise OptionError(f'unsupported language "{lang}"; choose en or zh')
