from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.repositories.servers import Breaker
from cloud.services.breaker import BreakerRules, after_answer, after_failure, after_success, opened
from shared.api.servers import BreakerState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULES = BreakerRules(failures=3, first=timedelta(seconds=4), longest=timedelta(seconds=60))


def _fail(breaker: Breaker, now: datetime, jitter: float = 0.5) -> Breaker:
    return after_failure(breaker, "it broke", now=now, jitter=jitter, rules=RULES)


def test_it_opens_after_some_failures_in_a_row() -> None:
    breaker = Breaker()
    states = []
    for second in range(3):
        breaker = _fail(breaker, NOON + timedelta(seconds=second))
        states.append(breaker.state)
    assert states == [BreakerState.CLOSED, BreakerState.CLOSED, BreakerState.OPEN]
    assert breaker.opened_at == NOON + timedelta(seconds=2)
    assert breaker.retry_at == NOON + timedelta(seconds=2 + 4)
    assert breaker.trouble == "it broke"


def test_a_job_that_goes_well_starts_the_count_anew() -> None:
    breaker = _fail(_fail(Breaker(), NOON), NOON)
    assert after_success(breaker) == Breaker()
    assert after_answer(breaker, now=NOON) == breaker, "an answer is not yet a job that went well"


def test_an_answer_half_opens_it_once_its_time_has_come() -> None:
    breaker = opened(Breaker(), "hung", now=NOON, jitter=0.5, rules=RULES)
    early = after_answer(breaker, now=NOON + timedelta(seconds=3))
    assert early == breaker
    late = after_answer(breaker, now=NOON + timedelta(seconds=4))
    assert late.state is BreakerState.HALF_OPEN
    assert after_success(late) == Breaker()


def test_each_failure_of_the_test_job_makes_the_pause_longer() -> None:
    breaker, now, pauses = opened(Breaker(), "hung", now=NOON, jitter=0.5, rules=RULES), NOON, []
    for _ in range(7):
        assert breaker.retry_at is not None
        pauses.append((breaker.retry_at - now).total_seconds())
        now = breaker.retry_at
        breaker = _fail(after_answer(breaker, now=now), now)
    assert pauses == [4, 8, 16, 32, 60, 60, 60]
    assert breaker.opened_at == NOON


def test_what_ends_late_changes_nothing() -> None:
    breaker = opened(Breaker(), "hung", now=NOON, jitter=0.5, rules=RULES)
    assert _fail(breaker, NOON + timedelta(seconds=1)).retry_at == breaker.retry_at
    assert after_success(breaker) == breaker


@pytest.mark.parametrize(("jitter", "pause_s"), [(0.0, 3.2), (1.0, 4.8)])
def test_servers_that_fail_together_do_not_come_back_together(jitter: float, pause_s: float) -> None:
    breaker = opened(Breaker(), "hung", now=NOON, jitter=jitter, rules=RULES)
    assert breaker.retry_at == NOON + timedelta(seconds=pause_s)


@given(st.lists(st.sampled_from(["fail", "answer", "success", "open"]), max_size=40))
def test_whatever_happens_an_open_breaker_has_a_time_to_retry(steps: list[str]) -> None:
    breaker, now = Breaker(), NOON
    for step in steps:
        now += timedelta(seconds=2)
        match step:
            case "fail":
                breaker = _fail(breaker, now)
            case "answer":
                breaker = after_answer(breaker, now=now)
            case "success":
                breaker = after_success(breaker)
            case _:
                breaker = opened(breaker, "hung", now=now, jitter=0.1, rules=RULES)
        is_open = breaker.state is BreakerState.OPEN
        assert not is_open or (breaker.retry_at is not None and breaker.opened_at is not None)
        assert breaker.state is not BreakerState.CLOSED or breaker.failures < RULES.failures
