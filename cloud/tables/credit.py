"""What each account may spend, and every change of it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Table, Text, text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment, RowNumber

__all__ = ["CREDIT_BALANCES", "CREDIT_ENTRIES"]

_RESERVE = text("kind = 'reserve'")
_SETTLEMENT = text("kind IN ('capture', 'release')")
_REFUND = text("kind = 'adjust'")
_GRANT = text("kind = 'grant'")


class CreditBalanceRow(SQLModel, table=True):
    """`granted` lapses with `period` (a month, 2026-11), `topped_up` never; `reserved` is set aside
    for jobs. `jobs` were accepted in the period.

    `from_grant` is what the last reservation took of the grant: an UPDATE answers only what it wrote.
    """

    __tablename__ = "credit_balances"
    __table_args__ = (
        CheckConstraint("granted >= 0", name="granted"),
        CheckConstraint("topped_up >= 0", name="topped_up"),
        CheckConstraint("reserved >= 0", name="reserved"),
    )
    account_id: str = Field(primary_key=True, foreign_key="accounts.id", max_length=36)
    granted: int
    topped_up: int
    reserved: int
    from_grant: int
    period: str = Field(max_length=7)
    jobs: int


class CreditEntryRow(SQLModel, table=True):
    """`granted`, `topped_up` and `reserved` are what was added to each, below zero what was taken."""

    __tablename__ = "credit_entries"
    __table_args__ = (
        Index("ix_credit_entries_account", "account_id", "id"),
        Index(
            "uq_credit_entries_reserve", "job_id",
            unique=True, postgresql_where=_RESERVE, sqlite_where=_RESERVE,
        ),
        Index(
            "uq_credit_entries_settlement", "job_id",
            unique=True, postgresql_where=_SETTLEMENT, sqlite_where=_SETTLEMENT,
        ),
        Index(
            "uq_credit_entries_refund", "job_id",
            unique=True, postgresql_where=_REFUND, sqlite_where=_REFUND,
        ),
        Index(
            "uq_credit_entries_grant", "account_id", "period",
            unique=True, postgresql_where=_GRANT, sqlite_where=_GRANT,
        ),
    )  # fmt: skip
    id: int = Field(primary_key=True, sa_type=RowNumber)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    kind: str = Field(max_length=20)
    granted: int
    topped_up: int
    reserved: int
    period: str = Field(max_length=7)
    job_id: str | None = Field(max_length=36, default=None)
    note: str | None = Field(sa_type=Text, default=None)
    at: datetime = Field(sa_type=Moment)


CREDIT_BALANCES: Table = METADATA.tables["credit_balances"]
CREDIT_ENTRIES: Table = METADATA.tables["credit_entries"]
