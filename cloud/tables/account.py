"""Accounts, the people in them, and the keys that act for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment

__all__ = ["ACCOUNTS", "API_KEYS", "MEMBERS", "STREAM_TICKETS", "USERS"]


class AccountRow(SQLModel, table=True):
    """`last_event` numbers the account's events; `served_at` is when a job of it was last claimed.

    Raw graphs are taken where the plan has them and `graphs_allowed` says so too. `pool` is of servers
    that run all of the account's jobs, if it has one.
    """

    __tablename__ = "accounts"
    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(sa_type=Text)
    last_event: int = Field(sa_type=BigInteger, default=0)
    served_at: datetime | None = Field(sa_type=Moment, default=None)
    created_at: datetime = Field(sa_type=Moment)
    plan: str = Field(max_length=20)
    graphs_allowed: bool = False
    pool: str | None = Field(max_length=50, default=None)


class UserRow(SQLModel, table=True):
    __tablename__ = "users"
    id: str = Field(primary_key=True, max_length=36)
    email: str = Field(unique=True, max_length=320)
    name: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=Moment)


class MemberRow(SQLModel, table=True):
    __tablename__ = "members"
    account_id: str = Field(primary_key=True, foreign_key="accounts.id", max_length=36)
    user_id: str = Field(primary_key=True, foreign_key="users.id", index=True, max_length=36)
    role: str = Field(max_length=20)


class ApiKeyRow(SQLModel, table=True):
    """`digest` is the SHA-256 of the key, which is kept nowhere; `prefix` is what of it may be shown.

    `requests_per_minute` is a limit of its own, beside that of the account's plan.
    """

    __tablename__ = "api_keys"
    id: str = Field(primary_key=True, max_length=36)
    account_id: str = Field(foreign_key="accounts.id", index=True, max_length=36)
    name: str = Field(sa_type=Text)
    prefix: str = Field(max_length=20)
    digest: str = Field(unique=True, max_length=64)
    scopes: Any = Field(sa_type=JsonText)
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime | None = Field(sa_type=Moment, default=None)
    revoked_at: datetime | None = Field(sa_type=Moment, default=None)
    last_used_at: datetime | None = Field(sa_type=Moment, default=None)
    requests_per_minute: int | None = None


class StreamTicketRow(SQLModel, table=True):
    """Opens one stream, once, in a key's stead; the ticket itself is kept nowhere."""

    __tablename__ = "stream_tickets"
    digest: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(foreign_key="api_keys.id", max_length=36)
    expires_at: datetime = Field(sa_type=Moment, index=True)


ACCOUNTS: Table = METADATA.tables["accounts"]
USERS: Table = METADATA.tables["users"]
MEMBERS: Table = METADATA.tables["members"]
API_KEYS: Table = METADATA.tables["api_keys"]
STREAM_TICKETS: Table = METADATA.tables["stream_tickets"]
