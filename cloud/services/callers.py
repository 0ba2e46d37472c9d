"""Who calls, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum

from cloud.errors import NotAllowed

__all__ = ["Caller", "Scope"]


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who acts for an account by means of a key."""

    account_id: str
    key_id: str
    scopes: frozenset[str]

    def require(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise NotAllowed(f"this API key may not do that: it lacks the scope {scope}", scope=scope)
