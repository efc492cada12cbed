"""The OpenAPI description of the gateway's routes; tests call every route by it."""

from tolerate.base.json_types import JsonObject, JsonValue

Schema = JsonObject


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties}


TEXT: Schema = {"type": "string"}
ERROR = _object(("error",), error=_object(("message", "type", "param", "code"), message=TEXT, type=TEXT))
METADATA: Schema = {"type": ["object", "null"], "description": "slice and cluster, as texts, name the part"}
SHARED: dict[str, Schema] = {
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
ERROR_STATUSES = ("400", "401", "403", "404", "405", "408", "413", "429", "500", "502", "503", "504")


def _response(schema: Schema, description: str, kind: str = "application/json") -> Schema:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _operation(
    summary: str,
    success: Schema,
    body: Schema | None = None,
    path: str = "",
    *,
    key: bool = True,
    other: dict[str, Schema] | None = None,
) -> Schema:
    """One operation with its responses; every error has the shape of ERROR. path: the name of its parameter."""
    errors: dict[str, Schema] = {status: _response(ERROR, "refused") for status in ERROR_STATUSES}
    operation: dict[str, JsonValue] = {
        "summary": summary,
        "responses": {"200": success, **errors, **(other or {})},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if path:
        operation["parameters"] = [{"name": path, "in": "path", "required": True, "schema": TEXT}]
    operation["security"] = [{"key": []}] if key else []
    return operation


def _completion(summary: str, body: Schema) -> Schema:
    """An operation that answers with JSON, or with a stream."""
    content: Schema = {"application/json": {"schema": ANSWER}, "text/event-stream": {}}
    description = "released, or held with finish_reason content_filter"
    return _operation(summary, {"description": description, "content": content}, body)


OBJECT: Schema = {"type": "object"}
READY = _operation(
    "Whether requests may come",
    _response(OBJECT, "ready"),
    key=False,
    other={"503": _response(OBJECT, "not ready, and why")},
)

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "tolerate",
        "version": "1",
        "description": "A gateway that releases what a certificate covers and holds the rest for people.",
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/v1/chat/completions": {"post": _completion("A chat completion", CHAT)},
        "/v1/completions": {"post": _completion("A completion", COMPLETION)},
        "/v1/decide": {"post": _operation("The decision alone", _response(DECIDED, "the decision"), DECIDE)},
        "/v1/models": {"get": _operation("The jobs, as models", _response(OBJECT, "a list"))},
        "/v1/models/{model}": {
            "get": _operation("One job, as a model", _response(OBJECT, "a model"), path="model")
        },
        "/v1/jobs": {
            "get": _operation("Jobs and their certificates in force", _response(OBJECT, "the jobs"))
        },
        "/v1/tickets/{ticket}": {
            "get": _operation("What became of a held answer", _response(OBJECT, "its state"), path="ticket")
        },
        "/v1/watch/{job}": {
            "get": _operation("Evidence, alarms, history", _response(OBJECT, "the watch"), path="job")
        },
        "/healthz": {"get": _operation("Whether it lives", _response(OBJECT, "alive"), key=False)},
        "/readyz": {"get": READY},
        "/metrics": {
            "get": _operation("For Prometheus", _response(TEXT, "metrics", "text/plain"), key=False)
        },
    },
}
