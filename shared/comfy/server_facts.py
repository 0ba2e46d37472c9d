"""What a server says about itself, and what that version of it can do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import JsonValue

__all__ = ["ServerFacts", "parse_facts"]

_TARGETED_INTERRUPT_SINCE = (0, 3, 57)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`max_upload_bytes` bounds uploads and prompts alike; None where the server does not say."""

    version: str | None = None
    device: str | None = None
    memory_bytes: int | None = None
    memory_free_bytes: int | None = None
    max_upload_bytes: int | None = None

    @property
    def interrupts_one_prompt(self) -> bool:
        """Older servers take a targeted interrupt for a global one, which would hit anybody's work."""
        numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", self.version or "")
        return numbers is not None and tuple(map(int, numbers.groups())) >= _TARGETED_INTERRUPT_SINCE


def parse_facts(stats: Mapping[str, JsonValue], features: JsonValue) -> ServerFacts:
    """From /system_stats and /features (which old servers do not have)."""
    system, devices = stats.get("system"), stats.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else None
    version = system.get("comfyui_version") if isinstance(system, Mapping) else None
    return ServerFacts(
        version=version if isinstance(version, str) else None,
        device=_device(first),
        memory_bytes=_count(first, "vram_total"),
        memory_free_bytes=_count(first, "vram_free"),
        max_upload_bytes=_count(features, "max_upload_size"),
    )


def _device(facts: JsonValue) -> str | None:
    """ "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync" without what differs between equal ones."""
    name = facts.get("name") if isinstance(facts, Mapping) else None
    return re.sub(r"^\w+:\d+ ", "", name).partition(" : ")[0].strip() if isinstance(name, str) else None


def _count(facts: JsonValue, key: str) -> int | None:
    value = facts.get(key) if isinstance(facts, Mapping) else None
    return value if isinstance(value, int) else None
