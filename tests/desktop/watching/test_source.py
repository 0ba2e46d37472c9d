import sys
from pathlib import Path

import pytest

from desktop.watching.changes import Change, Report
from desktop.watching.hot_folder import set_up_hot_folder
from desktop.watching.local_watcher import local_watcher
from desktop.watching.mounts import Mount
from desktop.watching.notices import Notice, NoticeKind
from desktop.watching.scanner import folder_identity
from desktop.watching.source import Presence, Source, WatcherMaker
from shared.presets.bundle import Preset


def source_of(
    tmp_path: Path,
    preset: Preset,
    notices: list[Notice],
    *,
    folder: Path | None = None,
    mount: Mount | None = None,
    watcher_for: WatcherMaker = local_watcher,
) -> Source:
    source = folder or tmp_path / "source"
    source.mkdir(exist_ok=True)
    hot = set_up_hot_folder(source=source, out=tmp_path / "out", preset=preset, values={})
    heard: list[Change] = []
    return Source(
        folder=hot,
        identity=folder_identity(hot.source),
        report=heard.extend,
        notify=notices.append,
        mount=mount,
        watcher_for=watcher_for,
    )


class _Silent:
    """The system's watcher on a share that reports nothing."""

    def __init__(self, root: Path, *, suffixes: frozenset[str], report: Report) -> None: ...

    def start(self) -> None: ...

    def close(self) -> None: ...


def test_without_watches_it_polls_and_says_so(tmp_path: Path, preset: Preset) -> None:
    notices: list[Notice] = []
    source = source_of(tmp_path, preset, notices)
    source.watch()
    assert source.is_watched

    source.note_unwatched("the system has no folder watches left")
    assert not source.is_watched
    assert [notice.kind for notice in notices] == [NoticeKind.POLLING]
    source.unwatch()


def test_another_folder_in_its_place_is_known_by_its_files(tmp_path: Path, preset: Preset) -> None:
    source = source_of(tmp_path, preset, [])
    path = tmp_path / "source/a.png"
    path.write_bytes(b"x")
    known = source.scan().files
    (tmp_path / "source").rename(tmp_path / "away")
    assert source.presence() is Presence.MISSING

    (tmp_path / "source").mkdir()
    assert source.presence() is Presence.REPLACED
    assert not source.adopt_if_familiar(known)

    (tmp_path / "away/a.png").rename(path)
    assert source.adopt_if_familiar(known)
    assert source.is_in_place()


def test_an_unknown_disk_is_asked_whether_it_reports_changes(tmp_path: Path, preset: Preset) -> None:
    notices: list[Notice] = []
    source = source_of(tmp_path, preset, notices, mount=Mount.UNKNOWN)
    (tmp_path / "source/.safelight-probe-left").touch()
    source.watch()
    assert source.is_watched
    assert notices == []
    assert list((tmp_path / "source").iterdir()) == []
    source.unwatch()


def test_a_disk_that_reports_nothing_is_polled_and_given_time(tmp_path: Path, preset: Preset) -> None:
    notices: list[Notice] = []
    source = source_of(tmp_path, preset, notices, mount=Mount.UNKNOWN, watcher_for=_Silent)
    source.watch()
    assert not source.is_watched
    assert source.mount is Mount.NETWORK
    assert "it reports no changes" in notices[0].message
    assert list((tmp_path / "source").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks a folder that nobody can write in")
def test_a_disk_that_cannot_be_asked_is_polled(tmp_path: Path, preset: Preset) -> None:
    notices: list[Notice] = []
    source = source_of(tmp_path, preset, notices, folder=Path("/proc/sys/fs/inotify"))
    assert source.mount is Mount.UNKNOWN
    source.watch()
    assert not source.is_watched
    source.unwatch()


def test_a_share_is_polled_though_it_reports_what_this_machine_does(tmp_path: Path, preset: Preset) -> None:
    notices: list[Notice] = []
    source = source_of(tmp_path, preset, notices, mount=Mount.NETWORK)
    source.watch()
    assert not source.is_watched
    assert [notice.kind for notice in notices] == [NoticeKind.POLLING]
    source.unwatch()
