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
)


@pytest.mark.parametrize("kind", [SignInNeeded, NeedsCredits, PlanLimit])
def test_what_concerns_the_account_makes_the_queue_wait(
    kind: type[SignInNeeded | NeedsCredits | PlanLimit],
) -> None:
    with pytest.raises(EngineUnavailable, match="do this") as caught, engine_errors():
        raise kind("do this", wire_code="code", link="https://example.com/account")
    assert caught.value.details["link"] == "https://example.com/account"


def test_the_pause_that_was_asked_for_is_known() -> None:
    for error in (
        RateLimited("later", retry_after_s=40),
        ServerTrouble("later", status=503, retry_after_s=40),
    ):
        with pytest.raises(EngineUnavailable) as caught, engine_errors():
            raise error
        assert caught.value.details["retry_after_s"] == 40


@pytest.mark.parametrize("kind", [RequestRefused, Conflict])
def test_what_concerns_the_work_ends_it(kind: type[RequestRefused | Conflict]) -> None:
    with pytest.raises(WorkRefused), engine_errors():
        raise kind("no", wire_code="code")
