"""Sealed secrets outlive their keys, and the keys can be changed under them."""

import asyncio
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from cloud.clients.queue import LocalQueue
from cloud.clients.secret_box import SecretBox, SecretUnreadable
from cloud.migrations.upgrade import migrate_sqlite
from cloud.repositories.database import Database
from cloud.repositories.sealed import SEALED_COLUMNS, SealedColumn
from cloud.repositories.unit import Unit
from cloud.repositories.webhooks import NewWebhook
from cloud.services.callers import COMMAND_LINE
from cloud.services.secrets import Secrets
from cloud.services.servers import Servers
from cloud.tables.base import METADATA
from shared.api.servers import ServerRequest
from shared.api.webhooks import WebhookKind
from shared.ids import new_id
from tests.support.cloud_processes import CloudProcesses
from tests.support.databases import open_database

COUNT = 250


def test_every_column_that_sounds_like_a_secret_is_known() -> None:
    """Digests of secrets are no secrets."""
    telling = {"secret", "credential", "token", "password"}
    found = {
        SealedColumn(table.name, column.name)
        for table in METADATA.tables.values()
        for column in table.columns
        if telling & set(column.name.split("_")) and not column.name.endswith(("_digest", "_until"))
    }
    assert found == set(SEALED_COLUMNS)


def _sealed(unit: Unit) -> list[str]:
    """All that lies there."""
    found: list[str] = []
    for where in SEALED_COLUMNS:
        column = METADATA.tables[where.table].c[where.name]
        found += [row[0] for row in unit.connection.execute(column.table.select().with_only_columns(column))]
    return [text for text in found if text is not None]


async def _fill(database: Database, box: SecretBox) -> None:
    queue = LocalQueue()
    request = ServerRequest.model_validate({"url": "http://gpu", "token": "server-token"})
    await Servers(database=database, queue=queue, box=box).add(COMMAND_LINE, request)
    account = new_id()

    def work(unit: Unit) -> None:
        unit.accounts.add(account, "a")
        for index in range(COUNT):
            webhook = NewWebhook(
                id=new_id(),
                account_id=account,
                url="https://a.example",
                description="",
                kinds=[WebhookKind.PING],
                secret=box.seal(f"secret {index}"),
            )
            unit.webhooks.add(webhook)

    await database.write(work)


async def test_secrets_outlive_three_rotations(database: Database) -> None:
    keys = [Fernet.generate_key().decode()]
    await _fill(database, SecretBox(keys))
    wanted = {"Bearer server-token", *(f"secret {index}" for index in range(COUNT))}
    for _ in range(3):
        keys.insert(0, Fernet.generate_key().decode())
        box = SecretBox(keys[:2])
        assert await Secrets(database=database, box=box).rotate(COMMAND_LINE) == COUNT + 1
        newest = SecretBox(keys[:1])
        assert {newest.open(text) for text in await database.read(_sealed)} == wanted
    with pytest.raises(SecretUnreadable):
        SecretBox(keys[1:]).open((await database.read(_sealed))[0])
    [entry, *_] = await database.read(lambda unit: unit.audit.newest(10))
    assert (entry.action, entry.details) == ("secrets.rotate", {"count": COUNT + 1})


async def test_without_its_key_nothing_is_lost(database: Database) -> None:
    await _fill(database, SecretBox([Fernet.generate_key().decode()]))
    before = await database.read(_sealed)
    with pytest.raises(SecretUnreadable):
        await Secrets(database=database, box=SecretBox([Fernet.generate_key().decode()])).rotate(COMMAND_LINE)
    assert await database.read(_sealed) == before


async def test_rotation_that_was_killed_is_done_again(tmp_path: Path) -> None:
    new, old = (Fernet.generate_key().decode() for _ in range(2))
    path = tmp_path / "data" / "cloud.db"
    await asyncio.to_thread(migrate_sqlite, path)
    async with open_database(f"sqlite:///{path}") as database:
        await _fill(database, SecretBox([old]))
        cloud = CloudProcesses(tmp_path, {"SAFELIGHT_ENCRYPTION_KEYS": f"{new},{old}"})
        await asyncio.to_thread(cloud.killed_at, "secrets.resealed", "secrets", "rotate")
        said = await asyncio.to_thread(cloud.run, "secrets", "rotate")
        assert said.startswith(f"{COUNT + 1} secrets lie under the first key now")
        box = SecretBox([new])
        assert len({box.open(text) for text in await database.read(_sealed)}) == COUNT + 1
