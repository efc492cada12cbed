"""Texts of the page of the watch, in English and Chinese; those of the whole desk are in `desk.py`."""

from collections.abc import Mapping

from tolerate.records import Message

FIGURES = {  # key of an alarm's sentence -> the figures that its row holds
    "alarm.risk": ("labels", "seen", "since", "tolerance", "evidence"),
    "alarm.slice_risk": ("labels", "seen", "since", "tolerance", "evidence", "slice"),
    "alarm.degraded": ("gap", "items", "evidence"),
}


def alarm_sentence(alarm: Mapping[str, object]) -> str:
    """The sentence of an alarm; rows of older versions hold no key, but the figures that their sentences need.

    >>> alarm_sentence({"kind": "degraded", "why": "...", "items": 80, "gap": 0.3, "evidence": 25.0}).key
    'alarm.degraded'
    """
    text = alarm.get("why", "")
    if isinstance(text, Message):
        return text
    key = "alarm.slice_risk" if alarm.get("slice") else f"alarm.{alarm.get('kind')}"
    names = FIGURES.get(key, ())
    if not names or not all(isinstance(alarm.get(name), int | float | str) for name in names):
        return str(text)
    record = {"key": key, "params": {name: alarm[name] for name in names}}
    return Message.from_json(str(text), record)


WORDS: dict[str, tuple[str, str]] = {
    "VALID": ("VALID", "有效"),
    "DEGRADED": ("DEGRADED", "降级"),
    "VOID": ("VOID", "失效"),
    "WITHDRAWN": ("WITHDRAWN", "已撤销"),
    "REPLACED": ("REPLACED", "已被替换"),
    "NONE": ("NONE", "无证书"),
    "degraded holds": (
        "Held beside what the certificate holds: {bands}. At least {share} of the items go to review.",
        "除证书拦下的之外，另拦下：{bands}。至少 {share} 的条目送审。",
    ),
    "degraded meaning": (
        "It says that other items come, not that more of them are wrong. Look at what comes; then put another "
        "certificate in force, or say why this is fine.",
        "这说明到来的条目与认证时不同，并不说明错误更多。请查看新来的条目，然后投入另一张证书，或说明为何无妨。",
    ),
    "ease": ("Back to VALID", "恢复有效"),
    "ease slice": ("Release {slice} again", "重新放行 {slice}"),
    "ease why": ("Why this is fine", "为何无妨"),
    "slice held": ("The slice {slice} is held: {why}", "切片 {slice} 已被拦下：{why}"),
    "scores to": ("scores up to {high}", "分数 ≤ {high}"),
    "scores from": ("scores above {low}", "分数 > {low}"),
    "scores between": ("scores above {low} up to {high}", "分数在 {low}（不含）至 {high} 之间"),
    "scores missing": ("items without a score", "无分数的条目"),
    "scores none": ("nothing more", "无"),
    "what now": ("What now", "下一步"),
    "now mend": (
        "Find out what changed: the model, the questions, the prompt. Meanwhile everything is held.",
        "查明什么变了：模型、问题还是提示。在此期间全部拦下，无人收到。",
    ),
    "now mended": ("It is mended: count reviews from now", "已修复：从现在起计审查"),
    "mended at": ("since {when}", "自 {when} 起"),
    "since mended": ("the mending on", "修复之时"),
    "now review": (
        "People review what is drawn at random: {reviewed} of {drawn} since then. To prove {tolerance} it takes at "
        "least {needed} reviews, without an error among what would be released.",
        "人员审查随机抽取的条目：此后已审 {reviewed} / {drawn}。要证明 {tolerance}，至少需要 {needed} 条审查，"
        "且拟放行的条目无错误。",
    ),
    "now propose": (
        "Find the next certificate in these reviews, and put it in force.",
        "从这些审查中寻找下一张证书，并投入使用。",
    ),
    "find next": ("Find the next certificate", "寻找下一张证书"),
    "nothing proven": (
        "Nothing can be proven yet at this tolerance. Reviews go on; look again in a while, or at a larger tolerance.",
        "以现有审查尚无法在此容错率下证明任何结论。审查仍在继续，请稍后再看，或放宽容错率。",
    ),
    "as reviewed": ("Risk at most, as reviewed", "风险上界（按审查）"),
    "with missed": ("with what reviewers miss", "计入审查遗漏后"),
    "missed second": (
        "{again} items were read by a second person who did not know the first verdict; the first had missed a loss "
        "of {missed}. The second bound holds with {confidence} confidence if the second reading, adjudicated where the "
        "two differ, is the truth. What both miss is not counted.",
        "{again} 项由不知首次判定的第二人复审；首位审查者遗漏的损失合计 {missed}。若复审（有分歧时经裁决）即为事实，"
        "第二个上界以 {confidence} 的置信度成立。两人都遗漏的不计。",
    ),
    "missed seeded": (
        "Of {errors} seeded errors {found} were found. The second bound assumes that real ones are found as often.",
        "{errors} 个植入错误中发现了 {found} 个。第二个上界假定真实错误至少同样容易被发现。",
    ),
    "missed unknown": (
        "Nothing says what reviewers miss: set second = 0.2 (two reviewers), or import seeded errors.",
        "尚无法得知审查遗漏：请设置 second = 0.2（需两名审查者），或导入植入错误。",
    ),
    "slices watched": ("Slices of this job, each with a test of its own", "本任务的切片，各有独立检验"),
    "alarm odds": ("alarm at", "报警线"),
    "promised": ("of its own", "单独承诺"),
    "in the whole": ("only in the whole", "仅含于整体"),
    "not watched": ("from the next certificate on", "自下一张证书起"),
    "slice told": ("alarm", "已报警"),
    "slice is held": ("held", "已拦下"),
    "quiet": ("quiet", "正常"),
    "drift learning": ("learning: {items}", "学习中：{items}"),
    "drift off": ("off", "关闭"),
    "drift odds": ("{gap} apart, {odds} to 1", "差距 {gap}，{odds} 比 1"),
    "drift note": (
        "Largest gap between recent scores and the certified ones, 0 to 1, and the odds that they are others",
        "近期分数与认证时分布的最大差距（0 至 1），及其确已不同的赔率",
    ),
    "cost chart": ("Cost an item", "每项成本"),
    "age chart": ("Age of the oldest item that waits, in minutes", "最早等待条目的时长（分钟）"),
    "alarm risk": ("risk", "风险"),
    "alarm degraded": ("DEGRADED", "降级"),
    "alarm eased": ("state ended", "状态结束"),
    "alarm void": ("VOID", "失效"),
    "alarm withdrawn": ("withdrawn", "撤销"),
    "ask other": ("Ask other questions", "换一批问题"),
    "ask same": ("Ask the certified questions again", "恢复认证时的问题"),
    "other now": ("Other questions are asked now.", "现在的问题与认证时不同。"),
    "demo note": (
        "A small model trained here answers sums; simulated reviewers look at the random share. The first overlooks "
        "some errors, the second reads half of the items again.",
        "此处训练的小模型回答加法题；模拟审查者查看随机样本。首位会遗漏一些错误，第二位复审其中一半。",
    ),
}
