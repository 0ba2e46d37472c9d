"""Failures on the server, in sentences without its paths and tracebacks."""

import re

from shared.comfy.records import NodeFailure

__all__ = ["EXECUTION_ERROR", "OUT_OF_MEMORY", "failure_code", "failure_message"]

OUT_OF_MEMORY = "out_of_memory"
EXECUTION_ERROR = "execution_error"

_QUOTED_PATH = re.compile(r"""(['"])(?:[A-Za-z]:|~|\\\\)?[\\/][^'"]*[\\/]([^'"\\/]*)\1""")
_PATH = re.compile(r"(?:[A-Za-z]:|~|\\\\)?[\\/](?:[^\\/\s'\":*?<>|]+[\\/])+([^\\/\s'\":*?<>|]*)")
_MAX_CHARS = 200


def failure_code(failure: NodeFailure) -> str:
    return OUT_OF_MEMORY if failure.is_out_of_memory else EXECUTION_ERROR


def failure_message(failure: NodeFailure) -> str:
    where = _printable(f"node {failure.node} ({failure.class_type})") if failure.node else "the workflow"
    if failure.is_out_of_memory:
        return f"{where} ran out of memory on the server; try a smaller picture or a smaller batch"
    reason = _plain(failure.message)
    kind = _printable(failure.exception.rpartition(".")[2])
    told = reason or kind
    return f"{where} failed on the server: {told}" if told else f"{where} failed on the server"


def _plain(message: str) -> str:
    """The first line, with base names where whole paths stood."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    text = lines[0][: 4 * _MAX_CHARS] if lines else ""
    text = _PATH.sub(r"\1", _QUOTED_PATH.sub(r"\1\2\1", text))
    text = _printable(text)
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 1]}…"


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
