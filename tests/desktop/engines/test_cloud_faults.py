"""A cloud that refuses, is ill, or is not the cloud at all: the queue waits, and no job fails for it."""

from pathlib import Path

import pytest

from desktop.engines.cloud import CloudEngine
from shared.engines.base import EngineUnavailable
from tests.support.http_server import Reply, http_server

_HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=401, body=b'{"error": {"code": "unauthorized", "message": "no"}}'),
        Reply(status=402, body=b'{"error": {"code": "needs_credits", "message": "no"}}'),
        Reply(status=429, headers={"Retry-After": "600"}),
        Reply(status=500, body=b"ill"),
        Reply(status=503, headers={"Retry-After": "600"}),
        Reply(body=b"<html>Sign in to the airport's network</html>", headers=_HTML),
    ],
    ids=["401", "402", "429", "500", "503", "captive portal"],
)
async def test_such_answers_make_it_unavailable(reply: Reply, tmp_path: Path) -> None:
    with http_server() as server:
        server.replies.extend([reply] * 20)
        engine = CloudEngine(server_url=server.url, api_key="sl_live_key", state_folder=tmp_path)
        with pytest.raises(EngineUnavailable):
            await engine.capabilities()
        await engine.aclose()
        assert len(server.asked) < 10


async def test_a_name_that_leads_nowhere_makes_it_unavailable(tmp_path: Path) -> None:
    engine = CloudEngine(server_url="http://nowhere.invalid", api_key="sl_live_key", state_folder=tmp_path)
    with pytest.raises(EngineUnavailable):
        await engine.capabilities()
    await engine.aclose()
