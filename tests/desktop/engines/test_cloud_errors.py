"""What a cloud's refusal means: the queue waits where waiting helps, and says for what."""

import pytest

from desktop.engines.cloud_errors import engine_errors
from shared.engines.base import EngineUnavailable, WorkRefused
from shared.sdk.errors import (
    Conflict,
    NeedsCredits,
    PlanLimit,
    RateLimited,
    RequestRefused,
    ServerTrouble,
    SignInNeeded,
    TooLarge,
)


@pytest.mark.parametrize("kind", [SignInNeeded, NeedsCredits, PlanLimit])
def test_what_concerns_the_account_makes_the_queue_wait(
    kind: type[SignInNeeded | NeedsCredits | PlanLimit],
) -> None:
    with pytest.raises(EngineUnavailable, match="do this") as caught, engine_errors():
        raise kind("do this", wire_code="code", link="https://example.com/account")
    assert caught.value.details["link"] == "https://example.com/account"


def test_for_want_of_credits_it_says_where_they_are_had() -> None:
    with pytest.raises(EngineUnavailable) as caught, engine_errors():
        raise NeedsCredits(
            "this costs 3 and 1 are there", wire_code="needs_credits", link="https://x.example"
        )
    assert caught.value.message == "this costs 3 and 1 are there (https://x.example)"


def test_the_pause_that_was_asked_for_is_known() -> None:
    for error in (
        RateLimited("later", retry_after_s=40),
        ServerTrouble("later", status=503, retry_after_s=40),
    ):
        with pytest.raises(EngineUnavailable) as caught, engine_errors():
            raise error
        assert caught.value.details["retry_after_s"] == 40


@pytest.mark.parametrize("kind", [RequestRefused, Conflict, TooLarge])
def test_what_concerns_the_work_ends_it(kind: type[RequestRefused | Conflict | TooLarge]) -> None:
    with pytest.raises(WorkRefused), engine_errors():
        raise kind("no", wire_code="code")
