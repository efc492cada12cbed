"""The OpenAPI description of the gateway's routes; tests call every route by it."""

from typing import Any

Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


TEXT: Schema = {"type": "string"}
ERROR = _object(("error",), error=_object(("message", "type", "param", "code"), message=TEXT, type=TEXT))
METADATA: Schema = {"type": ["object", "null"], "description": "slice and cluster, as texts, name the part"}
SHARED: Schema = {
    "model": {"type": "string", "minLength": 1},
    "stream": {"type": ["boolean", "null"]},
    "stream_options": {
        "type": ["object", "null"],
        "properties": {"include_usage": {"type": ["boolean", "null"]}},
    },
    "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 16},
    "metadata": METADATA,
}
MESSAGE = _object(
    ("role",), role=TEXT, content={"oneOf": [TEXT, {"type": "array", "items": {"type": "object"}}]}
)
CHAT = _object(("model", "messages"), messages={"type": "array", "minItems": 1, "items": MESSAGE}, **SHARED)
PROMPT: Schema = {"oneOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1}]}
COMPLETION = _object(("model", "prompt"), prompt=PROMPT, **SHARED)
DECIDE = _object(
    ("job", "content"),
    job=TEXT,
    content=TEXT,
    score={"type": ["number", "null"]},
    prompt=TEXT,
    tier=TEXT,
    slice=TEXT,
    cluster=TEXT,
)
DECIDED = _object(
    ("decision", "ticket", "reason", "row"), decision={"enum": ["release", "review"]}, ticket=TEXT
)
ANSWER = _object(("choices",), choices={"type": "array", "items": {"type": "object"}})
REFUSALS = ("400", "401", "403", "404", "405", "408", "413", "429", "500", "502", "503", "504")


def _said(schema: Schema, what: str, kind: str = "application/json") -> Schema:
    return {"description": what, "content": {kind: {"schema": schema}}}


def _route(
    what: str, good: Schema, body: Schema | None = None, path: str = "", *, key: bool = True
) -> Schema:
    """One operation with its answers; every refusal has the shape of ERROR."""
    refusals = {status: _said(ERROR, "refused") for status in REFUSALS}
    route: Schema = {"summary": what, "responses": {"200": good, **refusals}}
    if body is not None:
        route["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if path:
        route["parameters"] = [{"name": path, "in": "path", "required": True, "schema": TEXT}]
    route["security"] = [{"key": []}] if key else []
    return route


def _answer(what: str, body: Schema) -> Schema:
    route = _route(what, _said(ANSWER, "released, or held with finish_reason content_filter"), body)
    route["responses"]["200"]["content"]["text/event-stream"] = {}
    return route


ANYTHING: Schema = {"type": "object"}
READY = _route("Whether requests may come", _said(ANYTHING, "ready"), key=False)
READY["responses"]["503"] = _said(ANYTHING, "not ready, and why")

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "tolerate",
        "version": "1",
        "description": "A gateway that releases what a certificate covers and holds the rest for people.",
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/v1/chat/completions": {"post": _answer("A chat completion", CHAT)},
        "/v1/completions": {"post": _answer("A completion", COMPLETION)},
        "/v1/decide": {"post": _route("The rule alone", _said(DECIDED, "the decision"), DECIDE)},
        "/v1/models": {"get": _route("The jobs, as models", _said(ANYTHING, "a list"))},
        "/v1/models/{model}": {
            "get": _route("One job, as a model", _said(ANYTHING, "a model"), path="model")
        },
        "/v1/jobs": {"get": _route("Jobs and the promises that stand", _said(ANYTHING, "the jobs"))},
        "/v1/tickets/{ticket}": {
            "get": _route("What became of a held answer", _said(ANYTHING, "its state"), path="ticket")
        },
        "/v1/watch/{job}": {
            "get": _route("Evidence, alarms, history", _said(ANYTHING, "the watch"), path="job")
        },
        "/healthz": {"get": _route("Whether it lives", _said(ANYTHING, "alive"), key=False)},
        "/readyz": {"get": READY},
        "/metrics": {"get": _route("For Prometheus", _said(TEXT, "metrics", "text/plain"), key=False)},
    },
}
