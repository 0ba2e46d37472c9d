import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from desktop.watching.changes import Change, ChangeKind

if sys.platform != "linux":
    pytest.skip("inotify is Linux's", allow_module_level=True)

from desktop.watching.linux_watcher import LinuxWatcher

SUFFIXES = frozenset({".png"})


class Heard:
    """What the watcher reported, and waiting for it with a bound."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._more = threading.Condition()

    def report(self, changes: Sequence[Change]) -> None:
        with self._more:
            self.changes += changes
            self._more.notify_all()

    def until(self, holds: Callable[[list[Change]], bool], timeout_s: float = 60.0) -> list[Change]:
        with self._more:
            assert self._more.wait_for(lambda: holds(self.changes), timeout_s), self.changes[-20:]
            return list(self.changes)

    def finished(self) -> set[str]:
        return {
            change.path for change in self.changes if change.kind in {ChangeKind.CLOSED, ChangeKind.FOUND}
        }


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def root(tmp_path: Path, heard: Heard) -> Iterator[Path]:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    watcher = LinuxWatcher(source, suffixes=SUFFIXES, report=heard.report)
    watcher.start()
    yield source
    watcher.close()


def test_a_close_after_writing_is_reported_once(root: Path, heard: Heard) -> None:
    (root / "sub/a.png").write_bytes(b"x")

    assert heard.until(lambda changes: len(changes) >= 2) == [
        Change(ChangeKind.OPENED, "sub/a.png"),
        Change(ChangeKind.CLOSED, "sub/a.png"),
    ]


def test_a_temporary_name_is_heard_of_only_once_it_is_final(root: Path, heard: Heard) -> None:
    (root / ".a.png.Xy12").write_bytes(b"x")
    (root / ".a.png.Xy12").rename(root / "a.png")

    assert heard.until(bool) == [Change(ChangeKind.CLOSED, "a.png")]


def test_a_rename_is_an_end_and_an_arrival(root: Path, heard: Heard) -> None:
    (root / "a.png").write_bytes(b"x")
    (root / "a.png").rename(root / "b.png")

    assert heard.until(lambda changes: len(changes) >= 4)[-2:] == [
        Change(ChangeKind.GONE, "a.png"),
        Change(ChangeKind.CLOSED, "b.png"),
    ]


def test_a_folder_moved_in_is_listed_and_watched(root: Path, heard: Heard, tmp_path: Path) -> None:
    outside = tmp_path / "outside/deep"
    outside.mkdir(parents=True)
    for number in range(500):
        (outside / f"{number}.png").write_bytes(b"x")
    (tmp_path / "outside").rename(root / "moved")

    heard.until(lambda _: len(heard.finished()) == 500)
    (root / "moved/deep/late.png").write_bytes(b"x")
    heard.until(lambda changes: Change(ChangeKind.CLOSED, "moved/deep/late.png") in changes)


def test_a_renamed_folder_keeps_its_watch_under_its_new_name(root: Path, heard: Heard) -> None:
    (root / "sub/inner").mkdir()
    (root / "sub").rename(root / "renamed")
    heard.until(lambda changes: Change(ChangeKind.RESCAN) in changes)
    (root / "renamed/inner/a.png").write_bytes(b"x")

    heard.until(lambda changes: Change(ChangeKind.CLOSED, "renamed/inner/a.png") in changes)
    assert "sub/inner/a.png" not in heard.finished()


def test_a_folder_moved_away_is_watched_no_more(root: Path, heard: Heard, tmp_path: Path) -> None:
    (root / "sub").rename(tmp_path / "away")
    heard.until(lambda changes: Change(ChangeKind.RESCAN) in changes)
    (tmp_path / "away/a.png").write_bytes(b"x")
    (root / "b.png").write_bytes(b"x")

    heard.until(lambda changes: Change(ChangeKind.CLOSED, "b.png") in changes)
    assert heard.finished() == {"b.png"}


def test_the_loss_of_the_source_is_reported(root: Path, heard: Heard) -> None:
    root.rename(root.with_name("elsewhere"))

    heard.until(lambda changes: Change(ChangeKind.LOST) in changes)


def test_nothing_is_lost_in_a_burst_with_new_subfolders(root: Path, heard: Heard) -> None:
    for number in range(4000):
        folder = root / f"new{number % 40}/in{number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(b"x")

    heard.until(lambda _: len(heard.finished()) == 4000)


def test_an_overflow_asks_for_a_scan_and_watches_what_was_missed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    heard = Heard()
    blocked = threading.Event()

    def report(changes: Sequence[Change]) -> None:
        blocked.wait(30)
        heard.report(changes)

    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip("the system's queue is too long to overflow it here")
    watcher = LinuxWatcher(source, suffixes=SUFFIXES, report=report)
    watcher.start()
    try:
        (source / "first.png").write_bytes(b"x")
        for _ in range(limit // 2 + 10):  # each makes two events
            os.close(os.open(source / "a.png", os.O_WRONLY | os.O_CREAT))
            (source / "a.png").unlink()
        (source / "late").mkdir()
        blocked.set()
        heard.until(lambda changes: Change(ChangeKind.RESCAN) in changes)
        (source / "late/b.png").write_bytes(b"x")
        heard.until(lambda changes: Change(ChangeKind.CLOSED, "late/b.png") in changes)
    finally:
        blocked.set()
        watcher.close()
