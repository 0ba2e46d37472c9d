"""The journal's file and its writer."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from desktop.store.database import Database
from desktop.store.journal_file import JournalFromTheFuture, JournalLocked, JournalUnwritable
from desktop.store.migrations import MIGRATIONS


def _count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])


async def _with_notes(database: Database) -> None:
    await database.write(lambda connection: connection.execute("CREATE TABLE notes (text TEXT)"))


async def test_writes_waiting_together_are_all_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    async with Database(path) as database:
        await _with_notes(database)
        await asyncio.gather(
            *[
                database.write(lambda c, n=n: c.execute("INSERT INTO notes VALUES (?)", (str(n),)).rowcount)
                for n in range(1000)
            ]
        )
    async with Database(path) as database:
        assert await database.read(_count) == 1000


async def test_one_write_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    async with Database(tmp_path / "journal.sqlite3") as database:
        await _with_notes(database)

        def fails(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO notes VALUES ('half')")
            raise LookupError("changed my mind")

        def works(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO notes VALUES ('whole')")

        results = await asyncio.gather(
            database.write(works), database.write(fails), database.write(works), return_exceptions=True
        )
        assert [type(result) for result in results] == [type(None), LookupError, type(None)]
        assert await database.read(_count) == 2


async def test_a_journal_from_the_future_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalFromTheFuture, match="newer Safelight"):
        async with Database(path):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 9000]
)
async def test_a_damaged_journal_is_put_aside_and_a_new_one_begun(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(damage)
    async with Database(path) as database:
        assert database.set_aside is not None
        assert database.set_aside.read_bytes() == damage
        await _with_notes(database)
        assert await database.read(_count) == 0


async def test_damage_inside_a_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    async with Database(path) as database:
        await _with_notes(database)
        await database.write(
            lambda c: c.executemany("INSERT INTO notes VALUES (?)", [("x" * 500,)] * 500).rowcount
        )
    data = bytearray(path.read_bytes())
    for page in range(4096 * 20, len(data), 4096):
        data[page : page + 64] = b"\xaa" * 64
    path.write_bytes(data)
    async with Database(path) as database:
        assert database.set_aside is not None


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalUnwritable, match=r"journal\.sqlite3"):
        async with Database(tmp_path / "file" / "journal.sqlite3"):
            pass


async def test_a_journal_held_by_another_program_is_transient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.store.journal_file._BUSY_TIMEOUT_S", 0.2)
    path = tmp_path / "journal.sqlite3"
    async with Database(path) as database:
        await _with_notes(database)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalLocked, match="close it"):
            await database.write(_count)
        other.execute("ROLLBACK")
        other.close()
        assert await database.write(_count) == 0


async def test_another_process_commit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    async with Database(path) as database:
        await _with_notes(database)
        before = await database.changes_by_others()
        assert await database.changes_by_others() == before
        with sqlite3.connect(path) as other:
            other.execute("INSERT INTO notes VALUES ('theirs')")
        other.close()
        assert await database.changes_by_others() != before


async def test_a_result_told_early_comes_before_the_answer(tmp_path: Path) -> None:
    told: list[str] = []
    async with Database(tmp_path / "journal.sqlite3") as database:
        told.append(
            await database.write(lambda _: "answer", early=lambda value: told.append(f"early {value}"))
        )

    assert told == ["early answer", "answer"]


async def test_what_was_told_early_may_still_fail(tmp_path: Path) -> None:
    """The disk has the last word; here a constraint that is checked at the end of the transaction."""
    told: list[None] = []

    def dangling(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO child VALUES (1)")

    async with Database(tmp_path / "journal.sqlite3") as database:
        await database.write(lambda c: c.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)").rowcount)
        await database.write(
            lambda c: (
                c.execute(
                    "CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"
                ).rowcount
            )
        )
        with pytest.raises(JournalUnwritable):
            await database.write(dangling, early=told.append)

    assert told == [None]
