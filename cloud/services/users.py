"""Users and the accounts they begin with."""

import re

import structlog

from cloud.errors import Conflict, InvalidRequest, NotFound
from cloud.repositories.accounts import User
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.callers import COMMAND_LINE
from shared.api.accounts import Plan
from shared.errors import JsonValue
from shared.ids import new_id
from shared.legible import is_legible

__all__ = ["Users"]

_log = structlog.get_logger(__name__)
_FIRST_EMAIL = "owner@localhost"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


class Users:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def create(self, *, email: str, name: str, plan: Plan = Plan.FREE) -> User:
        """With an account of their own. Raises Conflict if the address is taken."""
        address = email.casefold()
        if _EMAIL.fullmatch(address) is None:
            raise InvalidRequest(f"{email} is not an e-mail address", field="email")
        if not is_legible(name):
            raise InvalidRequest("the name of a user holds a character that cannot be seen", field="name")
        user_id, account_id = new_id(), new_id()

        def work(unit: Unit) -> User:
            if unit.accounts.has_email(address):
                raise Conflict(f"there is already a user {address}", email=address)
            unit.accounts.add(account_id, name, plan=plan)
            unit.accounts.add_user(user_id, address, name, account_id)
            details: dict[str, JsonValue] = {"user": user_id, "plan": plan.value}
            unit.audit.add(COMMAND_LINE.name, "user.create", account_id, details)
            return next(user for user in unit.accounts.users() if user.id == user_id)

        user = await self._database.write(work)
        _log.info("user_created", user=user.id, account=user.account_id)
        return user

    async def ensure_one(self) -> None:
        """The first user of a machine, whose own it is, so that a key can be made at once."""
        if not await self.all():
            await self.create(email=_FIRST_EMAIL, name="Owner", plan=Plan.STUDIO)

    async def find(self, email: str) -> User:
        """Raises NotFound."""
        found = [user for user in await self.all() if user.email == email.casefold()]
        if not found:
            raise NotFound(f"there is no user {email}", email=email)
        return found[0]

    async def all(self) -> tuple[User, ...]:
        return await self._database.read(lambda unit: unit.accounts.users())
