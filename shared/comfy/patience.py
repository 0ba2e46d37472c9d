"""How long the client waits for what; the tests set shorter times."""

from dataclasses import dataclass

__all__ = ["Patience"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds. None of them limits a run as a whole: those take as long as they take."""

    answer_s: float = 30.0  # one HTTP call
    connect_s: float = 5.0
    first_socket_s: float = 2.0  # before a prompt is sent without a socket
    poll_s: float = 5.0  # without a message, while the socket is open
    poll_blind_s: float = 0.5  # while it is not
    settle_s: float = 0.5  # between the announced end and the history
    deaf_after_s: float = 3.0  # without a status after our own accepted prompt
    silent_after_s: float = 60.0  # a running prompt without a word
    lost_after_s: float = 1.0  # between the two looks that find nothing
    unreachable_s: float = 60.0  # until following or cancelling gives up
    ping_s: float = 15.0
