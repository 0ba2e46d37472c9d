"""The window's beat, and how long it stands still, with 100,000 jobs in the queue."""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer
from PySide6.QtWidgets import QApplication, QTableView
from qasync import QEventLoop

from desktop.app.garbage import GarbageRounds
from desktop.state.bridge import Bridge
from desktop.ui.desk import Desk
from desktop.ui.main_window import MainWindow
from desktop.ui.theme import STYLE, apply_theme
from desktop.ui.widgets.queue_table import QueueTable
from desktop.views import JobView
from shared.jobs.state import JobState
from tests.bench.figure import Figure
from tests.desktop.window import FINDER, ScriptedCore, a_job, a_preset, a_session

__all__ = ["measure"]

_ROWS = 100_000
_ADDED = 10_000
_OPEN = 400  # jobs that have progress to tell
_EVENTS_A_SECOND = 1000
_BEAT_MS = 16
_SLICES = 8
_SECONDS = 0.8
_ROUNDS = 7

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


def measure() -> list[Figure]:
    """In a process of its own, as Qt wants the main thread."""
    ended = subprocess.run(
        [sys.executable, "-m", __name__],
        env=os.environ | {"QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = json.loads(ended.stdout)
    return [
        Figure(
            name=f"beat of the window (99 %), {_EVENTS_A_SECOND} events a second",
            value=found["beat"],
            floor=found["idle_beat"],
            unit="ms",
            floor_name="the same window at rest",
            goal_ratio=1.25,
        ),
        Figure(
            name=f"the window's share of a core at {_EVENTS_A_SECOND} events a second",
            value=found["share"],
            floor=found["idle_share"],
            unit="%",
            floor_name="the same window at rest",
            goal_value=10,
        ),
        Figure(
            name=f"first paint of a queue of {_ROWS:,} jobs",
            value=found["open"],
            floor=found["plain_open"],
            unit="ms",
            floor_name="a bare table of plain texts",
            goal_ratio=2.5,
        ),
        Figure(
            name=f"{_ADDED:,} more jobs at once",
            value=found["add"],
            floor=found["plain_add"],
            unit="ms",
            floor_name="a bare table of plain texts",
            goal_ratio=8,
        ),
    ]


class _Beat(QObject):
    """How late each beat of a timer comes."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps: list[float] = []
        self._last = time.perf_counter()
        timer = QTimer(self)
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(_BEAT_MS)
        timer.timeout.connect(self._tick)
        timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append((now - self._last) * 1000)
        self._last = now


class _Plain(QAbstractTableModel):
    """As little as a table can hold."""

    def __init__(self, rows: list[str]) -> None:
        super().__init__()
        self._rows = rows

    def rowCount(self, parent: _Index = _ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: _Index = _ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else 3

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> str | None:
        return self._rows[index.row()] if role == Qt.ItemDataRole.DisplayRole else None

    def add(self, rows: list[str]) -> None:
        self.beginInsertRows(QModelIndex(), 0, len(rows) - 1)
        self._rows = rows + self._rows
        self.endInsertRows()


def _jobs(first: int, count: int) -> tuple[JobView, ...]:
    open_from = first + count - _OPEN
    return tuple(
        a_job(n, JobState.PROCESSING if n >= open_from else JobState.CANCELLED)
        for n in range(first, first + count)
    )


async def _beats(folder: Path) -> dict[str, float]:
    session = a_session(folder)
    window = MainWindow(session.remembered)
    window.furnish(Desk(session, open_file=bool, show_in_folder=bool), may_close=bool)
    window.show()
    jobs = _jobs(0, _ROWS)
    core = ScriptedCore(presets_there=(a_preset(),), jobs_there=jobs)
    bridge = Bridge(core=core, session=session, describe=str)
    await bridge.open(default_out=folder, finder=FINDER)
    session.take_jobs(jobs)
    at_rest, busy = _Watch(), _Watch()
    for _ in range(_SLICES):  # in turns, so that what else the machine does falls on both
        for watch, told in ((at_rest, ()), (busy, jobs[-_OPEN:])):
            with watch.looking():
                await _tell(core, told)
    await bridge.aclose()
    session.close()
    window.deleteLater()
    return {
        "idle_beat": at_rest.beat(),
        "idle_share": at_rest.share(),
        "beat": busy.beat(),
        "share": busy.share(),
    }


@dataclass
class _Watch:
    """The beats of some slices of time, and what the process used in them."""

    gaps: list[float] = field(default_factory=list)
    used_s: float = 0.0
    passed_s: float = 0.0

    @contextmanager
    def looking(self) -> Iterator[None]:
        beat, began, used = _Beat(), time.perf_counter(), time.process_time()
        yield
        self.used_s += time.process_time() - used
        self.passed_s += time.perf_counter() - began
        self.gaps += beat.gaps[2:]
        beat.deleteLater()

    def beat(self) -> float:
        """The longest gap but for one in a hundred."""
        return statistics.quantiles(self.gaps, n=100)[98]

    def share(self) -> float:
        return self.used_s / self.passed_s * 100


async def _tell(core: ScriptedCore, jobs: tuple[JobView, ...]) -> None:
    """Progress of jobs at random, as their engine tells it: in small handfuls."""
    pick = random.Random(1)
    end = time.perf_counter() + _SECONDS
    while (now := time.perf_counter()) < end:
        if jobs:
            for _ in range(_EVENTS_A_SECOND // 100):
                core.tell(replace(pick.choice(jobs), fraction=1 - (end - now) / _SECONDS))
        await asyncio.sleep(0.01)


def _painted(table: QTableView, application: QApplication) -> float:
    began = time.perf_counter()
    table.show()
    application.processEvents()
    return (time.perf_counter() - began) * 1000


def _first_paints(application: QApplication, folder: Path) -> dict[str, float]:
    session = a_session(folder)
    session.take_jobs(_jobs(0, _ROWS))
    plain_model = _Plain([f"{n}.png" for n in range(_ROWS)])
    times: dict[str, list[float]] = {"open": [], "plain_open": []}
    for _ in range(_ROUNDS):
        for name, table in (
            ("plain_open", QTableView()),
            ("open", QueueTable(session.jobs, session.pictures)),
        ):
            if name == "plain_open":
                table.setModel(plain_model)
            table.resize(800, 500)
            times[name].append(_painted(table, application))
            table.hide()
            table.deleteLater()
            application.processEvents()
    session.close()
    return {name: statistics.median(found) for name, found in times.items()}


def _additions(application: QApplication, folder: Path) -> dict[str, float]:
    session = a_session(folder)
    table, plain = QueueTable(session.jobs, session.pictures), QTableView()
    model = _Plain([])
    plain.setModel(model)
    for view in (table, plain):
        view.resize(800, 500)
        view.show()
    times: dict[str, list[float]] = {"add": [], "plain_add": []}
    for number in range(_ROUNDS):
        jobs = _jobs(number * _ADDED, _ADDED)
        names = [job.source.name for job in jobs]
        for name, add in (
            ("plain_add", partial(model.add, names)),
            ("add", partial(session.take_jobs, jobs)),
        ):
            application.processEvents()
            began = time.perf_counter()
            add()
            application.processEvents()
            times[name].append((time.perf_counter() - began) * 1000)
    session.close()
    return {name: statistics.median(found) for name, found in times.items()}


def _main() -> None:
    application = QApplication([*sys.argv[:1], *STYLE])
    apply_theme(application)
    GarbageRounds(application).begin()
    with tempfile.TemporaryDirectory() as folder:
        found = _first_paints(application, Path(folder)) | _additions(application, Path(folder))
        with QEventLoop(application) as loop:
            found |= loop.run_until_complete(_beats(Path(folder)))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    _main()
