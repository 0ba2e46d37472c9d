"""Files of hot folders that wait for another file before they become jobs. SQL for one transaction."""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

__all__ = ["WaitingFile", "clear_waiting", "forget_waiting", "note_waiting", "waiting_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFile:
    """As it was when its hot folder was last watched; `reason` is a sentence."""

    source: Path
    preset_id: str
    reason: str


def note_waiting(connection: sqlite3.Connection, folder: str, file: WaitingFile) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO waiting (source, hot_folder, preset_id, reason) VALUES (?, ?, ?, ?)",
        (os.fsencode(file.source), folder, file.preset_id, file.reason),
    )


def forget_waiting(connection: sqlite3.Connection, folder: str, source: Path) -> None:
    connection.execute(
        "DELETE FROM waiting WHERE hot_folder = ? AND source = ?", (folder, os.fsencode(source))
    )


def clear_waiting(connection: sqlite3.Connection, folder: str) -> None:
    connection.execute("DELETE FROM waiting WHERE hot_folder = ?", (folder,))


def waiting_files(connection: sqlite3.Connection) -> tuple[WaitingFile, ...]:
    rows = connection.execute("SELECT source, preset_id, reason FROM waiting ORDER BY source")
    return tuple(
        WaitingFile(source=Path(os.fsdecode(row["source"])), preset_id=row["preset_id"], reason=row["reason"])
        for row in rows
    )
