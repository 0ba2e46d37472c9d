"""A chore: something short that must be done every few seconds by whoever gets to it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

import structlog

from shared.errors import TransientError

__all__ = ["Chore", "do_chore"]

_log = structlog.get_logger(__name__)

_LONGEST_S = 30.0


@dataclass(frozen=True, slots=True)
class Chore:
    """`run` answers how many things it changed; running it twice at once is harmless."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[int]]


async def do_chore(chore: Chore) -> None:
    """The envelope: a chore that fails, or hangs, is logged and left to its next turn."""
    begun = perf_counter()
    try:
        async with asyncio.timeout(_LONGEST_S):
            changed = await chore.run()
    except TransientError as error:
        _log.warning("chore_put_off", chore=chore.name, error=error.code)
        return
    except Exception:  # noqa: BLE001 - the task wrapper: whatever a chore did, the next one runs
        _log.exception("chore_failed", chore=chore.name)
        return
    if changed:
        _log.info("chore_done", chore=chore.name, changed=changed, seconds=round(perf_counter() - begun, 3))
