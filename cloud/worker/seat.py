"""One engine of this worker, and what may be sent there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud.repositories.lanes import Lane
from cloud.services.lane_needs import lacking
from shared.engines.base import Capabilities, Engine
from shared.presets.bundle import Preset

__all__ = ["Seat", "can_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """`runs_at_once` jobs run there, others wait behind them. `server` is the name of a GPU server,
    `labels` are those of its operator; `version` is that of an engine without a server."""

    engine: Engine
    pools: frozenset[str]
    runs_at_once: int
    server: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None

    @property
    def name(self) -> str:
        return self.server or self.engine.name


def can_run(
    lane: Lane, presets: Mapping[str, Preset], capabilities: Capabilities, labels: Mapping[str, str]
) -> bool:
    """Whether nothing is missing for what the lane's jobs need."""
    return lacking(lane, presets, capabilities, labels) == ()
