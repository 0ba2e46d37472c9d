from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from desktop.ui.desk import Desk
from desktop.ui.main_window import MainWindow
from desktop.ui.theme import apply_theme
from tests.desktop.window import a_session


@pytest.fixture(autouse=True)
def _themed(qapp: QApplication) -> None:
    if not qapp.styleSheet():
        apply_theme(qapp)


@pytest.fixture
def session(tmp_path: Path, qtbot: QtBot) -> Iterator[Session]:
    session = a_session(tmp_path)
    yield session
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # widgets go before their models
    session.close()


@pytest.fixture
def window(session: Session, qtbot: QtBot) -> MainWindow:
    window = MainWindow(session.remembered)
    qtbot.addWidget(window)
    desk = Desk(session, open_file=bool, show_in_folder=bool)
    window.furnish(desk, may_close=desk.may_close)
    window.show()
    return window
