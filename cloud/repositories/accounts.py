"""Accounts and their people."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, exists, insert, select, update

from cloud.repositories.now import Clock
from cloud.tables.account import ACCOUNTS, MEMBERS, USERS
from shared.api.accounts import Plan

__all__ = ["AccountRows", "User"]


@dataclass(frozen=True, slots=True)
class User:
    """`account_id` is the person's first account, of which the rest tells."""

    id: str
    email: str
    name: str
    account_id: str
    created_at: datetime
    plan: Plan
    graphs_allowed: bool
    pool: str | None


class AccountRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, account_id: str, name: str, *, plan: Plan = Plan.STUDIO) -> None:
        self._connection.execute(
            insert(ACCOUNTS).values(
                id=account_id, name=name, plan=plan, last_event=0, created_at=self._clock.now()
            )
        )

    def set_plan(self, account_id: str, plan: Plan) -> None:
        self._connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == account_id).values(plan=plan))

    def allow_graphs(self, account_id: str, *, allowed: bool) -> None:
        self._connection.execute(
            update(ACCOUNTS).where(ACCOUNTS.c.id == account_id).values(graphs_allowed=allowed)
        )

    def set_pool(self, account_id: str, pool: str | None) -> None:
        self._connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == account_id).values(pool=pool))

    def name_of(self, account_id: str) -> str:
        return str(
            self._connection.execute(select(ACCOUNTS.c.name).where(ACCOUNTS.c.id == account_id)).scalar_one()
        )

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
            select(USERS, MEMBERS.c.account_id, ACCOUNTS.c.plan, ACCOUNTS.c.graphs_allowed, ACCOUNTS.c.pool)
            .join(MEMBERS, MEMBERS.c.user_id == USERS.c.id)
            .join(ACCOUNTS, ACCOUNTS.c.id == MEMBERS.c.account_id)
            .order_by(USERS.c.created_at)
        )
        return tuple(User(**{**row._mapping, "plan": Plan(row.plan)}) for row in rows)
