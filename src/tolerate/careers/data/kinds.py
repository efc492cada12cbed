"""What kind of content a task makes, told from its words; so that techniques and skills can be matched to it."""

import re

from tolerate.messages.both import Both

KINDS: dict[str, tuple[Both, str]] = {
    "translation": (
        Both("translation", "翻译"),
        r"translat|interpret(?!ation of data)|bilingual|localiz|翻译|口译|笔译|译文|本地化",
    ),
    "code": (
        Both("code", "代码"),
        r"(?<!ethical )(?<!dress )\bcod(e|es|ing)\b|programming|computer "
        r"program|software|debug|scripts? for|web ?sites?|web pages|代码|编程|软件|网站|程序",
    ),
    "3d": (
        Both("3D and animation", "三维与动画"),
        r"\b3-?d\b|three-dimensional|animat|render|character models|三维|动画|建模",
    ),
    "video": (
        Both("video", "视频"),
        r"video|film|footage|motion picture|broadcast|scenes?\b|shots?\b|视频|剪辑|影片|镜头",
    ),
    "music": (Both("music", "音乐"), r"music|song|melod|orchestra|compos(e|er|ing|itions)|音乐|作曲|歌"),
    "audio": (
        Both("speech and sound", "语音与声音"),
        r"audio|sound|voice|record(ing)?s? "
        r"(speech|dictat)|dictat|transcri|microphone|captions?\b|语音|录音|配音|音效|听写",
    ),
    "image": (
        Both("pictures", "图像"),
        r"illustrat|photograph|image|picture|\bdraw|storyboard|sketch|paint|artwork|graphic|visual|logo|插画|图像|图片|绘|照片|海报",
    ),
    "design": (
        Both("design", "设计"),
        r"design|layout|prototype|mock-?up|user interface|styles? and|设计|版式|原型",
    ),
    "teaching": (
        Both("teaching", "教学"),
        r"teach|instruct|student|curricul|lesson|tutor|train(ing)? "
        r"(materials|programs|staff|employees)|课程|教学|学生|培训|讲解",
    ),
    "dialogue": (
        Both("conversation", "对话"),
        r"customers?|clients?|answer "
        r"(questions|inquiries|telephone)|inquir|complain|confer|consult|interview|客户|咨询|对话|答复|客服",
    ),
    "data": (
        Both("data and figures", "数据与数字"),
        r"data|statistic|budget|account|financial|forecast|spreadsheet|database|calculat|analy[sz]|records?\b|数据|统计|预算|报表|分析|账",
    ),
    "search": (
        Both("facts from sources", "有据可查的事实"),
        r"research|references?|sources|literature|legal|law\b|facts|terminolog|compile "
        r"information|verif|investigat|检索|资料|查证|法律|术语|核实",
    ),
    "text": (
        Both("text", "文字"),
        r"writ|edit|draft|report|document|article|proofread|manual|copy\b|press "
        r"release|correspond|script|letter|story|写|编辑|撰|文章|报告|稿|文案|校对",
    ),
}
TITLES = {  # where a task's own words tell nothing, its occupation's title
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
WEIGHTS = {"translation": 3}  # a word that settles it
ORDER = (
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
        kind: WEIGHTS.get(kind, 1) * len(re.findall(pattern, text.lower()))
        for kind, (_, pattern) in KINDS.items()
    }
    best = max(hits.values())
    if best:
        return next(kind for kind in ORDER if hits[kind] == best)
    return next((kind for word, kind in TITLES.items() if word in title.lower()), "text")


PHYSICAL = (
    r"\blift|\bcarry|install|repair|\bclean|\bdrive\b|operate "
    r"(?!.*(software|computer))|administer (medic|inject|anesth)"
    r"|immuniz|first aid|surg|vital signs|mix (ingredients|drinks)|serve "
    r"(wine|food|drinks|alcohol)|perform (on|before|music|as)"
    r"|set up (equipment|cameras|lights)|adjust "
    r"(equipment|microphone)|sew|paint(?! a picture)|sculpt|in person|travel"
    r"|搬|安装|维修|驾驶|注射|急救|手术|现场|亲手"
)
PERSONAL = (
    r"counsel|comfort|emotional|negotiat|mediat|supervis|motivat|mentor|\bcoach|interview|confer "
    r"with (clients|patients|family)"
    r"|care of (patients|children)|assist patients|instruct "
    r"(students|patients|individuals)|谈判|安抚|辅导|面谈|带团队|照护"
)


def suggested(text: str) -> tuple[str, ...]:
    """Gates that the words of a task suggest, until its person says otherwise.

    >>> suggested("Administer medications to patients"), suggested("Write supporting code")
    (('physical',), ())
    """
    found = {"physical": PHYSICAL, "personal": PERSONAL}
    return tuple(gate for gate, pattern in found.items() if re.search(pattern, text.lower()))


def kind_name(kind: str) -> Both:
    """What a kind is called."""
    return KINDS[kind][0]
