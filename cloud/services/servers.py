"""The registry of GPU servers, for operators. What they do is written down with it."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from cloud.clients.queue import Bell, Queue
from cloud.clients.secret_box import SecretBox
from cloud.errors import Conflict, InvalidRequest, NotFound
from cloud.repositories.audit import AuditEntry
from cloud.repositories.database import Database
from cloud.repositories.servers import NewServer, ServerRecord
from cloud.repositories.unit import Unit
from cloud.services.callers import Operator
from cloud.services.presets import SERVER_POOL
from cloud.services.server_views import server_view
from shared.api.servers import Server, ServerList, ServerRequest, ServerState
from shared.comfy.address import InvalidAddress, ServerAddress, parse_address
from shared.errors import JsonValue
from shared.ids import new_id

__all__ = ["Servers"]

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_TOKEN = re.compile(r"[\x21-\x7e]+")
_SETTINGS = "settings"
_MOST_AUDITED = 200


class Servers:
    def __init__(self, *, database: Database, queue: Queue, box: SecretBox) -> None:
        self._database = database
        self._queue = queue
        self._box = box

    async def add(self, operator: Operator, request: ServerRequest) -> Server:
        """Raises InvalidRequest, which names the field, and Conflict."""
        address = _address(request.url)
        if address.authorization is not None:
            raise InvalidRequest(
                "url must hold no password: give the server's secret as its token", field="url"
            )
        token = request.token
        if token is not None and _TOKEN.fullmatch(token.get_secret_value().strip()) is None:
            raise InvalidRequest("token must be ASCII without spaces, as headers are", field="token")
        authorization = None if token is None else f"Bearer {token.get_secret_value().strip()}"
        new = NewServer(
            id=new_id(),
            name=request.name or _name_of(address.url),
            url=address.url,
            credential=None if authorization is None else self._box.seal(authorization),
            pool=request.pool,
            capacity=request.capacity,
            labels=request.labels,
        )

        def work(unit: Unit) -> Server:
            if unit.servers.find(new.name) is not None:
                raise Conflict(f"there is a server {new.name} already; choose another name", field="name")
            if unit.servers.has_url(new.url):
                raise Conflict(f"{new.url} is registered already", field="url")
            if not unit.servers.add(new):
                raise Conflict(f"{new.name} or {new.url} was registered just now", field="name")
            details: dict[str, JsonValue] = {"url": new.url, "pool": new.pool, "capacity": new.capacity}
            unit.audit.add(operator.name, "server.add", new.name, details, request_id=operator.request_id)
            return _shown(unit, _found(unit, new.name))

        return await self._changed(work, "server_added", new.name)

    async def register(self, urls: Sequence[str]) -> None:
        """Those of the settings that are not registered yet; a password of theirs may have changed."""

        def work(unit: Unit) -> None:
            known = {server.url: server for server in unit.servers.all()}
            for address in map(parse_address, urls):
                sealed = None if address.authorization is None else self._box.seal(address.authorization)
                server = known.get(address.url)
                if server is not None:
                    if sealed is not None:
                        unit.servers.set_credential(server.name, sealed)
                    continue
                name = _free_name(_name_of(address.url), {server.name for server in known.values()})
                server_of_settings = NewServer(
                    id=new_id(),
                    name=name,
                    url=address.url,
                    credential=sealed,
                    pool=SERVER_POOL,
                    capacity=1,
                    labels={},
                )
                if unit.servers.add(server_of_settings):  # else by a process that began when this one did
                    unit.audit.add(_SETTINGS, "server.add", name, {"url": address.url})
                known = {server.url: server for server in unit.servers.all()}

        if urls:
            await self._database.write(work)

    async def all(self, operator: Operator) -> ServerList:
        def work(unit: Unit) -> ServerList:
            unit.audit.add(operator.name, "server.list", "", {}, request_id=operator.request_id)
            return ServerList(servers=[_shown(unit, server) for server in unit.servers.all()])

        return await self._database.write(work)

    async def show(self, operator: Operator, name: str) -> Server:
        def work(unit: Unit) -> Server:
            unit.audit.add(operator.name, "server.show", name, {}, request_id=operator.request_id)
            return _shown(unit, _found(unit, name))

        return await self._database.write(work)

    async def set_state(self, operator: Operator, name: str, state: ServerState) -> Server:
        """Doing it again changes nothing."""

        def work(unit: Unit) -> Server:
            _found(unit, name)
            unit.servers.set_state(name, state)
            unit.audit.add(operator.name, f"server.{_VERBS[state]}", name, {}, request_id=operator.request_id)
            return _shown(unit, _found(unit, name))

        return await self._changed(work, "server_state_set", name)

    async def remove(self, operator: Operator, name: str) -> None:
        """Raises Conflict while it has jobs."""

        def work(unit: Unit) -> None:
            _found(unit, name)
            running = unit.standing.jobs_at(name)
            if running:
                what = "a job runs" if running == 1 else f"{running} jobs run"
                raise Conflict(
                    f"{what} on {name}: drain it first, or disable it to hand its work back", server=name
                )
            unit.servers.remove(name)
            unit.audit.add(operator.name, "server.remove", name, {}, request_id=operator.request_id)

        await self._changed(work, "server_removed", name)

    async def audit(self, *, limit: int = _MOST_AUDITED) -> tuple[AuditEntry, ...]:
        """The newest first."""
        return await self._database.read(lambda unit: unit.audit.newest(limit))

    async def _changed(self, work: Callable[[Unit], _T], event: str, name: str) -> _T:
        """The workers look at once."""
        done = await self._database.write(work)
        _log.info(event, server=name)
        await self._queue.ring(Bell.SERVERS)
        return done


_VERBS: Mapping[ServerState, str] = {
    ServerState.ACTIVE: "enable",
    ServerState.DRAINING: "drain",
    ServerState.DISABLED: "disable",
}


def _address(url: str) -> ServerAddress:
    try:
        return parse_address(url)
    except InvalidAddress as error:
        raise InvalidRequest(f"url: {error.message}", field="url") from error


def _name_of(url: str) -> str:
    """http://gpu-1.lan:8188 is gpu-1.lan-8188 unless it is given a better name."""
    host = url.partition("://")[2]
    return re.sub(r"[^a-z0-9.]+", "-", host.lower()).strip("-.")[:50] or "server"


def _free_name(wanted: str, taken: set[str]) -> str:
    names = [wanted, *(f"{wanted[:45]}-{number}" for number in range(2, 1000))]
    return next(name for name in names if name not in taken)


def _found(unit: Unit, name: str) -> ServerRecord:
    server = unit.servers.find(name)
    if server is None:
        raise NotFound(f"there is no server {name}", server=name)
    return server


def _shown(unit: Unit, server: ServerRecord) -> Server:
    said = unit.servers.capabilities(server.pool).get(server.name)
    return server_view(server, None if said is None else said[0])
