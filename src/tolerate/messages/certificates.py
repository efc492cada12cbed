"""The sentences of certificates, in English and Chinese: what is promised, on what evidence, and what is not.

`brief` is one line for a terminal; `say_certificate` two sentences that someone may have to answer for,
and, where little or nothing is proven, a third that says what would be needed.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tolerate.errors import OptionError

if TYPE_CHECKING:
    from tolerate.records import Certificate

LEAST = 2.0**-149  # the least number above 0 in single precision; in double precision it is less
ANY = -1e308  # thresholds from here down release whatever has a score
Say = Callable[["Certificate"], str]


def say_certificate(certificate: "Certificate", lang: str = "en") -> str:
    """The promise and its evidence in full sentences, in English ("en") or Chinese ("zh")."""
    promise, evidence, more = _voices(lang)
    return "\n".join(filter(None, (promise(certificate), evidence(certificate), more(certificate))))


def say_evidence(certificate: "Certificate", lang: str = "en") -> str:
    """What a certificate rests on, and what would be needed: its text without the promise."""
    _, evidence, more = _voices(lang)
    return "\n".join(filter(None, (evidence(certificate), more(certificate))))


def brief(certificate: "Certificate", lang: str = "en") -> str:
    """The promise in one line."""
    return (_brief_zh if _known(lang) == "zh" else _brief_en)(certificate)


def say_slices(certificate: "Certificate", lang: str = "en") -> list[str]:
    """A line for each slice of what is released, the worst first; the promise is about the whole, not about each."""
    if not certificate.proven:
        return []
    most = max((str(line["name"]) for line in certificate.slices), key=len, default="")
    rows = sorted(certificate.slices, key=lambda line: -(line.get("risk_seen") or 0.0))
    return [_slice_line(line, len(most), _known(lang)) for line in rows]


def _slice_line(line: Mapping[str, Any], width: int, lang: str) -> str:
    name, labels, out = str(line["name"]).ljust(width), int(line["labels"]), int(line["released"])
    if not out:
        return (
            f"  {name}  {labels:,} 条，放行 0 条"
            if lang == "zh"
            else f"  {name}  releases none of {labels:,}"
        )
    seen, bound = percent(line["risk_seen"]), percent(line["risk_bound"])
    if lang == "zh":
        return f"  {name}  {labels:,} 条，放行 {out:,} 条：所见风险 {seen}，这一切片单独来看至多 {bound}"
    return f"  {name}  releases {out:,} of {labels:,}: risk {seen}, by itself at most {bound}"


def percent(value: float) -> str:
    """A share as a percentage that never claims more than the number says.

    >>> percent(0.02), percent(0.0005), percent(0.6437), percent(1.0), percent(0.99999)
    ('2%', '0.05%', '64.4%', '100%', '99.9%')
    """
    points = 100 * value
    if 0 < points < 1:
        return f"{points:.2g}%"
    tenths = round(points, 1)
    if tenths == 100 and value < 1:
        tenths = 99.9
    return f"{tenths:g}%"


def number(value: float) -> str:
    """A threshold with as few digits as tell it apart; never rounded below itself.

    >>> number(0.81004), number(0.8100000000000002), number(-3.2500001)
    ('0.8101', '0.81', '-3.25')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = 4 - 1 - math.floor(math.log10(abs(value)))
    if abs(places) > 15:
        return f"{value:.4g}"
    scale = 10.0**places
    up = math.ceil(value * scale - 1e-9) / scale
    return f"{up:.10g}"


def lowest(value: float, lang: str = "en", sign: bool = False) -> str:
    """What a score must reach: at least a threshold; above 0 where the threshold is the least number above 0.

    Where it is the least of all numbers, every item that has a score will do.

    >>> lowest(-1.7976931348623157e308), lowest(-1.7976931348623157e308, sign=True)
    ('any value', 'is given')
    >>> lowest(0.81004), lowest(5e-324), lowest(5e-324, sign=True), lowest(0.5, "zh"), lowest(5e-324, "zh")
    ('0.8101 or more', 'more than 0', '> 0', '不低于 0.5', '高于 0')
    """
    if value <= ANY:
        return ("有值" if lang == "zh" else "is given") if sign else ("有值" if lang == "zh" else "any value")
    above_0 = 0 < value <= LEAST
    shown = "0" if above_0 else number(value)
    if sign:
        return f"{'>' if above_0 else '>='} {shown}"
    if lang == "zh":
        return f"{'高于' if above_0 else '不低于'} {shown}"
    return f"more than {shown}" if above_0 else f"{shown} or more"


def _voices(lang: str) -> tuple[Say, Say, Say]:
    if _known(lang) == "zh":
        return _promise_zh, _evidence_zh, _more_zh
    return _promise_en, _evidence_en, _more_en


def _known(lang: str) -> str:
    if lang not in ("en", "zh"):
        raise OptionError(f'no words in language "{lang}"; known: en, zh')
    return lang


# English


def _score_en(c: "Certificate") -> str:
    return c.names.get("score", "score")


def _brief_en(c: "Certificate") -> str:
    sure = f"{percent(c.confidence)} sure; {_count(c.labels, 'label')}"
    if c.scope == "nothing":
        return f"release nothing: not proven that at most {percent(c.tolerance)} would be wrong ({sure})"
    if c.scope == "all":
        return f"release everything: at most {_limits_en(c)} ({sure})"
    where = f"{_score_en(c)} {lowest(c.threshold or 0.0, sign=True)}"
    return f"release when {where}: {percent(c.coverage)} of items, at most {_limits_en(c)} ({sure})"


def _limits_en(c: "Certificate") -> str:
    if len(c.risks) > 1:
        return ", ".join(f"{percent(risk['tolerance'])} {risk['name']}" for risk in c.risks)
    return f"{percent(c.tolerance)} wrong"


def _promise_en(c: "Certificate") -> str:
    if c.scope == "nothing":
        return (
            f"Nothing may be released on this evidence: it is not proven with {percent(c.confidence)} confidence "
            f"that any part has a risk of at most {_risk_limits_en(c)}; every item goes to a person."
        )
    whole = _batch(c, " of this batch of {items}")
    what = (
        f"Every item{whole}"
        if c.scope == "all"
        else f"Items{whole} with {_score_en(c)} of {lowest(c.threshold or 0.0)}"
    )
    share = (
        ""
        if c.scope == "all"
        else f" ({percent(c.coverage)} of {'the batch' if whole else 'the labelled sample'})"
    )
    return (
        f"{what}{share} may be released: with {percent(c.confidence)} confidence the risk among them "
        f"is at most {_risk_limits_en(c)}."
    )


def _batch(c: "Certificate", text: str) -> str:
    """Of which batch an audit speaks; nothing for a certificate that speaks of items to come."""
    items = c.options.get("items")
    return text.format(items=f"{items:,}") if isinstance(items, int) else ""


def _risk_limits_en(c: "Certificate") -> str:
    if len(c.risks) > 1:
        return ", ".join(f"{percent(risk['tolerance'])} ({risk['name']})" for risk in c.risks)
    return percent(c.tolerance)


def _evidence_en(c: "Certificate") -> str:
    units = "" if c.clusters == c.labels else f" in {_count(c.clusters, 'independent cluster')}"
    by = f" ({c.losses_by})" if c.losses_by else ""
    seen = "" if c.risk_seen is None else f"; {_seen_en(c)}"
    held = "; and ".join(c.assumptions) or SENTENCES["same"][0]
    return f"This rests on {_count(c.labels, 'labelled item')}{units}{by}{seen}; it holds if {held}."


def _seen_en(c: "Certificate") -> str:
    if c.scope == "all":
        return f"their mean loss is {percent(c.risk_seen or 0.0)}"
    return f"{c.released:,} of them would be released, with a mean loss of {percent(c.risk_seen or 0.0)}"


def _more_en(c: "Certificate") -> str:
    return f"Not part of the promise: {'; '.join(c.advice)}." if c.advice else ""


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")


# Chinese


def _score_zh(c: "Certificate") -> str:
    return c.names.get("score", "分数")


def _brief_zh(c: "Certificate") -> str:
    sure = f"置信度 {percent(c.confidence)}；{c.labels:,} 个标注"
    if c.scope == "nothing":
        return f"不可放行：未能证明错误不超过 {percent(c.tolerance)}（{sure}）"
    if c.scope == "all":
        return f"全部放行：{_limits_zh(c)}（{sure}）"
    where = f"{_score_zh(c)} {lowest(c.threshold or 0.0, 'zh', sign=True)}"
    return f"{where} 时放行：占 {percent(c.coverage)}，{_limits_zh(c)}（{sure}）"


def _limits_zh(c: "Certificate") -> str:
    if len(c.risks) > 1:
        return "，".join(f"“{risk['name']}”不超过 {percent(risk['tolerance'])}" for risk in c.risks)
    return f"错误不超过 {percent(c.tolerance)}"


def _promise_zh(c: "Certificate") -> str:
    if c.scope == "nothing":
        return (
            f"根据现有证据，任何内容都不可自动放行：未能以 {percent(c.confidence)} 的置信度证明其中任何一部分满足"
            f"“{_limits_zh(c)}”；每一项都须由人审核。"
        )
    whole = _batch(c, "这一批 {items} 项中")
    what = (
        f"{whole}全部内容"
        if c.scope == "all"
        else f"{whole}{_score_zh(c)}{lowest(c.threshold or 0.0, 'zh')} 的内容"
    )
    share = "" if c.scope == "all" else f"（占{'该批' if whole else '标注样本'}的 {percent(c.coverage)}）"
    return f"{what}{share}可以放行：以 {percent(c.confidence)} 的置信度保证，放行内容中{_limits_zh(c)}。"


def _evidence_zh(c: "Certificate") -> str:
    units = "" if c.clusters == c.labels else f"、{c.clusters:,} 个相互独立的组"
    by = f"（判定：{'；'.join(chinese(part) for part in c.losses_by.split('; '))}）" if c.losses_by else ""
    share = "" if c.scope == "all" else f"其中 {c.released:,} 项会被放行，"
    seen = "" if c.risk_seen is None else f"；{share}平均损失 {percent(c.risk_seen)}"
    return f"依据：{c.labels:,} 项标注{units}{by}{seen}；前提是：{_listed_zh(c.assumptions)}。"


def _more_zh(c: "Certificate") -> str:
    return f"以下不属于承诺：{'；'.join(chinese(line) for line in c.advice)}。" if c.advice else ""


def _listed_zh(parts: tuple[str, ...]) -> str:
    return "；".join(chinese(part) for part in parts) if parts else SENTENCES["same"][1]


def chinese(sentence: str) -> str:
    """The Chinese of a sentence that `sentence` made; another one stays as it is.

    >>> chinese(sentence("rows"))
    '每一行都是独立抽取的（未给出分组：同一问题、文档或通话的条目不独立）'
    """
    for english, other in SENTENCES.values():
        found = re.fullmatch(_pattern(english), sentence)
        if found:
            return other.format(**found.groupdict())
    return sentence


def sentence(key: str, **values: str) -> str:
    """An assumption or advice in English, from the list below, with its figures filled in."""
    return SENTENCES[key][0].format(**values)


def _pattern(english: str) -> str:
    parts = re.split(r"\{(\w+)\}", english)
    return "".join(f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts))


SENTENCES = {  # English, Chinese; the same names in braces
    "same": (
        "the labelled items were drawn at random from what will be released from",
        "标注样本是从将要放行的同一总体中随机抽取的",
    ),
    "rows": (
        "every row was drawn independently (no cluster was given: items that share a question, document or "
        "call are not independent)",
        "每一行都是独立抽取的（未给出分组：同一问题、文档或通话的条目不独立）",
    ),
    "alone": (
        "every item was drawn independently, as a cluster of its own",
        "每一项独立抽取，自成一组",
    ),
    "clusters": (
        "clusters were drawn independently, each with all of its items",
        "各组独立抽取，且每组包含其全部条目",
    ),
    "largest": (
        "no cluster to come is larger than {size}",
        "今后任何一组都不超过 {size} 项",
    ),
    "weights": (
        "weights are 1 / the chance of having been labelled, and none to come is above {size}",
        "权重为被标注概率的倒数，且今后不超过 {size}",
    ),
    "slices": (
        "the slices' own thresholds hold all at once with this confidence, apart from the whole's",
        "各切片自己的阈值以该置信度同时成立，与整体的阈值分开计算",
    ),
    "more": (
        "about {labels} labels (now {now}) would probably prove a part of {share}, if errors go on as seen",
        "若错误率与现有样本相同，约需 {labels} 个标注（现有 {now} 个）才可能证明其中 {share} 可放行",
    ),
    "hopeless": (
        "more labels with these scores will hardly help: even the best-scored items were wrong too often",
        "以目前的分数，增加标注恐怕无济于事：连得分最高的条目也错得过多",
    ),
    "today": (
        "these labels prove a tolerance of {tolerance} for {share} of items",
        "现有标注可以证明：容错率为 {tolerance} 时可放行 {share}",
    ),
    "today all": (
        "with all tolerances raised in proportion, the lowest to {tolerance}, these labels prove {share} of items",
        "若各容错率按比例放宽（最小者放宽至 {tolerance}），现有标注可证明放行 {share}",
    ),
    "spoiler": (
        "without the slice {slice}, {share} of the other items could be released",
        "去掉切片“{slice}”后，其余条目中可放行 {share}",
    ),
    "together": (
        "with this confidence, the promises of all strategies compared hold together",
        "在该置信度下，所比较的全部策略的承诺同时成立",
    ),
    "judged": ("the losses are right as given", "所给的损失判定无误"),
    # people at the review desk
    "one judged": (
        "a person, who judged {items} items at the review desk",
        "由一人在审查台判定 {items} 项",
    ),
    "some judged": (
        "{people} people, who judged {items} items at the review desk, one each",
        "由 {people} 人在审查台分别判定共 {items} 项，每项一人",
    ),
    "several judged": (
        "{each} people an item, blind to one another, who judged {items} items at the review desk: on {apart} they "
        "differed, and a third look decided (Krippendorff's alpha {alpha})",
        "在审查台共判定 {items} 项，每项由 {each} 人互不知情地判定：其中 {apart} 项意见不一，由再次审看裁决"
        "（Krippendorff α 系数 {alpha}）",
    ),
    "unmeasured": ("their own error was not measured. {more}", "判定者自身的误差未经测量。{more}"),
    # audits
    "order": (
        "items were labelled in the order drawn by seed {seed}, whatever they looked like",
        "条目按种子 {seed} 抽定的顺序标注，不因其内容而改变",
    ),
    "mended": (
        "what was found wrong ({found}) is mended or taken out before the batch goes out",
        "已发现的 {found} 项错误在放行之前已改正或剔除",
    ),
    "lowered": (
        "losses were corrected downwards after labelling (count: {count})",
        "有 {count} 个损失在标注之后被改小",
    ),
    "second": (
        "a second person read {items} of the labelled items, drawn by lot, not knowing the first verdict: "
        "{same} verdicts agreed (kappa {kappa}), and the worse one counts",
        "第二人在不知首次判定的情况下复审了抽签选出的 {items} 项：{same} 项判定一致（kappa {kappa}），以较重的判定为准",
    ),
    "second alike": (
        "a second person read {items} of the labelled items, drawn by lot, not knowing the first verdict: "
        "{same} verdicts agreed (one verdict for all, so no kappa), and the worse one counts",
        "第二人在不知首次判定的情况下复审了抽签选出的 {items} 项：{same} 项判定一致（判定全部相同，无法计算 kappa），"
        "以较重的判定为准",
    ),
    "second none": (
        "none of the labelled items has been read by a second person",
        "已标注的条目中尚无任何一项经第二人复审",
    ),
    "missed": (
        "of {fine} items that the first person called fine the second called {missed} wrong; as far as the "
        "second is right, the first misses at most {bound} of them (95% sure)",
        "首次判为合格的 {fine} 项中，第二人判 {missed} 项为错误；若以第二人为准，"
        "首次漏判的比例至多 {bound}（置信度 95%）",
    ),
    "waiting": (
        "{items} items still wait for a second person's verdict, and nothing is certified before",
        "还有 {items} 项等待第二人判定，在此之前不予认证",
    ),
    "every item": (
        "every item must be labelled: the batch is too small for so strict a promise from a sample",
        "必须逐项标注：批量太小，抽样无法证明如此严格的承诺",
    ),
    "at best": (
        "proven after {labels} more labels if none of them is wrong",
        "若再标注 {labels} 项且全部合格，即可获证",
    ),
    "too many": (
        "{wrong} wrong items were found, and only {allowed} of {items} may be wrong",
        "已发现 {wrong} 项错误，而 {items} 项中至多允许 {allowed} 项",
    ),
    "audit again": (
        "a new audit would probably prove a tolerance of {tolerance}, or this one for a part if what a judge "
        "suspects is withheld",
        "重新抽检大概可以证明容错率 {tolerance}；若先扣下评分器存疑的条目，也可能以原容错率放行其余部分",
    ),
    "gave up": (
        "{wrong} of the first {labels} labels were wrong: a batch with {share} wrong would have been proven "
        "with probability {power}; this one looks worse",
        "前 {labels} 个标注中有 {wrong} 个错误：错误率为 {share} 的批次获证的概率本为 {power}，这一批看来更差",
    ),
    "lost": (
        "the losses found sum to {total}, and {allowed} is all that may be lost",
        "已发现的损失合计 {total}，而总共只允许 {allowed}",
    ),
    "shared": (
        "the confidence is shared by {count} certificates, which hold together",
        "该置信度由 {count} 份证书共用，它们同时成立",
    ),
    "check_by_rule": ("the check {check}, by rule", "按规则检验（{check}）"),
    "check_missed": (
        "of {faulty} texts with a fault put in it missed {missed}",
        "{faulty} 篇放入错误的文本中漏判 {missed} 篇",
    ),
    "check_refused": (
        "of {right} right ones it refused {refused}",
        "{right} 篇正确的文本中误判 {refused} 篇",
    ),
    "check_unrefused": ("how often it refuses right ones was not measured", "误判正确文本的比率未测"),
    "check_published": (
        "the labels published with {data}, given by people",
        "{data} 公布的人工标签",
    ),
    "check_unmeasured": ("their own error was not measured", "其自身误差未测"),
}
