"""Runs that take too long, and those that go on although they were stopped."""

from shared.engines.base import EngineUnavailable
from shared.errors import TransientError

__all__ = ["EngineHung", "RunTimedOut"]


class RunTimedOut(TransientError):
    """It took longer than its preset allows."""

    code = "timed_out"


class EngineHung(EngineUnavailable):
    """Nothing more can be run there before it is over."""

    code = "hung"

    def __init__(self, run_id: str) -> None:
        super().__init__("a job did not stop when it was told to", run=run_id)
        self.run_id = run_id
