"""What engines keep of their runs on a worker's own disk, once no job can ask for it any more."""

import asyncio
from pathlib import Path

from cloud.repositories.database import Database
from shared.engines.base import Ticket
from shared.engines.builtin.sweep import sweep as sweep_builtin
from shared.engines.comfy.sweep import sweep as sweep_spool

__all__ = ["RunFiles"]


class RunFiles:
    """`folder` holds those of the built-in engine in `builtin`, and a spool for each server beside it."""

    def __init__(self, *, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    async def sweep(self) -> int:
        """How many runs were forgotten."""
        tickets = await self._database.read(lambda unit: unit.tickets.of_live_jobs())
        keep = frozenset(Ticket.from_json(ticket).run_id for ticket in tickets)
        return await asyncio.to_thread(self._sweep, keep)

    def _sweep(self, keep: frozenset[str]) -> int:
        spools = sorted(self._folder.glob("comfy-*"))
        return sweep_builtin(self._folder / "builtin", keep=keep) + sum(
            sweep_spool(spool, keep=keep) for spool in spools
        )
