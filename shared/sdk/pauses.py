"""How long to wait before the cloud is asked again."""

import random

__all__ = ["Pauses"]

_FIRST_S = 0.25
_LONGEST_S = 3.0


class Pauses:
    """Seconds between two questions, with jitter: ever more while nothing changes."""

    def __init__(self) -> None:
        self._next_s = _FIRST_S

    def next_s(self) -> float:
        pause_s, self._next_s = self._next_s, min(self._next_s * 1.5, _LONGEST_S)
        return pause_s * random.uniform(0.5, 1.0)

    def begin_anew(self) -> None:
        self._next_s = _FIRST_S
