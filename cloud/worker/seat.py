"""One engine of this worker, and what may be sent there."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.engines.base import Capabilities, Engine
from shared.presets.bundle import Preset
from shared.presets.requirement import missing_requirements

__all__ = ["Seat", "runnable_presets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """`capacity` attempts may be open at once, the last of them waiting behind the others.

    `switch_cost_s` is what a change of preset costs here; 0 where nothing is loaded.
    """

    engine: Engine
    pools: frozenset[str]
    capacity: int
    server: str | None = None
    switch_cost_s: float = 0.0


def runnable_presets(presets: Mapping[str, Preset], capabilities: Capabilities) -> frozenset[str]:
    """Ids of the presets for which nothing is missing."""
    return frozenset(
        preset_id
        for preset_id, preset in presets.items()
        if not missing_requirements(preset, capabilities.node_classes, capabilities.models)
    )
