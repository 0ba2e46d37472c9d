"""Traces to an OTLP collector and faults to Sentry, where the settings name them; otherwise nothing.

A trace goes with the request to its job and on to the attempt that runs it. OpenTelemetry's own
interface does nothing until it is given somewhere to report to.
"""

import contextlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from cloud.errors import BadSettings
from shared.log_safety import redacted

try:
    import sentry_sdk
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

__all__ = ["IS_INSTALLED", "report", "span", "telemetry", "traceparent"]

_NAME = "safelight-cloud"
_CARRIER = "traceparent"


@contextlib.contextmanager
def telemetry(*, otlp_endpoint: str | None, sentry_dsn: str | None, environment: str) -> Iterator[None]:
    """While inside, what is reported is sent; at its end, what was not yet. Raises BadSettings."""
    if otlp_endpoint is None and sentry_dsn is None:
        yield
        return
    if not IS_INSTALLED:
        raise BadSettings("traces and error reports need the extra: pip install 'safelight[telemetry]'")
    provider = None
    if otlp_endpoint is not None:
        provider = _provider(otlp_endpoint, environment)
        trace.set_tracer_provider(provider)
    if sentry_dsn is not None:
        _begin_reports(sentry_dsn, environment)
    try:
        yield
    finally:
        if provider is not None:
            provider.shutdown()
        if sentry_dsn is not None:
            sentry_sdk.flush(timeout=2)


@contextlib.contextmanager
def span(
    name: str, *, parent: str | None = None, serves: bool = False, **attributes: str | int
) -> Iterator[trace.Span]:
    """`parent` is W3C's traceparent; without, the span that is open, if any. Attributes are words of ours."""
    context = None if parent is None else propagate.extract({_CARRIER: parent})
    kind = SpanKind.SERVER if serves else SpanKind.INTERNAL
    with trace.get_tracer(_NAME).start_as_current_span(
        name, context=context, kind=kind, attributes=attributes, record_exception=False
    ) as opened:
        yield opened


def traceparent() -> str | None:
    """Of the span that is open."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(_CARRIER)


def report(error: BaseException) -> None:
    """A fault of ours: to the open span, and to Sentry."""
    trace.get_current_span().set_status(Status(StatusCode.ERROR, type(error).__name__))
    if IS_INSTALLED:
        sentry_sdk.capture_exception(error)


def _provider(endpoint: str, environment: str) -> "TracerProvider":
    resource = Resource.create({"service.name": _NAME, "deployment.environment.name": environment})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _begin_reports(dsn: str, environment: str) -> None:
    """Without what Sentry would gather by itself: bodies, local variables, addresses, breadcrumbs."""
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        server_name="",
        before_send=_scrubbed,
    )


def _scrubbed(event: Any, _hint: Mapping[str, Any]) -> Any:
    """Without lines of source either, which might show what they were called with."""
    for exception in event.get("exception", {}).get("values", ()):
        for frame in exception.get("stacktrace", {}).get("frames", ()):
            for lines in ("context_line", "pre_context", "post_context", "vars"):
                frame.pop(lines, None)
    cleaned: MutableMapping[str, Any] = redacted(None, "", event)
    return dict(cleaned)
