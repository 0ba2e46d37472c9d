from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cloud.worker.choose import Fairness, LaneHead, Residency, choose_lane, quantum_s

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _lane(account: str = "a", preset: str = "glow", *, priority: int = 0, age_s: float = 0) -> LaneHead:
    return LaneHead("pool", priority, account, preset, NOON - timedelta(seconds=age_s))


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
fairnesses = st.builds(
    Fairness,
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 100).map(lambda s: NOON + timedelta(seconds=s))),
)


def test_nothing_waits() -> None:
    assert choose_lane([]) is None


@given(st.lists(lanes, min_size=1), residencies, fairnesses)
def test_the_choice_is_offered_and_of_the_highest_priority(
    offered: list[LaneHead], residency: Residency, fairness: Fairness
) -> None:
    chosen = choose_lane(offered, residency=residency, fairness=fairness)
    assert chosen in offered
    assert chosen.priority == max(lane.priority for lane in offered)


@given(st.lists(lanes, min_size=1, unique=True), residencies, fairnesses, st.randoms())
def test_the_order_in_which_lanes_are_offered_is_nothing(
    offered: list[LaneHead], residency: Residency, fairness: Fairness, random: Random
) -> None:
    shuffled = sorted(offered, key=lambda _lane: random.random())
    chosen = choose_lane(offered, residency=residency, fairness=fairness)
    assert choose_lane(shuffled, residency=residency, fairness=fairness) == chosen


@given(st.lists(lanes, min_size=1), residencies)
def test_a_server_keeps_its_preset_until_the_quantum_is_used(
    offered: list[LaneHead], residency: Residency
) -> None:
    chosen = choose_lane(offered, residency=residency)
    assert chosen is not None
    urgent = {lane.preset for lane in offered if lane.priority == chosen.priority}
    if residency.preset in urgent:
        kept = residency.held_s < residency.quantum_s or urgent == {residency.preset}
        assert (chosen.preset == residency.preset) is kept


@given(st.lists(lanes, min_size=1), fairnesses)
def test_no_account_with_less_running_is_passed_over(offered: list[LaneHead], fairness: Fairness) -> None:
    chosen = choose_lane(offered, fairness=fairness)
    assert chosen is not None
    least = min(
        fairness.running.get(lane.account_id, 0) for lane in offered if lane.priority == chosen.priority
    )
    assert fairness.running.get(chosen.account_id, 0) == least


def test_a_preset_that_no_other_server_holds_comes_first() -> None:
    used_up = Residency("glow", held_s=20, quantum_s=20, elsewhere=frozenset({"sdxl"}))
    offered = [_lane(preset="glow", age_s=9), _lane(preset="sdxl", age_s=5), _lane(preset="flux", age_s=1)]
    assert choose_lane(offered, residency=used_up) == offered[2]


def test_one_account_with_a_thousand_jobs_does_not_hold_up_another() -> None:
    """Each claim is the account's newest service, so two accounts take turns."""
    served: dict[str, datetime] = {}
    turns = []
    for turn in range(6):
        offered = [_lane("greedy", age_s=5000 - turn), _lane("modest", age_s=1)]
        chosen = choose_lane(offered, fairness=Fairness(served_at=served))
        assert chosen is not None
        served[chosen.account_id] = NOON + timedelta(seconds=turn)
        turns.append(chosen.account_id)
    assert turns == ["greedy", "modest"] * 3


def test_the_quantum_is_ten_switches_and_bounded() -> None:
    assert quantum_s(2.0) == 20.0
    assert quantum_s(0.0) == 0.0
    assert quantum_s(1000.0) == 600.0
