"""The root of every error that Safelight raises on purpose.

SafelightError
├── UsageError      the caller can mend it: a wrong value, file, graph or name
├── TransientError  trying again later may work; the only kind that is retried
└── FatalError      trying again is useless
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

__all__ = ["FatalError", "JsonValue", "SafelightError", "TransientError", "UsageError"]

# A value that JSON can carry; recursive, hence the quoted name.
JsonValue = None | bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"]


class SafelightError(Exception):
    """An expected failure.

    `code` is stable and machine-readable; `message` is one sentence for the user that says what
    is wrong and what to do; `details` names the field, file, node or input concerned.
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: JsonValue) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, JsonValue] = details


class UsageError(SafelightError):
    code = "usage"


class TransientError(SafelightError):
    code = "transient"
    retryable = True


class FatalError(SafelightError):
    code = "fatal"
