"""Structured logs: events with fields on standard error or in a file, never secrets or prompt text."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import structlog

__all__ = ["configure_logs", "logs_in_file"]


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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
