"""What the stand-in shall do wrong."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["Faults", "OutputFault"]


class OutputFault(StrEnum):
    EMPTY = "empty"
    TRUNCATED = "truncated"
    HTML = "html"
    HUGE = "huge"
    CUT = "cut"  # the connection ends before the announced length


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Faults:
    """Counters go down with each use; switches stay until they are reset."""

    lose_answers: int = 0  # POST /prompt: queued, then the connection breaks
    lose_requests: int = 0  # POST /prompt: the connection breaks, nothing is queued
    answer_500: int = 0  # POST /prompt: queued, yet 500
    answer_500_only: int = 0  # POST /prompt: 500 and not queued
    answer_html: int = 0  # a captive portal in front of everything
    partial: bool = False  # POST /prompt: accepted with node_errors
    own_ids: bool = False  # a server that ignores prompt_id
    lose_interrupts: int = 0
    slow_s: float = 0.0  # before every answer
    output: OutputFault | None = None
    lie_success: bool = False  # history: an error among the messages, but "success" on top
    backwards: bool = False  # progress that falls
    garbage: tuple[str | bytes, ...] = ()  # sent before each event
    deaf: bool = False  # sockets stay open and hear nothing
    deaf_clients: set[str] = field(default_factory=set)
    refuse_sockets: bool = False
    fail_with: tuple[str, str] | None = None  # exception type and message of the first node
    frozen: asyncio.Event = field(default_factory=_set_event)  # cleared: answers nothing

    def take(self, name: str) -> bool:
        left: int = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left)
