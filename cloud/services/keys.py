"""API keys: made and revoked by the operator, checked with every request."""

import contextlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog

from cloud.errors import InvalidRequest, NotFound, SignInNeeded
from cloud.repositories.accounts import User
from cloud.repositories.database import Database
from cloud.repositories.keys import KeyRecord
from cloud.repositories.unit import Unit
from cloud.services.callers import COMMAND_LINE, Caller, Scope
from cloud.services.key_text import key_digest, looks_right, new_key, shown_part
from shared.errors import JsonValue, TransientError
from shared.ids import new_id
from shared.legible import is_legible

__all__ = ["Keys", "NewKey", "caller_of"]

_log = structlog.get_logger(__name__)
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class NewKey:
    """`text` is shown once and stored nowhere."""

    id: str
    text: str
    account_id: str


class Keys:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def authenticate(self, text: str) -> Caller:
        """Raises SignInNeeded, the same for keys that are unknown, revoked or expired."""
        refusal = SignInNeeded("this API key is not valid; make one with `safelight-cloud keys create`")
        if not looks_right(text):
            raise refusal
        digest = key_digest(text)
        key = await self._database.read(lambda unit: unit.keys.find(digest))
        if key is None or not secrets.compare_digest(key.digest, digest) or not key.usable:
            raise refusal
        if not key.use_noted:
            with contextlib.suppress(TransientError):  # whoever only reads needs no place to write
                await self._database.write(lambda unit: unit.keys.note_use(key.id))
        return caller_of(key)

    async def create(
        self,
        *,
        email: str | None,
        name: str,
        scopes: Collection[str],
        valid_for: timedelta | None,
        requests_per_minute: int | None = None,
    ) -> NewKey:
        """For the first account of the user with this address, or of the only user there is."""
        unknown = set(scopes) - set(Scope)
        if unknown or not scopes:
            raise InvalidRequest(f"scopes are {', '.join(Scope)}", field="scopes")
        if not 0 < len(name.strip()) <= _LONGEST_NAME:
            raise InvalidRequest(f"the name of a key has 1 to {_LONGEST_NAME} characters", field="name")
        if not is_legible(name):
            raise InvalidRequest("the name of a key holds a character that cannot be seen", field="name")
        text, key_id = new_key(), new_id()

        def work(unit: Unit) -> NewKey:
            user = _chosen(unit.accounts.users(), email)
            unit.keys.add(
                key_id=key_id,
                account_id=user.account_id,
                name=name,
                prefix=shown_part(text),
                digest=key_digest(text),
                scopes=scopes,
                valid_for=valid_for,
                requests_per_minute=requests_per_minute,
            )
            details: dict[str, JsonValue] = {"account": user.account_id, "scopes": sorted(scopes)}
            unit.audit.add(COMMAND_LINE.name, "key.create", key_id, details)
            return NewKey(key_id, text, user.account_id)

        made = await self._database.write(work)
        _log.info("key_created", key=key_id, account=made.account_id, scopes=sorted(scopes))
        return made

    async def all(self) -> tuple[KeyRecord, ...]:
        return await self._database.read(lambda unit: unit.keys.all())

    async def revoke(self, key_id: str) -> None:
        def work(unit: Unit) -> None:
            if not unit.keys.revoke(key_id):
                raise NotFound(f"there is no key {key_id}", key=key_id)
            unit.audit.add(COMMAND_LINE.name, "key.revoke", key_id, {})

        await self._database.write(work)
        _log.info("key_revoked", key=key_id)


def caller_of(key: KeyRecord) -> Caller:
    return Caller(
        key.account_id,
        key.id,
        frozenset(key.scopes),
        key.plan,
        graphs_allowed=key.graphs_allowed,
        requests_per_minute=key.requests_per_minute,
        pool=key.pool,
    )


def _chosen(users: Collection[User], email: str | None) -> User:
    found = [user for user in users if email is None or user.email == email.casefold()]
    if not found:
        raise NotFound(
            f"there is no user {email}"
            if email
            else "there is no user yet: run `safelight-cloud users create`"
        )
    if len(found) > 1:
        raise InvalidRequest("there are several users: say whose key it is with --user", field="user")
    return found[0]
