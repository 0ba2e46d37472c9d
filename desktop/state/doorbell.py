"""How a second start hands its files to the window that is already there."""

import json
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QDeadlineTimer, QObject, QThread, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

__all__ = ["Doorbell", "ring"]

_WAIT_MS = 2000
_PATIENCE_MS = 4000
_PAUSE_MS = 40
_MAX_MESSAGE_BYTES = 1024 * 1024


def ring(name: str, paths: Sequence[Path]) -> bool:
    """Hand the paths to the first instance, which may be starting itself; False if it does not answer."""
    socket = QLocalSocket()
    patience = QDeadlineTimer(_PATIENCE_MS)
    socket.connectToServer(name)
    while not socket.waitForConnected(_WAIT_MS):
        if patience.hasExpired():
            return False
        QThread.msleep(_PAUSE_MS)
        socket.connectToServer(name)
    socket.write(json.dumps([str(path.absolute()) for path in paths]).encode() + b"\n")
    sent = socket.waitForBytesWritten(_WAIT_MS)
    socket.disconnectFromServer()
    return sent


class Doorbell(QObject):
    """Listens in the first instance for the ones that come later."""

    rung = Signal(object)  # tuple[Path, ...]

    def __init__(self, *, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._answer)
        QLocalServer.removeServer(name)  # the lock is ours: a socket left behind belongs to nobody
        self._server.listen(name)

    def close(self) -> None:
        self._server.close()

    def _answer(self) -> None:
        caller = _Caller(self._server.nextPendingConnection(), self)
        caller.spoken.connect(self.rung)
        caller.listen()


class _Caller(QObject):
    """One later start, until it hangs up."""

    spoken = Signal(object)  # tuple[Path, ...]

    def __init__(self, socket: QLocalSocket, parent: QObject) -> None:
        super().__init__(parent)
        socket.setParent(self)
        self._socket = socket
        socket.readyRead.connect(self.listen)
        socket.disconnected.connect(self.deleteLater)

    def listen(self) -> None:
        if self._socket.canReadLine():
            self.spoken.emit(_paths(bytes(self._socket.readLine().data())))
        elif self._socket.bytesAvailable() > _MAX_MESSAGE_BYTES:
            self._socket.abort()


def _paths(line: bytes) -> tuple[Path, ...]:
    """The paths of a message; none where it is not one of ours."""
    try:
        names = json.loads(line)
    except ValueError:
        return ()
    if not isinstance(names, list):
        return ()
    return tuple(Path(name) for name in names if isinstance(name, str))
