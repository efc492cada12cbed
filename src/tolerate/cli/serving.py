"""The command `tolerate serve`: builds the settings from the options and runs the service."""

import asyncio
import importlib.util
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tolerate.errors import OptionError

if TYPE_CHECKING:
    from tolerate.service.config import ServiceSettings

REQUIRED_PACKAGES = ("uvicorn", "httptools", "aiohttp", "orjson", "prometheus_client")


def serve(
    job: Annotated[str, typer.Option(help="Name of the job; applications may send it as the model.")] = "job",
    certificate: Annotated[
        Path | None, typer.Option(help="The certificate's JSON file. Without one everything is held.")
    ] = None,
    upstream: Annotated[
        str, typer.Option(help="The model's address, such as http://localhost:8000/v1.")
    ] = "",
    model: Annotated[str | None, typer.Option(help="Model to ask of the upstream.")] = None,
    judge: Annotated[
        str,
        typer.Option(help="What scores answers: none, given, logprobs, surest or package.module:attribute."),
    ] = "none",
    prompt: Annotated[Path | None, typer.Option(help="File with the certified system prompt.")] = None,
    guide: Annotated[Path | None, typer.Option(help="File with the label guide for reviewers.")] = None,
    table: Annotated[
        Path | None, typer.Option(help="The labelled table that the certificate rests on.")
    ] = None,
    share: Annotated[float, typer.Option(help="Share of items drawn for review, such as 0.05.")] = 0.05,
    wait: Annotated[float, typer.Option(help="Seconds that a held answer waits for a person.")] = 0.0,
    config: Annotated[Path | None, typer.Option(help="TOML file with jobs and tiers instead.")] = None,
    database: Annotated[
        str, typer.Option(help="SQLite file, or postgresql://user@host/name.")
    ] = "tolerate.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 7411,
    webhook: Annotated[str, typer.Option(help="Address that is told of alarms.")] = "",
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request, as JSON.")] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Bring a model, a certificate and traffic, to try.")
    ] = False,
) -> None:
    """Serve a job: what the certificate covers is released, the rest is held for people at the desk.

    Applications change the base URL of their OpenAI client. Ctrl-C finishes what was taken and stops.
    """
    for name in REQUIRED_PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise OptionError(f'the service needs {name}; try: pip install "tolerate[serve]"')
    from tolerate.service.server import serve as run

    if demo:
        from tolerate.service.demo import serve_demo

        _run_in_event_loop(lambda: serve_demo(port, database if database != "tolerate.db" else None))
        return
    if config is not None:
        from tolerate.service.config import load

        service = load(config)
    else:
        service = _one_job(job, certificate, upstream, model, judge, prompt, guide, table, share, wait)
        service = replace(service, database=database, host=host, port=port)
    webhooks = (webhook,) if webhook else service.webhooks
    secret = os.environ.get("TOLERATE_WEBHOOK_SECRET") or service.webhook_secret
    service = replace(service, webhooks=webhooks, webhook_secret=secret)
    _run_in_event_loop(lambda: run(replace(service, access_log=access_log or service.access_log)))


def _one_job(
    job: str,
    certificate: Path | None,
    upstream: str,
    model: str | None,
    judge: str,
    prompt: Path | None,
    guide: Path | None,
    table: Path | None,
    share: float,
    wait: float,
) -> "ServiceSettings":
    """The service of one job with one tier."""
    from tolerate.service.config import JobSettings, ServiceSettings, TierSettings, text_of

    if not upstream:
        raise OptionError("no model: give --upstream http://localhost:8000/v1, or --config, or --demo")
    tier = TierSettings(
        "main",
        upstream.rstrip("/"),
        model,
        judge,
        None if prompt is None else text_of(prompt),
        key=os.environ.get("TOLERATE_UPSTREAM_KEY"),
        certificate=None if certificate is None else str(certificate),
        table=None if table is None else str(table),
    )
    guide_text = "" if guide is None else text_of(guide)
    return ServiceSettings((JobSettings(job, (tier,), share=share, wait=wait, guide=guide_text),))


def _run_in_event_loop(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Run a coroutine in uvloop if it is installed, else in asyncio's own event loop."""
    factory = None
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work())
