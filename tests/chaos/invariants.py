# ruff: noqa: S608 - put together from what stands here
"""What must hold at every moment, and what must hold once nothing is left to do.

Each question is one statement: it sees one moment, whatever goes on beside it. Rows are violations.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["ALWAYS", "AT_REST", "violations"]

_ENDED = "('completed', 'failed', 'cancelled', 'expired')"
_RUNNING = "('processing', 'saving')"

ALWAYS: Mapping[str, str] = {
    "output of a stale attempt": (
        "SELECT o.job_id FROM outputs o JOIN jobs j ON j.id = o.job_id"
        " WHERE o.attempt <> j.attempt OR j.state <> 'completed'"
    ),
    "settled twice": (
        "SELECT job_id FROM credit_entries WHERE kind IN ('capture', 'release')"
        " GROUP BY job_id HAVING count(*) > 1"
    ),
    "not settled with its end": (
        f"SELECT j.id FROM jobs j WHERE j.price > 0 AND j.state IN {_ENDED} AND NOT EXISTS"
        " (SELECT 1 FROM credit_entries e WHERE e.job_id = j.id"
        " AND e.kind = CASE WHEN j.state = 'completed' THEN 'capture' ELSE 'release' END)"
    ),
    "settled before its end": (
        f"SELECT j.id FROM jobs j JOIN credit_entries e ON e.job_id = j.id"
        f" WHERE e.kind IN ('capture', 'release') AND j.state NOT IN {_ENDED}"
    ),
    "ledger is not the balance": (
        "SELECT b.account_id FROM credit_balances b LEFT JOIN (SELECT account_id, sum(granted) g,"
        " sum(topped_up) t, sum(reserved) r FROM credit_entries GROUP BY account_id) s"
        " ON s.account_id = b.account_id WHERE b.granted <> coalesce(s.g, 0)"
        " OR b.topped_up <> coalesce(s.t, 0) OR b.reserved <> coalesce(s.r, 0)"
    ),
    "reserved is not what waits": (
        "SELECT b.account_id FROM credit_balances b WHERE b.reserved <> (SELECT coalesce(sum(j.price), 0)"
        f" FROM jobs j WHERE j.account_id = b.account_id AND j.state NOT IN {_ENDED})"
    ),
    "lane counts wrong": (
        "SELECT l.preset_id, l.waiting FROM lanes l WHERE l.waiting <> (SELECT count(*) FROM jobs j"
        " WHERE j.state = 'queued' AND j.pool = l.pool AND j.priority = l.priority"
        " AND j.account_id = l.account_id AND j.preset_id = l.preset_id AND j.models = l.models)"
    ),
    "queued without a lane": (
        "SELECT j.id FROM jobs j WHERE j.state = 'queued' AND NOT EXISTS (SELECT 1 FROM lanes l"
        " WHERE j.pool = l.pool AND j.priority = l.priority AND j.account_id = l.account_id"
        " AND j.preset_id = l.preset_id AND j.models = l.models)"
    ),
    "ended without exactly one last event": (
        f"SELECT j.id FROM jobs j WHERE (SELECT count(*) FROM events e WHERE e.job_id = j.id"
        f" AND e.kind IN {_ENDED}) <> CASE WHEN j.state IN {_ENDED} THEN 1 ELSE 0 END"
    ),
    "last event is not the state": (
        f"SELECT j.id FROM jobs j JOIN events e ON e.job_id = j.id WHERE e.kind IN {_ENDED}"
        " AND e.kind <> j.state"
    ),
    "event after the last": (
        f"SELECT e.job_id FROM events e JOIN events l ON l.job_id = e.job_id AND l.kind IN {_ENDED}"
        " WHERE e.id > l.id AND e.kind <> 'batch_completed'"
    ),
    "event numbers with a gap": (
        "SELECT a.id FROM accounts a WHERE a.last_event <> (SELECT count(*) FROM events e"
        " WHERE e.account_id = a.id AND e.number IS NOT NULL)"
    ),
    "attempts do not match": (
        "SELECT j.id FROM jobs j WHERE j.attempt <> (SELECT count(*) FROM attempts a WHERE a.job_id = j.id)"
    ),
    "attempt open without its job": (
        "SELECT a.job_id FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE a.ended_at IS NULL"
        f" AND (a.attempt <> j.attempt OR j.state NOT IN {_RUNNING})"
    ),
    "job at work without an open attempt": (
        f"SELECT j.id FROM jobs j WHERE j.state IN {_RUNNING} AND NOT EXISTS (SELECT 1 FROM attempts a"
        " WHERE a.job_id = j.id AND a.attempt = j.attempt AND a.ended_at IS NULL)"
    ),
    "completed by more than one attempt": (
        "SELECT job_id FROM attempts WHERE \"end\" = 'completed' GROUP BY job_id HAVING count(*) > 1"
    ),
    "held wrongly": (
        f"SELECT id FROM jobs WHERE (worker IS NOT NULL AND lease_until IS NOT NULL) <> (state IN {_RUNNING})"
    ),
    "one key, two jobs": (
        "SELECT idempotency_key FROM jobs WHERE idempotency_key IS NOT NULL"
        " GROUP BY account_id, idempotency_key HAVING count(*) > 1"
    ),
    "batch counts wrong": (
        "SELECT b.id FROM batches b WHERE b.completed + b.failed + b.cancelled + b.expired"
        f" <> (SELECT count(*) FROM jobs j WHERE j.batch_id = b.id AND j.state IN {_ENDED})"
        " OR b.total <> (SELECT count(*) FROM jobs j WHERE j.batch_id = b.id)"
        " OR (b.finished_at IS NOT NULL) <> (b.completed + b.failed + b.cancelled + b.expired = b.total)"
    ),
    "output without its artifact": (
        "SELECT o.job_id FROM outputs o JOIN jobs j ON j.id = o.job_id LEFT JOIN artifacts a"
        " ON a.account_id = j.account_id AND a.digest = o.digest"
        " WHERE a.digest IS NULL OR a.state <> 'ready' OR a.deleting_at IS NOT NULL"
    ),
}
AT_REST: Mapping[str, str] = {
    "job without an end": f"SELECT id, state FROM jobs WHERE state NOT IN {_ENDED}",
    "lane of nothing": "SELECT preset_id FROM lanes",
    "event not published": "SELECT job_id, kind FROM events WHERE published_at IS NULL",
    "reserved for nothing": "SELECT account_id FROM credit_balances WHERE reserved <> 0",
    "attempt without an end": "SELECT job_id FROM attempts WHERE ended_at IS NULL",
}


def violations(
    query: Callable[[str], Sequence[Sequence[Any]]], *, at_rest: bool
) -> dict[str, list[tuple[Any, ...]]]:
    """By what does not hold, some of its rows; nothing if all is well."""
    questions = {**ALWAYS, **AT_REST} if at_rest else ALWAYS
    answers = {what: query(f"{statement} LIMIT 5") for what, statement in questions.items()}
    return {what: [tuple(row) for row in rows] for what, rows in answers.items() if rows}
