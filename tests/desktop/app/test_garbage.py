import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from desktop.app.garbage import REST_ROUNDS, GarbageRounds, due_generation


@pytest.fixture
def _thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class _Knot:
    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize(
    ("counts", "due"),
    [((700, 50, 50), None), ((701, 10, 50), 0), ((701, 11, 10), 1), ((701, 11, 11), 2)],
)
def test_collects_what_the_interpreter_would(counts: tuple[int, int, int], due: int | None) -> None:
    assert due_generation(counts, (700, 10, 10)) == due


def test_garbage_of_other_threads_ends_on_this_one(qtbot: QtBot) -> None:
    ended_on: list[threading.Thread] = []

    def litter() -> None:
        weakref.finalize(_Knot(), lambda: ended_on.append(threading.current_thread()))
        for _ in range(20_000):
            _Knot()

    owner = QObject()
    GarbageRounds(owner).begin()
    worker = threading.Thread(target=litter)
    worker.start()
    worker.join()

    assert ended_on == []
    qtbot.waitUntil(lambda: bool(ended_on))
    assert ended_on == [threading.main_thread()]
    assert not gc.isenabled()


@pytest.mark.usefixtures("_thresholds")
def test_what_was_set_aside_is_looked_through_at_rest(qtbot: QtBot) -> None:
    owner = QObject()
    rounds = GarbageRounds(owner)
    knot = _Knot()
    ended = weakref.ref(knot)
    gc.collect()
    gc.set_threshold(1, 0, 0)
    gc.collect(1)
    gc.collect(0)
    litter = [_Knot() for _ in range(10)]
    rounds.make_round()
    assert gc.get_freeze_count() > 0
    del knot, litter
    gc.set_threshold(10**6, 10, 10)

    for _ in range(REST_ROUNDS - 1):
        rounds.make_round()
    assert ended() is not None
    rounds.make_round()
    assert ended() is None
