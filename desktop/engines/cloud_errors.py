"""What the cloud's errors mean to whoever runs work there."""

import contextlib
from collections.abc import Iterator

from shared.engines.base import EngineUnavailable, RunLost, WorkRefused
from shared.errors import TransientError
from shared.media import BrokenMedia
from shared.sdk.errors import CloudRefusal, NeedsCredits, NotAllowed, PlanLimit, SignInNeeded

__all__ = ["engine_errors"]


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Errors of the client, as those of an engine.

    What concerns the account rather than the work makes the engine unavailable: the queue waits
    for a key or for credits, and no job fails for the want of them. A picture that does not decode is
    told as such.
    """
    try:
        yield
    except (NeedsCredits, PlanLimit) as error:
        link = error.details.get("link")
        where = f" ({link})" if link else ""
        raise EngineUnavailable(f"{error.message}{where}", **error.details) from error
    except (SignInNeeded, NotAllowed) as error:
        raise EngineUnavailable(error.message, **error.details) from error
    except CloudRefusal as error:
        if error.details.get("problem", error.wire_code) == BrokenMedia.code:
            raise BrokenMedia(error.message, **error.details) from error
        raise WorkRefused(error.message, **error.details) from error
    except (EngineUnavailable, RunLost):
        raise
    except TransientError as error:
        raise EngineUnavailable(error.message, **error.details) from error
