"""What a job costs, and how long it should take.

The preset declares a price. Once twenty of its runs were completed on one class of server, the
price is their median time at the rate of that class, in whole credits: the median since one number
then explains both the time and the price, and a run that hung moves neither. The class is the one
that had most of the latest runs. What is declared free stays free; a measured price is at least one
credit and at most three times the declared one, so that a slow month cannot surprise anybody.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic

from cloud.repositories.run_times import RunTime
from cloud.repositories.unit import Unit
from shared.api.credits import BasisKind, PriceBasis

__all__ = ["Offer", "Price", "Pricing", "Rates", "price_of"]

_RUNS_NEEDED = 20
_RUNS_LOOKED_AT = 200
_MOST_OF_DECLARED = 3
_FRESH_S = 30.0


@dataclass(frozen=True, slots=True)
class Offer:
    """What is priced: one version of a preset, with the price that it declares."""

    preset_id: str
    version: str
    declared: int


@dataclass(frozen=True, slots=True)
class Price:
    """In whole credits; `expected_s` is how long a run should take, None before the first."""

    credits: int
    basis: PriceBasis
    expected_s: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """Credits for a second of a server's time, by its class."""

    usual: float
    by_class: Mapping[str, float]

    def of(self, server_class: str) -> float:
        return self.by_class.get(server_class, self.usual)


class Pricing:
    """One per process: a price is looked up anew after `fresh_s`."""

    def __init__(
        self, *, rates: Rates, fresh_s: float = _FRESH_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rates = rates
        self._fresh_s = fresh_s
        self._clock = clock
        self._known: dict[Offer, tuple[float, Price]] = {}

    def price(self, unit: Unit, offer: Offer) -> Price:
        known = self._known.get(offer)
        if known is not None and known[0] > self._clock():
            return known[1]
        runs = unit.run_times.latest(offer.preset_id, offer.version, _RUNS_LOOKED_AT)
        price = price_of(offer.declared, runs, self._rates)
        self._known[offer] = (self._clock() + self._fresh_s, price)
        return price


def price_of(declared: int, runs: Sequence[RunTime], rates: Rates) -> Price:
    counts = Counter(run.server_class for run in runs)
    if not counts:
        return Price(declared, _declared(0, None, None), None)
    server_class = min(counts, key=lambda name: (-counts[name], name))
    seconds = median(run.seconds for run in runs if run.server_class == server_class)
    seen = counts[server_class]
    if declared == 0 or seen < _RUNS_NEEDED:
        return Price(declared, _declared(seen, server_class, seconds), seconds)
    rate = rates.of(server_class)
    measured = min(max(1, math.ceil(round(seconds * rate, 6))), _MOST_OF_DECLARED * declared)
    basis = PriceBasis(
        kind=BasisKind.MEASURED, runs=seen, server_class=server_class, seconds=seconds, credits_per_s=rate
    )
    return Price(measured, basis, seconds)


def _declared(runs: int, server_class: str | None, seconds: float | None) -> PriceBasis:
    return PriceBasis(
        kind=BasisKind.DECLARED, runs=runs, server_class=server_class, seconds=seconds, credits_per_s=None
    )
