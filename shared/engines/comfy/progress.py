"""From the server's messages to the events of a job: a fold that never goes backwards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from shared.comfy.following import News
from shared.comfy.graph import Graph, Node
from shared.comfy.graph_check import is_model_file
from shared.comfy.messages import (
    ExecutionCached,
    ExecutionStarted,
    NodeStarted,
    PreviewFrame,
    StepProgress,
    TreeProgress,
)
from shared.comfy.records import Place
from shared.engines.base import Ticket
from shared.jobs.events import JobEvent, Preview, Progress, Queued, Stage, StageName, Started

__all__ = ["RunProgress"]

_MAX_STEPS = 1000
_STEP_WEIGHT = 8.0
_NEARLY_DONE = 0.99  # the outputs are still to be received and checked
_SMALLEST_STEP = 0.001
_MAX_TREE_CHARS = 16_384  # larger ones say nothing that single messages have not said


class _Stamp(TypedDict):
    job_id: str
    attempt: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Position:
    node: str | None = None
    step: int | None = None
    steps: int | None = None


class RunProgress:
    """A node's weight is about the time it takes: one step of a sampler is worth many other nodes."""

    def __init__(self, *, ticket: Ticket, graph: Graph, server: str, now: Callable[[], datetime]) -> None:
        self._ticket = ticket
        self._graph = graph
        self._server = server
        self._now = now
        self._weights = {node_id: _weight(node) for node_id, node in graph.nodes.items()}
        self._finished: set[str] = set()
        self._current: str | None = None
        self._share = 0.0
        self._fraction = -1.0
        self._stage: StageName | None = None
        self._entered_at = now()
        self._queued = self._started = False

    def events(self, news: News) -> Iterator[JobEvent]:
        """What these news mean for the job; nothing for outcomes."""
        match news:
            case Place.PENDING:
                yield from self._queue()
            case Place.RUNNING | ExecutionStarted():
                yield from self.start()
            case ExecutionCached(nodes=nodes):
                self._weights.update(dict.fromkeys(nodes, 0.0))
            case NodeStarted(node=node):
                yield from self.start()
                yield from self._enter(node)
            case StepProgress(node=node, value=value, max=most):
                yield from self._step(node, value, most)
            case TreeProgress(text=text) if self._current and len(text) <= _MAX_TREE_CHARS:
                self._finished |= news.finished() - {self._current}
                yield from self._advance(_Position(self._current))
            case PreviewFrame(media_type=media_type, data=data):
                yield Preview(**self._stamp(), media_type=media_type, data=data)
            case _:
                pass

    def start(self) -> Iterator[JobEvent]:
        """`Started`, unless it was said already: the message may have been missed."""
        if not self._started:
            self._started = True
            yield Started(**self._stamp(), engine=self._ticket.engine, server=self._server)

    def _queue(self) -> Iterator[JobEvent]:
        if not self._queued and not self._started:
            self._queued = True
            yield Queued(**self._stamp())

    def _enter(self, node: str) -> Iterator[JobEvent]:
        if self._current not in {None, node}:
            self._finished.add(str(self._current))
        if self._current != node:
            self._entered_at = self._now()
        self._current, self._share = node, 0.0
        known = self._graph.nodes.get(node)
        stage = StageName.LOADING_MODEL if known and _loads_model(known) else StageName.RUNNING
        if stage is not self._stage:
            self._stage = stage
            yield Stage(**self._stamp(), name=stage)
        yield from self._advance(_Position(node))

    def _step(self, node: str, value: float, most: float) -> Iterator[JobEvent]:
        if node == self._current:
            self._share = max(self._share, value / most)
        yield from self._advance(_Position(node, int(value), int(most)))

    def _advance(self, at: _Position) -> Iterator[JobEvent]:
        fraction = max(self._fraction, self._done() / max(1.0, self._total()) * _NEARLY_DONE)
        if at.step is not None or fraction - self._fraction >= _SMALLEST_STEP:
            self._fraction = fraction
            yield Progress(
                **self._stamp(),
                fraction=fraction,
                eta_s=self._eta_s(at),
                node=at.node,
                step=at.step,
                steps=at.steps,
            )

    def _eta_s(self, at: _Position) -> float | None:
        """For the steps that are left in this node, at the pace of those that are done."""
        if not at.step or not at.steps or at.node != self._current:
            return None
        elapsed = (self._now() - self._entered_at).total_seconds()
        return round(elapsed / at.step * (at.steps - at.step), 1)

    def _total(self) -> float:
        return sum(self._weights.values())

    def _done(self) -> float:
        finished = sum(self._weights.get(node, 0.0) for node in self._finished)
        return finished + self._share * self._weights.get(self._current or "", 0.0)

    def _stamp(self) -> _Stamp:
        return _Stamp(job_id=self._ticket.job_id, attempt=self._ticket.attempt, at=self._now())


def _weight(node: Node) -> float:
    steps = node.inputs.get("steps")
    return min(steps, _MAX_STEPS) * _STEP_WEIGHT if isinstance(steps, int) and steps > 0 else 1.0


def _loads_model(node: Node) -> bool:
    return any(is_model_file(value) for value in node.inputs.values())
