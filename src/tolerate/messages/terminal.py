"""What an audit says at a terminal, and how far the work at a desk is, in English and Chinese."""

from tolerate.messages.both import Both
from tolerate.messages.catalogue import fill_both

TEXTS: dict[str, tuple[str, str]] = {
    "item": ("item {at:,} of {of:,}", "第 {at:,} 项，共 {of:,} 项"),
    "again": ("second verdict {at:,} of {of:,}", "第二人判定：第 {at:,} 项，共 {of:,} 项"),
    "keys": (
        "[f] fine   [w] wrong   [u] change the last   [q] stop for now",
        "[f] 合格   [w] 错误   [u] 改上一个   [q] 暂停",
    ),
    "to second": (
        "Now a second person, who has not seen the verdicts, reads {items:,} of the items again.",
        "现在请第二人（未看过前面的判定）复审其中 {items:,} 项。",
    ),
    "to first": (
        "The second person found more wrong; the first person goes on.",
        "第二人发现了更多错误，请第一人继续。",
    ),
    "swap": (
        "[s] we have changed seats   [u] change the last   [q] stop for now",
        "[s] 已换人   [u] 改上一个   [q] 暂停",
    ),
    "kept": (
        "{labels} verdicts are kept in {path}; the same command continues",
        "{labels} 个判定已保存在 {path}；再次运行同一命令即可继续",
    ),
    "plan": (
        "if so many are wrong  you label about  (9 in 10 at most)   proven",
        "若实际错误率为     约需标注     （九成情况下至多）  获证概率",
    ),
    "open": ("open {link}", "请打开 {link}"),
    "open for": ("{name}: open {link}", "{name}：请打开 {link}"),
    "verdict": ("verdict {at:,} of {of:,}", "第 {at:,} 个判定，共 {of:,} 个"),
    "verdicts kept": ("{labels:,} verdicts are kept.", "{labels:,} 个判定已保存。"),
}


def terminal_text(key: str, /, **params: object) -> Both:
    """The text of that key, filled in.

    >>> terminal_text("item", at=1200, of=3000).en
    'item 1,200 of 3,000'
    """
    return fill_both(TEXTS[key], params)
