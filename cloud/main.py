"""The API as an ASGI application."""

import json

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from cloud.clients.rate_counter import LocalRateCounter
from cloud.context import ProcessContext
from cloud.middleware.client_address import ClientAddress
from cloud.middleware.concurrency_limit import ConcurrencyLimit
from cloud.middleware.edge import BodyLimit, Cors, HeadLimit, HostCheck, RequestIds, SecurityHeaders
from cloud.middleware.errors import install_error_answers
from cloud.middleware.rate_limits import AddressLimit
from cloud.middleware.request_log import RequestLog
from cloud.routers import (
    account,
    artifacts,
    batches,
    events,
    file_submissions,
    health,
    jobs,
    metrics,
    operator_servers,
    outputs,
    presets,
    shares,
    transfers,
    waiting,
    webhooks,
)
from cloud.services.links import API
from cloud.settings import Settings

__all__ = ["asgi_app", "create_api", "openapi_text", "operations_app"]

# Spans of its own would tell addresses, and so the tokens of signed links.
_NO_SPANS: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_SUMMARY = (
    "Jobs, artifacts and events of the Safelight cloud. Polling is the truth; streams are a convenience."
)


def create_api() -> FastAPI:
    """The routes alone; their context is put into `app.state` by whoever serves them."""
    app = FastAPI(
        title="Safelight cloud",
        version="1",
        description=_SUMMARY,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_SPANS,
    )
    api = APIRouter(prefix=API)
    for routes in (
        account,
        jobs,
        file_submissions,
        batches,
        outputs,
        events,
        artifacts,
        transfers,
        shares,
        presets,
        waiting,
        webhooks,
        operator_servers,
    ):
        api.include_router(routes.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(metrics.router)
    install_error_answers(app)
    return app


_WITH_FILES = f"{API}/jobs/with-files"
_TRANSFERS = (*(f"{API}/{place}/" for place in ("downloads", "shared")), _WITH_FILES)


def asgi_app(context: ProcessContext) -> ASGIApp:
    """The routes within the layers that every request passes."""
    app = create_api()
    app.state.context = context
    limited = SecurityHeaders(_limited(app, context.settings), over_tls=_over_tls(context.settings))
    return RequestIds(
        ClientAddress(RequestLog(limited, metrics=context.metrics), trusted=context.settings.trusted_proxies)
    )


def operations_app(context: ProcessContext) -> ASGIApp:
    """Of a process that only works: whether it lives, and how it fares."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, telemetry=_NO_SPANS)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.state.context = context
    install_error_answers(app)
    headed = SecurityHeaders(app, over_tls=_over_tls(context.settings))
    return RequestIds(RequestLog(headed, metrics=context.metrics))


def openapi_text() -> str:
    """The OpenAPI document, as it is kept in docs."""
    return json.dumps(create_api().openapi(), indent=2, ensure_ascii=False) + "\n"


def _limited(app: ASGIApp, settings: Settings) -> ASGIApp:
    limited: ASGIApp = BodyLimit(
        _with_places(app, settings),
        limit=settings.max_body_bytes,
        uploads=(("PUT", f"{API}/uploads/"), ("PUT", f"{API}/artifacts/"), ("POST", _WITH_FILES)),
        upload_limit=settings.max_upload_bytes,
        patience_s=settings.client_patience_s,
    )
    limited = HeadLimit(limited, limit=settings.max_head_bytes)
    if settings.rate_limits:
        counter = LocalRateCounter()
        limited = AddressLimit(limited, counter=counter, per_minute=settings.address_requests_per_minute)
    limited = HostCheck(limited, allowed=settings.hosts)
    return Cors(limited, origins=settings.cors_origins) if settings.cors_origins else limited


def _with_places(app: ASGIApp, settings: Settings) -> ASGIApp:
    return ConcurrencyLimit(
        app,
        at_once=settings.requests_at_once,
        waiting=settings.requests_waiting,
        wait_s=settings.request_wait_s,
        exempt=("/health", "/ready", "/metrics", *_TRANSFERS),
    )


def _over_tls(settings: Settings) -> bool:
    return settings.base_url.startswith("https://")
