import json
from datetime import UTC, datetime

import pytest

from shared.api.events import MalformedEvent, dump_event, event_text, parse_event
from shared.errors import JsonValue
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Output,
    OutputKind,
    Preview,
    Progress,
    Queued,
    Requeued,
    Stage,
    StageName,
    Started,
)

AT = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
PICTURE = Output(
    node="9", index=0, kind=OutputKind.IMAGE, name="a.png", media_type="image/png", bytes=3, digest="ab"
)
EVENTS: tuple[JobEvent, ...] = (
    Queued(job_id="j", attempt=0, at=AT, position=3),
    Started(job_id="j", attempt=1, at=AT, engine="builtin"),
    Requeued(job_id="j", attempt=1, at=AT, reason="the worker stopped"),
    Stage(job_id="j", attempt=1, at=AT, name=StageName.LOADING_MODEL),
    Progress(job_id="j", attempt=1, at=AT, fraction=0.5, eta_s=2.0, node="3", step=10, steps=20),
    Preview(job_id="j", attempt=1, at=AT, media_type="image/jpeg", data=b"\xff\xd8\x00", width=4, height=2),
    Completed(job_id="j", attempt=1, at=AT, outputs=(PICTURE,)),
    Failed(job_id="j", attempt=1, at=AT, code="oom", message="Zu groß 🙂", retryable=False),
    Cancelled(job_id="j", attempt=1, at=AT),
    Expired(job_id="j", attempt=0, at=AT),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_event_survives_its_json_form(event: JobEvent) -> None:
    assert parse_event(json.loads(event_text(event))) == event


def test_form_is_an_object_tagged_by_event() -> None:
    assert dump_event(EVENTS[0]) == {
        "event": "queued",
        "job_id": "j",
        "attempt": 0,
        "at": "2026-11-21T12:00:00.250000+00:00",
        "position": 3,
    }


def test_bytes_of_a_preview_are_base64() -> None:
    assert dump_event(EVENTS[5])["data"] == "/9gA"


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert parse_event({**dump_event(EVENTS[0]), "mood": "fine"}) == EVENTS[0]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"event": "exploded"},
        {"event": "queued"},
        {"event": ["queued"]},
        {"event": "preview", "job_id": "j", "attempt": 1, "at": "2026-11-21T12:00:00Z"},
        {"event": "preview", "job_id": "j", "attempt": 1, "at": "x", "media_type": "image/png", "data": "§"},
    ],
)
def test_anything_else_is_malformed(data: JsonValue) -> None:
    with pytest.raises(MalformedEvent):
        parse_event(data)
