"""Who calls, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum

from cloud.errors import NotAllowed
from shared.api.accounts import Plan
from shared.logs import request_id

__all__ = ["ACCOUNT_SCOPES", "COMMAND_LINE", "Caller", "Operator", "Scope"]


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"
    OPERATE = "operate"  # the servers; no key has it unless the operator says so


ACCOUNT_SCOPES = (Scope.READ, Scope.WRITE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who acts for an account by means of a key, which may have a rate of its own. `pool` is the
    one of servers that run the account's jobs, if it has one."""

    account_id: str
    key_id: str
    scopes: frozenset[str]
    plan: Plan
    graphs_allowed: bool = False
    requests_per_minute: int | None = None
    pool: str | None = None

    def require(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise NotAllowed(f"this API key may not do that: it lacks the scope {scope}", scope=scope)

    def operator(self) -> "Operator":
        """Raises NotAllowed."""
        self.require(Scope.OPERATE)
        return Operator(f"key {self.key_id}", request_id())


@dataclass(frozen=True, slots=True)
class Operator:
    """Someone who may change what everybody uses; `name` is what the audit says, with the request."""

    name: str
    request_id: str | None = None


COMMAND_LINE = Operator("command line")
