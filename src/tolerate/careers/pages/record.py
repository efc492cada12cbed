"""A plan as JSON values, for `tolerate career --json`."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np

from tolerate.base.json_types import JsonObject, JsonValue
from tolerate.careers.planning.moves import CareerMove, MoveSet
from tolerate.careers.planning.plan import CareerPlan, PlannedTask
from tolerate.messages.both import Both


def plan_record(plan: CareerPlan) -> JsonObject:
    """Everything that the report shows; infinite and unknown numbers are null."""
    occupation = plan.occupation
    return {
        "atlas": plan.atlas.version,
        "occupation": {
            field.name: to_json(getattr(occupation, field.name))
            for field in fields(occupation)
            if field.name != "aliases"
        },
        "tasks": [_task_record(task) for task in plan.tasks],
        "moves": None if plan.moves is None else _moves_record(plan.moves),
        "path": to_json(plan.path),
        "sources": to_json(plan.atlas.sources),
    }


def _task_record(task: PlannedTask) -> JsonObject:
    return {
        "text": to_json(task.name),
        "id": task.described.id or (task.onet_task.id if task.onet_task else ""),
        "kind": task.kind,
        "severity": to_json(task.severity.figure),
        "choice": to_json(task.choice),
        "evidence": to_json(task.evidence),
        "gates_suggested": list(task.suggested_gates),
        "advice": to_json(task.advice),
    }


def _moves_record(moves: MoveSet) -> JsonObject:
    return {
        "looked_at": moves.considered,
        "passed": moves.passed,
        "kept_out": moves.failed_by,
        "found": [_move_record(move) for move in moves.moves],
        "nearest": [_move_record(move) for move in moves.nearest],
    }


def _move_record(move: CareerMove) -> JsonObject:
    return {
        "code": move.occupation.code,
        "title": move.occupation.title,
        "feasibility": to_json(move.feasibility),
        "related": to_json(move.related),
        "gaps": to_json(move.gaps),
        "there": to_json(move.levels_met),
        "pay": to_json(move.pay),
        "steps": to_json(move.steps),
        "durability": to_json(move.durability),
        "fit": to_json(move.fit),
        "stays": to_json(move.stays),
        "fails": to_json(move.fails),
    }


def to_json(value: object) -> JsonValue:
    """A value as JSON knows it; a dataclass becomes an object with its fields as keys.

    >>> to_json(float("inf")) is None, to_json(Both("a", "b"))
    (True, {'en': 'a', 'zh': 'b'})
    """
    if isinstance(value, Both):
        return {"en": value.en, "zh": value.zh}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    return _scalar_to_json(value.item() if isinstance(value, np.generic) else value)


def _scalar_to_json(value: object) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is no JSON value")
