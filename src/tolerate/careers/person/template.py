"""Writes a me.toml to be filled in by hand, with an occupation's tasks and every key explained."""

from pathlib import Path

from tolerate.base.files import write_whole
from tolerate.careers.data.atlas import Atlas
from tolerate.careers.data.titles import find
from tolerate.errors import DataError

HEAD = {
    "en": """# Who you are, for `tolerate career plan --me {name}`.
# Leave out what you do not know; nothing leaves this machine.
occupation = "{title}"
lang = "{lang}"

[harm]                # hours that an uncaught error costs
slip = 0.5            # a typical slip
worst = 200           # the worst one

[work]                # shares of the hours by hand
review = 0.15         # a look at what the machine made
rework = 0.5          # putting it right
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
    "zh": """# 您的情况,供 `tolerate career plan --me {name}` 使用。不知道的可删去;数据不离开本机。
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
}


def write_me(atlas: Atlas, occupation: str, path: Path, lang: str) -> str:
    """Write the template and say what to do next; a file that is there is not overwritten."""
    if path.exists():
        raise DataError(
            f"{path} is there already; give another name, or plan with it: tolerate career plan --me {path}"
        )
    it = find(atlas, occupation)
    text = HEAD[lang].format(name=path.name, title=it.title, lang=lang)
    for task in sorted(atlas.tasks.get(it.code, ()), key=lambda each: not each.core)[:8]:
        text += (
            f'\n[[task]]\nid = "{task.id}"           # '
            f"{task.name.pick(lang)[:90]}\nshare = 1\nhours = 1\n# severity = 3\n"
        )
    write_whole(path, text.encode())
    return {
        "en": f"{path}: fill it in, then: tolerate career plan --me {path}",
        "zh": f"{path}:填写后运行 tolerate career plan --me {path}",
    }[lang]
