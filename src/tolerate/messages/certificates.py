"""The texts of a certificate: what is promised, on what evidence, and what is not, in English and Chinese.

`certificate_line` is one line for a terminal; `certificate_text` two sentences that someone may have to answer for,
and, where little or nothing is proven, a third that says what would be needed.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tolerate.messages.both import checked_lang
from tolerate.messages.catalogue import SEPARATORS, fill, message, render
from tolerate.messages.numbers import lowest_score

if TYPE_CHECKING:
    from tolerate.records import Certificate

TEXTS: dict[str, tuple[str, str]] = {
    "score": ("score", "分数"),
    # one line
    "sure": (
        "{confidence:at_least} sure; {labels:,} label{s}",
        "置信度 {confidence:at_least}；{labels:,} 个标注",
    ),
    "line.nothing": (
        "release nothing: not proven that at most {tolerance:at_most} would be wrong ({sure})",
        "不可放行：未能证明错误不超过 {tolerance:at_most}（{sure}）",
    ),
    "line.all": ("release everything: at most {limits} ({sure})", "全部放行：{limits}（{sure}）"),
    "line.above": (
        "release when {score} {lowest}: {coverage:percent} of items, at most {limits} ({sure})",
        "{score} {lowest} 时放行：占 {coverage:percent}，{limits}（{sure}）",
    ),
    "line.limit": ("{tolerance:at_most} wrong", "错误不超过 {tolerance:at_most}"),
    "line.limit_of": ("{tolerance:at_most} {name}", "“{name}”不超过 {tolerance:at_most}"),
    # the promise
    "promise.nothing": (
        "Nothing may be released on this evidence: it is not proven with {confidence:at_least} confidence "
        "that any part has a risk of at most {limits}; every item goes to a person.",
        "根据现有证据，任何内容都不可自动放行：未能以 {confidence:at_least} 的置信度证明其中任何一部分满足"
        "“{limits}”；每一项都须由人审核。",
    ),
    "promise.all": (
        "Every item{batch} may be released: with {confidence:at_least} confidence the risk among them is at most "
        "{limits}.",
        "{batch}全部内容可以放行：以 {confidence:at_least} 的置信度保证，放行内容中{limits}。",
    ),
    "promise.above": (
        "Items{batch} with {score} of {lowest} ({coverage:percent} of {sample}) may be released: with "
        "{confidence:at_least} confidence the risk among them is at most {limits}.",
        "{batch}{score}{lowest} 的内容（占{sample}的 {coverage:percent}）可以放行："
        "以 {confidence:at_least} 的置信度保证，放行内容中{limits}。",
    ),
    "promise.limit": ("{tolerance:at_most}", "错误不超过 {tolerance:at_most}"),
    "promise.limit_of": ("{tolerance:at_most} ({name})", "“{name}”不超过 {tolerance:at_most}"),
    "batch": (" of this batch of {items:,}", "这一批 {items:,} 项中"),
    "of.batch": ("the batch", "该批"),
    "of.sample": ("the labelled sample", "标注样本"),
    # the evidence
    "evidence": (
        "This rests on {labels:,} labelled item{s}{units}{losses_by}{seen}; it holds if {assumptions}.",
        "依据：{labels:,} 项标注{units}{losses_by}{seen}；前提是：{assumptions}。",
    ),
    "evidence.units": (" in {clusters:,} independent cluster{s}", "、{clusters:,} 个相互独立的组"),
    "evidence.losses_by": (" ({losses_by})", "（判定：{losses_by}）"),
    "evidence.seen_all": ("; their mean loss is {risk:percent}", "；平均损失 {risk:percent}"),
    "evidence.seen": (
        "; {released:,} of them would be released, with a mean loss of {risk:percent}",
        "；其中 {released:,} 项会被放行，平均损失 {risk:percent}",
    ),
    "advice": ("Not part of the promise: {advice}.", "以下不属于承诺：{advice}。"),
    # slices
    "slice.none": ("  {name}  releases none of {labels:,}", "  {name}  {labels:,} 条，放行 0 条"),
    "slice": (
        "  {name}  releases {released:,} of {labels:,}: risk {risk:percent}, by itself at most {bound:at_most}",
        "  {name}  {labels:,} 条，放行 {released:,} 条：所见风险 {risk:percent}，这一切片单独来看至多 {bound:at_most}",
    ),
}


def certificate_text(certificate: "Certificate", lang: str = "en") -> str:
    """The promise and its evidence in full sentences, in English ("en") or Chinese ("zh")."""
    return f"{_promise(certificate, lang)}\n{certificate_evidence(certificate, lang)}"


def certificate_evidence(certificate: "Certificate", lang: str = "en") -> str:
    """The text of a certificate without the promise: its evidence, assumptions and advice."""
    return "\n".join(filter(None, (_evidence(certificate, lang), _advice(certificate, lang))))


def certificate_line(certificate: "Certificate", lang: str = "en") -> str:
    """The promise in one line."""
    sure = _text(
        "sure",
        lang,
        confidence=certificate.confidence,
        labels=certificate.labels,
        s=_plural(certificate.labels),
    )
    return _text(
        f"line.{certificate.scope}",
        lang,
        tolerance=certificate.tolerance,
        sure=sure,
        score=_score(certificate, lang),
        lowest=lowest_score(certificate.threshold or 0.0, lang, sign=True),
        coverage=certificate.coverage,
        limits=_limits(certificate, "line", lang),
    )


def slice_lines(certificate: "Certificate", lang: str = "en") -> list[str]:
    """A line for each slice of what is released, the worst first; the promise is about the whole, not about each."""
    if not certificate.proven:
        return []
    width = max((len(str(line["name"])) for line in certificate.slices), default=0)
    lines = sorted(certificate.slices, key=lambda line: -(line.get("risk_seen") or 0.0))
    return [_slice_line(line, width, lang) for line in lines]


def _slice_line(line: Mapping[str, object], width: int, lang: str) -> str:
    return _text(
        "slice" if line["released"] else "slice.none",
        lang,
        name=str(line["name"]).ljust(width),
        labels=line["labels"],
        released=line["released"],
        risk=line["risk_seen"],
        bound=line["risk_bound"],
    )


def _text(key: str, lang: str, **params: object) -> str:
    template = TEXTS[key][1 if checked_lang(lang) == "zh" else 0]
    return fill(template, lang, params)


def _plural(count: int) -> str:
    return "" if count == 1 else "s"


def _score(certificate: "Certificate", lang: str) -> str:
    return certificate.names.get("score") or _text("score", lang)


def _limits(certificate: "Certificate", place: str, lang: str) -> str:
    """The tolerance, or the tolerance of each loss by its name."""
    if len(certificate.risks) < 2:
        return _text(f"{place}.limit", lang, tolerance=certificate.tolerance)
    limits = (
        _text(f"{place}.limit_of", lang, tolerance=risk["tolerance"], name=risk["name"])
        for risk in certificate.risks
    )
    return ("，" if lang == "zh" else ", ").join(limits)


def _promise(certificate: "Certificate", lang: str) -> str:
    items = certificate.options.get(
        "items"
    )  # an audit speaks of its batch, other certificates of items to come
    batch = _text("batch", lang, items=items) if isinstance(items, int) else ""
    return _text(
        f"promise.{certificate.scope}",
        lang,
        confidence=certificate.confidence,
        limits=_limits(certificate, "promise", lang),
        batch=batch,
        sample=_text("of.batch" if batch else "of.sample", lang),
        score=_score(certificate, lang),
        lowest=lowest_score(certificate.threshold or 0.0, lang),
        coverage=certificate.coverage,
    )


def _evidence(certificate: "Certificate", lang: str) -> str:
    labels, clusters = certificate.labels, certificate.clusters
    units = _text("evidence.units", lang, clusters=clusters, s=_plural(clusters))
    by = _text("evidence.losses_by", lang, losses_by=render(certificate.losses_by, lang))
    return _text(
        "evidence",
        lang,
        labels=labels,
        s=_plural(labels),
        units="" if clusters == labels else units,
        losses_by=by if certificate.losses_by else "",
        seen=_risk_text(certificate, lang),
        assumptions=_assumptions(certificate.assumptions, lang),
    )


def _risk_text(certificate: "Certificate", lang: str) -> str:
    if certificate.risk_seen is None:
        return ""
    key = "evidence.seen_all" if certificate.scope == "all" else "evidence.seen"
    return _text(key, lang, released=certificate.released, risk=certificate.risk_seen)


def _assumptions(assumptions: Sequence[str], lang: str) -> str:
    sentences = assumptions or (message("assume.same_population"),)
    return ("；" if lang == "zh" else "; and ").join(render(sentence, lang) for sentence in sentences)


def _advice(certificate: "Certificate", lang: str) -> str:
    if not certificate.advice:
        return ""
    return _text(
        "advice", lang, advice=SEPARATORS[lang].join(render(line, lang) for line in certificate.advice)
    )
