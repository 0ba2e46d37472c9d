"""New tables under old programs: each migration only adds, so that what runs goes on meanwhile."""

from collections.abc import Mapping
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from cloud.migrations.upgrade import newest_version, upgrade
from cloud.repositories.sqlite import sqlite_engine

_BEFORE_ANY_RELEASE = {"0001", "0002"}
Shape = Mapping[str, Mapping[str, bool]]  # whether each column may be left out of a new row


def _shape(connection: Connection) -> Shape:
    looked = inspect(connection)
    return {
        table: {
            column["name"]: column["nullable"] or column["default"] is not None
            for column in looked.get_columns(table)
        }
        for table in looked.get_table_names()
    }


def test_each_migration_only_adds(tmp_path: Path) -> None:
    folder = Path(__file__).parents[3] / "cloud/migrations"
    script = ScriptDirectory(str(folder))
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]
    assert revisions[-1] == newest_version()
    engine = sqlite_engine(tmp_path / "safelight.db")
    broken: list[str] = []
    before: Shape = {}
    with engine.connect() as connection:
        for revision in revisions:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            upgrade(connection, revision)
            connection.exec_driver_sql("COMMIT")
            now = _shape(connection)
            for table, columns in before.items() if revision not in _BEFORE_ANY_RELEASE else ():
                gone = set(columns) - set(now.get(table, {}))
                demanded = {name for name, free in now.get(table, {}).items() if not free} - set(columns)
                broken += [f"{revision}: {table}.{name} is gone" for name in sorted(gone)]
                broken += [f"{revision}: {table}.{name} has no default" for name in sorted(demanded)]
            before = now
    engine.dispose()
    assert not broken
