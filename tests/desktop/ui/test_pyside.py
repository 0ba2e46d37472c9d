"""What the release of PySide6 must not do: 6.12.0 lost references under Python 3.11."""

import sys

import pytest
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot


class _Sender(QObject):
    plain = Signal()
    told = Signal(bool)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="constants are immortal: nobody counts")
def test_signals_keep_the_references_of_constants(qtbot: QtBot) -> None:
    sender, button = _Sender(), QPushButton()
    qtbot.addWidget(button)
    seen: list[object] = []
    sender.plain.connect(lambda: seen.append(1))
    sender.told.connect(seen.append)
    button.clicked.connect(lambda: seen.append(2))
    before = sys.getrefcount(True), sys.getrefcount(None)

    for _ in range(60):
        sender.plain.emit()
        sender.told.emit(True)
        button.click()
    seen.clear()

    after = sys.getrefcount(True), sys.getrefcount(None)
    assert abs(after[0] - before[0]) < 30
    assert abs(after[1] - before[1]) < 30
