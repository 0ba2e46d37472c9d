"""Garbage is collected on the window's thread alone.

The interpreter collects on whichever thread allocates; a QObject in a cycle that ends on another thread
leaves its timers to Qt, which then calls an object that is no more.
"""

import gc

from PySide6.QtCore import QObject, QTimer

__all__ = ["GarbageRounds", "due_generation"]

_ROUND_MS = 500


class GarbageRounds(QObject):
    """Takes over from the interpreter, from `begin` to the end of the process."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setInterval(_ROUND_MS)
        self._timer.timeout.connect(_collect_what_is_due)

    def begin(self) -> None:
        gc.disable()
        self._timer.start()


def due_generation(counts: tuple[int, int, int], thresholds: tuple[int, int, int]) -> int | None:
    """The oldest generation that the interpreter itself would have collected by now."""
    over = [count > threshold for count, threshold in zip(counts, thresholds, strict=True)]
    if not over[0]:
        return None
    return max(generation for generation in range(3) if all(over[: generation + 1]))


def _collect_what_is_due() -> None:
    generation = due_generation(gc.get_count(), gc.get_threshold())
    if generation is not None:
        gc.collect(generation)
