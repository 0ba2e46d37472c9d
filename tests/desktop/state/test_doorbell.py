import threading
from pathlib import Path
from uuid import uuid4

from PySide6.QtNetwork import QLocalSocket
from pytestqt.qtbot import QtBot

from desktop.state.doorbell import Doorbell, ring
from desktop.state.instance_lock import take_lock


def _name() -> str:
    return f"safelight-test-{uuid4().hex[:12]}"


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    file = tmp_path / "data" / "window.lock"
    first = take_lock(file)
    assert first is not None
    assert take_lock(file) is None

    first.unlock()
    again = take_lock(file)
    assert again is not None
    again.unlock()


def test_a_later_start_hands_its_files_over(tmp_path: Path, qtbot: QtBot) -> None:
    name = _name()
    doorbell = Doorbell(name=name)
    paths = [tmp_path / "a b.png", tmp_path / "ü.png"]
    answers: list[bool] = []
    caller = threading.Thread(target=lambda: answers.append(ring(name, paths)))

    with qtbot.waitSignal(doorbell.rung) as told:
        caller.start()
    caller.join()
    doorbell.close()

    assert told.args == [tuple(paths)]
    assert answers == [True]


def test_nobody_answers() -> None:
    assert not ring(_name(), [])


def test_a_message_that_is_none_of_ours_hands_over_nothing(qtbot: QtBot) -> None:
    name = _name()
    doorbell = Doorbell(name=name)
    socket = QLocalSocket()
    with qtbot.waitSignal(doorbell.rung) as told:
        socket.connectToServer(name)
        socket.write(b'{"run": "rm"}\n')
        socket.flush()

    assert told.args == [()]
    socket.abort()
    doorbell.close()
