"""Credits on the wire: the balance, its entries, and a job's receipt. All amounts are whole credits."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

__all__ = [
    "BasisKind",
    "CreditBalance",
    "CreditEntry",
    "CreditEntryPage",
    "EntryKind",
    "PriceBasis",
    "Quote",
    "Receipt",
]


class EntryKind(StrEnum):
    GRANT = "grant"
    TOP_UP = "top_up"
    RESERVE = "reserve"
    CAPTURE = "capture"
    RELEASE = "release"
    LAPSE = "lapse"
    ADJUST = "adjust"


class BasisKind(StrEnum):
    DECLARED = "declared"  # by the preset
    MEASURED = "measured"  # on completed runs


class CreditBalance(BaseModel):
    """`available` is `granted`, which lapses at `period_ends_at`, and `topped_up`, which never does.
    What is `reserved` for jobs counts in neither. More can be had at `link`."""

    model_config = ConfigDict(frozen=True)

    available: int
    granted: int
    topped_up: int
    reserved: int
    credits_per_month: int
    period: str
    period_ends_at: datetime
    link: str


class CreditEntry(BaseModel):
    """One change: what each part of the balance gained, below zero what it lost."""

    model_config = ConfigDict(frozen=True)

    kind: EntryKind
    granted: int
    topped_up: int
    reserved: int
    period: str
    job: str | None
    note: str | None
    at: datetime


class CreditEntryPage(BaseModel):
    """Newest first. `next_cursor` asks for the page after this one; None at the end."""

    model_config = ConfigDict(frozen=True)

    entries: list[CreditEntry]
    next_cursor: str | None


class PriceBasis(BaseModel):
    """What a price rests on. A measured one: `runs` completed ones on servers of `server_class`, which
    took `seconds` in the median, at `credits_per_s`."""

    model_config = ConfigDict(frozen=True)

    kind: BasisKind
    runs: int
    server_class: str | None
    seconds: float | None
    credits_per_s: float | None


class Quote(BaseModel):
    """What one job would cost if it were submitted now, and how long its run should take."""

    model_config = ConfigDict(frozen=True)

    preset: str
    preset_version: str
    price: int
    basis: PriceBasis
    expected_s: float | None


class Receipt(BaseModel):
    """The price, fixed at submission; it is captured with completion and released with any other end."""

    model_config = ConfigDict(frozen=True)

    price: int
    basis: PriceBasis | None
    reserved_at: datetime | None
    captured_at: datetime | None
    released_at: datetime | None
