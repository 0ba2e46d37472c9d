"""A hot folder's first page in the journal, and every later opening of it."""

import asyncio
import sqlite3
from dataclasses import dataclass

from desktop.store import ledger as rows
from desktop.store.database import Database
from desktop.store.ledger import FolderRow, LedgerEntry, Stamp
from desktop.watching.hot_folder import HotFolder
from desktop.watching.rebuild import handled_before
from desktop.watching.scanner import FolderIdentity, folder_identity, scan_folder
from shared.media import READABLE_SUFFIXES

__all__ = ["Page", "open_page"]


@dataclass(frozen=True, slots=True)
class Page:
    """`identity` is the source folder as it is to be found in its place."""

    identity: FolderIdentity
    generation: int


async def open_page(folder: HotFolder, database: Database) -> Page:
    """Raises SourceMissing."""
    row = await database.read(lambda c: rows.find_folder(c, folder.id))
    identity = await asyncio.to_thread(folder_identity, folder.source)
    if row is None:
        return await _first_page(folder, database, identity)
    if (row.device, row.inode) != identity and await _looks_unmounted(folder, database):
        identity = (row.device, row.inode)
    page = Page(identity, row.generation + folder.again)
    await database.write(lambda c: rows.save_folder(c, _row(folder, page)))
    return page


async def _first_page(folder: HotFolder, database: Database, identity: FolderIdentity) -> Page:
    page = Page(identity, 0)
    untaken: dict[str, Stamp] = {}
    entries: tuple[LedgerEntry, ...] = ()
    if folder.new_only:
        untaken = await asyncio.to_thread(_files, folder)
    elif not folder.again and await asyncio.to_thread(folder.out.is_dir):
        entries = await asyncio.to_thread(_won_back, folder)

    def write(connection: sqlite3.Connection) -> None:
        rows.baseline(connection, folder.id, untaken, page.generation)
        for entry in entries:
            rows.record_handled(connection, entry)
        rows.save_folder(connection, _row(folder, page))

    await database.write(write)
    return page


async def _looks_unmounted(folder: HotFolder, database: Database) -> bool:
    """An empty folder, in the place of one that had files and other numbers."""
    if await asyncio.to_thread(_files, folder):
        return False
    return bool(await database.read(lambda c: rows.known_stamps(c, folder.id, 0)))


def _files(folder: HotFolder) -> dict[str, Stamp]:
    return scan_folder(folder.source, suffixes=READABLE_SUFFIXES, excluded=folder.excluded).files


def _won_back(folder: HotFolder) -> tuple[LedgerEntry, ...]:
    return handled_before(folder, lambda: _files(folder))


def _row(folder: HotFolder, page: Page) -> FolderRow:
    device, inode = page.identity
    return FolderRow(id=folder.id, device=device, inode=inode, generation=page.generation)
