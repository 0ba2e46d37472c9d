"""The API on a real port, in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cloud.cli.server import ApiServer, listening_socket
from cloud.settings import Settings
from tests.cloud.api import Api, Client, open_api

__all__ = ["Served", "served"]


@dataclass
class Served:
    api: Api
    client: Client
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Served]:
    """With the publisher beside it."""
    async with open_api(settings) as api:
        with listening_socket("127.0.0.1", 0) as listening:
            started = asyncio.Event()
            server = ApiServer(api.context, announce=started.set)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            publishing = asyncio.create_task(api.factory.publisher().run())
            await started.wait()
            try:
                yield Served(api, await api.client(), int(listening.getsockname()[1]))
            finally:
                server.should_exit = True
                await serving
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
