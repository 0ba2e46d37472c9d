"""A cloud under attack for some minutes, and what became of its promises.

python -m tests.chaos.soak --seed 1 --jobs 120 --faults 25

The seed decides the faults, the jobs and their order. The last line is one JSON object; the exit code
is 1 if a promise was broken.
"""

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.files import digest_bytes
from tests.chaos.customers import Customers, errands
from tests.chaos.faults import Injector, pid_of, schedule
from tests.chaos.invariants import ALWAYS, AT_REST
from tests.chaos.site import DATABASE_AWAY, Site, open_site

__all__ = ["main"]

_PLANS = ("studio", "studio", "creator")
_SAMPLE_S = 1.0
_READY_S = 300.0
_REST_S = 150.0  # in which nothing ends
_TAKEN_BACK_S = 45.0  # a lease, a turn of the reaper, and a machine that has much to do
_RECOVERY_S = 120.0  # and until a server is free that may itself be killed
_ENDED = ("completed", "failed", "cancelled", "expired")
_DOWNLOADS = 25


@dataclass
class Auditor:
    """Asks all the time whether what must always hold does."""

    site: Site
    samples: int = 0
    found: dict[str, Any] = field(default_factory=dict)

    def watch(self, done: threading.Event) -> None:
        while not done.wait(_SAMPLE_S):
            self.ask(ALWAYS)

    def ask(self, questions: Mapping[str, str]) -> None:
        try:
            answers = self.site.queries([f"{question} LIMIT 5" for question in questions.values()])
        except DATABASE_AWAY:
            return
        self.samples += 1
        for what, rows in zip(questions, answers, strict=True):
            if rows:
                self.found.setdefault(what, [list(map(str, row)) for row in rows])


def main(words: Sequence[str]) -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=120)
    options.add_argument("--faults", type=int, default=25)
    options.add_argument("--keep", action="store_true", help="leave the logs behind")
    given = options.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="safelight-chaos-"))
    with open_site(folder) as site:
        report = _soak(site, seed=given.seed, jobs=given.jobs, faults=given.faults)
    broken = _broken(report)
    if broken or given.keep:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    for what in broken:
        print(f"broken: {what}: {report[what]}")
    print(json.dumps({"seed": given.seed, "ok": not broken, **report}))
    return 1 if broken else 0


def _soak(site: Site, *, seed: int, jobs: int, faults: int) -> dict[str, Any]:
    keys = site.open(_PLANS)
    _until_ready(site)
    plan = schedule(seed, faults)
    todo = errands(seed, jobs, len(keys))
    customers, injector, auditor = Customers(site.ports, keys), Injector(site), Auditor(site)
    done = threading.Event()
    lasting = sum(fault.pause_s for fault in plan) + 2.0 * len(plan)
    watching = threading.Thread(target=auditor.watch, args=(done,))
    serving = threading.Thread(target=customers.serve, args=(todo,), kwargs={"within_s": lasting})
    watching.start()
    serving.start()
    begun = time.monotonic()
    injector.inject(plan)
    print(f"faults over after {time.monotonic() - begun:.0f} s", flush=True)
    while serving.is_alive():
        site.revive()
        serving.join(1.0)
    stuck = _stuck_at_rest(site)
    print(f"at rest after {time.monotonic() - begun:.0f} s", flush=True)
    done.set()
    watching.join()
    auditor.ask(ALWAYS)
    if not stuck:
        auditor.ask(AT_REST)
    report = _report(site, customers, injector, auditor, stuck)
    customers.close()
    return report


def _until_ready(site: Site) -> None:
    until = time.monotonic() + _READY_S
    while len(site.query("SELECT name FROM servers WHERE led_by IS NOT NULL AND said_at IS NOT NULL")) < 2:
        assert time.monotonic() < until, "\n".join(path.read_text()[-1500:] for path in site.logs())
        site.revive()
        time.sleep(0.2)


def _stuck_at_rest(site: Site) -> list[str]:
    """The jobs that have no end, and events that are not told, after a time in which nothing was done."""
    left, until = -1, 0.0
    while True:
        site.revive()
        waiting = site.query("SELECT id FROM jobs WHERE finished_at IS NULL")
        untold = site.query("SELECT id FROM events WHERE published_at IS NULL")
        if not waiting and not untold:
            return []
        if (count := len(waiting) + len(untold)) != left:
            left, until = count, time.monotonic() + _REST_S
        if time.monotonic() > until:
            return [str(row[0]) for row in (*waiting, *untold)]
        time.sleep(0.3)


def _report(
    site: Site, customers: Customers, injector: Injector, auditor: Auditor, stuck: list[str]
) -> dict[str, Any]:
    states = dict(site.query("SELECT id, state FROM jobs"))
    known = {promise.job_id: promise for promise in customers.promises}
    recoveries = _recoveries(site, injector)
    return {
        "jobs": len(known),
        "states": dict(Counter(states.values())),
        "faults": dict(injector.counts),
        "lost": sorted(set(known) - set(states)),
        "uninvited": sorted(set(states) - set(known)),
        "stuck": stuck,
        "ended_wrongly": _ended_wrongly(site, known, states),
        "settled_twice": len(auditor.found.get("settled twice", [])),
        "stale_or_duplicate_artifacts": _stale(site),
        "damaged_outputs": _damaged(site, customers),
        "wasted_attempts": _wasted(site, injector),
        "attempts": _attempts(site),
        "taken_back_p99_s": _p99([taken_back for taken_back, _ in recoveries]),
        "recovery_p99_s": _p99([claimed for _, claimed in recoveries]),
        "recoveries": len(recoveries),
        "invariant_violations": auditor.found,
        "invariant_samples": auditor.samples,
        "client_troubles": customers.troubles,
        "answers": {str(code): count for code, count in sorted(customers.answers.items())},
        "failpoints_not_met": injector.unhit,
        "violations_at_servers": [item for gpu in site.gpus for item in gpu.server.violations],
    }


def _broken(report: Mapping[str, Any]) -> list[str]:
    promises = (
        "lost", "uninvited", "stuck", "ended_wrongly", "settled_twice", "stale_or_duplicate_artifacts",
        "damaged_outputs", "wasted_attempts", "invariant_violations", "client_troubles",
    )  # fmt: skip
    broken = [name for name in promises if report[name]]
    for what, most_s in {"taken_back_p99_s": _TAKEN_BACK_S, "recovery_p99_s": _RECOVERY_S}.items():
        if (report[what] or 0) > most_s:
            broken.append(what)
    if not report["jobs"] or not report["invariant_samples"]:
        broken.append("jobs")
    return broken


def _ended_wrongly(site: Site, known: Mapping[str, Any], states: Mapping[str, str]) -> list[list[str]]:
    """A job may fail only as poison, once it was alone at work when its worker died three times."""
    found = []
    for job_id, promise in known.items():
        state = states.get(job_id, "lost")
        if state in promise.ends or state not in _ENDED:
            continue
        [(code, crashes)] = site.query("SELECT failure_code, crashes FROM jobs WHERE id = $1", job_id)
        deaths = site.query(
            "SELECT 1 FROM attempts WHERE job_id = $1 AND \"end\" = 'lost' AND begun_at IS NOT NULL", job_id
        )
        if code != "poison" or len(deaths) < 3:
            found.append([job_id, state, str(code), str(crashes)])
    return found


def _stale(site: Site) -> int:
    return len(
        site.query(
            "SELECT 1 FROM outputs o JOIN jobs j ON j.id = o.job_id WHERE o.attempt <> j.attempt"
            " UNION ALL SELECT 1 FROM outputs GROUP BY job_id, node, index HAVING count(*) > 1"
            " UNION ALL SELECT 1 FROM jobs j WHERE j.state = 'completed'"
            " AND NOT EXISTS (SELECT 1 FROM outputs o WHERE o.job_id = j.id)"
        )
    )


def _damaged(site: Site, customers: Customers) -> list[str]:
    """Of some outputs, fetched as a client fetches them."""
    accounts = [
        row[0]
        for row in site.query("SELECT account_id FROM members JOIN users ON id = user_id ORDER BY email")
    ]
    order = sorted(range(len(_PLANS)), key=lambda number: f"{_PLANS[number]}{number}@example.com")
    number_of = dict(zip(accounts, order, strict=True))
    rows = site.query(
        "SELECT id, account_id FROM jobs WHERE state = 'completed' ORDER BY attempt DESC, number LIMIT $1",
        _DOWNLOADS,
    )
    return [
        job_id
        for job_id, account in rows
        for digest, data in customers.download(number_of[account], job_id)
        if digest_bytes(data) != digest
    ]


def _recoveries(site: Site, injector: Injector) -> list[tuple[float, float]]:
    """From the death of a worker until what it had was taken back, and claimed again, in seconds."""
    rows = site.query(
        "SELECT a.worker, extract(epoch FROM a.claimed_at)::float, extract(epoch FROM a.ended_at)::float,"
        " extract(epoch FROM n.claimed_at)::float FROM attempts a"
        " JOIN attempts n ON n.job_id = a.job_id AND n.attempt = a.attempt + 1 WHERE a.\"end\" = 'lost'"
    )
    return [
        (ended_at - death.at, next_claimed_at - death.at)
        for worker, claimed_at, ended_at, next_claimed_at in rows
        for death in injector.deaths
        if death.pid == pid_of(worker) and claimed_at <= death.at <= ended_at
    ]


def _p99(seconds: Sequence[float]) -> float | None:
    return round(sorted(seconds)[max(0, int(len(seconds) * 0.99) - 1)], 2) if seconds else None


def _wasted(site: Site, injector: Injector) -> list[list[str]]:
    """Attempts that were lost with a worker that was only told to stop, while the database was there."""
    died = {death.pid for death in injector.deaths}
    rows = site.query(
        "SELECT job_id, worker, extract(epoch FROM claimed_at)::float, extract(epoch FROM ended_at)::float"
        " FROM attempts WHERE \"end\" = 'lost'"
    )
    return [
        [job_id, worker]
        for job_id, worker, claimed_at, ended_at in rows
        if pid_of(worker) in injector.drained - died
        and not any(begin < ended_at and claimed_at < end for begin, end in injector.outages)
    ]


def _attempts(site: Site) -> dict[str, int]:
    return dict(site.query('SELECT "end", count(*) FROM attempts GROUP BY "end"'))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
