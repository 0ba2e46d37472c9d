"""One engine of this worker, and what may be sent there."""

from collections.abc import Mapping
from dataclasses import dataclass

from cloud.repositories.lanes import Lane
from cloud.services.model_choices import chosen_models
from shared.engines.base import Capabilities, Engine
from shared.presets.bundle import Preset
from shared.presets.requirement import missing_requirements

__all__ = ["Seat", "can_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """`runs_at_once` jobs run there, others wait behind them. `server` is the name of a GPU server."""

    engine: Engine
    pools: frozenset[str]
    runs_at_once: int
    server: str | None = None

    @property
    def name(self) -> str:
        return self.server or self.engine.name


def can_run(lane: Lane, presets: Mapping[str, Preset], capabilities: Capabilities) -> bool:
    """Whether nothing is missing for the lane's preset with the models that its jobs chose."""
    preset = presets.get(lane.preset)
    if preset is None:
        return False
    choices = chosen_models(lane.models)
    return not missing_requirements(preset, capabilities.node_classes, capabilities.models, choices)
