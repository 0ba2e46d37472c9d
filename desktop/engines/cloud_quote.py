"""What a job would cost at the cloud, and what is there to pay it with."""

from dataclasses import dataclass

from shared.api.credits import CreditBalance, Quote
from shared.engines.base import EngineUnavailable

__all__ = ["CloudQuote", "quote_of"]

_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class CloudQuote:
    """For each job, in whole credits; `expected_s` is None before the cloud has seen the first run."""

    preset: str
    price: int
    expected_s: float | None
    available: int
    link: str

    @property
    def sentence(self) -> str:
        lasts = "" if self.expected_s is None else f", about {_span(self.expected_s)} each"
        if self.price == 0:
            return f"{self.preset} is free at the cloud{lasts}"
        return f"the cloud asks {_credits(self.price)} a job{lasts}; {_credits(self.available)} available"

    def require_credits(self) -> None:
        """Raises EngineUnavailable where not even one job can be paid."""
        if self.price > self.available:
            raise EngineUnavailable(
                f"a job costs {_credits(self.price)} and {self.available} are available: "
                f"get more at {self.link}",
                price=self.price,
                balance=self.available,
                link=self.link,
            )


def quote_of(quote: Quote, balance: CreditBalance) -> CloudQuote:
    return CloudQuote(quote.preset, quote.price, quote.expected_s, balance.available, balance.link)


def _credits(count: int) -> str:
    return "1 credit" if count == 1 else f"{count} credits"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE_S else f"{seconds / _MINUTE_S:.0f} min"
