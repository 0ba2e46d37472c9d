"""Canaries: whatever is logged by whomever, no secret comes out and one event is one line."""

import io
import json
import logging

import pytest
import structlog

from shared.logs import bridge_library_logs, configure_logs, request_id

CANARIES = {
    "key": "Authorization: Bearer sl_live_0123456789abcdefABCDEFcanary",
    "bare key": "used sl_live_0123456789abcdefABCDEFcanary for it",
    "webhook": "signed with whsec_Canary0123456789/+=",
    "upload": "PUT https://api.example/api/v1/uploads/canary.token.here 204",
    "share": "GET /api/v1/shared/canary-token",
    "ticket": "protocols safelight.v1, safelight.ticket.canary_token",
    "s3": "https://s3.example/b/k?X-Amz-Signature=canary&X-Amz-Credential=canary",
    "database": "postgresql://safelight:canary@db/safelight is away",
    "mail": "canary@studio.example asked",
    "sealed": "gAAAAABcanarycanarycanarycanary==",
}
FORGED = 'name\n{"event": "forged"}\r\x1b[31mred\u202e'


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    caught = io.StringIO()
    monkeypatch.setattr("sys.stderr", caught)
    configure_logs(as_json=True)
    return caught


def _events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("text", CANARIES.values(), ids=CANARIES)
def test_no_secret_comes_out(stream: io.StringIO, text: str) -> None:
    log = structlog.get_logger()
    log.info(text)
    log.info("event", message=text, nested={"list": [text, {"error": RuntimeError(text)}]})
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("broken")
    assert "canary" not in stream.getvalue().lower()
    assert len(_events(stream)) == 3


@pytest.mark.parametrize(
    "name", ["password", "cookie", "set_cookie", "authorization", "prompt", "client_secret"]
)
def test_what_is_called_a_secret_is_one(stream: io.StringIO, name: str) -> None:
    structlog.get_logger().info("event", **{name: "canary"}, headers={name: "canary"})
    assert "canary" not in stream.getvalue()


def test_ids_and_counts_are_told(stream: io.StringIO) -> None:
    structlog.get_logger().info("event", job="0198-1", key="0198-2", tokens=3)
    [event] = _events(stream)
    assert (event["job"], event["key"], event["tokens"]) == ("0198-1", "0198-2", 3)


@pytest.mark.parametrize("as_json", [True, False])
def test_one_event_is_one_line(monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logs(as_json=as_json)
    structlog.get_logger().info("event", name=FORGED)
    assert len(stream.getvalue().splitlines()) == 1
    assert not set("\r\x1b\u202e") & set(stream.getvalue())


def test_libraries_say_it_in_the_same_way(stream: io.StringIO) -> None:
    before = logging.getLogger().handlers[:]
    try:
        bridge_library_logs()
        bridge_library_logs()
        logging.getLogger("httpx").warning("HTTP Request: GET %s", CANARIES["s3"])
        logging.getLogger("uvicorn.error").error(FORGED)
    finally:
        logging.getLogger().handlers = before
    events = _events(stream)
    assert [(event["logger"], event["level"]) for event in events] == [
        ("httpx", "warning"),
        ("uvicorn.error", "error"),
    ]
    assert "canary" not in stream.getvalue()


def test_request_id_is_that_of_the_task() -> None:
    assert request_id() is None
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        assert request_id() == "r-1"
    assert request_id() is None
