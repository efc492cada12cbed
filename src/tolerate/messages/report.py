"""The words of a report in English and Chinese, and what refinings and families of models are called."""

import re

from tolerate.messages.both import Both, both, join
from tolerate.messages.catalogue import fill_both
from tolerate.refine.texts.refining import SCORES


def say(key: str, /, **fields: object) -> Both:
    """The text of that key, filled in; a field may itself be in both languages.

    >>> say("map.job", tolerance="1%").en
    'this job: 1%'
    """
    return fill_both(WORDS[key], fields)


def say_of(kind: str, key: str, /, **fields: object) -> Both:
    """The text of that key as it reads for one kind of items, filled in."""
    return fill_both(texts_of(kind, key), fields)


def texts_of(kind: str, key: str) -> tuple[str, str]:
    """The texts of that key for one kind of items: its own, else those for items of any kind, else the general ones.

    Texts without a kind are those of pictures where the key has others for items of any kind.
    """
    keys = (key,) if kind == "pictures" else (f"{key}@{kind}", f"{key}@items", key)
    return next(WORDS[name] for name in keys if name in WORDS)


REFINES = {  # how a part of a refining's name reads, N standing for a number
    r"best-of-(\d+)": "refine.best",
    r"first-of-(\d+)-above-([\d.]+)": "refine.first",
    r"above-([\d.]+)": "refine.above",
    r"no-copies": "refine.fresh",
    r"vote-of-(\d+)": "refine.vote",
    r"rules": "refine.rules",
    r"repair": "refine.repair",
    r"masked": "refine.masked",
    **{f"by-{score}": f"refine.by-{score}" for score in SCORES},
}


def refine_name(name: str) -> Both:
    """The name of a refining in both languages; its parts are joined with "+", and "plain" needs no words.

    >>> refine_name("best-of-4+no-copies").en, refine_name("best-of-4").zh, refine_name("plain").en
    ('best of 4 + no near-copies', '4 选 1', '')
    """
    parts = [part for part in re.split(r"\s*\+\s*", name) if part != "plain"]
    return join([_refine_part(part) for part in parts], " + ", " + ")


def _refine_part(part: str) -> Both:
    for pattern, key in REFINES.items():
        if match := re.fullmatch(pattern, part):
            return say(key, **dict(zip(("n", "least"), match.groups(), strict=False)))
    return both(part.replace("-", " "))


def family_name(name: str) -> Both:
    """The name of a family of techniques in both languages; an unknown one keeps its name."""
    return say(f"family.{name}") if f"family.{name}" in WORDS else both(name)


WORDS: dict[str, tuple[str, str]] = {
    # the frame
    "skip": ("Skip to the tolerance map", "跳到容错图"),
    "language": ("Language", "语言"),
    "theme": ("Light or dark", "浅色或深色"),
    "contents": ("Contents", "目录"),
    "subtitle": (
        "What generated content may be released, at which tolerance, at what cost",
        "在不同容错率下，哪些生成内容可以放行，代价是多少",
    ),
    "made": (
        "Made {created} in {seconds} with tolerate {version}",
        "{created} 生成，用时 {seconds}，tolerate {version}",
    ),
    "numbers": ("The same in numbers", "对应的数字"),
    # at a glance
    "glance": ("At a glance", "一览"),
    "glance.promise": ("the promise", "承诺"),
    "glance.promise.figure": ("at most {tolerance} wrong", "出错不超过 {tolerance}"),
    "glance.promise.note": (
        "{confidence} sure, before anything was released",
        "把握 {confidence}，放行之前即已确定",
    ),
    "glance.released": ("released without a person", "无需人工即可放行"),
    "glance.released.note": ("by {strategy}", "策略：{strategy}"),
    "glance.released.nothing": (
        "nothing is proven yet: people look at everything",
        "尚无任何证明：全部由人工处理",
    ),
    "glance.seen": ("wrong among fresh ones", "新作品的实际出错率"),
    "glance.seen.note": ("{wrong} of {released} released", "放行 {released} 件，其中 {wrong} 件有错"),
    "glance.cost": ("per accepted item", "每件合格品的成本"),
    "glance.cost.note": ("{share} of what people alone would cost", "为全部人工处理成本的 {share}"),
    "glance.cost.plain": ("compute and people together", "计算与人工合计"),
    # the map
    "map": ("The tolerance map", "容错图"),
    "map.lead": (
        "How wrong may the work be? Each line is one way of doing the job: a technique with its refining. "
        "Lower is cheaper; further right is stricter. The marked points are the cheapest way at each "
        "tolerance.",
        "允许多少错误？每条线是一种策略：一种生成技术加上一种精修方式。越低越便宜，"
        "越靠右要求越严。标出的点是每个容错率下最便宜的策略。",
    ),
    "map.x": (
        "tolerance: largest share of released items that may be wrong",
        "容错率：放行内容中允许出错的最大比例",
    ),
    "map.x.short": ("tolerance", "容错率"),
    "map.stricter": ("stricter →", "更严格 →"),
    "map.y": ("cost of an accepted item ({unit})", "每件合格品的成本（{unit}）"),
    "map.y.bare": ("cost of an accepted item", "每件合格品的成本"),
    "map.job": ("this job: {tolerance}", "本任务：{tolerance}"),
    "map.people": ("people do it all", "全部由人工完成"),
    "map.hint": (
        "Point at a line to read it, or press Tab and walk through the lines with the arrow keys.",
        "将指针移到线上即可查看；也可按 Tab 键后用方向键逐条浏览。",
    ),
    "map.line": ("{name}. {points}", "{name}。{points}"),
    "map.line.point": ("at {tolerance}: {cost}, {coverage} released", "{tolerance}：{cost}，放行 {coverage}"),
    "map.line.nothing": ("at {tolerance}: nothing proven", "{tolerance}：未获证明"),
    "map.keys": (
        "Solid: at least a part is released. Dotted: nothing is proven, so people do it all.",
        "实线：至少放行一部分。虚线：未获证明，全部由人工处理。",
    ),
    "map.alt": (
        "Tolerance map: cost of an accepted item against tolerance, one line a strategy. The table below "
        "has the numbers.",
        "容错图：每件合格品的成本随容错率变化，每条线是一种策略。数字见下表。",
    ),
    "zone.auto": ("released automatically", "自动放行"),
    "zone.part": ("released in part, the rest to people", "部分放行，其余人工处理"),
    "zone.none": ("not provable with this much evidence", "现有证据不足以证明"),
    "zone.auto.short": ("automatic", "自动"),
    "zone.part.short": ("in part", "部分"),
    "zone.none.short": ("not provable", "无法证明"),
    "zones.span": ("from {high} to {low}", "{high} 至 {low}"),
    "zones.one": ("at {high}", "{high}"),
    "zones.auto": ("{span} machines may release it all", "{span}：机器可自动放行"),
    "zones.part": (
        "{span} they may release a part ({coverage}) and people do the rest",
        "{span}：可放行一部分（{coverage}），其余由人工处理",
    ),
    "zones.none": (
        "{span} this much evidence proves nothing and people do it all",
        "{span}：现有证据无法证明，全部由人工处理",
    ),
    "map.sentence": ("Read from the left: {zones}.", "从左往右看：{zones}。"),
    # tables of strategies
    "tolerance": ("tolerance", "容错率"),
    "cheapest": ("cheapest way", "最便宜的策略"),
    "released": ("released", "放行"),
    "threshold": ("score from", "分数下限"),
    "cost": ("cost", "成本"),
    "zone": ("zone", "区域"),
    "strategy": ("strategy", "策略"),
    "family": ("family", "类别"),
    "candidates": ("candidates", "候选数"),
    "labels": ("labels", "标注数"),
    "compute": ("compute, core-seconds", "计算量（核秒）"),
    "risk.plain": ("wrong, unselected", "未筛选时的出错率"),
    "best.at": ("released at {tolerance}", "{tolerance} 时放行"),
    "all.strategies": ("All {n} strategies", "全部 {n} 种策略"),
    "scope.all": ("every item", "全部"),
    "nobody": ("people", "人工"),
    # the certificate
    "certificate": ("The certificate", "证书"),
    "certificate.method": ("method", "方法"),
    "certificate.labels": ("labelled items", "已标注条目"),
    "certificate.clusters": ("independent units", "独立抽样单位"),
    "certificate.coverage": ("released", "覆盖率"),
    "certificate.threshold": ("released from a score of", "放行的最低分数"),
    "certificate.bound": ("proven risk, at most", "已证明的风险上限"),
    "certificate.seen": ("risk seen in the sample", "样本中的风险"),
    "certificate.by": ("losses given by", "判错者"),
    "certificate.data": ("data, SHA-256", "数据 SHA-256"),
    "certificate.tolerance": ("tolerance", "容错率"),
    "certificate.confidence": ("confidence", "置信度"),
    # the proof
    "proof": ("Proof: the promise against what happened", "验证：承诺与实际"),
    "proof.lead": (
        "After the thresholds were fixed, the generators made fresh items. The line is what was promised; each "
        "point is the share of wrong ones among those that would have been released, with its 95% binomial "
        "interval. Points on or below the line keep the promise.",
        "阈值确定之后，生成器重新生成了一批作品。斜线是承诺；每个点是其中被放行者的实际出错率，"
        "竖线为 95% 二项区间。点落在线上或线下，即为兑现承诺。",
    ),
    "proof.y": ("wrong among released", "放行内容的出错率"),
    "proof.line": ("promised: at most this", "承诺上限"),
    "proof.zero": ("none", "无"),
    "proof.alt": (
        "Share wrong among released fresh items against the promised tolerance. The table below has the "
        "numbers.",
        "新作品放行后的实际出错率与承诺容错率的对照。数字见下表。",
    ),
    "proof.requests": ("requests", "请求数"),
    "proof.released": ("released", "放行"),
    "proof.wrong": ("wrong", "出错"),
    "proof.risk": ("wrong, share", "出错率"),
    "proof.interval": ("95% interval", "95% 区间"),
    "proof.verdict": ("promise", "承诺"),
    "proof.kept": ("kept", "兑现"),
    "proof.chance": ("above, within chance", "略高，属偶然范围"),
    "proof.broken": ("broken", "未兑现"),
    "proof.idle": ("nothing released", "未放行"),
    "proof.all": ("All {n} promises that released anything were kept.", "有放行的 {n} 项承诺全部兑现。"),
    "proof.some": (
        "{kept} of {n} promises that released anything were kept on these items. Each promise alone "
        "holds with {confidence} "
        "confidence, so a few may fail by chance.",
        "有放行的 {n} 项承诺中，{kept} 项在这批新作品上兑现。每项承诺单独的置信度为 {confidence}，"
        "少数偶然落空是可能的。",
    ),
    "proof.none": (
        "Nothing was released at any tolerance, so there is nothing to prove.",
        "所有容错率下均未放行，故无可检验。",
    ),
    # sheets
    "sheets": ("Drawings", "作品"),
    "sheets.lead": (
        "Each with what was asked for, what the reader read, and the judge's score (higher is better).",
        "每幅注明：所求、判读结果、评分（越高越好）。",
    ),
    "sheet.released": ("Released", "已放行"),
    "sheet.held": ("Held for a person", "留待人工"),
    "sheet.wrong": ("Released and wrong", "放行但有错"),
    "sheet.copies": ("Near-copies of training pictures", "与训练图片近似的作品"),
    "sheet.released.note": ("Went out without a person looking.", "无需人工查看即放行。"),
    "sheet.held.note": ("Scored too low for the promise; a person decides.", "分数不足以承诺，由人工决定。"),
    "sheet.wrong.note": (
        "These are the mistakes that the tolerance allows. They are shown because a promise of few errors "
        "is not a promise of none.",
        "这些是容错率所允许的错误。展示它们，是因为承诺少出错并不等于不出错。",
    ),
    "sheet.copies.note": (
        "Left: drawn. Right: the nearest training picture.",
        "左：生成作品。右：最接近的训练图片。",
    ),
    "sheet.asked": ("asked {asked}", "求 {asked}"),
    "sheet.read": ("read {read}", "读 {read}"),
    "sheet.nothing": ("nothing", "无"),
    "sheet.score": ("score {score}", "评分 {score}"),
    "sheet.distance": ("distance {distance}", "距离 {distance}"),
    "sheet.tolerance": ("at {tolerance}", "容错率 {tolerance}"),
    "sheet.more": ("{n} more are left out to keep this page small.", "为控制页面大小，另有 {n} 幅未列出。"),
    "sheet.drawing": ("drawing", "生成作品"),
    "sheet.twin": ("nearest training picture", "最接近的训练图片"),
    # models
    "curves": ("Training", "训练"),
    "curves.lead": ("How each generator learned, step by step.", "各生成器的训练过程。"),
    "curve.steps": ("steps", "步"),
    "curve.alt": ("Training curve of {model}", "{model} 的训练曲线"),
    "metrics": ("Quality", "质量"),
    "metrics.lead": (
        "Before any refining. The best value of each column is marked. These figures rank generators; no "
        "promise rests on them.",
        "精修之前的数值。每列最佳值已标出。这些数字用于比较生成器，承诺并不依赖它们。",
    ),
    "model": ("model", "模型"),
    "metric.as_requested": ("as requested", "符合要求"),
    "metric.fid": ("FID", "FID"),
    "metric.kid": ("KID", "KID"),
    "metric.is": ("IS", "IS"),
    "metric.precision": ("precision", "精确率"),
    "metric.recall": ("recall", "召回率"),
    "metric.nelbo": ("−ELBO", "−ELBO"),
    "metric.copies": ("copies", "近似复制"),
    "metric.parameters": ("parameters", "参数量"),
    "metric.seconds": ("training, s", "训练（秒）"),
    "metric.draws_per_second": ("drawings/s", "每秒作品数"),
    "metric.lower": ("lower is better", "越低越好"),
    "metric.higher": ("higher is better", "越高越好"),
    "what.as_requested": (
        "Share of drawings that the reader reads as what was asked for, without refining.",
        "未经精修时，判读结果与要求一致的作品所占比例。",
    ),
    "what.fid": (
        "Distance between the clouds of drawn and of real pictures, seen through one feature network. "
        "Compare only within this table: another network gives other numbers.",
        "在同一特征网络下，生成图片与真实图片两团分布之间的距离。只能在本表内比较，换一个网络数值就不同。",
    ),
    "what.kid": (
        "A distance like FID that does not flatter or punish small samples.",
        "与 FID 类似的距离，样本量小时没有系统偏差。",
    ),
    "what.is": (
        "Inception Score: clear and varied drawings score high, up to the number of classes.",
        "Inception Score：清晰且多样则高，上限为类别数。",
    ),
    "what.precision": (
        "Share of drawings that look like some real picture.",
        "看起来像真实图片的作品所占比例。",
    ),
    "what.recall": (
        "Share of real pictures that the drawings come close to: low means little variety.",
        "真实图片中被作品覆盖的比例：低则缺乏多样性。",
    ),
    "what.nelbo": (
        "Negative evidence lower bound on unseen pictures, in nats; for VAEs only.",
        "未见图片上的负证据下界（单位 nat），仅适用于 VAE。",
    ),
    "what.copies": ("Drawings that nearly repeat a training picture.", "与某张训练图片几乎相同的作品数。"),
    "findings": ("What training noticed", "训练中的发现"),
    "findings.try": ("Try: {hint}", "建议：{hint}"),
    # data and reader
    "split": ("How the real pictures were split", "真实图片的划分"),
    "split.lead": (
        "{total} real pictures. None serves two purposes, so that no part can mark its own work.",
        "共 {total} 张真实图片。每张只有一个用途，任何部分都不会评判自己。",
    ),
    "split.lead.bare": (
        "No real picture serves two purposes, so that no part can mark its own work.",
        "每张真实图片只有一个用途，任何部分都不会评判自己。",
    ),
    "split.alt": ("The parts of the real pictures, by size", "真实图片各部分的大小"),
    "reader": ("Who says what is wrong", "由谁判错"),
    "reader.model": (
        "A reader model ({name}), trained on {n} real pictures that no generator saw, decides what a "
        "drawing shows.",
        "由读图器（{name}）决定作品画的是什么；它用 {n} 张任何生成器都没见过的真实图片训练。",
    ),
    "reader.person": (
        "A person ({name}) decided what each drawing shows.",
        "由人（{name}）判断每幅作品画的是什么。",
    ),
    "reader.error": (
        "On {tested} further real pictures it was wrong {wrong} times: {rate}, with 95% confidence between "
        "{low} and {high}.",
        "在另外 {tested} 张真实图片上错了 {wrong} 次：{rate}，95% 区间为 {low} 至 {high}。",
    ),
    "reader.rejected": (
        "{rejected} of them it would not call any class; a drawing that it does not recognise counts as "
        "wrong.",
        "其中 {rejected} 张它不肯归入任何类别；认不出的作品一律计为错误。",
    ),
    "reader.means": (
        "The promise is about what this reader calls wrong. Its own error was measured on real pictures "
        "and may "
        "differ on drawn ones; at tolerances below about {high} it may outweigh what is counted. "
        "There, let a person look (--review) before relying on the promise.",
        "承诺针对的是读图器所判的错误。它自身的误差在真实图片上测得，在生成作品上可能不同；容错率低于约 "
        "{high} 时，"
        "这一误差可能超过所计的错误。此时应先由人审查（--review），再依赖承诺。",
    ),
    "reader.means.person": (
        "The promise is about what this person calls wrong. Another may judge otherwise.",
        "承诺针对的是此人所判的错误，换一个人可能有不同判断。",
    ),
    "judge.line": (
        "The judge ({name}) only ranks; it learned from {n} other real pictures "
        "(AUROC of right against wrong: {auroc}).",
        "评分器（{name}）只用于排序，用另外 {n} 张真实图片训练（区分对错的 AUROC：{auroc}）。",
    ),
    "judge.means": (
        "No promise rests on its score being right: a good score only lets more be released.",
        "承诺不依赖评分正确：评分好，只会让放行更多。",
    ),
    "anomaly.line": (
        "The VAE's reconstruction error as an alarm for pictures that are not digits: AUROC {figures}.",
        "以 VAE 的重建误差识别异常图片：AUROC {figures}。",
    ),
    "anomaly.shuffled": ("{auroc} against shuffled pixels", "像素打乱 {auroc}"),
    "anomaly.foreign": ("{auroc} against foreign pictures", "外来图片 {auroc}"),
    # the small print
    "assumptions": ("What was assumed", "所作的假设"),
    "limits": ("What must not be concluded", "不可由此得出的结论"),
    "advice": ("What would help", "可以怎样改进"),
    "appendix": ("Appendix", "附录"),
    "appendix.command": ("Command", "命令"),
    "appendix.seed": ("Seed", "随机种子"),
    "appendix.versions": ("Versions", "版本"),
    "appendix.options": ("Options", "选项"),
    "appendix.prices": ("Prices", "价格"),
    "appendix.data": ("Data, SHA-256", "数据 SHA-256"),
    "appendix.certificate": ("Certificate (JSON)", "证书（JSON）"),
    "appendix.created": ("Made", "时间"),
    "appendix.version": ("tolerate", "tolerate"),
    "foot": ("This page stands alone: it asks nothing of any network.", "本页自成一体，不访问任何网络。"),
    # one certificate
    "alone": ("Certificate", "证书"),
    "alone.curve": ("Risk against coverage", "风险与覆盖率"),
    "alone.curve.lead": (
        "Items released from the highest score down: the mean loss seen among them. The horizontal line is "
        "the tolerance. "
        "The curve is what this sample shows; the proof needs room below the line, the more the fewer the "
        "labels.",
        "按分数从高到低放行时，已放行部分的平均损失。横线为容错率。曲线只是样本所见；要成为证明，"
        "须在线下留有余地，标注越少，余地越大。",
    ),
    "alone.curve.x": ("released, share of items", "覆盖率"),
    "alone.curve.y": ("mean loss among released", "放行部分的平均损失"),
    "alone.curve.alt": (
        "Mean loss of released items against the share released",
        "放行部分的平均损失随覆盖率的变化",
    ),
    "alone.slices": ("Slices", "切片"),
    "alone.slice": ("slice", "切片"),
    "alone.tolerance": ("tolerance {tolerance}", "容错率 {tolerance}"),
    # units, families and refining
    "family.vae": ("variational autoencoders", "变分自编码器"),
    "family.gan": ("adversarial networks", "生成对抗网络"),
    "family.flow": ("flow matching", "流匹配"),
    "family.diffusion": ("diffusion", "扩散模型"),
    "family.text": ("language models", "语言模型"),
    "refine.best": ("best of {n}", "{n} 选 1"),
    "refine.first": ("first of {n} that scores {least}", "{n} 个中首个达 {least} 分者"),
    "refine.above": ("only from {n}", "仅取 {n} 分以上"),
    "refine.fresh": ("no near-copies", "去近似复制"),
    # the terminal
    "term.title": ("Tolerance map", "容错图"),
    "term.way": ("cheapest way", "最便宜的策略"),
    "term.released": ("released", "放行"),
    "term.cost": ("cost", "成本"),
    "term.proof": ("on fresh items", "新作品实测"),
    "term.proof.cell": ("{risk} wrong", "错 {risk}"),
    "term.nothing": ("not provable: people", "无法证明：人工"),
    "closing.some": (
        "{title}: with {strategy}, {coverage} of requests may be released without a person, "
        "at most {tolerance} of them wrong ({confidence} sure); {rest}.",
        "{title}：用 {strategy}，{coverage} 的请求无需人工即可放行，"
        "其中出错不超过 {tolerance}（把握 {confidence}）；{rest}。",
    ),
    "closing.rest": ("the rest go to review", "其余转人工审查"),
    "closing.all": ("none need review", "无需审查"),
    "closing.nothing": (
        "{title}: nothing is proven at a tolerance of {tolerance} ({confidence} confidence), so nothing is "
        "released and people look at everything.",
        "{title}：容错率 {tolerance} 尚未获证明（置信度 {confidence}），因此一概不放行，全部由人工处理。",
    ),
    "closing.strictest": (
        "The strictest tolerance proven is {tolerance}.",
        "目前能证明的最严容错率为 {tolerance}。",
    ),
    "closing.report": ("Report: {path}", "报告：{path}"),
    # scores: which releases most, and whether one that claims to be a chance keeps its word
    "scores": ("Which score releases most", "哪种评分放行最多"),
    "scores.lead": (
        "Each cell is the share certified for release at {tolerance}. All strategies of the run share the error "
        "probability, so the best may be chosen after looking. A score only ranks; the check says what is wrong.",
        "每格为在 {tolerance} 下经证明可放行的比例。所有策略分担错误概率，因此可以看过之后再选。"
        "评分只用于排序，对错由检验判定。",
    ),
    "score.own": ("The job's own score.", "本任务自带的评分。"),
    "score.mean": ("The writer's mean probability of a token.", "写作模型每个词元概率的几何平均。"),
    "score.least": ("Its probability of the least likely token.", "其中最不可能的词元的概率。"),
    "score.exact": ("Share of the drafts that are the same text.", "文字完全相同的候选所占比例。"),
    "score.votes": ("Share of the drafts that say the same.", "意思相同的候选所占比例。"),
    "score.alike": (
        "How near the other drafts lie, by their embeddings.",
        "与其他候选在嵌入空间中的接近程度。",
    ),
    "score.round-trip": (
        "Share of the record that a second writer recovers from the text.",
        "由另一模型从文本还原出的资料所占比例。",
    ),
    "score.judge": (
        "How sure a judge is that the text fulfils the rubric.",
        "评判模型认为文本符合准则的把握。",
    ),
    "calibration": ("Does the score keep its word?", "评分可信吗？"),
    "calibration.lead": (
        "A score that claims to be the chance of being right, against the share that is right, in bins of equal "
        "size. On the line it keeps its word; below, it is too sure. No promise rests on it.",
        "评分自称是正确的概率；此处与实际正确率对照，各组数量相等。在线上即可信，在线下则过于自信。承诺并不依赖它。",
    ),
    "calibration.alt": ("Claimed chance against the share that is right.", "自称概率与实际正确率的对照。"),
    "calibration.x": ("claimed chance of being right", "自称的正确概率"),
    "calibration.y": ("right", "实际正确率"),
    "calibration.bin": (
        "{n} items: claimed {claimed}, right {right}",
        "{n} 项：自称 {claimed}，实际 {right}",
    ),
    "calibration.figures": ("error {error} (mean gap {plain})", "误差 {error}（平均差距 {plain}）"),
    "calibration.all": ("All scores that claim a chance", "所有自称概率的评分"),
    "calibration.items": ("items", "数量"),
    "calibration.claimed": ("claimed", "自称"),
    "calibration.right": ("right", "实际"),
    "calibration.error": ("error", "误差"),
    "calibration.plain": ("mean gap", "平均差距"),
    "calibration.note": (
        "Error: root of the squared gap of the bins, with the part that chance opens taken away (Kumar et al. 2019); "
        "the mean gap keeps that part and is too large where items are few. Bars: exact 95% intervals, each for "
        "its bin alone. A diamond is a bin whose interval leaves out what was claimed.",
        "误差：各组差距平方的均值开方，已扣除偶然造成的部分（Kumar 等 2019）；平均差距未扣除，样本少时偏大。"
        "竖线为各组单独的精确 95% 区间；菱形表示区间不含自称值。",
    ),
    "metric.repeated": ("repeated", "重复"),
    "what.repeated": (
        "Share of texts that nearly repeat another one made here (MinHash, 80% of runs of letters).",
        "与本次其他文本几乎相同者的比例（MinHash，八成字符片段相同）。",
    ),
    "metric.private": ("personal data", "个人信息"),
    "what.private": (
        "Share of texts with an address, number or account that looks personal.",
        "含有疑似个人地址、号码或账号的文本比例。",
    ),
    # items of any other kind, where the words for pictures do not fit
    "sheets@items": ("{nouns}", "{nouns}"),
    "sheets.lead@items": (
        "Each with what was asked for, what the check saw, and the judge's score (higher is better).",
        "每项注明：所求、检验结果、评分（越高越好）。",
    ),
    "sheet.copies@items": ("Nearest to a training example", "与训练样本最接近的作品"),
    "sheet.copies.note@items": (
        "Beside each the nearest training example.",
        "旁边是最接近的训练样本。",
    ),
    "sheet.asked@items": ("asked: {asked}", "要求：{asked}"),
    "sheet.read@items": ("check: {read}", "检验：{read}"),
    "sheet.drawing@items": ("item", "作品"),
    "sheet.twin@items": ("nearest training example", "最接近的训练样本"),
    "split@items": ("How the data was split", "数据的划分"),
    "split.lead@items": (
        "{total} examples. None serves two purposes, so that no part can mark its own work.",
        "共 {total} 个样本。每个只有一个用途，任何部分都不会评判自己。",
    ),
    "split.lead.bare@items": (
        "No example serves two purposes, so that no part can mark its own work.",
        "每个样本只有一个用途，任何部分都不会评判自己。",
    ),
    "split.alt@items": ("The parts of the data, by size", "数据各部分的大小"),
    "reader.model@items": ("Verdicts are given by {sentence}.", "判定方式：{sentence}。"),
    "reader.person@items": ("A person ({name}) gave the verdicts.", "由人（{name}）判定。"),
    "reader.error@items": (
        "On {tested} items whose verdict was known it was wrong {wrong} times: {rate}, with 95% confidence between "
        "{low} and {high}.",
        "在 {tested} 项已知对错的内容上判错 {wrong} 次：{rate}，95% 区间为 {low} 至 {high}。",
    ),
    "reader.means@items": (
        "The promise is about what this check calls wrong. Its own error was measured on items whose verdict was known "
        "and may differ on others; at tolerances below about {high} it may outweigh what is counted. There, let a "
        "person look (--review) before relying on the promise.",
        "承诺针对的是这一检验所判的错误。它自身的误差在已知对错的内容上测得，在别处可能不同；容错率低于约 {high} 时，"
        "这一误差可能超过所计的错误。此时应先由人审查（--review），再依赖承诺。",
    ),
    "judge.line@items": (
        "The judge ({name}) only ranks; it learned from {n} other real examples.",
        "评分器（{name}）只用于排序，用另外 {n} 个真实样本训练。",
    ),
    "what.as_requested@items": (
        "Share of items that the check finds right, without refining.",
        "未经精修时，检验判为正确的比例。",
    ),
    # texts, where those words do not fit
    "sheets@texts": ("Texts", "文本"),
    "sheets.lead@texts": (
        "Each with what was asked for, what the check saw, and the verifier's score (higher is better). Wrong parts "
        "are marked.",
        "每段注明：所求、检验结果、评分（越高越好）。错误之处已标出。",
    ),
    "sheet.copies@texts": ("Texts nearest to a training text", "与训练文本最接近的文本"),
    "sheet.copies.note@texts": (
        "The longest stretch shared with a training text is marked.",
        "与训练文本共有的最长片段已标出。",
    ),
    "sheet.asked@texts": ("asked: {asked}", "要求：{asked}"),
    "sheet.read@texts": ("check: {read}", "检验：{read}"),
    "sheet.drawing@texts": ("text", "文本"),
    "split@texts": ("How the data was split", "数据的划分"),
    "split.lead@texts": (
        "{total} records. None serves two purposes, so that no part can mark its own work.",
        "共 {total} 条记录。每条只有一个用途，任何部分都不会评判自己。",
    ),
    "split.lead.bare@texts": (
        "No record serves two purposes, so that no part can mark its own work.",
        "每条记录只有一个用途，任何部分都不会评判自己。",
    ),
    "reader.model@texts": ("Verdicts are given by {sentence}.", "判定方式：{sentence}。"),
    "reader.error@texts": (
        "On {tested} texts whose verdict was known it was wrong {wrong} times: {rate}, with 95% confidence between "
        "{low} and {high}.",
        "在 {tested} 段已知对错的文本上判错 {wrong} 次：{rate}，95% 区间为 {low} 至 {high}。",
    ),
    "reader.means@texts": (
        "The promise is about what this check calls wrong. Its own error was measured on texts with known faults and "
        "may differ on others; at tolerances below about {high} it may outweigh what is counted. There, let a person "
        "look (--review) before relying on the promise.",
        "承诺针对的是这一检验所判的错误。它自身的误差在已知有错的文本上测得，在别处可能不同；容错率低于约 {high} 时，"
        "这一误差可能超过所计的错误。此时应先由人审查（--review），再依赖承诺。",
    ),
    "judge.line@texts": (
        "The judge ({name}) only ranks; it learned from a writer's candidates for {n} requests of its own.",
        "评分器（{name}）只用于排序，用写作模型对另外 {n} 个请求的候选训练。",
    ),
    "what.as_requested@texts": (
        "Share of texts that the check finds right, without refining.",
        "未经精修时，检验判为正确的文本所占比例。",
    ),
    "metric.slot_errors": ("slot errors", "槽位错误率"),
    "what.slot_errors": (
        "Facts that are missing, wrong or invented, for each fact that was asked for.",
        "遗漏、错误或捏造的事实数，与所要求的事实数之比。",
    ),
    "metric.accuracy": ("accuracy", "准确率"),
    "what.accuracy": (
        "Share of questions in scope whose intent was found.",
        "范围内问题中意图判断正确的比例。",
    ),
    "metric.outside_answered": ("answered out of scope", "超范围被回答"),
    "what.outside_answered": (
        "Share of questions that no answer fits and that are answered all the same, before any threshold.",
        "没有合适答案却仍被回答的问题比例（未设阈值时）。",
    ),
    "metric.inside_handed_over": ("handed over in scope", "范围内被转人工"),
    "what.inside_handed_over": (
        "Share of questions in scope that the reader would not answer, before any threshold.",
        "范围内但模型不愿回答的问题比例（未设阈值时）。",
    ),
    "family.encoder": ("encoders", "编码器"),
    "family.ensemble": ("several together", "组合"),
    "metric.perplexity": ("perplexity", "困惑度"),
    "what.perplexity": (
        "How many tokens the writer hesitates between, on average, in unseen good texts given their prompts.",
        "在未见过的好文本上（给定提示），模型平均在多少个词元之间犹豫。",
    ),
    "metric.bits": ("bits/char", "比特/字"),
    "what.bits": (
        "Bits that the writer needs for a character of unseen good texts given their prompts.",
        "模型表示未见过的好文本（给定提示）中每个字符所需的比特数。",
    ),
    "metric.bits_kn": ("Kneser-Ney", "Kneser-Ney"),
    "what.bits_kn": (
        "The same by counting runs of seven characters, without the prompt: the baseline.",
        "同一数值，由七元字符计数得出（不看提示）：基线。",
    ),
    "metric.bleu": ("BLEU", "BLEU"),
    "what.bleu": ("Runs of up to four words shared with good texts.", "与参考文本共有的一至四词片段。"),
    "metric.chrf": ("chrF", "chrF"),
    "what.chrf": ("Runs of characters shared with good texts.", "与参考文本共有的字符片段。"),
    "metric.distinct": ("distinct-2", "distinct-2"),
    "what.distinct": (
        "Share of pairs of neighbouring words that are different ones: low where a writer repeats itself.",
        "相邻词对中互不相同者的比例：低则重复多。",
    ),
    "metric.longest_copy": ("longest copy", "最长照抄"),
    "what.longest_copy": (
        "Characters of the longest stretch that is also in a training text, on average.",
        "与训练文本共有的最长片段的平均字符数。",
    ),
    "metric.judge_auroc": ("judge AUROC", "评分 AUROC"),
    "what.judge_auroc": (
        "Chance that the judge scores a right one above a wrong one.",
        "评分器给正确者的分数高于错误者的概率。",
    ),
    "metric.texts_per_second": ("texts/s", "每秒文本数"),
    "refine.vote": ("vote of {n}", "{n} 个表决"),
    "refine.rules": ("rules", "规则过滤"),
    "refine.repair": ("repair", "修补"),
    "refine.masked": ("masked", "掩码"),
    "refine.by-mean": ("by mean probability", "按平均概率"),
    "refine.by-least": ("by least probability", "按最小概率"),
    "refine.by-exact": ("by same text", "按文字相同"),
    "refine.by-votes": ("by votes", "按票数"),
    "refine.by-alike": ("by likeness", "按相似度"),
    "refine.by-round-trip": ("by round trip", "按往返还原"),
    "refine.by-judge": ("by judge", "按评判模型"),
    "family.blend": ("counts and network", "计数与网络"),
    "family.transformer": ("Transformers", "Transformer"),
    "family.recurrent": ("recurrent networks", "循环网络"),
    "family.counts": ("counts of n-grams", "n 元计数"),
    "family.pretrained": ("pretrained models", "预训练模型"),
    "family.api": ("models behind an API", "API 模型"),
    "family.linear": ("linear models", "线性模型"),
    "family.encoder-decoder": ("encoder-decoders", "编码器-解码器"),
}
