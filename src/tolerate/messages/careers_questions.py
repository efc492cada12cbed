"""Texts of the career interview and of the me.toml to fill in, in English and Chinese."""

QUESTIONS: dict[str, tuple[str, str]] = {
    "ask.occupation": (
        "What is your occupation? Any title, in English or Chinese.",
        "您的职业是什么？中英文名称均可。",
    ),
    "ask.share": (
        "{task}\nHow many hours a week? (0 or Enter if it is not yours)",
        "{task}\n每周几小时？（不属于您则填 0 或回车）",
    ),
    "ask.severity": (
        "How serious is an error of it that nobody catches? "
        "1 not at all, 2 fairly, 3 serious, 4 very, 5 extremely",
        "其中没人发现的错误有多严重？1 不严重，2 较轻，3 严重，4 很严重，5 极严重",
    ),
    "ask.gates": (
        "Does any of these hold? l a licensed act, i cannot be "
        "undone, p physical, s strongly interpersonal (such as: i s)",
        "是否符合以下任一项？l 需持证，i 不可逆，p 体力或现场，s 高度人际（如：i s）",
    ),
    "ask.measured": (
        "Has the machine's work been checked? Wrong ones / checked ones, such as 3/200; Enter if nobody has",
        "机器所做是否检查过？填 出错数/检查数，如 3/200；未检查则回车",
    ),
    "ask.slip": (
        "A typical slip that nobody catches: how many hours does it cost? (such as 0.5)",
        "一个没人发现的一般差错，代价几小时？（如 0.5）",
    ),
    "ask.worst": (
        "The worst error that nobody catches: how many hours does it cost? (such as 200)",
        "最坏的、没人发现的错误，代价几小时？（如 200）",
    ),
    "ask.human_error": (
        "Of 100 pieces that you do by hand, how many turn out wrong? (such as 2)",
        "您亲手做 100 件，有几件出错？（如 2）",
    ),
    "ask.skills": (
        "Which of these skills do you have? Names separated by commas: {skills}",
        "您已掌握哪些技能？用逗号分隔：{skills}",
    ),
    "ask.hours": ("How many hours a week can you learn?", "每周能学习几小时？"),
    "ask.pay": (
        "What should a move pay at least, as a share of today? (such as 0.75; 1 is the same)",
        "转换职业时薪酬至少为目前的几倍？（如 0.75；1 为相同）",
    ),
    "ask.tolerance": (
        "Should a next occupation be similar, stricter, tolerant, or any?",
        "下一份职业应当 similar（相近）、stricter（更严格）、tolerant（更宽松）还是 any（不限）？",
    ),
    "ask.required": (
        "this question needs an answer",
        "这一项必须回答",
    ),
    "ask.keys": (
        "Enter skips a question, u changes the last answer, q stops for now. Nothing leaves this machine.",
        "回车跳过，u 改上一个，q 暂停。数据不离开本机。",
    ),
    "ask.saved": (
        "saved in {path}; run the same command to continue",
        "已保存在 {path}；再次运行同一命令即可继续",
    ),
    "ask.next": ("next: tolerate career plan --me {path}", "下一步：tolerate career plan --me {path}"),
    "me.written": (
        "{path}: fill it in, then: tolerate career plan --me {path}",
        "{path}:填写后运行 tolerate career plan --me {path}",
    ),
    "me.template": (
        """\
# Who you are, for `tolerate career plan --me {name}`.
# Leave out what you do not know; nothing leaves this machine.
occupation = "{title}"
lang = "{lang}"

[harm]                # hours that an uncaught error costs
slip = 0.5            # a typical slip
worst = 200           # the worst one

[work]                # shares of the hours by hand
review = 0.15         # reviewing what the machine made
rework = 0.5          # correcting it
human_error = 0.02    # your own error, by hand

[wishes]              # filters of moves; delete one to drop it
pay = 0.75            # at least this share of today's
preparation = 1       # steps up, at most
licence = true        # one that often needs a licence is welcome
tolerance = "any"     # or "similar", "stricter", "tolerant"

[learning]
known = []            # such as "python", "prompting"
target = []           # skills; empty: what the tasks call for
hours_a_week = 6

# One [[task]] each. severity: how serious an uncaught error would be, 1 (not) to 5 (extremely).
# Measured errors: errors = 3, checked = 200; or certificate = "certificate.json"; or table = "labels.csv".
# A reviewer measured with seeded errors: caught = 18, seeded = 20.
# Gates: licensed, irreversible, physical, personal = true.
""",
        """\
# 您的情况,供 `tolerate career plan --me {name}` 使用。不知道的可删去;数据不离开本机。
occupation = "{title}"
lang = "{lang}"

[harm]                # 一个未被发现的错误代价几小时
slip = 0.5            # 一般差错
worst = 200           # 最坏的错误

[work]                # 占亲手做用时的比例
review = 0.15         # 审核机器所做
rework = 0.5          # 返工
human_error = 0.02    # 您亲手做时的错误率

[wishes]              # 转向的筛选条件;删去即不筛选
pay = 0.75            # 不低于目前薪酬的比例
preparation = 1       # 准备程度至多高几级
licence = true        # 常需执照的职业也可以
tolerance = "any"     # 或 "similar"(相近)、"stricter"(更严格)、"tolerant"(更宽松)

[learning]
known = []            # 已掌握,如 "python"、"prompting"
target = []           # 想学的技能;留空则按任务所需
hours_a_week = 6

# 每项任务一个 [[task]]。severity:未被发现的错误有多严重,1(不严重)至 5(极严重)。
# 实测错误:errors = 3, checked = 200;或 certificate = "certificate.json";或 table = "labels.csv"。
# 用埋设错误测过的审核者:caught = 18, seeded = 20。关卡:licensed、irreversible、physical、personal = true。
""",
    ),
}
