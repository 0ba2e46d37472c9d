"""What a lane worker asks of whatever looks after its engine."""

from collections.abc import Mapping
from typing import Protocol

from cloud.repositories.lanes import LaneHead
from cloud.repositories.servers import Switch
from cloud.worker.choose import Residency
from shared.engines.base import Capabilities, Engine
from shared.errors import SafelightError

__all__ = ["LocalWatch", "Switches", "Watch"]

Switches = tuple[Mapping[str, Switch], ...]  # by preset, of some servers


class Watch(Protocol):
    @property
    def room(self) -> int:
        """How many attempts may be open just now; none while the engine is not to be used."""
        ...

    @property
    def room_for_left(self) -> int:
        """The same for runs that were left behind here: these are ended even while it drains."""
        ...

    async def capabilities(self) -> Capabilities:
        """As last heard. Raises EngineUnavailable while nothing is known."""
        ...

    async def ask(self) -> Capabilities:
        """As of now. Raises EngineUnavailable."""
        ...

    async def others(self) -> dict[str, Capabilities]:
        """What other servers of the pool can run, as they last said."""
        ...

    def residency(
        self, lanes: tuple[LaneHead, ...], elsewhere: frozenset[str], alike: Switches = ()
    ) -> Residency:
        """`alike` is what other servers of its class measured."""
        ...

    def hold(self, preset: str) -> bool:
        """The next job is of this preset; true if its models are not there yet."""
        ...

    def worked(self) -> None:
        """A job came to an end here, good or bad."""
        ...

    def failed(self, error: SafelightError) -> None:
        """The engine let a job down."""
        ...

    def measured(self, preset: str, seconds: float, *, cold: bool) -> None:
        """From the start of a run to its first progress."""
        ...


class LocalWatch:
    """For an engine in this process: always there, with nothing to load."""

    def __init__(self, engine: Engine, *, capacity: int) -> None:
        self._engine = engine
        self._capacity = capacity
        self._capabilities: Capabilities | None = None

    @property
    def room(self) -> int:
        return self._capacity

    @property
    def room_for_left(self) -> int:
        return self._capacity

    async def capabilities(self) -> Capabilities:
        return self._capabilities or await self.ask()

    async def ask(self) -> Capabilities:
        self._capabilities = await self._engine.capabilities()
        return self._capabilities

    async def others(self) -> dict[str, Capabilities]:
        return {}

    def residency(
        self,
        lanes: tuple[LaneHead, ...],  # noqa: ARG002
        elsewhere: frozenset[str],  # noqa: ARG002
        alike: Switches = (),  # noqa: ARG002
    ) -> Residency:
        return Residency()

    def hold(self, preset: str) -> bool:  # noqa: ARG002
        return False

    def worked(self) -> None:
        pass

    def failed(self, error: SafelightError) -> None:
        pass

    def measured(self, preset: str, seconds: float, *, cold: bool) -> None:
        pass
