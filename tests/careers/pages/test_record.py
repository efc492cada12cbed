"""Plans as JSON: the keys that scripts read."""

import json

from tolerate.careers.data.atlas import Atlas
from tolerate.careers.pages.record import plan_record
from tolerate.careers.person import me
from tolerate.careers.planning import plan


def test_the_keys_of_a_plan_stay_what_they_are(embedded_atlas: Atlas) -> None:
    person = me.parse_person({"occupation": "editor"})
    record = json.loads(json.dumps(plan_record(plan.make_plan(embedded_atlas, person)), allow_nan=False))
    assert list(record) == ["atlas", "occupation", "tasks", "moves", "path", "sources"]
    assert set(record["tasks"][0]) == (
        {"text", "id", "kind", "severity", "choice", "evidence", "gates_suggested", "advice"}
    )
    assert set(record["tasks"][0]["choice"]) == (
        {"choice", "release", "review", "error", "shut", "chances", "costs", "labels", "detection", "share"}
    )
    assert set(record["moves"]) == {"looked_at", "passed", "kept_out", "found", "nearest"}
    assert set(record["moves"]["found"][0]) == (
        {"code", "title", "feasibility", "related", "gaps", "there", "pay", "steps", "durability", "fit"}
        | {"stays", "fails"}
    )
    assert set(record["path"]) == {"steps", "targets", "skipped"}
    assert set(record["path"]["steps"][0]) == {"id", "hours", "total", "asked_by", "value"}
