"""Texts of the career advice in English and Chinese: kinds of content, techniques, filters, learning goals."""

ADVICE: dict[str, tuple[str, str]] = {
    # kinds of content
    "kind.translation": ("translation", "翻译"),
    "kind.code": ("code", "代码"),
    "kind.3d": ("3D and animation", "三维与动画"),
    "kind.video": ("video", "视频"),
    "kind.music": ("music", "音乐"),
    "kind.audio": ("speech and sound", "语音与声音"),
    "kind.image": ("pictures", "图像"),
    "kind.design": ("design", "设计"),
    "kind.teaching": ("teaching", "教学"),
    "kind.dialogue": ("conversation", "对话"),
    "kind.data": ("data and figures", "数据与数字"),
    "kind.search": ("facts from sources", "有据可查的事实"),
    "kind.text": ("text", "文字"),
    # bands of the required ETR
    "band.tolerant": ("tolerant (10% and more)", "宽松（10% 及以上）"),
    "band.middle": ("middle (1% to 10%)", "中等（1% 至 10%）"),
    "band.strict": ("strict (0.1% to 1%)", "严格（0.1% 至 1%）"),
    "band.extreme": ("extreme (below 0.1%)", "极严（0.1% 以下）"),
    # goals of the learning path
    "goal.tolerant": ("{kind} at 10% or more tolerance", "10% 及以上容错率下的{kind}"),
    "goal.middle": ("{kind} at 1% to 10% tolerance", "1% 至 10%容错率下的{kind}"),
    "goal.strict": ("{kind} at below 1% tolerance", "1% 以下容错率下的{kind}"),
    # techniques: a rule of thumb for each family of content and band
    "thumb.picture.tolerant": (
        "a GAN, VAE or flow as it is; pick by cost",
        "GAN、VAE 或流模型直接生成；按成本选择",
    ),
    "thumb.picture.middle": (
        "a flow or diffusion model, best of several by a judge, released above a certified score",
        "流模型或扩散模型，多候选由评分器择优，高于认证分数才放行",
    ),
    "thumb.picture.strict": (
        "several candidates, a certified score, and every held one reviewed; expect to hold much",
        "多候选、认证分数，其余逐件人工审核；会扣下较多",
    ),
    "thumb.picture.extreme": (
        "generated drafts only; a person finishes and signs each",
        "只作草稿；每件由人完成并签字",
    ),
    "thumb.text.tolerant": ("a Transformer language model as it is", "Transformer 语言模型直接生成"),
    "thumb.text.middle": (
        "a Transformer with sources or term base, a second check, sampled review",
        "Transformer 加来源或术语库、二次检验与抽样审核",
    ),
    "thumb.text.strict": (
        "retrieval with quoted sources or post-editing; every item reviewed with a checklist",
        "带引文的检索或译后编辑；每件按清单审核",
    ),
    "thumb.search.tolerant": ("retrieval, then a Transformer that sums up", "检索,再由 Transformer 概括"),
    "thumb.search.middle": (
        "retrieval with quoted sources, held where the source does not say it",
        "带引文的检索；来源未载明即扣留",
    ),
    "thumb.search.strict": (
        "retrieval that only quotes; a person reads the source",
        "只引用不改写的检索；由人查阅原文",
    ),
    "thumb.data.tolerant": (
        "a Transformer that drafts, figures taken from the table by rule",
        "Transformer 起草，数字由规则取自表格",
    ),
    "thumb.data.middle": (
        "rules or queries for the figures, a Transformer for the words, each checked against the table",
        "数字用规则或查询，文字用 Transformer，逐项与表格核对",
    ),
    "thumb.data.strict": (
        "rules and queries with tests; reviewed where a rule does not reach",
        "带测试的规则与查询；规则不及之处人工审核",
    ),
    "thumb.code.tolerant": ("a Transformer, run once", "Transformer 生成，运行一次即可"),
    "thumb.code.middle": (
        "a Transformer behind tests: several candidates, keep what passes",
        "Transformer 加测试把关：多候选，留下通过者",
    ),
    "thumb.code.strict": ("tests, types and a review of every change", "测试、类型检查，并逐项审查改动"),
    "thumb.code.extreme": (
        "specified and proved, or written by a person",
        "形式化规约与证明，或由人编写",
    ),
    "thumb.dialogue.tolerant": ("a Transformer with a way to a person", "Transformer,并可转人工"),
    "thumb.dialogue.middle": (
        "retrieval of approved answers; the rest to a person",
        "检索已批准的答案，其余转人工",
    ),
    "thumb.dialogue.strict": (
        "rules and approved answers only; a person decides",
        "只用规则与已批准答案，由人决定",
    ),
    "thumb.sound.tolerant": (
        "a flow, diffusion or Transformer model as it is",
        "流、扩散或 Transformer 模型直接生成",
    ),
    "thumb.sound.middle": (
        "several takes, the best kept, listened to by sample",
        "多条候选择优，抽样试听",
    ),
    "thumb.sound.strict": (
        "every take heard by a person; for words, text first and checked",
        "每条由人听审；涉及文字先定稿再合成",
    ),
    "thumb.extreme": (  # of every family without an own one
        "rules and lookups that can be proved right, or a person; sampling cannot certify this",
        "可证明正确的规则与查表，或由人完成；抽样无法认证到这一程度",
    ),
    "thumb.lead": (
        "Rule of thumb, not measured here: the stricter the "
        "tolerance, the more of the work goes to what can be checked "
        "(rules, retrieval) and the less to what is drawn freely "
        "(GAN, VAE, flow, Transformer); refining moves a technique "
        "one band, review another.",
        "经验法则，未在本机测量：容错率越严格，越要依靠可核对的方法（规则、"
        "检索),越少依靠自由生成(GAN、VAE、流、Transformer);"
        "精修可推进一档，人工审核再推进一档。",
    ),
    "exception.code": (
        "exception: a test that runs catches errors that no reader sees, so code reaches stricter bands",
        "例外：可运行的测试能发现人看不出的错误，代码可达更严的档位",
    ),
    "exception.diffuse": (
        "exception: harm is slow and diffuse here; severity understates it",
        "例外：此处的危害缓慢而分散，严重度会低估",
    ),
    "exception.rights": (
        "exception: rights and near-copies count whatever the tolerance",
        "例外：无论容错率多高，版权与近似复制都要计入",
    ),
    "exception.irreversible": (
        "exception: what cannot be undone is reviewed however small the error",
        "例外：不可逆的事，误差再小也要审核",
    ),
    # filters of moves
    "filter.pay": ("pay at least {limit:.6g} times today's", "薪酬不低于目前的 {limit:.6g} 倍"),
    "filter.preparation": (
        "at most {limit:.6g} step(s) more preparation",
        "准备程度至多高 {limit:.6g} 级",
    ),
    "filter.licence": ("no licence", "不需执照"),
    "filter.new_field": ("a new field", "换一个领域"),
    "filter.same_field": ("the same field", "留在本领域"),
    "filter.growth": ("growth of at least {limit:.6g}% in ten years", "十年增长不低于 {limit:.6g}%"),
    "filter.openings": ("at least {limit:,.0f} openings a year", "每年空缺不少于 {limit:,.0f} 个"),
    "filter.feasibility": ("feasibility at least {limit:.6g}", "可行度不低于 {limit:.6g}"),
    "filter.learning": ("at most {limit:.6g} hours of learning", "学习时间至多 {limit:.6g} 小时"),
}
