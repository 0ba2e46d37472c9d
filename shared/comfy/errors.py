"""What can go wrong between us and a ComfyUI server.

SafelightError
├── UsageError
│   └── PromptRefused      the server will not run this graph; `problems` say why
├── TransientError
│   ├── ServerUnreachable  timed out, broken off, or a proxy answered for it: it may have heard us
│   │   └── ServerAbsent   nobody listens: nothing was sent
│   ├── ServerFaulty       an answer that no ComfyUI should give
│   └── PromptLost         neither in the queue nor in the history: deleted, or the server restarted
└── FatalError
    ├── ServerTooOld       it cannot do what a safe client needs
    ├── UploadRefused      it would not take a file
    ├── FileGone           an output that it names is no longer there
    └── FileTooLarge       an output beyond the limit
"""

from dataclasses import dataclass

from shared.errors import FatalError, JsonValue, TransientError, UsageError

__all__ = [
    "FileGone",
    "FileTooLarge",
    "NodeProblem",
    "PromptLost",
    "PromptRefused",
    "ServerAbsent",
    "ServerFaulty",
    "ServerTooOld",
    "ServerUnreachable",
    "UploadRefused",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProblem:
    """One reason for a refusal: `kind` is the server's or our own stable word for it."""

    kind: str
    message: str
    node: str | None = None
    class_type: str | None = None
    input: str | None = None


class PromptRefused(UsageError):
    code = "refused"

    def __init__(self, message: str, *, problems: tuple[NodeProblem, ...] = (), **details: JsonValue) -> None:
        super().__init__(message, **details)
        self.problems = problems


class ServerUnreachable(TransientError):
    code = "server_unreachable"


class ServerAbsent(ServerUnreachable):
    pass


class ServerFaulty(TransientError):
    code = "server_faulty"


class PromptLost(TransientError):
    code = "lost"


class ServerTooOld(FatalError):
    code = "server_too_old"


class UploadRefused(FatalError):
    code = "upload_refused"


class FileGone(FatalError):
    code = "file_gone"


class FileTooLarge(FatalError):
    code = "file_too_large"
