"""What a server says about itself, and what that version of it can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.comfy.untrusted import list_in, object_in, text_in
from shared.errors import JsonValue
from shared.legible import legible

__all__ = ["ServerFacts", "parse_facts"]

_TARGETED_INTERRUPT_SINCE = (0, 3, 57)
_MOST_CHARACTERS = 200
_MOST_BYTES = 1 << 60  # more than any machine has


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """None where the server does not say, or says what cannot be. Texts are one short line."""

    version: str | None = None
    device: str | None = None
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None

    @property
    def interrupts_one_prompt(self) -> bool:
        """Older servers take a targeted interrupt for a global one, which would hit anybody's work."""
        numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", self.version or "")
        return numbers is not None and tuple(map(int, numbers.groups())) >= _TARGETED_INTERRUPT_SINCE


def parse_facts(stats: Mapping[str, JsonValue]) -> ServerFacts:
    """From /system_stats."""
    first = next(iter(list_in(stats.get("devices"))), None)
    return ServerFacts(
        version=_line(object_in(stats.get("system")).get("comfyui_version")),
        device=_device(first),
        memory_bytes=_count(first, "vram_total"),
        memory_free_bytes=_count(first, "vram_free"),
    )


def _device(facts: JsonValue) -> str | None:
    """ "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync" without what differs between equal ones."""
    name = _line(object_in(facts).get("name"))
    return None if name is None else re.sub(r"^\w+:\d+ ", "", name).partition(" : ")[0].strip()


def _count(facts: JsonValue, key: str) -> int | None:
    value = object_in(facts).get(key)
    return value if isinstance(value, int) and 0 <= value <= _MOST_BYTES else None


def _line(value: JsonValue) -> str | None:
    text = text_in(value)
    return None if text is None else legible(text)[:_MOST_CHARACTERS]
