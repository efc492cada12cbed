"""Texts of the career pages and of their terminal output, in English and Chinese."""

import math

from tolerate.messages.both import Both, both
from tolerate.messages.careers_advice import ADVICE
from tolerate.messages.careers_questions import QUESTIONS
from tolerate.messages.catalogue import fill_both
from tolerate.messages.numbers import is_number

MAX_LABELS = 1e7  # beyond it nobody would label, so no number is named


def say(key: str, /, **fields: object) -> Both:
    """The text of that key, filled in; a field may itself be in both languages.

    >>> say("labels", n="149").en
    'about 149 labels'
    """
    return fill_both(WORDS[key], fields)


def label_count(value: float) -> Both:
    """A number of labels, rounded up so that nobody is promised too little."""
    if not is_number(value) or value > MAX_LABELS:
        return say("no number")
    if value < 100:
        return both(f"{math.ceil(value)}")
    step = 10 ** (math.floor(math.log10(value)) - 1)
    return both(f"{math.ceil(value / step - 1e-9) * step:,.0f}")


WORDS: dict[str, tuple[str, str]] = {
    # the frame
    "title": ("Work and its tolerance: {name}", "工作与容错率：{name}"),
    "subtitle": (
        "What of this work may be released, what needs a "
        "look, what stays with a person; and where that leads",
        "这份工作中哪些可以放行、哪些需要审核、哪些仍由人完成，以及由此通向何处",
    ),
    "closing": (
        "Of {tasks} tasks, {released} may be released, {reviewed} reviewed, {human} stay with a "
        "person, and {undecided} are undecided because too little was measured.",
        "{tasks} 项任务中：{released} 项可放行，{reviewed} 项审核后放"
        "行，{human} 项由人完成，{undecided} 项未定，因为尚无足够的测量。",
    ),
    "contents": ("Contents", "目录"),
    "made": (
        "Made {created} with tolerate {version}; nothing left this machine",
        "{created} 由 tolerate {version} 生成；数据未离开本机",
    ),
    # at a glance
    "glance.strict": ("strictness of the occupation", "职业的严格程度"),
    "glance.strict.note": (
        "0 tolerant to 1 strict; stricter than {share} of {n} occupations{source}",
        "0 为宽松，1 为严格；比 {n} 个职业中的 {share} 更严格{source}",
    ),
    "glance.severity": ("consequence of error", "出错后果"),
    "glance.severity.note": ("of 5; exactness {exact} of 5", "满分 5；精确性 {exact}（满分 5）"),
    "glance.etr": ("typical required ETR for release", "放行所需的典型容错率"),
    "glance.etr.note": ("middle task; from {low} to {high}", "中位任务；{low} 至 {high}"),
    "glance.pay": ("median pay a year, US", "年薪中位数（美国）"),
    "glance.pay.note": (
        "{low} to {high}; {openings} openings a year",
        "{low} 至 {high}；每年空缺 {openings} 个",
    ),
    "estimated": ("estimated", "估计"),
    "estimated.of": (", estimated", "，为估计值"),
    # tasks
    "tasks": ("Tasks on the tolerance line", "容错线上的任务"),
    "tasks.lead": (
        "How wrong may the machine's work be before releasing it costs "
        "more than looking at it? Each line is one task: the dot is "
        "the required ETR for release, the bar its interval from severity,"
        " the ring the required ETR for review, the cross the error "
        "that was measured, with its 95% interval. Further right is stricter.",
        "机器的错误率多高时，直接放行会比审核更贵？每行一项任务：圆点为放行所需容错率，横条为由严重度带来的区间，"
        "圆环为审核所需容错率，叉号为实测错误率及其 95% 区间。越靠右越严格。",
    ),
    "tasks.same": (
        "No task has a severity of its own, so all share the occupation's interval. Severities "
        "within an occupation differ by half a point and more, and no public figure says how. Rate "
        "how serious an uncaught error of each task would be (1 to 5) to tell them apart.",
        "尚未说明各项任务的情况，因此它们共用职业的区间：同一职业内各任务的严重度相差可达半分以上，"
        "而没有公开数据能区分。请说明每项任务未被发现的错误有多严重（1 至 5），各点便会分开。",
    ),
    "task": ("task", "任务"),
    "kind": ("kind", "类型"),
    "choice": ("today", "目前"),
    "etr.release": ("ETR for release", "放行所需容错率"),
    "etr.review": ("ETR for review", "审核所需容错率"),
    "measured": ("measured error", "实测错误率"),
    "changes": ("what would change it", "怎样才能改变"),
    "technique": ("technique that fits", "适用的技术"),
    "released": ("released", "放行"),
    "reviewed": ("reviewed", "审核"),
    "human": ("human", "由人完成"),
    "undecided": ("undecided", "未定"),
    "part": ("released ({share} of items)", "放行（{share} 的内容）"),
    "axis": ("error of the machine, stricter to the right", "机器的错误率，越靠右越严格"),
    "axis.short": ("error of the machine", "机器的错误率"),
    "stricter": ("stricter →", "更严格 →"),
    "key.dot": ("required ETR for release", "放行所需容错率"),
    "key.ring": ("required ETR for review", "审核所需容错率"),
    "key.cross": ("measured error, 95% interval", "实测错误率，95% 区间"),
    "key.bar": ("interval from severity (90%)", "由严重度带来的区间（90%）"),
    "picture.tasks": (
        "Tasks on the tolerance line, from tolerant to strict; the table below has the numbers.",
        "任务在容错线上从宽松到严格的位置；数字见下表。",
    ),
    "severity": ("severity {value} of 5", "严重度 {value}（满分 5）"),
    "gate.licensed": ("a licensed act", "需持证"),
    "gate.irreversible": ("cannot be undone", "不可逆"),
    "gate.physical": ("physical", "体力或现场"),
    "gate.personal": ("strongly interpersonal", "高度人际"),
    "gates": ("review at most: {gates}", "至多审核：{gates}"),
    "gates.guessed": (
        "review at most, as the task's words suggest: {gates}; confirm or deny it in me.toml",
        "按文字推测至多审核：{gates}；可在 me.toml 中确认或否认",
    ),
    "labels": ("about {n} labels", "约 {n} 个标注"),
    "no number": (
        "more than 10 million",
        "超过一千万",
    ),
    "change.measure": (
        "the machine's error has not been measured: {clean} random items without an error would "
        "prove {etr}; {likely} if half the tolerance is wrong",
        "尚未测量机器在此处的错误率：随机标注 {clean} 项且无一出错，即可证明 {etr}；"
        "若实际错误率为其一半，需 {likely} 项",
    ),
    "change.more": (
        "at the observed error rate, {likely} labels in all would prove {etr}",
        "若错误率保持现状，共需 {likely} 个标注即可证明 {etr}",
    ),
    "change.worse": (
        "more labels will not help: the observed error ({seen}) is above {etr}; a better "
        "technique, refining or review would",
        "增加标注无济于事：所见错误率（{seen}）高于 {etr}；需更好的技术、精修或审核",
    ),
    "change.never": (
        "cannot be certified by sampling: {etr} would take {clean} labels without one error",
        "无法通过抽样认证：证明 {etr} 需要 {clean} 个无一出错的标注",
    ),
    "change.detect": (
        "review is allowed if the reviewer detects {need} of the errors; catching all of {seeded} "
        "seeded errors would prove it",
        "审核者发现 {need} 以上的错误即可；埋设 {seeded} 个错误并全部被发现便能证明",
    ),
    "change.nodetect": (
        "at this error rate no reviewer would be good enough",
        "在此错误率下，没有足够好的审核者",
    ),
    "change.kept": (
        "within tolerance on the measured items; keep monitoring it",
        "按现有测量在容错率之内；请持续监视",
    ),
    "settled": ("settled", "已确定"),
    "costs": (
        "hours a piece: released {released}, reviewed {reviewed}, human {human}",
        "每件耗时（小时）：放行 {released}，审核 {reviewed}，由人 {human}",
    ),
    "chances": (
        "posterior: released {released}, reviewed {reviewed}, human {human}",
        "后验概率：放行 {released}，审核 {reviewed}，由人 {human}",
    ),
    "technique.measured": (
        "measured on this machine ({job}, {date}): {strategy}, proven at {tolerance}, releases {coverage}",
        "本机实测（{job}，{date}）：{strategy}，在 {tolerance} 处获证，放行 {coverage}",
    ),
    "technique.measured.caveat": (
        "of another job of the same kind: a hint, no evidence for this task",
        "来自同类的另一任务：仅供参考，不是本任务的证据",
    ),
    # the map of occupations
    "map": ("Occupations by their tolerance", "各职业的容错图"),
    "map.lead": (
        "Consequence of error across, importance of being exact "
        "upwards: strict work is at the top right, tolerant work at the "
        "bottom left. Hollow points are estimated. An occupation's place says little about one of its tasks.",
        "横轴为出错后果，纵轴为精确的重要性：右上为严格的工作，"
        "左下为宽松的工作。空心点为估计值。职业的位置几乎不能说明其中某一项任务。",
    ),
    "map.x": ("consequence of error, 1 to 5", "出错后果，1 至 5"),
    "map.y": ("importance of being exact, 1 to 5", "精确的重要性，1 至 5"),
    "map.alt": ("Map of occupations: consequence of error against exactness.", "职业图：出错后果与精确性。"),
    "map.here": ("this occupation", "本职业"),
    "map.related": ("possible moves", "可能的转向"),
    "map.others": ("other occupations", "其他职业"),
    # moves
    "moves": ("Moves", "可能的转向"),
    "moves.lead": (
        "{n} of {looked} related occupations pass the filters; no other one is better than these "
        "{shown} in every criterion. There is no total score: how to weigh the criteria is up to "
        "you. Moves that others made may not suit you.",
        "{looked} 个相关职业中有 {n} 个通过筛选；下列 {shown} 个没有在各方面"
        "都被另一个超过。不给总分，取舍由您。别人做过的转换，未必适合您。",
    ),
    "moves.none": (
        "No move passes all wishes at once. Nearest: {near}.",
        "没有任何职业同时满足全部愿望。最接近的：{near}。",
    ),
    "moves.none.one": ("{name} (fails: {fails})", "{name}（不满足：{fails}）"),
    "moves.excluded": ("{wish}: {n}", "{wish}:{n}"),
    "moves.kept": (
        "excluded by each wish alone: {kept}",
        "各项愿望单独排除的数量：{kept}",
    ),
    "moves.move": (
        "every filter can be changed in me.toml under [wishes]",
        "每个筛选条件都可在 me.toml 的 [wishes] 中调整",
    ),
    "occupation": ("occupation", "职业"),
    "feasible": ("feasibility", "可行度"),
    "pay": ("pay", "薪酬"),
    "openings": ("openings a year", "每年空缺"),
    "growth": ("growth", "增长"),
    "prep": ("preparation", "准备程度"),
    "durable": ("still needs a person", "仍需人的比例"),
    "durable.note": (
        "share of tasks if machines err in 1 of 5, 50, 1,000",
        "若机器每 5、50、1000 次出错一次",
    ),
    "robust": ("stays in the set", "留在集合中"),
    "strictness": ("strictness", "严格程度"),
    "reason.related": (
        "{share} of the required skill levels are met; largest gaps: {gaps}",
        "已具备所需水平的 {share}；最大差距：{gaps}",
    ),
    "reason.nogap": (
        "all required skill levels are met",
        "所需水平均已具备",
    ),
    "gap": ("{name} {have} to {need}", "{name} {have} → {need}"),
    "reason.pay": ("pays {ratio} times today's median", "薪酬为目前中位数的 {ratio} 倍"),
    "reason.nopay": ("pay is not in the table", "表中没有薪酬"),
    "reason.licence": ("often needs a licence: check where you live", "常需执照：请查当地规定"),
    "reason.strict": (
        "stricter work ({from_} to {to}): errors cost more, a person is needed longer",
        "更严格（{from_} → {to}）：错误代价更高，更久需要人",
    ),
    "reason.tolerant": (
        "more tolerant work ({from_} to {to}): machines may do more of it with you",
        "更宽松（{from_} → {to}）：更多工作可与机器合作完成",
    ),
    "reason.severity": ("severity is estimated", "严重度为估计值"),
    "step.up": ("{n} step(s) up", "高 {n} 级"),
    "step.down": ("{n} step(s) down", "低 {n} 级"),
    "step.same": ("the same", "相同"),
    # path
    "path": ("Learning path", "学习路径"),
    "path.lead": (
        "The fewest hours that reach what your tasks need, ordered so that most of them are "
        "unlocked early: {hours} hours, {weeks} weeks at {week} a week. The hours are our "
        "estimates for a beginner.",
        "以最少的时间达到任务所需，并先学能最早解锁最多任务的内容：共 {hours} 小时，每周 "
        "{week} 小时约 {weeks} 周。时数按初学者估计，为我们的判断。",
    ),
    "path.done": (
        "There is nothing to learn: all skills that are needed are known.",
        "无须再学：所需均已掌握。",
    ),
    "path.skipped": ("Skipped, as known: {names}.", "已掌握，略过：{names}。"),
    "path.unlocks": ("unlocks {share} of the work: {name}", "解锁 {share} 的工作：{name}"),
    "path.read": ("read", "阅读"),
    "path.for": ("needed for {names}", "为“{names}”所需"),
    "path.target": ("a target you named", "您指定的目标"),
    "picture.path": (
        "Hours of learning against the share of the work unlocked.",
        "学习时间与已解锁工作比例。",
    ),
    "path.axis": ("hours of learning", "学习时间（小时）"),
    "path.axis.y": ("share of the work unlocked", "已解锁的工作比例"),
    # techniques
    "techniques": ("Techniques", "技术"),
    "techniques.none": (
        "No run of tolerate was found in {folder}, so this is the rule of thumb alone.",
        "在 {folder} 中没有找到 tolerate 的运行结果，因此只有经验法则。",
    ),
    "techniques.some": ("{n} runs found in {folder}.", "在 {folder} 中找到 {n} 次运行。"),
    "rule": ("rule of thumb", "经验法则"),
    # what it does not say
    "limits": ("What this does not say", "本报告不说明什么"),
    "limit.1": (
        "Consequence of error is severity given a mistake that is not corrected. It is no error rate.",
        "“出错后果”指错误未被纠正时的严重程度，不是错误率。",
    ),
    "limit.2": (
        "Exposure, usage and benchmark figures measure no error, and none was used as one.",
        "暴露度、使用率与基准成绩都不是错误率，本报告从未将其当作错误率。",
    ),
    "limit.3": (
        "No share of a job is called automatable, no date is given "
        "at which it ends, and no score ranks people or careers.",
        "不说某职业有多少“可自动化”，不预言消失日期，也不为人或职业打总分。",
    ),
    "limit.4": (
        "Figures are of the United States; elsewhere they may not hold.",
        "数据来自美国，在其他地方未必成立。",
    ),
    "limit.5": ("No legal or licensing clearance is given.", "不构成法律或执照方面的许可。"),
    "limit.6": (
        "Durability is arithmetic of three scenarios, no forecast.",
        "“仍需人的比例”是三种情景下的算术，不是预测。",
    ),
    "limit.7": (
        "Slow, diffuse harm, such as in teaching, is invisible to the severity figure.",
        "缓慢而分散的危害（如教学中）在严重度数据中看不到。",
    ),
    # appendix
    "appendix": ("Appendix: every input", "附录：全部输入"),
    "appendix.sources": ("Sources", "来源"),
    "appendix.assumed": (
        "Assumed (not answered)",
        "未作说明、按默认假定",
    ),
    "appendix.given": ("Given", "已提供"),
    "appendix.notes": ("Notes on the data", "数据说明"),
    "appendix.formula": ("Formulas", "公式"),
    "appendix.formula.1": (
        "released p·H; reviewed r·T + p(1−d)H + p·d·f·T; human T + ph·H (hours a piece)",
        "放行 p·H;审核 r·T + p(1−d)H + p·d·f·T;由人 T + ph·H(每件小时)",
    ),
    "appendix.formula.2": (
        "H = h0·b^(severity − 1), with {h0} h and b = {b}: a slip costs {slip} h, the worst error {worst} h",
        "H = h0·b^（严重度 − 1），其中 h0 = {h0} 小时，b = {b}：一般差错 {slip} 小时，最坏错误 {worst} 小时",
    ),
    "appendix.formula.3": (
        "ETR for release: the largest p at which releasing is no dearer "
        "than review or doing it by hand; from severity 3 on never "
        "above a person's own error; never above 50%",
        "放行所需容错率：直接放行不比审核或亲手做更贵的最大 p；"
        "严重度达到 3 时不高于人的错误率；任何情况下不高于 50%",
    ),
    "appendix.formula.4": (
        "A task is released only if upper bounds hold: error and severity "
        "each at {half}, so that both fail together in at most {rest}",
        "只有上界成立才放行：错误率与严重度各取 {half}，合计失误概率至多 {rest}",
    ),
    "source": ("source", "来源"),
    "licence": ("licence", "许可"),
    "date": ("date", "日期"),
    "value": ("value", "取值"),
    "in.slip": ("hours that a typical slip costs", "一般差错的代价（小时）"),
    "in.worst": ("hours that the worst uncaught error costs", "最坏的未发现错误的代价（小时）"),
    "in.review": (
        "share of the hours that a review takes (r)",
        "审核用时占比（r）",
    ),
    "in.rework": (
        "share of the hours that rework takes (f)",
        "返工用时占比（f）",
    ),
    "in.human_error": ("a person's own error (ph)", "人的错误率（ph）"),
    "in.between": ("spread of tasks within an occupation", "同一职业内任务的离散"),
    "in.answer": ("spread of one answer", "单个回答的离散"),
    "in.confidence": ("confidence", "置信度"),
    "in.hours": ("hours by hand, each task", "每项任务亲手做的小时数"),
    # terminal
    "t.report": ("report: {path}", "报告：{path}"),
    "t.sources": ("figures: {sources}", "数据：{sources}"),
    "t.closer": ("also: {names}", "另有：{names}"),
    **ADVICE,
    **QUESTIONS,
}
