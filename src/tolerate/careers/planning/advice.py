"""Which technique fits a task: measured maps of runs on this machine first, a rule of thumb where none was made.

A map says for a job and each tolerance which strategy was proven the cheapest; it holds for that job alone. The rule
of thumb orders families by how checkable their errors are, and says so; its exceptions are listed with it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tolerate.messages.both import Both
from tolerate.messages.report import refine_name

PICTURES = ("image", "design", "3d", "video")
BANDS = (("tolerant", 0.1), ("middle", 0.01), ("strict", 0.001), ("extreme", 0.0))  # ETR from here on
NAMES = {
    "tolerant": Both("tolerant (10% and more)", "宽松（10% 及以上）"),
    "middle": Both("middle (1% to 10%)", "中等（1% 至 10%）"),
    "strict": Both("strict (0.1% to 1%)", "严格（0.1% 至 1%）"),
    "extreme": Both("extreme (below 0.1%)", "极严（0.1% 以下）"),
}


@dataclass(frozen=True)
class Measured:
    """What a run on this machine proved: the cheapest strategy at a tolerance at least as strict."""

    run: str
    job: str
    tolerance: float
    strategy: Both
    family: str
    coverage: float
    cost: float
    unit: str
    date: str


@dataclass(frozen=True)
class Advice:
    """The technique for a task: what was measured here, the rule of thumb, the exceptions, and how to measure."""

    band: str
    rule: Both
    exceptions: tuple[Both, ...]
    measured: tuple[Measured, ...] = ()
    measure: str = ""  # a command


def band_of(tolerance: float) -> str:
    """The band that a required ETR falls into.

    >>> [band_of(t) for t in (0.2, 0.02, 0.002, 0.0002)]
    ['tolerant', 'middle', 'strict', 'extreme']
    """
    return next(name for name, least in BANDS if tolerance >= least)


def advise(
    kind: str, tolerance: float, maps: Sequence[dict[str, Any]] = (), gates: Iterable[str] = ()
) -> Advice:
    """Advice for content of a kind at a required ETR. maps: summaries of runs, from `summaries`."""
    band = band_of(tolerance)
    measured = tuple(
        found for each in maps if _same(kind, each) and (found := _measured(each, tolerance)) is not None
    )
    return Advice(band, RULES[_family(kind)][band], _exceptions(kind, tuple(gates)), measured, _command(kind))


def summaries(folder: Path) -> list[dict[str, Any]]:
    """The summaries of the runs in a folder, or of the run that it is; what is no run is passed over."""
    places = [folder / "summary.json", *sorted(folder.glob("*/summary.json"))] if folder.is_dir() else []
    found = []
    for place in places:
        try:
            summary = json.loads(place.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(summary, dict) and summary.get("best"):
            found.append({**summary, "folder": str(place.parent)})
    return found


def _measured(summary: dict[str, Any], tolerance: float) -> Measured | None:
    """The map's best at the largest tolerance within the required one."""
    proven = [
        row
        for row in summary["best"]
        if row.get("zone") != "none" and float(row.get("tolerance", 1)) <= tolerance + 1e-12
    ]
    if not proven:
        return None
    row = max(proven, key=lambda each: float(each["tolerance"]))
    strategy: dict[str, Any] = next(
        (s for s in summary.get("strategies", ()) if s.get("id") == row["strategy"]), {}
    )
    refined = refine_name(str(strategy.get("refine") or "plain"))
    model = str(strategy.get("model") or row["strategy"])
    job = summary.get("job") or {}
    return Measured(
        run=summary["folder"],
        job=str(job.get("name", "")),
        tolerance=float(row["tolerance"]),
        strategy=Both(*(f"{model}, {said}" if said else model for said in refined)),
        family=str(strategy.get("family") or ""),
        coverage=float(row.get("coverage") or 0.0),
        cost=float(row.get("cost") or 0.0),
        unit=str((job.get("prices") or {}).get("unit") or ""),
        date=str(summary.get("created", ""))[:10],
    )


def _same(kind: str, summary: dict[str, Any]) -> bool:
    """Whether a run's content is of this kind, as far as its job's name tells."""
    job = str((summary.get("job") or {}).get("name", ""))
    return JOB_KINDS.get(job, "") == _family(kind)


JOB_KINDS = {
    "digits": "picture",
    "mnist": "picture",
    "pictures": "picture",
    "emoji": "picture",
    "poems": "text",
    "shakespeare": "text",
    "restaurants": "data",
    "bank": "dialogue",
    "speech": "sound",
}


def _family(kind: str) -> str:
    if kind in PICTURES:
        return "picture"
    return {"audio": "sound", "music": "sound", "translation": "text", "teaching": "text"}.get(kind, kind)


def _command(kind: str) -> str:
    return (
        "tolerate run digits"
        if kind in PICTURES
        else "tolerate certify LABELS.csv --loss wrong --score confidence"
    )


def _both(en: str, zh: str) -> Both:
    return Both(en, zh)


_EXTREME = _both(
    "rules and lookups that can be proved right, or a person; sampling cannot certify this",
    "可证明正确的规则与查表，或由人完成；抽样无法认证到这一程度",
)
RULES: dict[str, dict[str, Both]] = {
    "picture": {
        "tolerant": _both(
            "a GAN, VAE or flow as it is; pick by cost", "GAN、VAE 或流模型直接生成；按成本选择"
        ),
        "middle": _both(
            "a flow or diffusion model, best of several by a judge, released above a certified score",
            "流模型或扩散模型，多候选由评分器择优，高于认证分数才放行",
        ),
        "strict": _both(
            "several candidates, a certified score, and every held one reviewed; expect to hold much",
            "多候选、认证分数，其余逐件人工审核；会扣下较多",
        ),
        "extreme": _both(
            "generated drafts only; a person finishes and signs each", "只作草稿；每件由人完成并签字"
        ),
    },
    "text": {
        "tolerant": _both("a Transformer language model as it is", "Transformer 语言模型直接生成"),
        "middle": _both(
            "a Transformer with sources or term base, a second check, sampled review",
            "Transformer 加来源或术语库、二次检验与抽样审核",
        ),
        "strict": _both(
            "retrieval with quoted sources or post-editing; every item reviewed with a checklist",
            "带引文的检索或译后编辑；每件按清单审核",
        ),
        "extreme": _EXTREME,
    },
    "search": {
        "tolerant": _both("retrieval, then a Transformer that sums up", "检索,再由 Transformer 概括"),
        "middle": _both(
            "retrieval with quoted sources, held where the source does not say it",
            "带引文的检索；来源未载明即扣留",
        ),
        "strict": _both(
            "retrieval that only quotes; a person reads the source", "只引用不改写的检索；由人查阅原文"
        ),
        "extreme": _EXTREME,
    },
    "data": {
        "tolerant": _both(
            "a Transformer that drafts, figures taken from the table by rule",
            "Transformer 起草，数字由规则取自表格",
        ),
        "middle": _both(
            "rules or queries for the figures, a Transformer for the words, each checked against the table",
            "数字用规则或查询，文字用 Transformer，逐项与表格核对",
        ),
        "strict": _both(
            "rules and queries with tests; reviewed where a rule does not reach",
            "带测试的规则与查询；规则不及之处人工审核",
        ),
        "extreme": _EXTREME,
    },
    "code": {
        "tolerant": _both("a Transformer, run once", "Transformer 生成，运行一次即可"),
        "middle": _both(
            "a Transformer behind tests: several candidates, keep what passes",
            "Transformer 加测试把关：多候选，留下通过者",
        ),
        "strict": _both("tests, types and a review of every change", "测试、类型检查，并逐项审查改动"),
        "extreme": _both("specified and proved, or written by a person", "形式化规约与证明，或由人编写"),
    },
    "dialogue": {
        "tolerant": _both("a Transformer with a way to a person", "Transformer,并可转人工"),
        "middle": _both(
            "retrieval of approved answers; the rest to a person", "检索已批准的答案，其余转人工"
        ),
        "strict": _both(
            "rules and approved answers only; a person decides", "只用规则与已批准答案，由人决定"
        ),
        "extreme": _EXTREME,
    },
    "sound": {
        "tolerant": _both(
            "a flow, diffusion or Transformer model as it is", "流、扩散或 Transformer 模型直接生成"
        ),
        "middle": _both("several takes, the best kept, listened to by sample", "多条候选择优，抽样试听"),
        "strict": _both(
            "every take heard by a person; for words, text first and checked",
            "每条由人听审；涉及文字先定稿再合成",
        ),
        "extreme": _EXTREME,
    },
}

THUMB = _both(
    "Rule of thumb, not measured here: the stricter the "
    "tolerance, the more of the work goes to what can be checked "
    "(rules, retrieval) and the less to what is drawn freely "
    "(GAN, VAE, flow, Transformer); refining moves a technique "
    "one band, review another.",
    "经验法则，未在本机测量：容错率越严格，越要依靠可核对的方法（规则、"
    "检索),越少依靠自由生成(GAN、VAE、流、Transformer);"
    "精修可推进一档，人工审核再推进一档。",
)


def _exceptions(kind: str, gates: tuple[str, ...]) -> tuple[Both, ...]:
    found = []
    if kind == "code":
        found.append(
            _both(
                "exception: a test that runs catches errors that "
                "no reader sees, so code reaches stricter bands",
                "例外：可运行的测试能发现人看不出的错误，代码可达更严的档位",
            )
        )
    if kind in ("teaching", "dialogue"):
        found.append(
            _both(
                "exception: harm is slow and diffuse here; severity understates it",
                "例外：此处的危害缓慢而分散，严重度会低估",
            )
        )
    if kind in ("image", "design", "music", "text"):
        found.append(
            _both(
                "exception: rights and near-copies count whatever the tolerance",
                "例外：无论容错率多高，版权与近似复制都要计入",
            )
        )
    if "irreversible" in gates:
        found.append(
            _both(
                "exception: what cannot be undone is reviewed however small the error",
                "例外：不可逆的事，误差再小也要审核",
            )
        )
    return tuple(found)
