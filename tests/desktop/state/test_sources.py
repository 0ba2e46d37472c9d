from pathlib import Path

from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from tests.desktop.window import FINDER, a_picture


def test_folders_are_looked_into_and_keep_their_place(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    one, two = a_picture(tmp_path / "shoot/a.png"), a_picture(tmp_path / "shoot/deep/b.png")
    sources = session.sources
    sources.use(FINDER)

    with qtbot.waitSignal(sources.changed):
        sources.add([tmp_path / "shoot"])

    assert sources.chosen == (tmp_path / "shoot",)
    assert sources.files == (one, two)


def test_a_picture_chosen_twice_counts_once(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    one = a_picture(tmp_path / "shoot/a.png")
    sources = session.sources
    sources.use(FINDER)
    with qtbot.waitSignal(sources.changed):
        sources.add([tmp_path / "shoot", one])

    assert sources.files == (one,)


def test_says_why_something_is_left_out(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    session.sources.use(FINDER)

    with qtbot.waitSignal(session.sources.refused) as told:
        session.sources.add([tmp_path / "notes.txt"])

    assert told.args == [("notes.txt is not a picture that Safelight reads",)]


def test_what_comes_before_the_core_waits_for_it(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    one = a_picture(tmp_path / "a.png")
    session.sources.add([one])
    assert session.sources.files == ()

    with qtbot.waitSignal(session.sources.changed):
        session.sources.use(FINDER)

    assert session.sources.files == (one,)


def test_a_pasted_picture_becomes_a_file(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    picture = QImage(8, 6, QImage.Format.Format_RGB32)
    picture.fill(0)

    with qtbot.waitSignal(session.sources.changed):
        session.sources.paste(picture)

    assert session.sources.files == (tmp_path / "pasted" / "pasted.png",)
    assert QImage(str(session.sources.files[0])).size() == picture.size()


def test_says_where_a_pasted_picture_could_not_be_kept(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "pasted").write_text("a file where the folder should be")

    with qtbot.waitSignal(session.sources.refused) as told:
        session.sources.paste(QImage(8, 6, QImage.Format.Format_RGB32))

    assert "pasted.png could not be written" in told.args[0][0]
