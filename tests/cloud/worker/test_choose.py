from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.repositories.lanes import Backlog, LaneHead
from cloud.worker.choose import Residency, choose_lane, how_many
from tests.support.fleet_simulation import Arrival, simulated

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _lane(account: str = "a", preset: str = "glow", *, priority: int = 0, age_s: float = 0) -> LaneHead:
    return LaneHead("pool", priority, account, preset, oldest_at=NOON - timedelta(seconds=age_s), waiting=1)


lanes = st.builds(
    _lane,
    st.sampled_from("abcd"),
    st.sampled_from(["glow", "sdxl", "flux"]),
    priority=st.integers(0, 2),
    age_s=st.integers(0, 10_000),
)
residencies = st.builds(
    Residency,
    st.sampled_from([None, "glow", "sdxl", "flux"]),
    st.floats(0, 1000),
    st.floats(0, 600),
    st.frozensets(st.sampled_from(["glow", "sdxl", "flux"])),
)
running = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5))
served = st.dictionaries(
    st.sampled_from("abcd"), st.integers(0, 100).map(lambda s: NOON + timedelta(seconds=s))
)
some_lanes = st.lists(lanes, min_size=1, unique=True).map(tuple)
backlogs = st.builds(Backlog, some_lanes, running, served)


def test_nothing_waits() -> None:
    assert choose_lane(Backlog(())) is None


@given(backlogs, residencies)
def test_the_choice_is_offered_and_of_the_highest_priority(backlog: Backlog, residency: Residency) -> None:
    chosen = choose_lane(backlog, residency=residency)
    assert chosen in backlog.lanes
    assert chosen.priority == max(lane.priority for lane in backlog.lanes)


@given(backlogs, residencies, st.randoms())
def test_the_order_in_which_lanes_are_offered_is_nothing(
    backlog: Backlog, residency: Residency, random: Random
) -> None:
    shuffled = tuple(sorted(backlog.lanes, key=lambda _lane: random.random()))
    other = Backlog(shuffled, backlog.running, backlog.served_at)
    assert choose_lane(other, residency=residency) == choose_lane(backlog, residency=residency)


@given(some_lanes, residencies)
def test_a_server_keeps_its_preset_until_the_quantum_is_used(
    offered: tuple[LaneHead, ...], residency: Residency
) -> None:
    chosen = choose_lane(Backlog(offered), residency=residency)
    assert chosen is not None
    urgent = {lane.preset for lane in offered if lane.priority == chosen.priority}
    if residency.preset in urgent:
        kept = residency.held_s < residency.quantum_s or urgent == {residency.preset}
        assert (chosen.preset == residency.preset) is kept


@given(backlogs)
def test_no_account_with_less_running_is_passed_over(backlog: Backlog) -> None:
    chosen = choose_lane(backlog)
    assert chosen is not None
    urgent = {lane.account_id for lane in backlog.lanes if lane.priority == chosen.priority}
    least = min(backlog.running.get(account, 0) for account in urgent)
    assert backlog.running.get(chosen.account_id, 0) == least


def test_a_preset_that_no_other_server_holds_comes_first() -> None:
    used_up = Residency("glow", held_s=20, quantum_s=20, elsewhere=frozenset({"sdxl"}))
    offered = (_lane(preset="glow", age_s=9), _lane(preset="sdxl", age_s=5), _lane(preset="flux", age_s=1))
    assert choose_lane(Backlog(offered), residency=used_up) == offered[2]


def test_one_account_with_a_thousand_jobs_does_not_hold_up_another() -> None:
    """Each claim is the account's newest service, so two accounts take turns."""
    served_at: dict[str, datetime] = {}
    turns = []
    for turn in range(6):
        offered = (_lane("greedy", age_s=5000 - turn), _lane("modest", age_s=1))
        chosen = choose_lane(Backlog(offered, served_at=served_at))
        assert chosen is not None
        served_at[chosen.account_id] = NOON + timedelta(seconds=turn)
        turns.append(chosen.account_id)
    assert turns == ["greedy", "modest"] * 3


def test_an_account_that_has_less_than_its_share_of_the_servers_breaks_a_quantum() -> None:
    """Two accounts on four servers: two each, whatever models have to be changed for it."""
    holds = Residency("glow", held_s=1, quantum_s=50)
    offered = (_lane("greedy", "glow", age_s=900), _lane("modest", "sdxl", age_s=1))
    for modest, preset in [(0, "sdxl"), (1, "sdxl"), (2, "glow")]:
        backlog = Backlog(offered, running={"greedy": 6, "modest": modest})
        chosen = choose_lane(backlog, residency=holds, servers=4)
        assert chosen is not None
        assert chosen.preset == preset


def test_where_accounts_are_more_than_servers_they_take_turns_by_quantum() -> None:
    offered = tuple(_lane(account, preset) for account, preset in zip("abc", "xyz", strict=True))
    backlog = Backlog(offered, running={"a": 5})
    chosen = choose_lane(backlog, residency=Residency("x", held_s=1, quantum_s=50), servers=2)
    assert chosen == offered[0]


def test_ten_thousand_jobs_of_one_account_do_not_hold_up_the_others() -> None:
    """Sixteen servers, one account with 95 % of the work: the others' jobs wait as if it were not there."""
    ended = simulated(
        [Arrival("greedy", f"g{number % 4}", 0.0) for number in range(9_500)]
        + [Arrival(f"a{number % 10}", f"p{number % 3}", number * 2.0) for number in range(500)],
        servers=16,
        run_s=5.0,
        switch_s=5.0,
    )
    others = sorted(job.started_at - job.arrived_at for job in ended if job.account != "greedy")
    assert len(ended) == 10_000
    assert others[int(0.95 * len(others))] <= 2 * 5.0 + 5.0, "two runs and a change of models"


def test_a_mixed_backlog_is_done_nearly_twice_as_fast_as_in_its_order() -> None:
    mixed = [Arrival("a", f"p{number * 7 % 4}", 0.0) for number in range(600)]
    ours = max(job.ended_at for job in simulated(mixed, servers=2, run_s=5.0, switch_s=8.0))
    fifo = max(job.ended_at for job in simulated(mixed, servers=2, run_s=5.0, switch_s=8.0, by_turns=True))
    assert fifo / ours >= 1.8


@pytest.mark.parametrize(
    ("waiting", "room", "taken"), [(1, 9, 1), (3, 9, 1), (20, 9, 5), (1000, 9, 9), (1000, 1, 1)]
)
def test_many_are_taken_at_once_where_many_wait(waiting: int, room: int, taken: int) -> None:
    lane = replace(_lane(), waiting=waiting)
    assert how_many(lane, Backlog((lane,)), room=room) == taken


def test_accounts_take_turns_one_by_one() -> None:
    lane = replace(_lane("a"), waiting=1000)
    assert how_many(lane, Backlog((lane, _lane("b"))), room=9) == 1
