"""How a child hands a decoded picture to the window: three messages of bytes, nothing to unpickle."""

import struct
from multiprocessing.connection import Connection

from desktop.views import ScreenPicture

__all__ = ["receive_picture", "send_picture"]

_FACTS = struct.Struct("<IIII?")


def send_picture(connection: Connection, picture: ScreenPicture | None) -> None:
    if picture is None:
        connection.send_bytes(b"")
        return
    sizes = picture.width, picture.height, picture.full_width, picture.full_height
    connection.send_bytes(_FACTS.pack(*sizes, picture.alpha))
    connection.send_bytes(picture.icc or b"")
    connection.send_bytes(picture.data)


def receive_picture(connection: Connection) -> ScreenPicture | None:
    """Raises EOFError or OSError where the child is gone or talks nonsense."""
    facts = connection.recv_bytes()
    if not facts:
        return None
    if len(facts) != _FACTS.size:
        raise OSError("the picture's facts have the wrong length")
    width, height, full_width, full_height, alpha = _FACTS.unpack(facts)
    icc, data = connection.recv_bytes(), connection.recv_bytes()
    if len(data) != width * height * (4 if alpha else 3):
        raise OSError("the picture's bytes do not fit its size")
    return ScreenPicture(
        width=width,
        height=height,
        full_width=full_width,
        full_height=full_height,
        alpha=alpha,
        data=data,
        icc=icc or None,
    )
