"""What arrives on the socket, as values.

Nothing here raises: a server may send anything, and what is unknown, broken or oversized reads as
Ignored. Sizes are bounded before anything is decoded.
"""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from shared.comfy.untrusted import list_in, object_in, text_in
from shared.errors import JsonValue

__all__ = [
    "Executed",
    "ExecutionCached",
    "ExecutionStarted",
    "Ignored",
    "NodeStarted",
    "NodeText",
    "PreviewFrame",
    "PromptEnded",
    "PromptOver",
    "RunMessage",
    "ServerStatus",
    "StepProgress",
    "TreeProgress",
    "WireMessage",
    "Withdrawn",
    "parse_frame",
    "parse_text",
]

_MAX_TEXT_CHARS = 8 << 20
_MAX_PREVIEW_BYTES = 16 << 20
_MAX_HEADER_BYTES = 1 << 20
_TREE_MARK = '{"type": "progress_state"'
_TREE_PROMPT = '"prompt_id": "'
_LEGACY_TYPES = {1: "image/jpeg", 2: "image/png"}
_MAGIC = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n", "image/webp": b"RIFF"}


@dataclass(frozen=True, slots=True)
class Ignored:
    pass


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The queue changed; `queued` counts running and pending prompts of everybody."""

    queued: int


@dataclass(frozen=True, slots=True)
class ExecutionStarted:
    prompt_id: str


@dataclass(frozen=True, slots=True)
class ExecutionCached:
    """`nodes` need not run: their results are still there."""

    prompt_id: str
    nodes: frozenset[str]


@dataclass(frozen=True, slots=True)
class NodeStarted:
    prompt_id: str
    node: str


@dataclass(frozen=True, slots=True)
class Executed:
    """An output node is done. What it made is read from the history, never from here."""

    prompt_id: str
    node: str


@dataclass(frozen=True, slots=True)
class StepProgress:
    prompt_id: str
    node: str
    value: float
    max: float


@dataclass(frozen=True, slots=True)
class TreeProgress:
    """The state of every node so far: sent at each step and quadratic in size, so read on demand."""

    prompt_id: str
    text: str

    def finished(self) -> frozenset[str]:
        """The nodes that are done."""
        return frozenset(
            name
            for name, state in object_in(_data(self.text).get("nodes")).items()
            if object_in(state).get("state") == "finished"
        )


@dataclass(frozen=True, slots=True)
class NodeText:
    node: str
    text: str


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """`prompt_id` and `node` are None on connections without metadata: such a frame proves nothing."""

    media_type: str
    data: bytes
    prompt_id: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class PromptEnded:
    """Success, error or interruption was announced; the history entry may not be written yet."""

    prompt_id: str


@dataclass(frozen=True, slots=True)
class PromptOver:
    """The history now tells the outcome."""

    prompt_id: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Not from the wire: we took the prompt out of the queue, which leaves no trace on the server."""

    prompt_id: str


RunMessage = (
    ExecutionStarted
    | ExecutionCached
    | NodeStarted
    | Executed
    | StepProgress
    | TreeProgress
    | PreviewFrame
    | PromptEnded
    | PromptOver
    | Withdrawn
)
WireMessage = RunMessage | ServerStatus | NodeText | Ignored
_IGNORED = Ignored()


def parse_text(text: str) -> WireMessage:
    if len(text) > _MAX_TEXT_CHARS:
        return _IGNORED
    if text.startswith(_TREE_MARK):
        return _tree(text)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return _IGNORED
    if not isinstance(message, dict) or not isinstance(message.get("data"), dict):
        return _IGNORED
    return _from_object(message.get("type"), message["data"], text)


def parse_frame(frame: bytes) -> WireMessage:
    if not 8 <= len(frame) <= _MAX_PREVIEW_BYTES:
        return _IGNORED
    event, second = struct.unpack_from(">II", frame)
    match event:
        case 1:
            return _preview(_LEGACY_TYPES.get(second), frame[8:], None, None)
        case 3 if second <= min(_MAX_HEADER_BYTES, len(frame) - 8):
            node, text = frame[8 : 8 + second], frame[8 + second :]
            return NodeText(node.decode("utf-8", "replace"), text.decode("utf-8", "replace"))
        case 4 if second <= min(_MAX_HEADER_BYTES, len(frame) - 8):
            return _described_preview(frame[8 : 8 + second], frame[8 + second :])
        case _:
            return _IGNORED


def _tree(text: str) -> WireMessage:
    start = text.find(_TREE_PROMPT)
    end = text.find('"', start + len(_TREE_PROMPT))
    return TreeProgress(text[start + len(_TREE_PROMPT) : end], text) if 0 <= start < end else _IGNORED


def _from_object(kind: JsonValue, data: Mapping[str, JsonValue], text: str) -> WireMessage:
    if kind == "status":
        return _status(data)
    prompt_id = data.get("prompt_id")
    if not isinstance(prompt_id, str):
        return _IGNORED
    node = data.get("node")
    message: WireMessage = _IGNORED
    match kind:
        case "execution_start":
            message = ExecutionStarted(prompt_id)
        case "execution_cached":
            nodes = list_in(data.get("nodes"))
            message = ExecutionCached(prompt_id, frozenset(name for name in nodes if isinstance(name, str)))
        case "executing" if node is None:
            message = PromptOver(prompt_id)
        case "executing" if isinstance(node, str):
            message = NodeStarted(prompt_id, text_in(data.get("display_node")) or node)
        case "executed" if isinstance(node, str):
            message = Executed(prompt_id, node)
        case "progress" if isinstance(node, str):
            message = _steps(prompt_id, node, data)
        case "progress_state":
            message = TreeProgress(prompt_id, text)
        case "execution_success" | "execution_error" | "execution_interrupted":
            message = PromptEnded(prompt_id)
        case _:
            pass
    return message


def _status(data: Mapping[str, JsonValue]) -> WireMessage:
    queued = object_in(object_in(data.get("status")).get("exec_info")).get("queue_remaining")
    return ServerStatus(queued if isinstance(queued, int) else 0)


def _steps(prompt_id: str, node: str, data: Mapping[str, JsonValue]) -> WireMessage:
    value, most = data.get("value"), data.get("max")
    if not isinstance(value, int | float) or not isinstance(most, int | float):
        return _IGNORED
    if not 0 < most < 1e9 or math.isnan(value):
        return _IGNORED
    return StepProgress(prompt_id, node, min(max(value, 0), most), most)


def _described_preview(header: bytes, image: bytes) -> WireMessage:
    try:
        facts = json.loads(header)
    except (ValueError, RecursionError):
        return _IGNORED
    if not isinstance(facts, dict) or not isinstance(facts.get("prompt_id"), str):
        return _IGNORED
    node = text_in(facts.get("display_node_id") or facts.get("node_id"))
    return _preview(facts.get("image_type"), image, facts["prompt_id"], node)


def _preview(media_type: JsonValue, image: bytes, prompt_id: str | None, node: str | None) -> WireMessage:
    """Only what has the magic bytes of the type it claims gets through."""
    magic = _MAGIC.get(media_type) if isinstance(media_type, str) else None
    if magic is None or not isinstance(media_type, str) or not image.startswith(magic):
        return _IGNORED
    return PreviewFrame(media_type, image, prompt_id, node)


def _data(text: str) -> Mapping[str, JsonValue]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return object_in(object_in(message).get("data"))
