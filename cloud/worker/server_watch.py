"""Looking after one server: whether it answers, what it can run, and what may be sent there.

All that is found is written into the server's row by one loop, so that the breaker takes one step
after another. Between two looks what the row said last is relied on.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from time import monotonic

import structlog

from cloud.clients.restart_hook import RestartHook
from cloud.repositories.lanes import LaneHead
from cloud.repositories.servers import ServerFacts, ServerRecord
from cloud.services.leading import Leading
from cloud.services.residency import measured_alike, staying_s
from cloud.worker.choose import Residency
from cloud.worker.hang import EngineHung
from cloud.worker.watch import Switches
from shared.api.servers import BreakerState, ServerState
from shared.comfy.client import ComfyClient
from shared.comfy.errors import ServerFaulty, ServerUnreachable
from shared.comfy.records import Place
from shared.engines.base import Capabilities, Engine, EngineUnavailable
from shared.errors import FatalError, SafelightError, TransientError, UsageError
from shared.failpoints import failpoint

__all__ = ["ServerWatch", "WatchRules"]

_log = structlog.get_logger(__name__)

_BEHIND_THE_RUNNING = 1  # one more than can run, so that the server never waits for us
_AFTER_FAILURE_S = 1.0
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """Seconds. A server is looked at every `every_s`, and asked what it can run every `ask_every_s`;
    one answer may take `answer_s`, and all of a look `patience_s`."""

    every_s: float = 10.0
    ask_every_s: float = 60.0
    patience_s: float = 35.0
    answer_s: float = 30.0


class ServerWatch:
    def __init__(
        self,
        *,
        record: ServerRecord,
        client: ComfyClient,
        engine: Engine,
        leading: Leading,
        rules: WatchRules,
        restart: RestartHook,
    ) -> None:
        self._record = record
        self._client = client
        self._engine = engine
        self._leading = leading
        self._rules = rules
        self._restart = restart
        self._on_change: Callable[[], None] = _nobody
        self._on_loss: Callable[[bool], None] = _nobody
        self._open_here: Callable[[], int] = int
        self._led_until = _NEVER
        self._sound = False  # it has answered since the last failure
        self._hung: str | None = None  # a run that would not stop
        self._capabilities: Capabilities | None = None
        self._asked_at = _NEVER
        self._others: dict[str, Capabilities] = {}
        self._others_at = _NEVER
        self._learnt_at = monotonic()
        self._held, self._held_since = record.preset, _since(record)
        self._switches = dict(record.switches)
        self._steps: deque[Callable[[], Awaitable[ServerRecord | None]]] = deque()
        self._wake = asyncio.Event()

    def tell(
        self, *, on_change: Callable[[], None], on_loss: Callable[[bool], None], open_here: Callable[[], int]
    ) -> None:
        """`on_change` is called when there may be room, `on_loss` with whether the server still answers
        when what runs there has to be given up; `open_here` says how many attempts are open."""
        self._on_change = on_change
        self._on_loss = on_loss
        self._open_here = open_here

    @property
    def room(self) -> int:
        return self.room_for_left if self._record.state is ServerState.ACTIVE else 0

    @property
    def room_for_left(self) -> int:
        usable = self._sound and monotonic() < self._led_until
        if not usable or self._record.state is ServerState.DISABLED:
            return 0
        match self._record.breaker.state:
            case BreakerState.CLOSED:
                return self._record.capacity + _BEHIND_THE_RUNNING
            case BreakerState.HALF_OPEN:
                return 1
            case _:
                return 0

    def led(self, record: ServerRecord, until: float) -> None:
        """It is ours until then, a reading of time.monotonic(); what an operator changed is heard."""
        self._led_until = until
        self._learn(record)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while self._steps:
                    self._learn(await self._steps[0]())
                    self._steps.popleft()
                await self._look()
            except TransientError as error:  # the database's; what is to be written stays
                _log.warning("server_not_noted", server=self._record.name, error=error.code)
            self._wake.clear()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def capabilities(self) -> Capabilities:
        if self._capabilities is None or not self._sound:
            raise EngineUnavailable("the server has not said what it can run", server=self._record.name)
        return self._capabilities

    async def ask(self) -> Capabilities:
        """A model may have come meanwhile."""
        self._capabilities = await self._engine.capabilities()
        self._asked_at = monotonic()
        facts = await self._facts(len(await self._client.prompts()))
        self._learn(await self._leading.note_answer(self._record.name, facts, self._capabilities))
        return self._capabilities

    async def others(self) -> dict[str, Capabilities]:
        if monotonic() - self._others_at > self._rules.ask_every_s / 2:
            said = await self._leading.capabilities(self._record.pool)
            self._others = {name: can for name, can in said.items() if name != self._record.name}
            self._others_at = monotonic()
        return self._others

    def residency(
        self, lanes: tuple[LaneHead, ...], elsewhere: frozenset[str], alike: Switches = ()
    ) -> Residency:
        others = {lane.preset for lane in lanes} - {self._held}
        held_s = monotonic() - self._held_since
        quantum_s = staying_s(measured_alike(self._switches, alike), others)
        return Residency(self._held, held_s, quantum_s, elsewhere - {self._held or ""})

    def hold(self, preset: str) -> bool:
        is_new = preset != self._held
        if is_new:
            self._held, self._held_since = preset, monotonic()
        return is_new

    def worked(self) -> None:
        breaker = self._record.breaker
        if breaker.state is not BreakerState.CLOSED or breaker.failures:
            self._then(lambda: self._leading.note_success(self._record.name))

    def failed(self, error: SafelightError) -> None:
        self._sound = False
        hung = isinstance(error, EngineHung)
        if isinstance(error, EngineHung):
            self._hung = error.run_id
        self._then(lambda: self._leading.note_failure(self._record.name, error.message, at_once=hung))
        if hung:
            self._then(self._restarted)

    def measured(self, preset: str, seconds: float, *, cold: bool) -> None:
        async def note() -> ServerRecord:
            await self._leading.note_switch(self._record.name, preset, seconds, cold=cold)
            return self._record

        self._then(note)

    async def _restarted(self) -> ServerRecord:
        await self._restart.restart(self._record.name, self._record.url)
        return self._record

    def _then(self, step: Callable[[], Awaitable[ServerRecord | None]]) -> None:
        self._steps.append(step)
        self._wake.set()

    def _pause_s(self) -> float:
        breaker = self._record.breaker
        if self._steps:
            return _AFTER_FAILURE_S
        if breaker.state is BreakerState.OPEN and breaker.retry_at is not None:
            return max(0.05, min(self._rules.every_s, self._open_s()))
        return self._rules.every_s if self._sound else min(_AFTER_FAILURE_S, self._rules.every_s)

    def _open_s(self) -> float:
        """Until the breaker lets a job try, as of the last look."""
        breaker = self._record.breaker
        left = 0.0
        if breaker.retry_at is not None:
            left = (breaker.retry_at - self._record.read_at).total_seconds()
        return left - (monotonic() - self._learnt_at)

    async def _look(self) -> None:
        """An open breaker leaves the server in peace until its time has come."""
        if self._record.breaker.state is BreakerState.OPEN and self._open_s() > 0:
            return
        name, old = self._record.name, monotonic() - self._asked_at > self._rules.ask_every_s
        try:
            async with asyncio.timeout(self._rules.patience_s):
                prompts = await self._client.prompts()
                facts = await self._facts(len(prompts))
                capabilities = await self._engine.capabilities() if old or not self._sound else None
                await self._check_hung()
        except (TransientError, UsageError, FatalError, TimeoutError) as error:
            self._sound = False
            trouble = error.message if isinstance(error, SafelightError) else "it did not answer in time"
            self._learn(await self._leading.note_failure(name, trouble))
            return
        noted = await self._leading.note_answer(name, facts, capabilities)
        if capabilities is not None:
            self._capabilities, self._asked_at = capabilities, monotonic()
        self._sound = True
        self._learn(noted)
        self._on_change()
        if len(prompts) > self._open_here():
            await self._stop_given_up(prompts)

    async def _stop_given_up(self, prompts: Collection[str]) -> None:
        """What was taken away from this server while it could not be asked to stop still costs time."""
        for run_id in await self._leading.given_up(self._record.name) & set(prompts):
            try:
                async with asyncio.timeout(self._rules.patience_s):
                    await self._client.cancel(run_id)
            except (ServerUnreachable, ServerFaulty, TimeoutError):
                return  # the next look finds it again
            failpoint("server.stopped_given_up")
            _log.info("given_up_run_stopped", server=self._record.name, run=run_id)

    async def _facts(self, prompts: int) -> ServerFacts:
        said = await self._client.facts(refresh=True)
        return ServerFacts(
            version=said.version,
            device=said.device,
            memory_bytes=said.memory_bytes,
            memory_free_bytes=said.memory_free_bytes,
            queue_length=prompts,
        )

    async def _check_hung(self) -> None:
        if self._hung is None:
            return
        if await self._client.sight(self._hung) is Place.RUNNING:
            raise EngineUnavailable("it still runs a job that was stopped; restart it")
        self._hung = None

    def _learn(self, record: ServerRecord | None) -> None:
        """What the row says now; None if the server was removed."""
        if record is None:
            return
        before, self._record, self._learnt_at = self._record, record, monotonic()
        self._switches = dict(record.switches)
        if record.state is ServerState.DISABLED and before.state is not ServerState.DISABLED:
            self._on_loss(True)
        if _has_opened(before, record):
            _log.warning("breaker_opened", server=record.name, trouble=record.breaker.trouble)
            self._held = None
            self._on_loss(self._sound)
        elif before.breaker.state is not record.breaker.state:
            _log.info("breaker_changed", server=record.name, state=record.breaker.state)
        if record.state is not before.state:
            self._on_change()


def _nobody(*_: object) -> None:
    """Nothing runs there yet."""


def _has_opened(before: ServerRecord, now: ServerRecord) -> bool:
    return now.breaker.state is BreakerState.OPEN and before.breaker.state is not BreakerState.OPEN


def _since(record: ServerRecord) -> float:
    """A reading of time.monotonic() for the time since when it holds its preset."""
    if record.preset_since is None:
        return monotonic()
    return monotonic() - (record.read_at - record.preset_since).total_seconds()
