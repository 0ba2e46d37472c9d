"""Webhooks are taken when the cloud has signed them, and not otherwise."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.api.webhook_signatures import BadWebhookSecret, new_webhook_secret, webhook_signature
from shared.sdk.webhooks import BadSignature, WebhookMessage, verify

# The example of the specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
BODY = b'{"test": 2432232314}'

DOCS = Path(__file__).resolve().parents[3] / "docs" / "webhooks.md"
OURS = json.dumps({"type": "ping", "timestamp": "2026-01-01T00:00:00+00:00", "data": {"a": 1}}).encode()


def _headers(signature: str | None = None, **changes: str) -> dict[str, str]:
    signature = signature or webhook_signature(SECRET, ID, AT, OURS)
    return {"Webhook-Id": ID, "Webhook-Timestamp": str(AT), "Webhook-Signature": signature, **changes}


def _verified(headers: dict[str, str], body: bytes = OURS, *, now: float = AT) -> WebhookMessage:
    return verify(headers, body, SECRET, now=lambda: now)


def test_signature_is_that_of_the_specification() -> None:
    assert webhook_signature(SECRET, ID, AT, BODY) == SIGNATURE


def test_signature_is_that_of_a_plain_reading_of_it() -> None:
    secret = new_webhook_secret()
    key = base64.b64decode(secret[len("whsec_") :])
    wanted = hmac.new(key, b"msg_1.1700000000." + OURS, hashlib.sha256).digest()
    assert webhook_signature(secret, "msg_1", 1700000000, OURS) == "v1," + base64.b64encode(wanted).decode()
    assert len(key) == 32


def test_signed_message_is_read() -> None:
    assert _verified(_headers()) == WebhookMessage(ID, "ping", datetime(2026, 1, 1, tzinfo=UTC), {"a": 1})


def test_one_of_several_signatures_is_enough() -> None:
    ours = webhook_signature(SECRET, ID, AT, OURS)
    for several in (f"v1,AAAA {ours}", f"v1a,xyz v2,q {ours}", f"{ours} v1,"):
        assert _verified(_headers(several)).id == ID


@pytest.mark.parametrize("away", [301, -301])
def test_old_and_future_ones_are_refused(away: int) -> None:
    with pytest.raises(BadSignature, match="too old"):
        _verified(_headers(), now=AT + away)
    assert verify(_headers(), OURS, SECRET, tolerance=timedelta(minutes=6), now=lambda: float(AT + away))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        _headers("v1,AAAA"),
        _headers("v1,ü"),
        _headers(" "),
        _headers(webhook_signature(SECRET, "msg_other", AT, OURS)),
        _headers(webhook_signature(SECRET, ID, AT + 1, OURS)),
        _headers(webhook_signature(new_webhook_secret(), ID, AT, OURS)),
        _headers(**{"Webhook-Timestamp": "now"}),
        _headers(**{"Webhook-Timestamp": "9" * 400}),
        _headers(**{"Webhook-Timestamp": "-1"}),
    ],
)
def test_what_is_not_signed_by_the_cloud_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        _verified(headers)


def test_changed_body_is_refused() -> None:
    with pytest.raises(BadSignature):
        _verified(_headers(), OURS + b" ")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"type": "x"}', b"[" * 100_000])
def test_signed_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(BadSignature, match="nothing that we know"):
        _verified(_headers(webhook_signature(SECRET, ID, AT, body)), body)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!", "", "whsec_YQ=="])
def test_secret_that_is_none(secret: str) -> None:
    with pytest.raises(BadWebhookSecret):
        verify(_headers(), OURS, secret, now=lambda: AT)


def test_receiver_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands there, on another port: a job that ended, a ping, and what nobody signed."""
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    begin, end = code.split("HTTPServer((", maxsplit=1)
    assert end.endswith(".serve_forever()\n")
    names: dict[str, Any] = {}
    exec(compile(begin.replace("whsec_…", SECRET), str(DOCS), "exec"), names)  # noqa: S102 - our own docs
    job, ping = (
        _message("job.completed", {"job": {"id": "a job"}}),
        _message("ping", {"webhook": {"id": "b"}}),
    )
    now = int(time.time())
    signed = [
        (body, _headers(webhook_signature(SECRET, ID, now, body), **{"Webhook-Timestamp": str(now)}))
        for body in (job, ping)
    ]
    with HTTPServer(("127.0.0.1", 0), names["Receiver"]) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(3)])
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        answers = [
            httpx.post(url, content=body, headers=headers).status_code
            for body, headers in (*signed, (job, dict[str, str]()))
        ]
        thread.join()
    assert answers == [204, 204, 400]
    said = ["job.completed {'job': {'id': 'a job'}}", "ping {'webhook': {'id': 'b'}}"]
    assert capsys.readouterr().out.splitlines() == said


def _message(kind: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "timestamp": "2026-01-01T00:00:00+00:00", "data": data}).encode()
