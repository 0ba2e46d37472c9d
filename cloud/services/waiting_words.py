"""Why a job waits and why a server is idle: from facts to sentences, and nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloud.repositories.places import JobPlace
from cloud.repositories.servers import SEEN_LATELY
from cloud.repositories.standing import Standing
from cloud.services.presets import BUILTIN_POOL, FETCHING_POOL, SERVER_POOL
from cloud.services.residency import alike_to, measured_alike, staying_s
from shared.api.jobs import AttemptEnd
from shared.api.servers import BreakerState, ServerState
from shared.api.waiting import WaitingReason
from shared.jobs.state import JobState, is_terminal
from shared.presets.requirement import Missing, MissingKind

__all__ = ["JobFacts", "ServerFact", "ServerFacts", "reasons_of_job", "reasons_of_server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFact:
    """A server of the job's pool; `missing` is what it lacks for the job, None while it has not said."""

    standing: Standing
    missing: tuple[Missing, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """`waiting` are the presets of all that waits in the pool; `most_at_work` is what the plan allows."""

    place: JobPlace
    most_at_work: int
    workers: int
    servers: Sequence[ServerFact]
    waiting: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """`waiting` jobs wait in its pool, `able` of them could run here. For operators: names and details."""

    standing: Standing
    workers: int
    waiting: int
    able: int
    lacks: Sequence[Missing]


def reasons_of_job(facts: JobFacts) -> list[WaitingReason]:
    """The nearest first. Servers are named, their addresses and troubles are not told."""
    place = facts.place
    if is_terminal(place.state) or place.state is JobState.SAVING:
        return []
    if place.state is JobState.PROCESSING:
        return list(_taken(place))
    if place.lane.pool == FETCHING_POOL:
        return [_reason("fetching_inputs", "its files are fetched; it gets in line when all are here")]
    return [*_in_line(facts), *_servers(facts)]


def reasons_of_server(facts: ServerFacts) -> list[WaitingReason]:
    """All that keeps it from having more to do, with its troubles in full."""
    server, jobs = facts.standing.server, facts.standing.jobs
    found = list(_unusable(facts.standing, with_trouble=True))
    if facts.workers == 0:
        found.insert(0, _reason("no_worker", "no worker is running: start one with safelight-cloud worker"))
    if jobs > server.capacity:
        found.append(_reason("full", f"{server.name} has {jobs} jobs, as many as it is given", server.name))
    if facts.waiting == 0:
        found.append(_reason("nothing_waits", f"no job waits in the pool {server.pool}", server.name))
    elif facts.able == 0:
        needs = "; ".join(item.message for item in facts.lacks)
        found.append(
            _reason("lacks", f"{server.name} can run none of the jobs that wait: {needs}", server.name)
        )
    return found


def _taken(place: JobPlace) -> Iterator[WaitingReason]:
    if place.started_at is not None:
        return
    if place.server is None:
        yield _reason("preparing", "a worker has it and prepares its run")
    else:
        yield _reason(
            "behind_running",
            f"it is at the server {place.server} and begins when the job before it is done there",
            place.server,
        )


def _in_line(facts: JobFacts) -> Iterator[WaitingReason]:
    place = facts.place
    if facts.workers == 0:
        yield _reason("no_worker", "no worker is running just now; it begins when one is there")
    if place.at_work >= facts.most_at_work:
        yield _reason(
            "account_full",
            f"{place.at_work} of your jobs run, which is all that your plan runs at once",
        )
    if place.ahead:
        jobs = "1 job" if place.ahead == 1 else f"{place.ahead} jobs"
        yield _reason("ahead", f"{jobs} of yours with the same preset came before it")
    if place.alone:
        yield _reason(
            "alone", "its run ended with its worker before, so that it must wait for a worker of its own"
        )
    elif place.attempt and place.last_end in {AttemptEnd.LOST, AttemptEnd.BROKEN_OFF}:
        yield _reason("retried", f"attempt {place.attempt} came to nothing; it is tried again")


def _servers(facts: JobFacts) -> Iterator[WaitingReason]:
    if facts.place.lane.pool == BUILTIN_POOL:
        return
    if not facts.servers:
        where = "" if facts.place.lane.pool == SERVER_POOL else f" in the pool {facts.place.lane.pool}"
        yield _reason("no_server", f"there is no GPU server for it{where}")
    for fact in facts.servers:
        yield from _why_not(fact, facts)


def _why_not(fact: ServerFact, facts: JobFacts) -> Iterator[WaitingReason]:
    """The first thing that keeps this server from taking the job."""
    server, name = fact.standing.server, fact.standing.server.name
    reason = next(_unusable(fact.standing, with_trouble=False), None)
    if reason is not None:
        yield reason
    elif fact.missing and fact.missing[0].kind is MissingKind.LABEL:
        labels = ", ".join(item.name for item in fact.missing if item.kind is MissingKind.LABEL)
        yield _reason("labels", f"{name} is not labelled {labels}, as the job asks", name)
    elif fact.missing:
        lacking = ", ".join(item.name for item in fact.missing)
        yield _reason("lacks", f"{name} lacks {lacking}", name)
    elif facts.place.avoid == name:
        yield _reason("failed_here", f"it failed on {name} before, so that another is tried", name)
    elif facts.place.server not in {None, name}:
        yield _reason("left_elsewhere", f"a run of it was left on {facts.place.server}", name)
    elif server.preset not in {None, facts.place.lane.preset} and server.preset in facts.waiting:
        yield _reason(
            "holds_another",
            f"{name} has loaded the models of {server.preset} and stays with it{_for_another(fact, facts)}",
            name,
        )
    elif fact.standing.jobs:
        yield _reason("busy", f"{name} is busy", name)


def _for_another(fact: ServerFact, facts: JobFacts) -> str:
    server = fact.standing.server
    if server.preset_since is None:
        return ""
    held_s = (server.read_at - server.preset_since).total_seconds()
    alike = [other.switches for other in alike_to(server, [it.standing.server for it in facts.servers])]
    switches = measured_alike(server.switches, alike)
    left_s = staying_s(switches, facts.waiting - {server.preset or ""}) - held_s
    return f" for another {_span(left_s)}" if left_s > 0 else " until its job is done"


def _unusable(standing: Standing, *, with_trouble: bool) -> Iterator[WaitingReason]:
    server, name = standing.server, standing.server.name
    if server.state is ServerState.DISABLED:
        yield _reason("disabled", f"{name} is disabled", name)
    if server.state is ServerState.DRAINING:
        yield _reason("draining", f"{name} ends what it has and takes nothing new", name)
    breaker = server.breaker
    if breaker.state is not BreakerState.CLOSED:
        since = "" if breaker.opened_at is None else f" since {_time(breaker.opened_at)}"
        trouble = f": {breaker.trouble}" if with_trouble and breaker.trouble else ""
        rest = "is tried with one job" if breaker.state is BreakerState.HALF_OPEN else "is left alone"
        yield _reason("failing", f"{name} fails{since} and {rest}{trouble}", name)
    if server.seen_at is None:
        yield _reason("never_seen", f"{name} has never answered", name)
    elif server.read_at - server.seen_at > SEEN_LATELY:
        yield _reason("not_seen", f"{name} was not seen since {_time(server.seen_at)}", name)
    if not server.is_led and server.state is not ServerState.DISABLED:
        yield _reason("not_led", f"no worker looks after {name} just now", name)


def _reason(code: str, message: str, server: str | None = None) -> WaitingReason:
    return WaitingReason(code=code, message=message, server=server)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{timedelta(seconds=round(seconds))}"
