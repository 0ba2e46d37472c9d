"""What is taken next of what is due, so that no single owner takes all places."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import TypeVar

__all__ = ["fair_share"]

_Key = TypeVar("_Key", bound=Hashable)


def fair_share(
    due: Callable[[int, Collection[str], Mapping[_Key, str]], Sequence[tuple[_Key, str]]],
    *,
    most: int,
    each: int,
    busy: Mapping[str, int],
) -> dict[_Key, str]:
    """Up to `most` keys with their owners; of no owner more than `each`, with those that are `busy` by it.

    `due` gives so many that are due, the longest first, but of none of these owners and none of these keys.
    """
    chosen: dict[_Key, str] = {}
    counts = dict(busy)
    while len(chosen) < most:
        full = [owner for owner, count in counts.items() if count >= each]
        found = due(most - len(chosen), full, chosen)
        for key, owner in found:
            if counts.get(owner, 0) < each:
                counts[owner] = counts.get(owner, 0) + 1
                chosen[key] = owner
        if not found:
            break
    return chosen
