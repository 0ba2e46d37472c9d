"""A program that runs one slow work with the built-in engine: prints its ticket, then how it ended."""

import asyncio
import sys
from pathlib import Path

from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.ids import new_id
from tests.support.builtin_works import slow_work


async def main(state_folder: Path) -> None:
    pool = ProcessPool(size=1)
    engine = BuiltinEngine(state_folder=state_folder, pool=pool)
    ticket = await engine.prepare(slow_work(new_id()))
    await engine.start(ticket)
    print(ticket.to_json(), flush=True)
    events = [event async for event in engine.follow(ticket)]
    print(type(events[-1]).__name__, flush=True)
    await engine.aclose()
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
