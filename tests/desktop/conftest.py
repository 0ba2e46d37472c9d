"""Settings of the desktop's tests: Qt's objects end on the thread that made them, and a busy machine may
take its time."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

_WITHIN_MS = 60_000


class _PatientBot(QtBot):
    def waitSignal(self, signal: Any, *, timeout: int = _WITHIN_MS, **more: Any) -> Any:  # noqa: N802
        return super().waitSignal(signal, timeout=timeout, **more)

    def waitUntil(self, callback: Callable[[], object], *, timeout: int = _WITHIN_MS) -> None:  # noqa: N802
        super().waitUntil(callback, timeout=timeout)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    return _PatientBot(request)


@pytest.fixture(autouse=True, scope="module")
def _garbage_stays_on_this_thread() -> Iterator[None]:
    """As in the product, where the window's thread collects; here it does so at a module's end."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()
