"""Servers in simulated time that take their jobs as the real choice says, or in the order they came."""

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cloud.repositories.lanes import Backlog, LaneHead
from cloud.repositories.servers import Switch
from cloud.services.residency import staying_s
from cloud.worker.choose import Residency, choose_lane

__all__ = ["Arrival", "Done", "simulated"]

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Arrival:
    account: str
    preset: str
    at: float


@dataclass(frozen=True, slots=True)
class Done:
    account: str
    arrived_at: float
    started_at: float
    ended_at: float


@dataclass(slots=True)
class _Server:
    preset: str | None = None
    since: float = 0.0


@dataclass(slots=True)
class _Fleet:
    """`queues` hold when each job of a lane arrived."""

    servers: list[_Server]
    queues: dict[tuple[str, str], deque[float]] = field(default_factory=lambda: defaultdict(deque))
    running: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    served_at: dict[str, datetime] = field(default_factory=dict)

    def backlog(self) -> Backlog:
        lanes = tuple(
            LaneHead("pool", 0, account, preset, oldest_at=_at(queue[0]), waiting=len(queue))
            for (account, preset), queue in self.queues.items()
            if queue
        )
        return Backlog(lanes, self.running, self.served_at)

    def chosen(
        self, server: _Server, now: float, switches: dict[str, Switch], *, by_turns: bool
    ) -> LaneHead | None:
        backlog = self.backlog()
        if by_turns:
            return min(backlog.lanes, key=lambda lane: lane.oldest_at, default=None)
        others = {lane.preset for lane in backlog.lanes} - {server.preset}
        elsewhere = frozenset(other.preset for other in self.servers if other is not server and other.preset)
        residency = Residency(server.preset, now - server.since, staying_s(switches, others), elsewhere)
        return choose_lane(backlog, residency=residency, servers=len(self.servers))


def simulated(
    arrivals: Sequence[Arrival], *, servers: int, run_s: float, switch_s: float, by_turns: bool = False
) -> list[Done]:
    """Every job, in the order of their ends. With `by_turns` the oldest job is always the next."""
    fleet = _Fleet([_Server() for _ in range(servers)])
    switches = {arrival.preset: Switch(switch_s, 0.0) for arrival in arrivals}
    order = sorted(range(len(arrivals)), key=lambda number: arrivals[number].at)
    coming = deque(order)
    free = [(0.0, number) for number in range(servers)]
    ending: list[tuple[float, str]] = []
    done: list[Done] = []
    while len(done) < len(arrivals):
        now, number = heapq.heappop(free)
        while coming and arrivals[coming[0]].at <= now:
            which = coming.popleft()
            arrival = arrivals[which]
            # jobs of one moment keep their order
            fleet.queues[arrival.account, arrival.preset].append(arrival.at + which * 1e-6)
        while ending and ending[0][0] <= now:
            fleet.running[heapq.heappop(ending)[1]] -= 1
        server = fleet.servers[number]
        lane = fleet.chosen(server, now, switches, by_turns=by_turns)
        if lane is None:
            heapq.heappush(free, (arrivals[coming[0]].at if coming else now + run_s, number))
            continue
        arrived_at = fleet.queues[lane.account_id, lane.preset].popleft()
        begun_at = now
        if server.preset != lane.preset:
            server.preset, server.since, begun_at = lane.preset, now, now + switch_s
        fleet.running[lane.account_id] += 1
        fleet.served_at[lane.account_id] = _at(now)
        heapq.heappush(ending, (begun_at + run_s, lane.account_id))
        heapq.heappush(free, (begun_at + run_s, number))
        done.append(Done(lane.account_id, arrived_at, now, begun_at + run_s))
    return done


def _at(seconds: float) -> datetime:
    return _NOON + timedelta(seconds=seconds)
