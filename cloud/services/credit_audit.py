"""The audit of all credits: entries, balances and jobs, page by page."""

from time import monotonic

import structlog

from cloud.repositories.credit_audit import AccountsAfter, AuditFinding, AuditPage, AuditPlace
from cloud.repositories.database import Database

__all__ = ["CreditAudit"]

_log = structlog.get_logger(__name__)

_ACCOUNTS_A_PAGE = 50
_ROWS_A_PAGE = 2000
_MOST_FINDINGS = 500
_TURN_S = 15.0
_FIRST = AccountsAfter()


class CreditAudit:
    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._place: AuditPlace = _FIRST

    async def findings(self) -> tuple[AuditFinding, ...]:
        """What does not add up; nothing if all is well, and no more than can be looked into."""
        found: list[AuditFinding] = []
        place: AuditPlace | None = _FIRST
        while place is not None and len(found) < _MOST_FINDINGS:
            page = await self._page(place)
            found += page.findings
            place = page.next
        return tuple(found[:_MOST_FINDINGS])

    async def go_on(self, *, within_s: float = _TURN_S) -> int:
        """For the chore: from where its last turn ended, for about as long. Each finding is an error in the
        log; how many there were."""
        count, until = 0, monotonic() + within_s
        while True:
            page = await self._page(self._place)
            for one in page.findings:
                _log.error("credits_do_not_add_up", what=one.what, account=one.account_id, job=one.job_id)
            count += len(page.findings)
            self._place = page.next or _FIRST
            if page.next is None or monotonic() >= until:
                return count

    async def _page(self, place: AuditPlace) -> AuditPage:
        return await self._database.read(
            lambda unit: unit.credit_audit.page(place, accounts=_ACCOUNTS_A_PAGE, rows=_ROWS_A_PAGE)
        )
