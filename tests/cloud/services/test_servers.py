"""The registry of GPU servers."""

import asyncio

import pytest
from cryptography.fernet import Fernet

from cloud.clients.queue import Bell, LocalQueue
from cloud.clients.secret_box import SecretBox
from cloud.errors import Conflict, InvalidRequest, NotFound
from cloud.repositories.database import Database
from cloud.services.callers import COMMAND_LINE
from cloud.services.servers import Servers
from shared.api.servers import ServerRequest, ServerState

KEY = Fernet.generate_key().decode()
URL = "http://10.0.0.7:8188"


@pytest.fixture
def queue() -> LocalQueue:
    return LocalQueue()


@pytest.fixture
def servers(database: Database, queue: LocalQueue) -> Servers:
    return Servers(database=database, queue=queue, box=SecretBox([KEY]))


def _request(url: str = URL, **more: object) -> ServerRequest:
    return ServerRequest.model_validate({"url": url, **more})


async def _names(servers: Servers) -> list[str]:
    return [server.name for server in (await servers.all(COMMAND_LINE)).servers]


async def test_a_server_is_registered_and_shown(servers: Servers, queue: LocalQueue) -> None:
    with queue.listen(Bell.SERVERS) as rung:
        added = await servers.add(
            COMMAND_LINE, _request(name="big", pool="film", capacity=2, labels={"rack": "3"})
        )
        assert await rung.wait(0)
    assert (added.name, added.url, added.pool, added.capacity) == ("big", URL, "film", 2)
    assert (added.labels, added.state, added.seen_at) == ({"rack": "3"}, ServerState.ACTIVE, None)
    assert await servers.show(COMMAND_LINE, "big") == added


async def test_a_server_without_a_name_is_called_after_its_address(servers: Servers) -> None:
    assert (await servers.add(COMMAND_LINE, _request())).name == "10.0.0.7-8188"


async def test_a_token_is_sealed_and_never_shown(servers: Servers, database: Database) -> None:
    added = await servers.add(COMMAND_LINE, _request(name="a", token="s3cret"))
    row = await database.read(lambda unit: unit.servers.find("a"))
    assert row is not None
    assert row.credential is not None
    assert SecretBox([KEY]).open(row.credential) == "Bearer s3cret"
    audit = await servers.audit()
    assert "s3cret" not in f"{added} {row.credential} {row} {audit}"


@pytest.mark.parametrize(
    ("second", "field"), [({"url": URL, "name": "b"}, "url"), ({"url": "http://b", "name": "a"}, "name")]
)
async def test_the_same_server_is_not_registered_twice(
    servers: Servers, second: dict[str, str], field: str
) -> None:
    await servers.add(COMMAND_LINE, _request(name="a"))
    with pytest.raises(Conflict) as refused:
        await servers.add(COMMAND_LINE, ServerRequest.model_validate(second))
    assert refused.value.details["field"] == field
    assert await _names(servers) == ["a"]


@pytest.mark.parametrize("url", ["ftp://gpu", "http://me:pw@gpu", "http://gpu:port"])
async def test_an_address_that_will_not_do_is_refused_by_name(servers: Servers, url: str) -> None:
    with pytest.raises(InvalidRequest, match="url") as refused:
        await servers.add(COMMAND_LINE, _request(url))
    assert "pw" not in refused.value.message


async def test_servers_of_the_settings_are_registered_once(servers: Servers, database: Database) -> None:
    urls = ("http://me:one@gpu:8188", "http://gpu/8188", "http://other:8188/")
    for _ in range(2):
        await servers.register(urls)
    assert await _names(servers) == ["gpu-8188", "gpu-8188-2", "other-8188"]
    await servers.register(("http://me:two@gpu:8188",))
    row = await database.read(lambda unit: unit.servers.find("gpu-8188"))
    assert row is not None
    assert SecretBox([KEY]).open(str(row.credential)).startswith("Basic ")
    await servers.set_state(COMMAND_LINE, "gpu-8188", ServerState.DRAINING)
    await servers.register(urls)
    assert (await servers.show(COMMAND_LINE, "gpu-8188")).state is ServerState.DRAINING


async def test_processes_that_begin_together_register_once(servers: Servers) -> None:
    urls = ("http://gpu:8188", "http://other:8188")
    await asyncio.gather(*(servers.register(urls) for _ in range(6)))
    assert await _names(servers) == ["gpu-8188", "other-8188"]


async def test_states_are_set_and_servers_removed(servers: Servers) -> None:
    await servers.add(COMMAND_LINE, _request(name="a"))
    for state in (ServerState.DRAINING, ServerState.DISABLED, ServerState.ACTIVE):
        assert (await servers.set_state(COMMAND_LINE, "a", state)).state is state
    await servers.remove(COMMAND_LINE, "a")
    for deed in (servers.show, servers.remove):
        with pytest.raises(NotFound):
            await deed(COMMAND_LINE, "a")
    assert await _names(servers) == []


async def test_whatever_operators_do_is_written_down(servers: Servers) -> None:
    await servers.add(COMMAND_LINE, _request(name="a"))
    await servers.set_state(COMMAND_LINE, "a", ServerState.DRAINING)
    await servers.show(COMMAND_LINE, "a")
    await servers.all(COMMAND_LINE)
    await servers.remove(COMMAND_LINE, "a")
    entries = await servers.audit()
    assert [(entry.action, entry.subject) for entry in reversed(entries)] == [
        ("server.add", "a"),
        ("server.drain", "a"),
        ("server.show", "a"),
        ("server.list", ""),
        ("server.remove", "a"),
    ]
    assert {entry.actor for entry in entries} == {"command line"}


async def test_what_was_refused_is_not_written_down(servers: Servers) -> None:
    with pytest.raises(NotFound):
        await servers.remove(COMMAND_LINE, "nowhere")
    assert await servers.audit() == ()
