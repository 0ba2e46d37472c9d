"""Accounts and their people."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, insert, select

from cloud.repositories.now import Clock
from cloud.tables.account import ACCOUNTS, MEMBERS, USERS

__all__ = ["AccountRows", "User"]


@dataclass(frozen=True, slots=True)
class User:
    """`account_id` is the person's first account."""

    id: str
    email: str
    name: str
    account_id: str
    created_at: datetime


class AccountRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, account_id: str, name: str) -> None:
        row = {"id": account_id, "name": name, "last_event": 0, "created_at": self._clock.now()}
        self._connection.execute(insert(ACCOUNTS).values(row))

    def add_user(self, user_id: str, email: str, name: str, account_id: str) -> None:
        """With membership in the account."""
        row = {"id": user_id, "email": email, "name": name, "created_at": self._clock.now()}
        self._connection.execute(insert(USERS).values(row))
        member = {"account_id": account_id, "user_id": user_id, "role": "owner"}
        self._connection.execute(insert(MEMBERS).values(member))

    def has_email(self, email: str) -> bool:
        found = self._connection.execute(select(exists().where(USERS.c.email == email)))
        return bool(found.scalar_one())

    def users(self) -> tuple[User, ...]:
        rows = self._connection.execute(
            select(USERS, MEMBERS.c.account_id)
            .join(MEMBERS, MEMBERS.c.user_id == USERS.c.id)
            .order_by(USERS.c.created_at)
        )
        return tuple(User(row.id, row.email, row.name, row.account_id, row.created_at) for row in rows)
