from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from desktop.store.ledger import FileStamp, Sighting
from desktop.watching.plan import Facts, Handled, New, Plan, Renamed, judge, plan
from desktop.watching.scanner import Scan

STAMP = FileStamp(10, 1_000, 5)
FACTS = Facts(
    path="b.png", stamp=STAMP, digest="d1", generation=0, handled=False, former=None, moved=(), queued=()
)


def sighting(
    path: str, *, digest: str | None = "d1", stamp: FileStamp = STAMP, generation: int = 0
) -> Sighting:
    key = None if digest is None else f"key of {path} {digest}"
    return Sighting(path=path, stamp=stamp, digest=digest, key=key, generation=generation)


def test_only_what_looks_different_is_read_in_order_of_name() -> None:
    scan = Scan(files={"c": STAMP, "b": STAMP, "a": STAMP, "d": replace_mtime(STAMP)})

    assert plan(scan, {"a": STAMP, "d": STAMP, "gone": STAMP}, ()) == Plan(read=("b", "c", "d"), withdraw=())


def test_a_queued_job_whose_file_is_gone_is_withdrawn_unless_its_folder_was_not_read() -> None:
    scan = Scan(files={"a": STAMP}, unread=["closed"])

    assert plan(scan, {"a": STAMP}, ["a", "b", "closed/c"]).withdraw == ("b",)


def replace_mtime(stamp: FileStamp) -> FileStamp:
    return stamp._replace(mtime_ns=stamp.mtime_ns + 1)


def test_a_new_version_is_new() -> None:
    assert judge(FACTS) == New()


def test_a_version_handled_before_is_not_run_again() -> None:
    assert judge(replace(FACTS, handled=True)) == Handled()


def test_a_change_before_the_run_replaces_the_run() -> None:
    former = sighting("b.png", digest="d0")

    assert judge(replace(FACTS, former=former, queued={former.key or ""})) == New(withdraw=former.key)
    assert judge(replace(FACTS, former=former)) == New()


def test_a_change_back_calls_the_queued_change_off() -> None:
    former = sighting("b.png", digest="d2")

    assert judge(replace(FACTS, handled=True, former=former, queued={former.key or ""})) == Handled(
        former.key
    )


def test_a_rename_runs_nothing() -> None:
    old = sighting("a.png")

    assert judge(replace(FACTS, moved=[old])) == Renamed(old)


def test_a_rename_before_the_run_moves_the_run() -> None:
    old = sighting("a.png")

    assert judge(replace(FACTS, moved=[old], queued={old.key or ""})) == Renamed(old, withdraw=old.key)


def test_an_inode_given_out_again_is_no_rename() -> None:
    assert judge(replace(FACTS, moved=[sighting("a.png", digest="other")])) == New()
    assert judge(replace(FACTS, moved=[sighting("a.png", stamp=replace_mtime(STAMP))])) == New()


def test_a_file_that_was_there_at_set_up_stays_untaken_until_it_changes() -> None:
    assert judge(replace(FACTS, former=sighting("b.png", digest=None))) == Handled()
    assert judge(replace(FACTS, former=sighting("b.png", digest=None), stamp=replace_mtime(STAMP))) == New()


def test_a_repeat_on_request_runs_what_was_handled() -> None:
    again = replace(FACTS, generation=1, former=sighting("b.png"))

    assert judge(again) == New()


class World:
    """A disk and the watcher's books in memory, with the rules of both and nothing else."""

    def __init__(self) -> None:
        self.disk: dict[str, tuple[FileStamp, str]] = {}
        self.sightings: dict[str, Sighting] = {}
        self.handled: set[str] = set()
        self.queued: dict[str, str] = {}  # key → path
        self.runs: list[str] = []
        self.inodes = 0
        self.clock = 0

    def write(self, path: str, digest: str) -> None:
        self.clock += 1
        inode = self.disk[path][0].inode if path in self.disk else self.next_inode()
        self.disk[path] = (FileStamp(len(digest), self.clock, inode), digest)

    def next_inode(self) -> int:
        self.inodes += 1
        return self.inodes

    def touch(self, path: str) -> None:
        if path in self.disk:
            self.write(path, self.disk[path][1])

    def delete(self, path: str) -> None:
        self.disk.pop(path, None)

    def rename(self, old: str, new: str) -> None:
        if old in self.disk:
            self.disk[new] = self.disk.pop(old)

    def begin_runs(self) -> None:
        self.runs += self.queued
        self.queued.clear()

    def step(self) -> bool:
        """One scan and all that follows from it; False when there was nothing to do."""
        known = {path: item.stamp for path, item in self.sightings.items()}
        scan = Scan(files={path: stamp for path, (stamp, _) in self.disk.items()})
        steps = plan(scan, known, self.queued.values())
        for path in steps.withdraw:
            self.call_off(next(key for key, queued in self.queued.items() if queued == path))
        for path in steps.read:
            self.take(path)
        return bool(steps.read or steps.withdraw)

    def take(self, path: str) -> None:
        stamp, digest = self.disk[path]
        key = f"{path}={digest}"
        elsewhere = [
            item
            for other, item in self.sightings.items()
            if other != path
            and item.stamp.inode == stamp.inode
            and (other not in self.disk or self.disk[other][0].inode != stamp.inode)
        ]
        verdict = judge(
            Facts(
                path=path,
                stamp=stamp,
                digest=digest,
                generation=0,
                handled=key in self.handled,
                former=self.sightings.get(path),
                moved=elsewhere,
                queued=set(self.queued),
            )
        )
        match verdict:
            case Renamed(_, withdraw=str(old_key)):
                self.call_off(old_key)
                return
            case Renamed(old):
                del self.sightings[old.path]
            case New():
                self.queued[key] = path
            case Handled():
                pass
        if verdict.withdraw is not None:
            self.call_off(verdict.withdraw)
        self.handled.add(key)
        self.sightings[path] = Sighting(path=path, stamp=stamp, digest=digest, key=key, generation=0)

    def call_off(self, key: str) -> None:
        path = self.queued.pop(key)
        self.handled.discard(key)
        if self.sightings[path].key == key:
            del self.sightings[path]


PATHS = st.sampled_from(["a", "b", "c", "sub/a", "sub/b"])
EVENTS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.sampled_from(["d1", "d2", "d33"])),
    st.tuples(st.just("touch"), PATHS, st.none()),
    st.tuples(st.just("delete"), PATHS, st.none()),
    st.tuples(st.just("rename"), PATHS, PATHS),
    st.tuples(st.just("scan"), st.none(), st.none()),
    st.tuples(st.just("run"), st.none(), st.none()),
)


def play(events: list[tuple[str, str | None, str | None]]) -> World:
    world = World()
    for name, first, second in events:
        match name, first, second:
            case "write", str(path), str(digest):
                world.write(path, digest)
            case "touch", str(path), None:
                world.touch(path)
            case "delete", str(path), None:
                world.delete(path)
            case "rename", str(old), str(new) if old != new:
                world.rename(old, new)
            case "scan", _, _:
                world.step()
            case "run", _, _:
                world.begin_runs()
            case _:
                pass
    return world


@settings(max_examples=400, deadline=None)
@given(st.lists(EVENTS, max_size=40))
def test_any_history_comes_to_rest_with_every_file_handled_once(
    events: list[tuple[str, str | None, str | None]],
) -> None:
    world = play(events)
    before = dict(world.disk)
    steps = 0
    while world.step():
        steps += 1
        assert steps <= 200
    world.begin_runs()

    assert world.disk == before  # no plan touches a user's file
    assert not world.step()  # and doing it again does nothing
    assert len(world.runs) == len(set(world.runs))  # no version ran twice
    for path, (stamp, digest) in world.disk.items():
        assert world.sightings[path].stamp == stamp
        assert f"{path}={digest}" in world.handled


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENTS, max_size=30))
def test_the_same_history_gives_the_same_runs(events: list[tuple[str, str | None, str | None]]) -> None:
    worlds = [play(events), play(events)]
    for world in worlds:
        while world.step():
            pass
        world.begin_runs()

    assert worlds[0].runs == worlds[1].runs
