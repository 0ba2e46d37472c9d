"""The states of a job and the only legal steps between them."""

from enum import StrEnum

from shared.errors import FatalError

__all__ = ["IllegalTransition", "JobState", "is_terminal", "may_become", "transition"]


class JobState(StrEnum):
    QUEUED = "queued"
    PROCESSING = "processing"
    SAVING = "saving"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


_S = JobState
_LEGAL: dict[JobState, frozenset[JobState]] = {
    _S.QUEUED: frozenset({_S.PROCESSING, _S.CANCELLED, _S.EXPIRED, _S.FAILED}),
    _S.PROCESSING: frozenset({_S.SAVING, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
    _S.SAVING: frozenset({_S.COMPLETED, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
}


class IllegalTransition(FatalError):
    code = "illegal_transition"


def is_terminal(state: JobState) -> bool:
    return not _LEGAL[state]


def may_become(target: JobState) -> frozenset[JobState]:
    """The states from which a job may go to `target`."""
    return frozenset(state for state, targets in _LEGAL.items() if target in targets)


def transition(current: JobState, target: JobState) -> JobState:
    """Return `target` if a job may go there from `current`, else raise IllegalTransition."""
    if target not in _LEGAL[current]:
        raise IllegalTransition(f"a {current} job cannot become {target}", current=current, target=target)
    return target
