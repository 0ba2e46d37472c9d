"""What a server remembers of a prompt: its place in the queue, its outcome, its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.comfy.untrusted import list_in, object_in, text_in
from shared.errors import JsonValue

__all__ = [
    "Interrupted",
    "NodeFailure",
    "Outcome",
    "Place",
    "ServerFile",
    "ServerText",
    "Sighting",
    "Succeeded",
    "parse_outcome",
    "parse_place",
    "prompt_ids",
]

_OUT_OF_MEMORY = (
    "out of memory",
    "outofmemory",
    "allocation on device",
    "not enough memory",
    "can't allocate",
)


class Place(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFile:
    """A file that a node made. The three names serve for asking the server, never as a path of ours.

    `index` counts within the node, over all its outputs, in the server's order; `group` is the
    key under which the node listed it.
    """

    node: str
    index: int
    group: str
    filename: str
    subfolder: str
    type: str

    @property
    def is_temporary(self) -> bool:
        return self.type == "temp"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerText:
    node: str
    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    outputs: tuple[ServerFile | ServerText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailure:
    """A node raised. `message` may hold the server's paths: never show it as it is."""

    node: str | None
    class_type: str | None
    exception: str
    message: str

    @property
    def is_out_of_memory(self) -> bool:
        said = f"{self.exception} {self.message}".lower()
        return any(mark in said for mark in _OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Interrupted:
    pass


Outcome = Succeeded | NodeFailure | Interrupted
Sighting = Place | Outcome


def parse_outcome(entry: JsonValue) -> Outcome:
    """Read a history entry. An error among the messages counts, whatever the status line claims."""
    record = object_in(entry)
    status = object_in(record.get("status"))
    messages = dict(_messages(status.get("messages")))
    failure = messages.get("execution_error")
    if failure is not None:
        return NodeFailure(
            node=text_in(failure.get("node_id")),
            class_type=text_in(failure.get("node_type")),
            exception=text_in(failure.get("exception_type")) or "",
            message=text_in(failure.get("exception_message")) or "",
        )
    if "execution_interrupted" in messages:
        return Interrupted()
    if status.get("status_str") == "error":
        return NodeFailure(node=None, class_type=None, exception="", message="")
    return Succeeded(tuple(_outputs(object_in(record.get("outputs")))))


def parse_place(queue: JsonValue, prompt_id: str) -> Place:
    """Where a prompt stands in GET /queue."""
    for key, place in (("queue_running", Place.RUNNING), ("queue_pending", Place.PENDING)):
        if prompt_id in prompt_ids(object_in(queue).get(key)):
            return place
    return Place.ABSENT


def prompt_ids(items: JsonValue) -> tuple[str, ...]:
    """Of a list in GET /queue; what is none is passed over."""
    return tuple(
        item[1]
        for item in list_in(items)
        if isinstance(item, list) and len(item) > 1 and isinstance(item[1], str)
    )


def _messages(value: JsonValue) -> list[tuple[str, Mapping[str, JsonValue]]]:
    return [
        (item[0], object_in(item[1]))
        for item in list_in(value)
        if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)
    ]


def _outputs(outputs: Mapping[str, JsonValue]) -> list[ServerFile | ServerText]:
    """Items of any shape occur: an object with a file name is a file, a string under "text" a text."""
    found: list[ServerFile | ServerText] = []
    for node, groups in outputs.items():
        index = 0
        for group, items in object_in(groups).items():
            for item in list_in(items):
                parsed = _output(node, index, group, item)
                if parsed is not None:
                    found.append(parsed)
                    index += 1
    return found


def _output(node: str, index: int, group: str, item: JsonValue) -> ServerFile | ServerText | None:
    if isinstance(item, str) and group == "text":
        return ServerText(node=node, index=index, text=item)
    facts = object_in(item)
    filename = facts.get("filename")
    if not isinstance(filename, str) or not filename:
        return None
    return ServerFile(
        node=node,
        index=index,
        group=group,
        filename=filename,
        subfolder=text_in(facts.get("subfolder")) or "",
        type=text_in(facts.get("type")) or "output",
    )
