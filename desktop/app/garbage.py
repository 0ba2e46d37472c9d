"""Garbage is collected on the window's thread alone.

The interpreter collects on whichever thread allocates; a QObject in a cycle that ends on another thread
leaves its timers to Qt, which then calls an object that is no more.
"""

import gc

from PySide6.QtCore import QObject, QTimer

__all__ = ["REST_ROUNDS", "GarbageRounds", "due_generation"]

_ROUND_MS = 500
REST_ROUNDS = 20  # without anything due: then nobody is waiting for the window


class GarbageRounds(QObject):
    """Takes over from the interpreter, from `begin` to the end of the process.

    What survives a full collection is set aside: looking through a hundred thousand jobs again would
    stop the window for a quarter of a second. All of it is looked through once the window is at rest.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._quiet_rounds = 0
        self._set_aside = False
        self._timer = QTimer(self)
        self._timer.setInterval(_ROUND_MS)
        self._timer.timeout.connect(self.make_round)

    def begin(self) -> None:
        gc.disable()
        self._timer.start()

    def make_round(self) -> None:
        generation = due_generation(gc.get_count(), gc.get_threshold())
        if generation is None:
            self._quiet_rounds += 1
            if self._set_aside and self._quiet_rounds >= REST_ROUNDS:
                gc.unfreeze()
                gc.collect()
                self._set_aside = False
            return
        self._quiet_rounds = 0
        gc.collect(generation)
        if generation == 2:
            gc.freeze()
            self._set_aside = True


def due_generation(counts: tuple[int, int, int], thresholds: tuple[int, int, int]) -> int | None:
    """The oldest generation that the interpreter itself would have collected by now."""
    over = [count > threshold for count, threshold in zip(counts, thresholds, strict=True)]
    if not over[0]:
        return None
    return max(generation for generation in range(3) if all(over[: generation + 1]))
