"""A hot folder's first page in the journal, and every later opening of it."""

import asyncio
import sqlite3
from dataclasses import dataclass

from desktop.store import ledger as rows
from desktop.store.database import Database
from desktop.store.ledger import FolderRow, LedgerEntry, Stamp
from desktop.watching.hot_folder import HotFolder
from desktop.watching.plan import is_familiar
from desktop.watching.rebuild import handled_before
from desktop.watching.scanner import FolderIdentity, folder_identity, scan_folder
from shared.media import READABLE_SUFFIXES

__all__ = ["Page", "open_page", "save_page"]


@dataclass(frozen=True, slots=True)
class Page:
    """`identity` is the source folder as it is to be found in its place."""

    identity: FolderIdentity
    generation: int


async def open_page(folder: HotFolder, database: Database, *, accept_new: bool = False) -> Page:
    """`accept_new` takes the folder that is there now for the source. Raises SourceMissing."""
    row = await database.read(lambda c: rows.find_folder(c, folder.id))
    identity = await asyncio.to_thread(folder_identity, folder.source)
    if row is None:
        return await _first_page(folder, database, identity)
    known = (row.device, row.inode)
    if known != identity and not accept_new and not await _is_familiar(folder, database):
        identity = known
    page = Page(identity, row.generation + folder.again)
    await save_page(folder, page, database)
    return page


async def save_page(folder: HotFolder, page: Page, database: Database) -> None:
    await database.write(lambda c: rows.save_folder(c, _row(folder, page)))


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


async def _is_familiar(folder: HotFolder, database: Database) -> bool:
    """Whether a folder with other numbers is the same source nevertheless."""
    known = await database.read(lambda c: rows.known_stamps(c, folder.id, 0, all_seen=True))
    return is_familiar(await asyncio.to_thread(_files, folder), known)


def _files(folder: HotFolder) -> dict[str, Stamp]:
    return scan_folder(folder.source, suffixes=READABLE_SUFFIXES, excluded=folder.excluded).files


def _won_back(folder: HotFolder) -> tuple[LedgerEntry, ...]:
    return handled_before(folder, lambda: _files(folder))


def _row(folder: HotFolder, page: Page) -> FolderRow:
    device, inode = page.identity
    return FolderRow(id=folder.id, device=device, inode=inode, generation=page.generation)
