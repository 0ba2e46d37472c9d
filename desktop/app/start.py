"""From the start of the process to the first paint; the heavy imports come after it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QApplication

from desktop.paths import default_data_folder
from desktop.state.instance_lock import take_lock
from desktop.state.remembered import Remembered
from desktop.ui.main_window import MainWindow
from desktop.ui.theme import STYLE, apply_theme

__all__ = ["run_app"]


def run_app(paths: Sequence[Path] = ()) -> int:
    """Open the window with these pictures chosen, or hand them to the window that is open."""
    folder = _window_folder()
    lock = take_lock(folder / "window.lock")
    application = QApplication([*sys.argv[:1], *STYLE])
    application.setApplicationName("safelight")
    if lock is None:
        from desktop.app.program import hand_over

        return hand_over(folder, paths)
    apply_theme(application)
    remembered = Remembered(file=folder / "window.ini")
    window = MainWindow(remembered)
    window.show()
    application.processEvents()
    from desktop.app.program import run_window

    code = run_window(application, window, remembered, folder=folder, paths=paths)
    lock.unlock()
    return code


def _window_folder() -> Path:
    """Known before the settings are: they are heavy to load, and the window comes first."""
    named = os.environ.get("SAFELIGHT_DATA_DIR")
    return Path(named).expanduser().absolute() if named else default_data_folder()
