"""Who is let in, and how often: every request passes here before anything is done for it."""

from ipaddress import IPv6Address, ip_address

import structlog

from cloud.clients.metrics import Metrics
from cloud.clients.rate_counter import RateCounter, Taken
from cloud.errors import SignInNeeded, TooManyRequests
from cloud.services.callers import Caller
from cloud.services.keys import Keys
from cloud.services.plans import entitlements_of
from cloud.services.sign_in_audit import SignInAudit
from cloud.services.stream_tickets import StreamTickets

__all__ = ["Admission", "check", "neighbourhood"]

_log = structlog.get_logger(__name__)
_IPV6_HOME = 64  # bits: what one customer of a provider has


class Admission:
    """`counter` is that of all processes, or None where nothing is limited."""

    def __init__(
        self,
        *,
        keys: Keys,
        tickets: StreamTickets,
        audit: SignInAudit,
        counter: RateCounter | None,
        metrics: Metrics,
        failed_per_minute: int,
    ) -> None:
        self._keys = keys
        self._tickets = tickets
        self._audit = audit
        self._counter = counter
        self._metrics = metrics
        self._failed_per_minute = failed_per_minute

    async def by_key(self, text: str, *, address: str) -> tuple[Caller, Taken | None]:
        """The caller, and what is left to them this minute. Raises SignInNeeded, TooManyRequests."""
        try:
            caller = await self._keys.authenticate(text)
        except SignInNeeded:
            await self._note_failure(address, text)
            raise
        return caller, await self._take(caller)

    async def by_ticket(self, text: str, *, address: str) -> tuple[Caller, Taken | None]:
        """The same for one who has a ticket, which is used up. Raises SignInNeeded, TooManyRequests."""
        try:
            caller = await self._tickets.use(text)
        except SignInNeeded:
            await self._note_failure(address, None)
            raise
        return caller, await self._take(caller)

    async def _take(self, caller: Caller) -> Taken | None:
        """The tighter of what the plan and the key itself leave."""
        if self._counter is None:
            return None
        limit = entitlements_of(caller.plan).requests_per_minute
        left = check(await self._counter.take(f"account:{caller.account_id}", limit), "the account's plan")
        if caller.requests_per_minute is not None:
            own = await self._counter.take(f"key:{caller.key_id}", caller.requests_per_minute)
            left = min(left, check(own, "this API key"), key=lambda taken: taken.remaining)
        return left

    async def _note_failure(self, address: str, key: str | None) -> None:
        """Those who guess are told to wait; a good key is let in from any address."""
        _log.warning("sign_in_failed", address=address)
        self._metrics.sign_in_failed()
        near = neighbourhood(address)
        await self._audit.note(near, key)
        if self._counter is not None:
            taken = await self._counter.take(f"failed:{near}", self._failed_per_minute)
            check(taken, "wrong keys from one address")


def check(taken: Taken, whose: str) -> Taken:
    """Raises TooManyRequests."""
    if taken.allowed:
        return taken
    raise TooManyRequests(
        f"{taken.limit} requests a minute are the limit of {whose}; "
        f"try again in {taken.retry_after_s} seconds",
        limit=taken.limit,
        retry_after_s=taken.retry_after_s,
    )


def neighbourhood(address: str) -> str:
    """What one client can choose freely among: an IPv4 address, or the network of an IPv6 one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> _IPV6_HOME << _IPV6_HOME))
    return str(parsed)
