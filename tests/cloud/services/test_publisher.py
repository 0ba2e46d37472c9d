"""The publisher outlives the absences of its database."""

import asyncio

from cloud.clients.broadcast import LocalBroadcast
from cloud.clients.queue import LocalQueue
from cloud.repositories.postgres import PostgresDatabase
from cloud.services.publisher import EventPublisher

_MORE_THAN_ONE_WRITE_TRIES = 25


async def test_it_goes_on_while_the_database_hangs_up_on_it() -> None:
    calls, enough = 0, asyncio.Event()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls == _MORE_THAN_ONE_WRITE_TRIES:
            enough.set()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        database = PostgresDatabase(url=f"postgresql+asyncpg://safelight@127.0.0.1:{port}/events")
        publisher = EventPublisher(database=database, broadcast=LocalBroadcast(), queue=LocalQueue())
        publishing = asyncio.create_task(publisher.run(poll_s=0.001))
        try:
            async with asyncio.timeout(60):
                await asyncio.wait(
                    [publishing, asyncio.create_task(enough.wait())], return_when=asyncio.FIRST_COMPLETED
                )
            assert not publishing.done()
        finally:
            publishing.cancel()
            await asyncio.wait([publishing])
            await database.aclose()
