"""Guesses from the words of a task which kind of content it makes and which gates it has."""

import re

from tolerate.messages.both import Both
from tolerate.messages.careers import say

KIND_PATTERNS: dict[str, str] = {  # kind of content: words that tell it
    "translation": (r"translat|interpret(?!ation of data)|bilingual|localiz|翻译|口译|笔译|译文|本地化"),
    "code": (
        r"(?<!ethical )(?<!dress )\bcod(e|es|ing)\b|programming|computer "
        r"program|software|debug|scripts? for|web ?sites?|web pages|代码|编程|软件|网站|程序"
    ),
    "3d": (r"\b3-?d\b|three-dimensional|animat|render|character models|三维|动画|建模"),
    "video": (r"video|film|footage|motion picture|broadcast|scenes?\b|shots?\b|视频|剪辑|影片|镜头"),
    "music": r"music|song|melod|orchestra|compos(e|er|ing|itions)|音乐|作曲|歌",
    "audio": (
        r"audio|sound|voice|record(ing)?s? "
        r"(speech|dictat)|dictat|transcri|microphone|captions?\b|语音|录音|配音|音效|听写"
    ),
    "image": (
        r"illustrat|photograph|image|picture|\bdraw|storyboard|sketch|paint|artwork|graphic|visual|logo|插画|图像|图片|绘|照片|海报"
    ),
    "design": (r"design|layout|prototype|mock-?up|user interface|styles? and|设计|版式|原型"),
    "teaching": (
        r"teach|instruct|student|curricul|lesson|tutor|train(ing)? "
        r"(materials|programs|staff|employees)|课程|教学|学生|培训|讲解"
    ),
    "dialogue": (
        r"customers?|clients?|answer "
        r"(questions|inquiries|telephone)|inquir|complain|confer|consult|interview|客户|咨询|对话|答复|客服"
    ),
    "data": (
        r"data|statistic|budget|account|financial|forecast|spreadsheet|database|calculat|analy[sz]|records?\b|数据|统计|预算|报表|分析|账"
    ),
    "search": (
        r"research|references?|sources|literature|legal|law\b|facts|terminolog|compile "
        r"information|verif|investigat|检索|资料|查证|法律|术语|核实"
    ),
    "text": (
        r"writ|edit|draft|report|document|article|proofread|manual|copy\b|press "
        r"release|correspond|script|letter|story|写|编辑|撰|文章|报告|稿|文案|校对"
    ),
}
TITLE_WORDS = {  # word in the occupation's title: the kind, where a task's own words match nothing
    "translat": "translation",
    "interpret": "translation",
    "editor": "text",
    "writer": "text",
    "program": "code",
    "software": "code",
    "artist": "image",
    "design": "design",
    "music": "music",
    "photograph": "image",
    "teacher": "teaching",
}
PATTERN_WEIGHTS = {"translation": 3}
KINDS_BY_PRIORITY = (  # the first one wins where several match equally
    "translation",
    "3d",
    "video",
    "music",
    "audio",
    "code",
    "image",
    "teaching",
    "text",
    "search",
    "data",
    "design",
    "dialogue",
)


def kind_of(text: str, title: str = "") -> str:
    """The kind of content of a task.

    >>> kind_of("Proofread, edit, and revise translated materials."), kind_of("Draw storyboards", "Animators")
    ('translation', 'image')
    """
    hits = {
        kind: PATTERN_WEIGHTS.get(kind, 1) * len(re.findall(pattern, text.lower()))
        for kind, pattern in KIND_PATTERNS.items()
    }
    best = max(hits.values())
    if best:
        return next(kind for kind in KINDS_BY_PRIORITY if hits[kind] == best)
    return next((kind for word, kind in TITLE_WORDS.items() if word in title.lower()), "text")


PHYSICAL_PATTERN = (
    r"\blift|\bcarry|install|repair|\bclean|\bdrive\b|operate "
    r"(?!.*(software|computer))|administer (medic|inject|anesth)"
    r"|immuniz|first aid|surg|vital signs|mix (ingredients|drinks)|serve "
    r"(wine|food|drinks|alcohol)|perform (on|before|music|as)"
    r"|set up (equipment|cameras|lights)|adjust "
    r"(equipment|microphone)|sew|paint(?! a picture)|sculpt|in person|travel"
    r"|搬|安装|维修|驾驶|注射|急救|手术|现场|亲手"
)
PERSONAL_PATTERN = (
    r"counsel|comfort|emotional|negotiat|mediat|supervis|motivat|mentor|\bcoach|interview|confer "
    r"with (clients|patients|family)"
    r"|care of (patients|children)|assist patients|instruct "
    r"(students|patients|individuals)|谈判|安抚|辅导|面谈|带团队|照护"
)


def suggest_gates(text: str) -> tuple[str, ...]:
    """Gates that the words of a task suggest; they hold until the person says otherwise.

    >>> suggest_gates("Administer medications to patients"), suggest_gates("Write supporting code")
    (('physical',), ())
    """
    patterns = {"physical": PHYSICAL_PATTERN, "personal": PERSONAL_PATTERN}
    return tuple(gate for gate, pattern in patterns.items() if re.search(pattern, text.lower()))


def kind_name(kind: str) -> Both:
    """The name of a kind of content in both languages."""
    return say(f"kind.{kind}")
