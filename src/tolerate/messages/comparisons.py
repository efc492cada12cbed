"""Texts of a comparison of strategies beside their certificates, in both languages: cascades, numbers of labels."""

from tolerate.messages.both import checked_lang
from tolerate.messages.catalogue import fill

TEXTS: dict[str, tuple[str, str]] = {
    "cascade.promise": (
        "Together they release {coverage:percent} of the labelled sample, a person sees the rest: with "
        "{confidence:at_least} confidence the risk of what is released is at most {tolerance:at_most}.",
        "各级放行的内容合计占标注样本的 {coverage:percent}，其余由人审核：以 {confidence:at_least} 的置信度保证，"
        "放行内容中错误不超过 {tolerance:at_most}。",
    ),
    "cascade.line": (
        "{tiers}: {coverage:percent} of items, at most {tolerance:at_most} wrong ({confidence:at_least} sure; "
        "{labels:,} labels)",
        "{tiers}：放行 {coverage:percent}，错误不超过 {tolerance:at_most}（置信度 {confidence:at_least}；"
        "{labels:,} 个标注）",
    ),
    "tier.skipped": ("not asked", "不调用"),
    "tier.all": (
        "releases all that reaches it, {share:percent} of items",
        "放行到达的全部内容，占 {share:percent}",
    ),
    "tier.above": (
        "releases a score of {lowest}, {share:percent} of items",
        "分数{lowest} 时放行，占 {share:percent}",
    ),
    "labels": (
        "labels of each strategy (nine chances in ten): true risk, alone, level shared, planned",
        "每种策略所需标注数（九成把握）：真实风险、单独证明、平分置信度、先设计后检验",
    ),
}


def comparison_text(key: str, lang: str, /, **params: object) -> str:
    """The text of that key in one language, filled in.

    >>> comparison_text("tier.all", "en", share=0.25)
    'releases all that reaches it, 25% of items'
    """
    return fill(TEXTS[key][1 if checked_lang(lang) == "zh" else 0], lang, params)
