"""The sentences that certificates, audits, runs and the ledger store, by key, in English and Chinese.

Both languages have the same fields. Keys and names of fields are written into certificates and ledgers: new ones may
be added, none may be renamed.
"""

SENTENCES: dict[str, tuple[str, str]] = {
    "list": ("{parts}", "{parts}"),
    # what a certificate assumes
    "assume.same_population": (
        "the labelled items were drawn at random from what will be released from",
        "标注样本是从将要放行的同一总体中随机抽取的",
    ),
    "assume.rows": (
        "every row was drawn independently (no cluster was given: items that share a question, document or "
        "call are not independent)",
        "每一行都是独立抽取的（未给出分组：同一问题、文档或通话的条目不独立）",
    ),
    "assume.single_clusters": (
        "every item was drawn independently, as a cluster of its own",
        "每一项独立抽取，自成一组",
    ),
    "assume.clusters": (
        "clusters were drawn independently, each with all of its items",
        "各组独立抽取，且每组包含其全部条目",
    ),
    "assume.largest_cluster": (
        "no cluster to come is larger than {size:threshold}",
        "今后任何一组都不超过 {size:threshold} 项",
    ),
    "assume.weights": (
        "weights are 1 / the chance of having been labelled, and none to come is above {size:threshold}",
        "权重为被标注概率的倒数，且今后不超过 {size:threshold}",
    ),
    "assume.slices": (
        "the slices' own thresholds hold all at once with this confidence, apart from the whole's",
        "各切片自己的阈值以该置信度同时成立，与整体的阈值分开计算",
    ),
    "assume.shared": (
        "the confidence is shared by {count} certificates, which hold together",
        "该置信度由 {count} 份证书共用，它们同时成立",
    ),
    "assume.strategies": (
        "with this confidence, the promises of all strategies compared hold together",
        "在该置信度下，所比较的全部策略的承诺同时成立",
    ),
    "assume.losses": ("the losses are right as given", "所给的损失判定无误"),
    # what would be needed to prove more
    "advice.labels": (
        "about {labels:,} labels (now {now:,}) would probably prove a part of {share:percent}, if errors go on as seen",
        "若错误率与现有样本相同，约需 {labels:,} 个标注（现有 {now:,} 个）才可能证明其中 {share:percent} 可放行",
    ),
    "advice.hopeless": (
        "more labels with these scores will hardly help: even the best-scored items were wrong too often",
        "以目前的分数，增加标注恐怕无济于事：连得分最高的条目也错得过多",
    ),
    "advice.tolerance": (
        "these labels prove a tolerance of {tolerance:at_most} for {share:percent} of items",
        "现有标注可以证明：容错率为 {tolerance:at_most} 时可放行 {share:percent}",
    ),
    "advice.tolerances": (
        "with all tolerances raised in proportion, the lowest to {tolerance:at_most}, these labels prove "
        "{share:percent} of items",
        "若各容错率按比例放宽（最小者放宽至 {tolerance:at_most}），现有标注可证明放行 {share:percent}",
    ),
    "advice.slice": (
        "without the slice {slice}, {share:percent} of the other items could be released",
        "去掉切片“{slice}”后，其余条目中可放行 {share:percent}",
    ),
    # people who gave the losses
    "people.one": (
        "a person, who judged {items:,} items at the review desk",
        "由一人在审查台判定 {items:,} 项",
    ),
    "people.several": (
        "{people} people, who judged {items:,} items at the review desk, one each",
        "由 {people} 人在审查台分别判定共 {items:,} 项，每项一人",
    ),
    "people.each_item": (
        "{people} people an item, blind to one another, who judged {items:,} items at the review desk: on {apart:,} "
        "they differed, and a third look decided (Krippendorff's alpha {alpha:.2f})",
        "在审查台共判定 {items:,} 项，每项由 {people} 人互不知情地判定：其中 {apart:,} 项意见不一，由再次审看裁决"
        "（Krippendorff α 系数 {alpha:.2f}）",
    ),
    "people.unmeasured": ("their own error was not measured. {more}", "判定者自身的误差未经测量。{more}"),
    "people.check": (
        "The check {check} missed {missed} of the {wrong:,} that the person called wrong and refused {refused} of the "
        "{right:,} others.",
        "在人判为错误的 {wrong:,} 项中，检验（{check}）漏判 {missed} 项；在其余 {right:,} 项中误判 {refused} 项。",
    ),
    "people.check_corrected": (
        "{check} Its verdicts on {further:,} further items, corrected by the person's, put the risk of all at "
        "{risk:percent} ({low:at_least} to {high:at_most}, approximately 95%).",
        "{check}它对另外 {further:,} 项的判定经人的判定校正后，全部内容的风险约为 {risk:percent}"
        "（{low:at_least} 至 {high:at_most}，置信度约 95%）。",
    ),
    # audits
    "audit.order": (
        "items were labelled in the order drawn by seed {seed}, whatever they looked like",
        "条目按种子 {seed} 抽定的顺序标注，不因其内容而改变",
    ),
    "audit.mended": (
        "what was found wrong ({errors:,}) is mended or taken out before the batch goes out",
        "已发现的 {errors:,} 项错误在放行之前已改正或剔除",
    ),
    "audit.lowered": (
        "losses were corrected downwards after labelling (count: {count:,})",
        "有 {count:,} 个损失在标注之后被改小",
    ),
    "audit.waiting": (
        "{items:,} items still wait for a second person's verdict, and nothing is certified before",
        "还有 {items:,} 项等待第二人判定，在此之前不予认证",
    ),
    "audit.every_item": (
        "every item must be labelled: the batch is too small for so strict a promise from a sample",
        "必须逐项标注：批量太小，抽样无法证明如此严格的承诺",
    ),
    "audit.at_best": (
        "proven after {labels:,} more labels if none of them is wrong",
        "若再标注 {labels:,} 项且全部合格，即可获证",
    ),
    "audit.proven": ("proven", "已获证"),
    "audit.too_many": (
        "{wrong:,} wrong items were found, and only {allowed:,} of {items:,} may be wrong",
        "已发现 {wrong:,} 项错误，而 {items:,} 项中至多允许 {allowed:,} 项",
    ),
    "audit.again": (
        "a new audit would probably prove a tolerance of {tolerance:at_most}, or this one for a part if what a judge "
        "suspects is withheld",
        "重新抽检大概可以证明容错率 {tolerance:at_most}；若先扣下评分器存疑的条目，也可能以原容错率放行其余部分",
    ),
    "audit.gave_up": (
        "{wrong:,} of the first {labels:,} labels were wrong: a batch with {share:at_least} wrong would have been "
        "proven with probability {power:at_least}; this one looks worse",
        "前 {labels:,} 个标注中有 {wrong:,} 个错误：错误率为 {share:at_least} 的批次获证的概率本为 {power:at_least}，"
        "这一批看来更差",
    ),
    "audit.budget": (
        "{wrong:,} of the {labels:,} labels in the last part tried ({items:,} items) were wrong: {budget:,} labels do "
        "not prove it; allow more labels or a higher tolerance",
        "最后一部分（{items:,} 项）的 {labels:,} 个标注中有 {wrong:,} 个错误：{budget:,} 个标注不足以证明；"
        "请增加标注数或放宽容错率",
    ),
    "audit.lost": (
        "the losses found sum to {total:.6g}, and {allowed:.6g} is all that may be lost",
        "已发现的损失合计 {total:.6g}，而总共只允许 {allowed:.6g}",
    ),
    # a second person
    "second.agreement": (
        "a second person read {items:,} of the labelled items, drawn by lot, not knowing the first verdict: "
        "{same:,} verdicts agreed (kappa {kappa:.2f}), and the worse one counts",
        "第二人在不知首次判定的情况下复审了抽签选出的 {items:,} 项：{same:,} 项判定一致（kappa {kappa:.2f}），"
        "以较重的判定为准",
    ),
    "second.one_verdict": (
        "a second person read {items:,} of the labelled items, drawn by lot, not knowing the first verdict: "
        "{same:,} verdicts agreed (one verdict for all, so no kappa), and the worse one counts",
        "第二人在不知首次判定的情况下复审了抽签选出的 {items:,} 项：{same:,} 项判定一致"
        "（判定全部相同，无法计算 kappa），以较重的判定为准",
    ),
    "second.none": (
        "none of the labelled items has been read by a second person",
        "已标注的条目中尚无任何一项经第二人复审",
    ),
    "second.missed": (
        "of {fine:,} items that the first person called fine the second called {missed:,} wrong; as far as the "
        "second is right, the first misses at most {bound:at_most} of them (95% sure)",
        "首次判为合格的 {fine:,} 项中，第二人判 {missed:,} 项为错误；若以第二人为准，"
        "首次漏判的比例至多 {bound:at_most}（置信度 95%）",
    ),
    # checks, and their own error
    "check.by_rule": ("the check {check}, by rule", "按规则检验（{check}）"),
    "check.missed": (
        "of {faulty:,} texts with a fault put in it missed {missed}",
        "{faulty:,} 篇放入错误的文本中漏判 {missed} 篇",
    ),
    "check.refused": (
        "of {right:,} right ones it refused {refused}",
        "{right:,} 篇正确的文本中误判 {refused} 篇",
    ),
    "check.refused_unknown": (
        "how often it refuses right ones was not measured",
        "误判正确文本的比率未测",
    ),
    "check.unmeasured": ("its own error was not measured", "其自身误差未测"),
    "check.published": (
        "the labels published with {data}, given by people",
        "{data} 公布的人工标签",
    ),
    "check.people_unmeasured": ("their own error was not measured", "标注者自身的误差未测"),
    "check.column": (
        "people, in the table's column label; how answers are read: {error}",
        "由人标注（表中的 label 列）；答案的读法：{error}",
    ),
    "check.judge_chooses": (
        "the judge {model}, which only chooses; a person judges what is certified",
        "评判模型 {model} 只用于挑选；被认证的内容由人判定",
    ),
    "check.rule_chooses": (
        "the rule of numbers and names, which only chooses; a person judges what is certified",
        "数字与名称的规则只用于挑选；被认证的内容由人判定",
    ),
    "check.taught": (
        "the {check}, taught on {pictures:,} real pictures. {error}",
        "检验（{check}）用 {pictures:,} 张真实图片训练。{error}",
    ),
    "check.pictures": (
        "Of {pictures:,} further real pictures it misread {misread} and could not read {none}: {rate:percent} wrong "
        "(95% interval {low:at_least} to {high:at_most}).",
        "在另外 {pictures:,} 张真实图片上，它读错 {misread} 张，读不出 {none} 张：错误率 {rate:percent}"
        "（95% 区间 {low:at_least} 至 {high:at_most}）。",
    ),
    # what a check saw of an item
    "read.none": ("none", "都不是"),
    "read.little_ink": ("too little ink", "墨迹过少"),
    "read.much_ink": ("too much ink", "墨迹过多"),
    "read.usual_ink": ("ink as usual", "墨迹正常"),
    "read.as_record": ("as the record", "与资料一致"),
    "read.as_labelled": ("as labelled", "与标签一致"),
    "read.in_form": ("in form", "合乎格式"),
    "read.label": ("label: {label}", "标签：{label}"),
    "read.lacks": ("lacks {fact}", "缺少 {fact}"),
    "read.invents": ("invents {fact}", "资料中没有 {fact}"),
    "read.states": ("states {fact}", "写有 {fact}，与资料不符"),
    "read.twice": ("says a finding twice", "同一指标写了两次"),
    "read.sentence": ('says "{sentence}"', "另写有“{sentence}”"),
    "read.no_word": ('"{word}" is no word', "“{word}”不是词"),
    "read.says": ("says {fact}", "写成 {fact}"),
    "read.neighbour": ("names a neighbour that is not in the record", "提到资料中没有的邻居"),
    "read.no_impression": ("impression missing, record: {record}", "缺少结论，资料为 {record}"),
    "read.impression": (
        "impression {impression}, record: {record}",
        "结论写成 {impression}，资料为 {record}",
    ),
    "read.both": ("{first} and {second}", "{first} 与 {second}"),
    "read.not_four_lines": ("not four lines of {length}", "不是每句 {length} 字的四句"),
    "read.no_rhyme": ("{first} and {second} do not rhyme", "{first} 与 {second} 不押韵"),
    "read.line_twice": ("a line comes twice", "有一句重复"),
    "read.line_learned": ("line {line} was learned", "第 {line} 句是学过的原句"),
    "read.not_english": ("no English: {words}", "不是英语：{words}"),
    "read.learned": ('learned by heart: "{text}"', "照搬学过的原文：“{text}”"),
    "read.english": ("English, and not copied", "是英语，且非照搬"),
    "read.nothing": ("says nothing", "没有内容"),
    "read.several_lines": ("more than a line", "不止一句台词"),
    "read.speaker": ("a speaker's name, no line", "是说话人的名字，不是台词"),
    "read.not_in_text": ("not in the text: {names}", "原文中没有：{names}"),
    "read.too_long": ("over {words} words", "超过 {words} 个词"),
    "read.nothing_strange": ("nothing strange", "未见异常"),
    "read.no_label": ("no single label", "没有唯一的标签"),
    "read.label_by_people": ("{label}, by people {key}", "{label}，人工标签为 {key}"),
    "read.judge": ("judge: {reason}", "评判模型：{reason}"),
    "read.no_verdict": ("the judge gave no verdict: {reason}", "评判模型未给出判定：{reason}"),
    "read.no_number": ("no single number", "没有唯一的数"),
    "read.key": ("{answer}, key {key}", "{answer}，答案为 {key}"),
    # why the service held an answer
    "held.no_certificate": ("no certificate stands", "当前没有有效证书"),
    "held.certificate_ended": ("the certificate no longer stands", "证书已不再有效"),
    "held.below_threshold": ("below the threshold", "分数低于阈值"),
    "held.system_prompt": ("the system prompt is not the certified one", "系统提示与认证时不同"),
    "held.tier_failed": (
        "{tier} failed: the next certificate speaks only of what that tier judged and passed on",
        "{tier} 失败：下一张证书只涉及该层级判定后转来的内容",
    ),
    "held.policy": ("policy: {pattern}", "按规定须由人审查：{pattern}"),
    "held.slice": ("its slice is held", "所属切片已被拦下"),
    "held.degraded": (
        "degraded: such scores come more often than certified",
        "降级：此类分数比认证时更频繁",
    ),
    "held.ended_state": ("it was held by a state that ended meanwhile", "拦下它的状态其间已结束"),
    # why a promise of the service changed
    "alarm.risk": (
        "withdrawn at label {labels:,}: mean loss {seen:percent} since label {since:,}, promised at most "
        "{tolerance:at_most} (evidence {evidence:,.0f} to 1)",
        "第 {labels:,} 次审查时撤销：自第 {since:,} 次起平均损失 {seen:percent}，承诺不超过 {tolerance:at_most}"
        "（反对证据 {evidence:,.0f} 比 1）",
    ),
    "alarm.slice_risk": (
        "withdrawn at label {labels:,} in {slice}: mean loss {seen:percent} since label {since:,}, promised at most "
        "{tolerance:at_most} (evidence {evidence:,.0f} to 1)",
        "第 {labels:,} 次审查时切片 {slice} 报警：自第 {since:,} 次起平均损失 {seen:percent}，承诺不超过 "
        "{tolerance:at_most}（反对证据 {evidence:,.0f} 比 1）",
    ),
    "alarm.not_promised": (
        "the certificate does not promise this slice by itself",
        "证书并未单独承诺该切片",
    ),
    "alarm.degraded": (
        "scores no longer look like the certified ones: the distributions differ by {gap:percent} after {items:,} "
        "scores (evidence {evidence:,.0f} to 1)",
        "分数与认证时不同：{items:,} 个分数之后，分布相差 {gap:percent}（证据 {evidence:,.0f} 比 1）",
    ),
    "void.other": (
        "another {parts} than the certificate holds for",
        "与证书绑定的不同：{parts}",
    ),
    "void.model": (
        'the model answers as "{served}", the certificate holds for "{bound}"',
        "模型自称“{served}”，而证书只适用于“{bound}”",
    ),
    "withdrawn.replaced": ("another certificate took its place", "已由另一张证书取代"),
    "withdrawn.no_reason": ("no reason given", "未说明原因"),
}
