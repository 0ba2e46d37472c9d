"""Paths to look at again, each at one time."""

import heapq

__all__ = ["Agenda"]


class Agenda:
    """Times are those of one monotonic clock. Putting a path again moves it."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def put(self, path: str, at: float) -> None:
        self._times[path] = at
        heapq.heappush(self._heap, (at, path))

    def discard(self, path: str) -> None:
        self._times.pop(path, None)

    def next_time(self) -> float | None:
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[str]:
        due: list[str] = []
        while (at := self.next_time()) is not None and at <= now:
            _, path = heapq.heappop(self._heap)
            del self._times[path]
            due.append(path)
        return due
