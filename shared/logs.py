"""Structured logs: events with fields on standard error or in a file, never secrets or prompt text."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import structlog

from shared.log_safety import harmless, redacted

__all__ = ["bridge_library_logs", "configure_logs", "logs_in_file", "request_id"]

_log = structlog.get_logger(__name__)


_FULL_BYTES = 5 << 20


def configure_logs(*, level: str = "info", as_json: bool = False) -> None:
    """Send every structlog event of this process to standard error; call once, at the entry."""
    _configure(sys.stderr, level=level, as_json=as_json)


@contextmanager
def logs_in_file(file: Path, *, level: str = "info") -> Iterator[None]:
    """While inside, events go as JSON to the end of `file`; a large one becomes `<name>.old` first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > _FULL_BYTES:
        file.replace(file.with_name(f"{file.name}.old"))
    with file.open("a", encoding="utf-8", errors="backslashreplace", buffering=1) as stream:
        _configure(stream, level=level, as_json=True)
        try:
            yield
        finally:
            configure_logs(level=level)


def bridge_library_logs() -> None:
    """Have what libraries warn of pass the same way as our own events."""
    root = logging.getLogger()
    if not any(isinstance(handler, _Bridge) for handler in root.handlers):
        root.addHandler(_Bridge(logging.WARNING))


def request_id() -> str | None:
    """Of the request for which the present task works."""
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


class _Bridge(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


def _configure(stream: TextIO, *, level: str, as_json: bool) -> None:
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redacted,
            harmless,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
