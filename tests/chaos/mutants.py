"""Bugs planted on purpose, each of which the tests must find.

python -m tests.chaos.mutants [NAME…]

Every mutant is a change of one place in a copy of the source; the tests named with it must fail there,
and pass without it. A mutant that no longer fits the source is an error: mend it with the source.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MUTANTS", "Mutant", "main"]

_TOP = Path(__file__).parents[2]
_PARTS = ("cloud", "desktop", "shared", "tests", "presets", "docs", "pyproject.toml")
_AT_ONCE = 2
_TIMEOUT_S = 400
_SERVICES, _WORKER, _FAULTS = "tests/cloud/services", "tests/cloud/worker", "tests/cloud/faults"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` stands once in `path`, and becomes `new`; `tests` find it out."""

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "no fence",
        "cloud/repositories/holding.py",
        "_J.id == given.c.job_id, _J.attempt == given.c.attempt, in_states(states)",
        "_J.id == given.c.job_id, in_states(states)",
        (f"{_SERVICES}/test_attempts.py::test_zombie_can_do_nothing",),
    ),
    Mutant(
        "no compare-and-set",
        "cloud/repositories/holding.py",
        "_J.id == given.c.job_id, _J.attempt == given.c.attempt, in_states(states)",
        "_J.id == given.c.job_id, _J.attempt == given.c.attempt",
        (f"{_FAULTS}/test_ends.py::test_attempt_that_has_ended_ends_only_once",),
    ),
    Mutant(
        "no poll",
        "cloud/worker/lane_worker.py",
        "await bell.wait(self._poll_s * random.uniform(0.8, 1.0))",
        "await bell.wait(3600 * random.uniform(0.8, 1.0))",
        (f"{_WORKER}/test_process.py::test_a_job_whose_ring_was_lost_is_found_by_looking",),
    ),
    Mutant(
        "no bell after a submission",
        "cloud/services/accepting.py",
        "await self._queue.ring(Bell.JOBS)",
        "pass",
        (f"{_FAULTS}/test_bells.py::test_submission_rings",),
    ),
    Mutant(
        "no ear for the bell",
        "cloud/worker/lane_worker.py",
        "await bell.wait(self._poll_s * random.uniform(0.8, 1.0))",
        "await asyncio.sleep(self._poll_s)",
        (f"{_FAULTS}/test_bells.py::test_worker_comes_when_it_rings",),
    ),
    Mutant(
        "no row lock",
        "cloud/repositories/claiming.py",
        ".with_for_update(skip_locked=True)",
        "",
        (f"{_FAULTS}/test_frozen.py::test_claims_pass_over_a_job_that_another_has_locked",),
    ),
    Mutant(
        "locks of the frozen",
        "cloud/repositories/postgres.py",
        '"idle_in_transaction_session_timeout": "3000"',
        '"idle_in_transaction_session_timeout": "15000"',
        (f"{_FAULTS}/test_frozen.py::test_it_holds_up_the_reaper_for_a_moment_only",),
    ),
    Mutant(
        "no unique settlement",
        "cloud/migrations/versions/0004_plans_credits_batches.py",
        """\"kind IN ('capture', 'release')",
        unique=True,""",
        """\"kind IN ('capture', 'release')",
        unique=False,""",
        (f"{_SERVICES}/test_credits.py::test_any_other_end_releases_once",),
    ),
    Mutant(
        "captured whatever came of it",
        "cloud/services/credits.py",
        "EntryKind.CAPTURE if state is JobState.COMPLETED else EntryKind.RELEASE",
        "EntryKind.CAPTURE",
        (f"{_SERVICES}/test_credits.py::test_any_other_end_releases_once",),
    ),
    Mutant(
        "read-then-write quota",
        "cloud/repositories/credits.py",
        """            _B.granted + _B.topped_up >= wanted,
            _B.jobs + jobs""",
        """            (select(_B.granted + _B.topped_up).where(_B.account_id == bindparam("wanted_account"))
             .correlate(None).scalar_subquery()) >= wanted,
            _B.jobs + jobs""",
        (f"{_SERVICES}/test_credits.py::test_fifty_at_once_spend_the_last_credit_once",),
    ),
    Mutant(
        "reaper retries a cancelled job",
        "cloud/services/attempt_ends.py",
        """        if held.cancel_requested:
            self.cancel(unit, ref, how=how)
        elif crashes""",
        """        if crashes""",
        (f"{_SERVICES}/test_attempts.py::test_job_no_longer_wanted_is_not_tried_again",),
    ),
    Mutant(
        "no adoption",
        "cloud/worker/run.py",
        "ticket = self._left_behind(claim)",
        "ticket = None",
        (f"{_WORKER}/test_one_server.py::test_a_finished_prompt_of_a_dead_worker_is_adopted",),
    ),
    Mutant(
        "idempotency ignores the body",
        "cloud/services/accepting.py",
        "if stored.request_digest != digest:",
        "if not stored.request_digest:",
        ("tests/cloud/routers/test_jobs.py::test_key_for_another_body_is_refused",),
    ),
    Mutant(
        "no fence on artifact rows",
        "cloud/services/attempts.py",
        "                self._add_outputs(unit, job, made[ref])\n",
        """                self._add_outputs(unit, job, made[ref])
            for ref in set(made) - set(held):
                unit.claims.add_outputs(ref, made[ref].outputs)
""",
        (f"{_FAULTS}/test_ends.py::test_zombie_leaves_no_outputs",),
    ),
    Mutant(
        "no self-fence",
        "cloud/services/leases.py",
        "fence = asyncio.timeout_at(since + _FENCE * lease_s)",
        "fence = asyncio.timeout_at(since + 1000 * lease_s)",
        (f"{_SERVICES}/test_leases.py::test_what_cannot_be_renewed_is_stopped_before_the_lease_ends",),
    ),
    Mutant(
        "heartbeat that renews nothing",
        "cloud/repositories/holding.py",
        "renew=_held(given, RUNNING, lease_until=LATER)",
        "renew=_held(given, RUNNING, lease_until=func.coalesce(_J.lease_until, LATER))",
        (f"{_SERVICES}/test_attempts.py::test_heartbeats_keep_the_reaper_away",),
    ),
    Mutant(
        "poison without an end",
        "cloud/services/attempt_ends.py",
        "crashes is not None and crashes >= self._rules.max_crashes",
        "crashes is not None and crashes >= 1000 * self._rules.max_crashes",
        (f"{_SERVICES}/test_attempts.py::test_poison_is_failed_with_the_third_crash",),
    ),
    Mutant(
        "blame without proof",
        "cloud/services/reaping.py",
        "counts = attempt.begun and attempt.suspects == 1",
        "counts = attempt.begun",
        (f"{_FAULTS}/test_blame.py::test_ambiguous_death_is_nobodys_fault",),
    ),
    Mutant(
        "taken back, and in no lane",
        "cloud/services/attempt_ends.py",
        "            unit.lanes.enter(held.lane)\n",
        "",
        (f"{_SERVICES}/test_attempts.py::test_lane_counts_what_waits_and_since_when",),
    ),
    Mutant(
        "drain counts as an attempt",
        "cloud/repositories/claims.py",
        "_A.attempt < ref.number, _A.end != AttemptEnd.RELEASED",
        "_A.attempt < ref.number",
        (f"{_SERVICES}/test_attempts.py::test_what_is_given_back_whole_does_not_count",),
    ),
    Mutant(
        "no limit of jobs at work",
        "cloud/services/concurrency.py",
        "return at_work > entitlements_of(plan).concurrency",
        "return at_work > 1000 * entitlements_of(plan).concurrency",
        (f"{_SERVICES}/test_concurrency.py::test_many_claims_at_once_stay_within_the_plan",),
    ),
)


def main(names: Sequence[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    misfits = [mutant.name for mutant in chosen if _planted(mutant) is None]
    if misfits or not chosen:
        print(f"no longer fit the source: {', '.join(misfits) or 'no such mutant'}")
        return 2
    with tempfile.TemporaryDirectory(prefix="safelight-mutants-") as folder:
        sound = _copy(Path(folder) / "sound")
        every = sorted({test for mutant in chosen for test in mutant.tests})
        code, said = _run(sound, every)
        if code != 0:
            print(f"the tests fail without any mutant:\n{said[-6000:]}")
            return 2
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            caught = list(pool.map(lambda mutant: _is_caught(Path(folder), mutant), chosen))
    print(f"{sum(caught)} of {len(caught)} caught")
    return 0 if all(caught) else 1


def _is_caught(folder: Path, mutant: Mutant) -> bool:
    """By a test that failed, rather than one that could not be run."""
    copy = _copy(folder / re.sub(r"\W+", "-", mutant.name))
    text = _planted(mutant)
    assert text is not None
    (copy / mutant.path).write_text(text)
    code, said = _run(copy, mutant.tests)
    shutil.rmtree(copy)
    where = ", ".join(re.findall(r"^FAILED \S*::(\S+)", said, re.MULTILINE))
    caught = code == 1 and bool(where)
    print(f"{'caught' if caught else 'MISSED'}  {mutant.name}: {where or f'exit code {code}'}", flush=True)
    if not caught:
        print(said[-3000:], flush=True)
    return caught


def _planted(mutant: Mutant) -> str | None:
    """The source with the bug; None if its place is not to be found, or not clear."""
    text = (_TOP / mutant.path).read_text()
    return text.replace(mutant.old, mutant.new) if text.count(mutant.old) == 1 else None


def _copy(target: Path) -> Path:
    """Of all that the tests need; packages that are installed stay where they are."""
    target.mkdir()
    for part in _PARTS:
        source = _TOP / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / part)
    return target


def _run(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rf", "--tb=short", "-p", "no:randomly"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            [*command, "--timeout", "60", *tests],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end within {_TIMEOUT_S} s"
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
