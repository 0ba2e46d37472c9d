"""Each fact by itself, and what is said of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cloud.repositories.lanes import Lane
from cloud.repositories.places import JobPlace
from cloud.repositories.servers import Breaker, ServerRecord, Switch
from cloud.repositories.servers import ServerFacts as SaidFacts
from cloud.repositories.standing import Standing
from cloud.services.waiting_words import (
    JobFacts,
    ServerFact,
    ServerFacts,
    reasons_of_job,
    reasons_of_server,
)
from shared.api.jobs import AttemptEnd
from shared.api.servers import BreakerState, ServerState
from shared.jobs.state import JobState, is_terminal
from shared.presets.requirement import Missing, MissingKind

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODEL = Missing(kind=MissingKind.MODEL, name="sdxl.safetensors", message="the model file is missing")
SERVER = ServerRecord(
    id="1",
    name="big",
    url="http://10.0.0.7:8188",
    credential=None,
    pool="comfy",
    capacity=1,
    labels={},
    state=ServerState.ACTIVE,
    created_at=NOON,
    facts=SaidFacts(),
    said_at=NOON,
    seen_at=NOON - timedelta(seconds=2),
    breaker=Breaker(),
    led_by="w",
    lead_until=NOON + timedelta(seconds=9),
    preset=None,
    preset_since=None,
    switches={},
    read_at=NOON,
)
PLACE = JobPlace(
    job_id="j",
    lane=Lane("comfy", 0, "a", "portrait"),
    state=JobState.QUEUED,
    attempt=0,
    started_at=None,
    server=None,
    avoid=None,
    alone=False,
    ahead=0,
    at_work=0,
    plan="free",
    last_end=None,
)


def _job(
    *servers: tuple[ServerRecord, int, tuple[Missing, ...] | None],
    most: int = 4,
    workers: int = 1,
    waiting: tuple[str, ...] = ("portrait",),
    **place: object,
) -> dict[str, str]:
    """What is said, by code."""
    facts = JobFacts(
        place=replace(PLACE, **place),
        most_at_work=most,
        workers=workers,
        servers=[
            ServerFact(standing=Standing(server, jobs), missing=missing) for server, jobs, missing in servers
        ],
        waiting=frozenset(waiting),
    )
    return {reason.code: reason.message for reason in reasons_of_job(facts)}


def _one(
    server: ServerRecord, *, jobs: int = 0, missing: tuple[Missing, ...] | None = ()
) -> tuple[ServerRecord, int, tuple[Missing, ...] | None]:
    return server, jobs, missing


IDLE = _one(SERVER)


def test_a_job_that_is_next_has_nothing_in_its_way() -> None:
    assert _job(IDLE) == {}


@pytest.mark.parametrize("state", [state for state in JobState if is_terminal(state)] + [JobState.SAVING])
def test_of_what_has_ended_nothing_is_said(state: JobState) -> None:
    assert _job(IDLE, state=state, ahead=3, workers=0) == {}


def test_what_is_taken_says_where_it_waits() -> None:
    at = {"state": JobState.PROCESSING, "attempt": 1}
    assert _job(IDLE, **at, server="big") == {
        "behind_running": "it is at the server big and begins when the job before it is done there"
    }
    assert list(_job(IDLE, **at)) == ["preparing"]
    assert _job(IDLE, **at, server="big", started_at=NOON) == {}


def test_what_comes_before_it_is_counted() -> None:
    assert _job(IDLE, ahead=1) == {"ahead": "1 job of yours with the same preset came before it"}
    assert _job(IDLE, ahead=12) == {"ahead": "12 jobs of yours with the same preset came before it"}


def test_a_full_account_is_told_so() -> None:
    said = _job(IDLE, at_work=4)
    assert said == {"account_full": "4 of your jobs run, which is all that your plan runs at once"}


def test_without_a_worker_nothing_begins() -> None:
    assert list(_job(IDLE, workers=0)) == ["no_worker"]


def test_without_a_server_there_is_none() -> None:
    assert list(_job()) == ["no_server"]
    assert _job(lane=Lane("builtin", 0, "a", "noir")) == {}


@pytest.mark.parametrize(
    ("server", "code", "said"),
    [
        (
            replace(SERVER, state=ServerState.DRAINING),
            "draining",
            "big ends what it has and takes nothing new",
        ),
        (replace(SERVER, state=ServerState.DISABLED), "disabled", "big is disabled"),
        (replace(SERVER, seen_at=None), "never_seen", "big has never answered"),
        (
            replace(SERVER, seen_at=NOON - timedelta(minutes=5)),
            "not_seen",
            "big was not seen since 2026-01-01 11:55:00 UTC",
        ),
        (replace(SERVER, led_by=None, lead_until=None), "not_led", "no worker looks after big just now"),
        (
            replace(
                SERVER,
                breaker=Breaker(state=BreakerState.OPEN, opened_at=NOON, trouble="http://10.0.0.7 is away"),
            ),
            "failing",
            "big fails since 2026-01-01 12:00:00 UTC and is left alone",
        ),
    ],
)
def test_a_server_that_cannot_be_used_says_why(server: ServerRecord, code: str, said: str) -> None:
    assert _job(_one(server)) == {code: said}


def test_a_server_that_lacks_a_model_names_it() -> None:
    assert _job(_one(SERVER, missing=(MODEL,))) == {"lacks": "big lacks sdxl.safetensors"}


def test_a_server_that_holds_another_preset_says_for_how_long() -> None:
    holds = replace(
        SERVER,
        preset="film",
        preset_since=NOON - timedelta(seconds=10),
        switches={"portrait": Switch(5.0, 1.0)},
    )
    both = ("portrait", "film")
    assert _job(_one(holds, jobs=1), waiting=both) == {
        "holds_another": "big has loaded the models of film and stays with it for another 30 s"
    }
    long = replace(holds, preset_since=NOON - timedelta(seconds=60))
    assert "until its job is done" in _job(_one(long, jobs=1), waiting=both)["holds_another"]
    assert list(_job(_one(holds, jobs=1))) == ["busy"], "nothing else of film waits"


def test_where_it_failed_or_left_a_run_it_goes_another_way() -> None:
    assert list(_job(IDLE, avoid="big")) == ["failed_here"]
    assert list(_job(IDLE, server="small")) == ["left_elsewhere"]
    assert list(_job(IDLE, attempt=2, last_end=AttemptEnd.BROKEN_OFF)) == ["retried"]
    assert list(_job(IDLE, attempt=2, alone=True)) == ["alone"]
    assert _job(IDLE, attempt=2, last_end=AttemptEnd.RELEASED) == {}


def _server(server: ServerRecord = SERVER, **more: object) -> list[str]:
    facts = {"standing": Standing(server, 0), "workers": 1, "waiting": 3, "able": 3, "lacks": ()}
    return [reason.message for reason in reasons_of_server(ServerFacts(**(facts | more)))]  # type: ignore[arg-type]


def test_an_operator_is_told_the_trouble_too() -> None:
    failing = replace(SERVER, breaker=Breaker(state=BreakerState.OPEN, opened_at=NOON, trouble="it broke"))
    assert _server(failing) == ["big fails since 2026-01-01 12:00:00 UTC and is left alone: it broke"]


def test_a_server_without_work_says_why() -> None:
    assert _server() == []
    assert _server(waiting=0, able=0) == ["no job waits in the pool comfy"]
    assert _server(able=0, lacks=[MODEL]) == [
        "big can run none of the jobs that wait: the model file is missing"
    ]
    assert _server(standing=Standing(SERVER, 2)) == ["big has 2 jobs, as many as it is given"]
    assert _server(workers=0) == ["no worker is running: start one with safelight-cloud worker"]
