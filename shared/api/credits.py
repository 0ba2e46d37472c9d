"""Credits on the wire: the balance, its entries, and a job's receipt. All amounts are whole credits."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

__all__ = ["CreditBalance", "CreditEntry", "CreditEntryPage", "PriceBasis", "Quote", "Receipt"]


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
    """One change: what each part of the balance gained, below zero what it lost. `kind` is grant,
    top_up, reserve, capture, release, lapse or adjust."""

    model_config = ConfigDict(frozen=True)

    kind: str
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
    """What a price rests on: `declared` by the preset, or `measured` from `runs` completed ones on
    servers of `server_class`, which took `seconds` in the median, at `credits_per_s`."""

    model_config = ConfigDict(frozen=True)

    kind: str
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
