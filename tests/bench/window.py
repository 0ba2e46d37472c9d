"""From the start of the process to the window on screen, beside a window with nothing in it."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.figure import Figure

__all__ = ["measure"]

_ROUNDS = 21

# Each prints the milliseconds of its process's life until its window is painted.
_AGE = """
import os, time
from pathlib import Path
ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
print((time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")) * 1000, flush=True)
os._exit(0)
"""
_EMPTY = """
from PySide6.QtWidgets import QApplication, QMainWindow
application = QApplication([])
window = QMainWindow()
window.resize(1320, 820)
window.show()
application.processEvents()
"""
_OURS = """
import sys, types
after = types.ModuleType("desktop.app.program")
after.run_window = lambda *_, **__: exec(_AGE)
sys.modules["desktop.app.program"] = after
from desktop.app import run_app
run_app()
"""


def measure() -> list[Figure]:
    """Alternating fresh processes, so that what else the machine does falls on both."""
    ours: list[float] = []
    empty: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_ROUNDS + 1):
            empty.append(_milliseconds(_EMPTY, Path(folder)))
            ours.append(_milliseconds(_OURS, Path(folder)))
    return [
        Figure(
            name="start of the window until it is painted",
            value=statistics.median(ours[1:]),
            floor=statistics.median(empty[1:]),
            unit="ms",
            floor_name="an empty PySide6 window",
            goal_ratio=1.5,
        )
    ]


def _milliseconds(program: str, folder: Path) -> float:
    """`program` with _AGE where its window is painted, in a process of its own."""
    code = f"_AGE = {_AGE!r}\n{program}\nexec(_AGE)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(ended.stdout)


def _environment(folder: Path) -> dict[str, str]:
    """As once installed: every module has been compiled, here by the first round."""
    here = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return here | {
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "QT_QPA_PLATFORM": "offscreen",
        "SAFELIGHT_DATA_DIR": str(folder),
    }
