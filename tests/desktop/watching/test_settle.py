from desktop.store.ledger import FileStamp
from desktop.watching.leases import Writers
from desktop.watching.mounts import Mount
from desktop.watching.settle import Evidence, Patience, Quiet, Ready, Wait, give_up_at, is_trusted, settle

STAMP = FileStamp(100, 1_000_000_001, 7)
GROWN = FileStamp(200, 2_000_000_002, 7)
PATIENCE = Patience()


def decide(
    *,
    evidence: Evidence = Evidence.SEEN,
    writers: Writers = Writers.UNKNOWN,
    mount: Mount = Mount.LOCAL,
    quiet: Quiet | None = None,
    now: float = 50.0,
) -> Ready | Wait:
    return settle(
        STAMP, evidence=evidence, writers=writers, mount=mount, quiet=quiet, now=now, patience=PATIENCE
    )


def test_a_reported_close_is_enough() -> None:
    assert decide(evidence=Evidence.CLOSED) == Ready()
    assert decide(evidence=Evidence.CLOSED, mount=Mount.NETWORK) == Ready()


def test_a_writer_is_waited_for_whatever_else_was_reported() -> None:
    assert decide(evidence=Evidence.CLOSED, writers=Writers.SOME) == Wait(51.0)


def test_a_lease_counts_on_local_disks_only() -> None:
    assert decide(writers=Writers.NONE) == Ready()
    assert decide(writers=Writers.NONE, mount=Mount.NETWORK) == Wait(60.0, Quiet(STAMP, 50.0))


def test_without_a_lease_the_file_must_lie_still() -> None:
    assert decide() == Wait(52.0, Quiet(STAMP, 50.0))
    assert decide(quiet=Quiet(STAMP, 49.0)) == Wait(51.0, Quiet(STAMP, 49.0))
    assert decide(quiet=Quiet(STAMP, 48.0)) == Ready()
    assert decide(quiet=Quiet(GROWN, 10.0)) == Wait(52.0, Quiet(STAMP, 50.0))
    assert decide(quiet=Quiet(STAMP, 41.0), mount=Mount.NETWORK) == Wait(51.0, Quiet(STAMP, 41.0))


def test_a_file_that_does_not_decode_has_waited_since_its_last_change() -> None:
    def give_up(age_s: float, watched_s: float) -> float:
        broken = Quiet(STAMP, 50.0 - watched_s)
        wall_ns = STAMP.mtime_ns + int(age_s * 1e9)
        return give_up_at(broken, now=50.0, wall_ns=wall_ns, patience=PATIENCE)

    assert give_up(0, 0) == 80.0
    assert give_up(10, 0) == 70.0
    assert give_up(3600, 0) == 50.0
    assert give_up(-3600, 5) == 75.0  # its time lies in the future


def test_coarse_times_are_not_trusted_while_they_are_young() -> None:
    coarse = FileStamp(1, 10_000_000_000, 7)

    assert not is_trusted(coarse, wall_ns=11_000_000_000)
    assert is_trusted(coarse, wall_ns=12_500_000_000)
    assert is_trusted(STAMP, wall_ns=STAMP.mtime_ns)
