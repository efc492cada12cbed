"""A plan as plain JSON values, for machines."""

import math
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from tolerate.careers.planning.plan import Plan
from tolerate.messages.both import Both


def record(plan: Plan) -> dict[str, Any]:
    """Everything that the report shows, as JSON values; what is infinite or unknown is null."""
    return {
        "atlas": plan.atlas.version,
        "occupation": plain({k: v for k, v in asdict(plan.occupation).items() if k != "aliases"}),
        "tasks": [
            {
                "text": plain(row.name),
                "id": row.piece.id or (row.task.id if row.task else ""),
                "kind": row.kind,
                "severity": plain(row.severity.figure),
                "choice": plain(row.choice),
                "evidence": plain(row.evidence),
                "gates_suggested": list(row.guessed),
                "advice": plain(row.advice),
            }
            for row in plan.rows
        ],
        "moves": None if plan.moves is None else _moves(plan),
        "path": plain(plan.path),
        "sources": [vars(each) for each in plan.atlas.sources],
    }


def _moves(plan: Plan) -> dict[str, Any]:
    found = plan.moves
    assert found is not None
    return {
        "looked_at": found.looked_at,
        "passed": found.passed,
        "kept_out": found.kept_out,
        **{
            name: [
                {
                    "code": m.occupation.code,
                    "title": m.occupation.title,
                    "feasibility": plain(m.feasibility),
                    **{k: v for k, v in plain(m).items() if k != "occupation"},
                }
                for m in moves
            ]
            for name, moves in (("found", found.found), ("nearest", found.nearest))
        },
    }


def plain(value: Any) -> Any:
    """A value as JSON knows it.

    >>> plain(float("inf")) is None, plain(Both("a", "b"))
    (True, {'en': 'a', 'zh': 'b'})
    """
    if isinstance(value, Both):
        return {"en": value.en, "zh": value.zh}
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(getattr(value, key)) for key in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
