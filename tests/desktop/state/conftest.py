from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from tests.desktop.window import a_session


@pytest.fixture
def session(tmp_path: Path, qtbot: QtBot) -> Iterator[Session]:
    session = a_session(tmp_path)
    yield session
    session.close()
