"""What is left in English in a Chinese text."""

import re
from collections.abc import Collection


def english_words(text: str, names: Collection[str] = ()) -> list[str]:
    """The English words of a Chinese text, apart from names.

    >>> english_words("检验（reader）判定 3 项; they differ", {"reader"})
    ['they', 'differ']
    """
    return [word for word in re.findall(r"[A-Za-z][A-Za-z'’-]+", text) if word not in names]
