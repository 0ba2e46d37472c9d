from pathlib import Path

from desktop.watching.changes import Change
from desktop.watching.hot_folder import set_up_hot_folder
from desktop.watching.notices import Notice, NoticeKind
from desktop.watching.scanner import folder_identity
from desktop.watching.source import Presence, Source
from shared.presets.bundle import Preset


def source_of(tmp_path: Path, preset: Preset, notices: list[Notice]) -> Source:
    (tmp_path / "source").mkdir()
    folder = set_up_hot_folder(source=tmp_path / "source", out=tmp_path / "out", preset=preset, values={})
    heard: list[Change] = []
    return Source(
        folder=folder,
        identity=folder_identity(folder.source),
        report=heard.extend,
        notify=notices.append,
    )


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
