"""Which servers may run a job: those of one pool that carry some labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloud.errors import InvalidRequest, PlanLimit
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller
from cloud.services.plans import entitlements_of
from cloud.services.presets import BUILTIN_POOL, SERVER_POOL
from shared.api.accounts import Plan

__all__ = ["Directions", "Place", "Placing"]

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Directions:
    """What the operator says of presets and plans, by their names."""

    preset_pools: Mapping[str, str] = field(default_factory=dict)
    plan_pools: Mapping[Plan, str] = field(default_factory=dict)
    preset_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    pool: str
    labels: Mapping[str, str] = field(default_factory=dict)


class Placing:
    """`link` is where a larger plan can be had."""

    def __init__(self, *, directions: Directions, link: str) -> None:
        self._directions = directions
        self._link = link

    def without_server(self, title: str, wanted: Mapping[str, str]) -> Place:
        """For what the built-in engine runs. Raises InvalidRequest."""
        if wanted:
            raise InvalidRequest(f"{title} needs no GPU server; leave out labels", field="labels")
        return Place(BUILTIN_POOL)

    def at_server(
        self, unit: Unit, caller: Caller, preset: str, title: str, wanted: Mapping[str, str], *, field: str
    ) -> Place:
        """The account's pool, else the preset's, else the plan's; with the labels that the job asks for and
        those of the preset, which win. Raises PlanLimit, and InvalidRequest where no such server is."""
        if wanted and not entitlements_of(caller.plan).server_labels:
            raise PlanLimit(
                f"the plan {caller.plan} does not choose among servers; leave out labels, "
                "or choose a larger plan",
                limit="server_labels",
                field="labels",
                plan=caller.plan.value,
                link=self._link,
            )
        said = self._directions
        pool = caller.pool or said.preset_pools.get(preset) or said.plan_pools.get(caller.plan) or SERVER_POOL
        place = Place(pool, {**wanted, **said.preset_labels.get(preset, _NOTHING)})
        _check(unit, place, title, field=field)
        return place


def _check(unit: Unit, place: Place, title: str, *, field: str) -> None:
    """Raises InvalidRequest where nothing is there that could ever run it."""
    there = unit.servers.labels_in(place.pool)
    if not there:
        where = "here" if place.pool == SERVER_POOL else f"in the pool {place.pool}"
        raise InvalidRequest(
            f"{title} needs a GPU server, and there is none {where}; choose another preset", field=field
        )
    if not any(place.labels.items() <= labels.items() for labels in there):
        wanted = ", ".join(f"{name}={value}" for name, value in sorted(place.labels.items()))
        raise InvalidRequest(
            f"no GPU server for {title} is labelled {wanted}; ask for other labels, or for none",
            field="labels",
        )
