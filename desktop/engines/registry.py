"""The engines of this process: made when first needed, asked whether they answer, matched to jobs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from desktop.engines.address import checked_server
from desktop.engines.comfy_process import ComfyProcess
from desktop.store.job import EngineChoice, GraphRecipe, Job
from desktop.views import EngineView
from shared.comfy.graph import Graph
from shared.engines.base import Capabilities, Engine, EngineUnavailable
from shared.engines.builtin.classes import NODE_CLASSES
from shared.presets.bundle import Preset

__all__ = ["EngineMaker", "EngineRegistry", "Seat"]

_ANSWER_KEPT_S = 5.0
_ANSWER_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Seat:
    """An engine for a job; `capacity` is how many jobs may be open there at once."""

    key: str
    engine: Engine
    capacity: int


@dataclass(frozen=True, slots=True)
class EngineMaker:
    """`make` gets the server's address; None stands for the only one there is.

    `close` ends what the engines share, after they were closed; `prestart` has one ready for the
    first job.
    """

    make: Callable[[str | None], Engine]
    capacity: int
    address: str | None = None
    close: Callable[[], Awaitable[None]] | None = None
    prestart: Callable[[], Awaitable[None]] | None = None


class EngineRegistry:
    """`own_comfy` is started when a ComfyUI is needed and none answers."""

    def __init__(
        self,
        *,
        makers: Mapping[EngineChoice, EngineMaker],
        default: EngineChoice,
        allow_plain_http: bool,
        own_comfy: ComfyProcess | None = None,
    ) -> None:
        self._makers = makers
        self._default = default
        self._allow_plain_http = allow_plain_http
        self._own_comfy = own_comfy
        self._seats: dict[str, Seat] = {}
        self._answers: dict[str, tuple[float, Capabilities | EngineUnavailable]] = {}

    async def seat_for(self, job: Job, preset: Preset | None) -> Seat:
        """Raises EngineUnavailable when nothing that suits the job answers, UsageError for a bad address."""
        graph = job.order.recipe.graph if isinstance(job.order.recipe, GraphRecipe) else None
        return await self.choose(job.order.engine, server=job.order.server, preset=preset, graph=graph)

    async def choose(
        self,
        choice: EngineChoice,
        *,
        server: str | None,
        preset: Preset | None,
        graph: Graph | None,
        start: bool = True,
    ) -> Seat:
        """Without `start` nothing is started. Raises EngineUnavailable, ComfyStarting among them."""
        choice = self._default if choice is EngineChoice.AUTO else choice
        if server is not None and choice is EngineChoice.AUTO:
            choice = EngineChoice.COMFY
        match choice:
            case EngineChoice.BUILTIN | EngineChoice.CLOUD:
                return self._seat(choice, None)
            case EngineChoice.COMFY:
                return await self._comfy_seat(server, start=start)
            case EngineChoice.AUTO:
                foreign = _foreign_classes(preset, graph)
                if not foreign:
                    return self._seat(EngineChoice.BUILTIN, None)
                return await self._reachable_comfy(foreign, start=start)
            case _:
                assert_never(choice)

    async def capabilities(self, seat: Seat) -> Capabilities:
        """As asked within the last seconds. Raises EngineUnavailable."""
        now = asyncio.get_running_loop().time()
        asked_at, answer = self._answers.get(seat.key, (-_ANSWER_KEPT_S, None))
        if answer is None or now - asked_at >= _ANSWER_KEPT_S:
            answer = await _ask(seat.engine)
            self._answers[seat.key] = (now, answer)
        if isinstance(answer, EngineUnavailable):
            raise EngineUnavailable(answer.message, **answer.details)
        return answer

    @property
    def starts_comfy(self) -> bool:
        """Whether a ComfyUI is there when one is needed."""
        return self._own_comfy is not None

    async def comfy_started(self) -> None:
        """Until a start that is under way has ended. Raises EngineUnavailable."""
        if self._own_comfy is not None:
            await self._own_comfy.started()

    async def views(self) -> tuple[EngineView, ...]:
        return tuple(await asyncio.gather(*[self._view(name) for name in self._makers]))

    async def prestart(self) -> None:
        """Have ready what takes long to begin."""
        for maker in self._makers.values():
            if maker.prestart is not None:
                await maker.prestart()

    async def aclose(self) -> None:
        for seat in self._seats.values():
            await seat.engine.aclose()
        self._seats.clear()
        if self._own_comfy is not None:
            await self._own_comfy.aclose()
        for maker in self._makers.values():
            if maker.close is not None:
                await maker.close()

    async def _comfy_seat(self, server: str | None, *, start: bool) -> Seat:
        """The server named, or ours: the one that answers at the usual address, or is started."""
        seat = self._seat(EngineChoice.COMFY, server)
        if server is not None or self._own_comfy is None:
            return seat
        try:
            await self.capabilities(seat)
        except EngineUnavailable:
            if start:
                return self._seat(EngineChoice.COMFY, await self._own_comfy.address())
            running = await self._own_comfy.running()
            return seat if running is None else self._seat(EngineChoice.COMFY, running)
        return seat

    async def _reachable_comfy(self, foreign: frozenset[str], *, start: bool) -> Seat:
        seat = await self._comfy_seat(None, start=start)
        try:
            await self.capabilities(seat)
        except EngineUnavailable as error:
            if self._own_comfy is not None:
                raise
            names = ", ".join(sorted(foreign)[:3]) + (", …" if len(foreign) > 3 else "")
            raise EngineUnavailable(
                f"this needs a ComfyUI (for {names}), and none answers at {seat.key.partition(' ')[2]}: "
                "start ComfyUI, or give its address with --server or SAFELIGHT_COMFYUI_URL",
                node_classes=sorted(foreign),
            ) from error
        return seat

    async def _view(self, name: EngineChoice) -> EngineView:
        own = self._own_comfy if name is EngineChoice.COMFY else None
        seat = self._seat(name, None) if own is None else await self._comfy_seat(None, start=False)
        try:
            known = await self.capabilities(seat)
        except EngineUnavailable as error:
            detail = error.message
            if own is not None:
                detail = own.trouble or f"is started from {own.place} when a preset needs it"
            return EngineView(name=name, reachable=False, detail=detail)
        address = self._makers[name].address or "on this machine"
        if own is not None and seat is not self._seat(name, None):
            address = f"{seat.key.partition(' ')[2]}, started from {own.place}"
        facts = [address, known.version or ""]
        if known.node_classes is not None:
            facts.append(f"{len(known.node_classes)} node classes")
        return EngineView(name=name, reachable=True, detail=", ".join(fact for fact in facts if fact))

    def _seat(self, name: EngineChoice, server: str | None) -> Seat:
        maker = self._makers.get(name)
        if maker is None:
            raise EngineUnavailable(
                "the Safelight cloud is not set up: set SAFELIGHT_CLOUD_URL and SAFELIGHT_API_KEY"
            )
        address = maker.address
        key = str(name)
        if name is EngineChoice.COMFY and address is not None:
            own = checked_server(address, allow_plain_http=self._allow_plain_http)
            asked = own if server is None else checked_server(server, allow_plain_http=self._allow_plain_http)
            key = f"{name} {asked.url}"
            address = address if asked.url == own.url else server  # only ours has its credentials
        if key not in self._seats:
            self._seats[key] = Seat(key, maker.make(address), maker.capacity)
        return self._seats[key]


async def _ask(engine: Engine) -> Capabilities | EngineUnavailable:
    try:
        async with asyncio.timeout(_ANSWER_WAIT_S):
            return await engine.capabilities()
    except EngineUnavailable as error:
        return error
    except TimeoutError:
        return EngineUnavailable(f"the {engine.name} engine does not answer")


def _foreign_classes(preset: Preset | None, graph: Graph | None) -> frozenset[str]:
    """Node classes that the built-in engine lacks."""
    if preset is not None:
        graph = preset.graph
    used = {node.class_type for node in graph.nodes.values()} if graph is not None else set()
    return frozenset(used - NODE_CLASSES)
