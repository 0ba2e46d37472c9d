"""What must not stand in a log: secrets, wherever they come from, and characters that forge lines."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from shared.legible import legible

__all__ = ["harmless", "redacted"]

_HIDDEN = "[hidden]"
_SECRETS = (
    re.compile(r"\bsl_live_[0-9A-Za-z]+"),  # API keys
    re.compile(r"\bwhsec_[0-9A-Za-z+/=_-]+"),  # secrets of webhooks
    re.compile(r"(?i)(?<=bearer )[^\s\"',;]+"),
    re.compile(r"(?i)(?<=basic )[A-Za-z0-9+/=]{8,}"),
    re.compile(r"(?<=safelight\.ticket\.)[\w-]+"),
    re.compile(r"(?<=/api/v1/uploads/)[^\s/?\"']+"),  # signed links
    re.compile(r"(?<=/api/v1/downloads/)[^\s/?\"']+"),
    re.compile(r"(?<=/api/v1/shared/)[^\s/?\"']+"),
    re.compile(r"(?<=://)[^\s/@\"']+:[^\s/@\"']+(?=@)"),  # user and password of a URL
    re.compile(r"(?i)(?<=[?&])(?:x-amz-[a-z-]+|signature|token|ticket|code|key|secret|password)=[^\s&\"']+"),
    re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b"),  # e-mail addresses
    re.compile(r"\bgAAAA[\w-]{20,}={0,2}"),  # what is sealed
)
_NAMES = re.compile(r"(?i)authorization|cookie|password|secret|token|api_?key|prompt|credential")
_LINES = frozenset({"exception", "stack"})  # of which people read the lines


def redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: hides what looks like a secret or is called one."""
    return {name: _hidden(name, value) for name, value in event.items()}


def harmless(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog, after tracebacks were written: one event stays one event."""
    return {name: _escaped(name, value) if isinstance(value, str) else value for name, value in event.items()}


def _hidden(name: str, value: Any) -> Any:
    if _NAMES.search(name) and value is not None and not isinstance(value, bool | int | float):
        return _HIDDEN
    return _without_secrets(value)


def _without_secrets(value: Any) -> Any:
    match value:
        case str():
            for secret in _SECRETS:
                value = secret.sub(_HIDDEN, value)
            return value
        case Mapping():
            return {key: _hidden(str(key), item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_without_secrets(item) for item in value]
        case BaseException():
            return _without_secrets(repr(value))
        case _:
            return value


def _escaped(name: str, text: str) -> str:
    if name not in _LINES:
        return legible(text)
    return "\n".join(legible(line) for line in text.split("\n"))
