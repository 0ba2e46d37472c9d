"""Ports for programs that are told where to listen."""

import socket
from random import SystemRandom

__all__ = ["free_port"]

_NOBODY_IS_GIVEN = range(12_000, 32_000)
_chance = SystemRandom()  # other processes of the tests draw too, and Hypothesis sets the seed of `random`


def free_port() -> int:
    """Below those that a system gives to whoever asks for any: until the program listens, and while it is
    down, no connection and no other server of the tests comes to sit there."""
    while True:
        port = _chance.choice(_NOBODY_IS_GIVEN)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
