"""Which lane a free server takes its next job from: a decision, and nothing else.

Priority comes first. Then fairness: an account that has less running than its share of the servers
comes before the others. Then a server stays with the preset whose models it holds until its quantum
is used, since a change of models costs seconds; after that the preset that no other server holds
comes first. Among what is left, the account that has least running comes first, then the one served
longest ago, then the oldest job. There is no age at which a job jumps the queue: a cap by the clock
turns into first-in-first-out as soon as the backlog is older.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from cloud.repositories.lanes import Backlog, LaneHead

__all__ = ["Residency", "choose_lane", "how_many"]

_SHARE = 4
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Residency:
    """What this server holds, how long it has held it, and what others of its pool hold."""

    preset: str | None = None
    held_s: float = 0.0
    quantum_s: float = 0.0
    elsewhere: frozenset[str] = frozenset()


def choose_lane(backlog: Backlog, *, residency: Residency = Residency(), servers: int = 1) -> LaneHead | None:
    """The lane to claim from; None if there is none. The caller offers only lanes it can run.

    `servers` is how many share the work.
    """
    if not backlog.lanes:
        return None
    top = max(lane.priority for lane in backlog.lanes)
    urgent = [lane for lane in backlog.lanes if lane.priority == top]
    owed = _owed(urgent, backlog, servers)
    return min(_kept_with(owed or urgent, residency), key=lambda lane: _turn(lane, backlog))


def how_many(lane: LaneHead, backlog: Backlog, *, room: int) -> int:
    """Of the lane that was chosen, at once. One at a time while other accounts wait too, and never so many
    that other workers, who hear the same bell, find none."""
    if any(other.account_id != lane.account_id for other in backlog.lanes):
        return 1
    return max(1, min(room, lane.waiting // _SHARE))


def _owed(lanes: list[LaneHead], backlog: Backlog, servers: int) -> list[LaneHead]:
    """Those of accounts that run on fewer servers than they would if all shared alike. Where there are
    more accounts than servers nobody is owed one: they take turns by quantum."""
    accounts = {lane.account_id for lane in lanes}.union(
        account for account, count in backlog.running.items() if count
    )
    share = servers // len(accounts)
    return [lane for lane in lanes if backlog.running.get(lane.account_id, 0) < share]


def _kept_with(lanes: list[LaneHead], residency: Residency) -> list[LaneHead]:
    """The lanes that affinity leaves to choose from; never none."""
    resident = [lane for lane in lanes if lane.preset == residency.preset]
    if resident and residency.held_s < residency.quantum_s:
        return resident
    others = [lane for lane in lanes if lane.preset != residency.preset] or lanes
    return [lane for lane in others if lane.preset not in residency.elsewhere] or others


def _turn(lane: LaneHead, backlog: Backlog) -> tuple[int, datetime, datetime, str, str]:
    return (
        backlog.running.get(lane.account_id, 0),
        backlog.served_at.get(lane.account_id, _NEVER),
        lane.oldest_at,
        lane.account_id,
        lane.preset,
    )
