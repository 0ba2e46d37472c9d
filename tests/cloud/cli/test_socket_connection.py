"""Sockets over real connections: of readers that do not read, and of those that are refused."""

import asyncio
import base64
import logging
import os
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from cloud.clients.broadcast import Message
from tests.cloud.api import settings_for
from tests.cloud.served import served

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

_PATIENCE_S = 0.3
_PREVIEW = "x" * 500_000


async def test_socket_that_is_not_read_is_cut_off(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(database_url, tmp_path, client_patience_s=_PATIENCE_S)
    async with served(settings) as server:
        job_id = await server.client.job_id()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(
            f"GET /api/v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {server.client.key}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
        )
        await reader.readuntil(b"queued")  # from here on the client reads nothing
        async with asyncio.timeout(60):
            while server.api.context.streams.open:
                await server.api.context.broadcast.publish(
                    Message(
                        topic=server.client.account_id,
                        key=job_id,
                        kind="preview",
                        body=_PREVIEW,
                        slot="preview",
                    )
                )
                await asyncio.sleep(_PATIENCE_S / 10)
        writer.close()


async def test_refused_socket_is_no_error_of_the_server(
    tmp_path: Path, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(settings_for(database_url, tmp_path)) as server:
        address = f"ws://127.0.0.1:{server.port}/api/v1/jobs/{await server.client.job_id()}/events"
        with pytest.raises(InvalidStatus) as caught:
            await connect(address)
    assert caught.value.response.status_code == 401
    assert b"sign_in_needed" in caught.value.response.body
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
