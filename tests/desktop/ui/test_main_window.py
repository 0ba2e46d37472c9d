from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QFont, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QMessageBox,
    QScrollArea,
    QSplitter,
    QWidget,
)
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from desktop.ui.desk import Desk
from desktop.ui.main_window import MainWindow
from desktop.ui.messages import Text, linked, plain, say
from desktop.ui.widgets.elided_label import ElidedLabel
from desktop.ui.widgets.sign_button import SignButton
from desktop.views import DevelopRequest, EngineView
from shared.jobs.state import JobState
from tests.desktop.window import GLOW, a_job, a_picture, a_preset, a_session, opened


def _desk(window: MainWindow) -> Desk:
    desk = window.centralWidget()
    assert isinstance(desk, Desk)
    return desk


def _furnished(session: Session, qtbot: QtBot) -> MainWindow:
    window = MainWindow(session.remembered)
    qtbot.addWidget(window)
    desk = Desk(session, open_file=bool, show_in_folder=bool)
    window.furnish(desk, may_close=desk.may_close)
    window.show()
    return window


def test_says_what_to_do_from_start_to_finish(
    window: MainWindow, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    panel = _desk(window).develop_panel
    assert not panel.develop.isEnabled()
    assert panel.advice == "One moment, the darkroom is being made ready."

    opened(session, a_preset())
    assert panel.advice == "Add pictures to develop them."

    one = a_picture(tmp_path / "one.png")
    with qtbot.waitSignal(session.sources.changed):
        session.sources.add([one])
    assert (panel.advice, panel.develop.text()) == ("", "&Develop 1 picture")

    with qtbot.waitSignal(session.develop_wanted) as wanted:
        qtbot.mouseClick(panel.develop, Qt.MouseButton.LeftButton)
    assert wanted.args == [DevelopRequest(paths=(one,), preset_id="glow", values={}, out=None, engine="auto")]
    assert not panel.develop.isEnabled()


def test_a_preset_that_cannot_run_says_why(window: MainWindow, session: Session) -> None:
    reason = "sd15.safetensors is missing: put it into models/checkpoints of your ComfyUI"
    opened(session, a_preset(instant=False, unavailable=reason))

    assert _desk(window).develop_panel.trouble == reason
    assert not session.can_develop()


def test_where_a_model_comes_from_is_a_link() -> None:
    reason = "a & b is missing; put it into models/, from https://models.example/a/b.safetensors"

    assert linked(reason) == (
        "a &amp; b is missing; put it into models/, "
        'from <a href="https://models.example/a/b.safetensors">models.example</a>'
    )
    assert linked("nobody answers at http://127.0.0.1:8188: start it") == (
        "nobody answers at http://127.0.0.1:8188: start it"
    )


def test_a_sample_can_be_tried(window: MainWindow, session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    looks = a_picture(tmp_path / "looks.png")
    opened(session, a_preset(looks=looks))

    with qtbot.waitSignal(session.sources.changed):
        _desk(window).source_panel.drop_zone.sample_wanted.emit()

    assert session.sources.files == (looks,)


def test_choosing_a_card_changes_form_and_viewer(window: MainWindow, session: Session) -> None:
    opened(session, a_preset("amber"), a_preset("glow", parameters=()))
    assert session.preset is not None
    assert session.preset.id == "amber"

    _desk(window).source_panel.gallery.setCurrentIndex(session.presets.index(1, 0))

    assert session.preset.id == "glow"
    assert session.form.values == {}
    assert session.spotlight.subject is not None
    assert session.spotlight.subject.title == "Glow"


def test_counts_the_run_in_pictures(window: MainWindow, session: Session) -> None:
    opened(session, a_preset())
    session.take_jobs([a_job(1), a_job(2), a_job(3)])
    session.take_jobs([a_job(1, JobState.COMPLETED), a_job(2, JobState.FAILED, error="broken")])
    assert _desk(window).activity.progress_text == "2 of 3 pictures · 1 failed"

    session.take_jobs([a_job(3, JobState.COMPLETED, outputs=(Path("/out/3.png"),))])
    assert _desk(window).activity.progress_text == "2 done · 1 failed"


def test_counts_what_the_output_folder_does_not_take(window: MainWindow, session: Session) -> None:
    opened(session, a_preset())
    session.take_jobs([a_job(1), a_job(2)])
    session.take_jobs([a_job(1, JobState.COMPLETED), a_job(2, JobState.COMPLETED, error="the disk is full")])
    assert _desk(window).activity.progress_text == "1 done · 1 not saved yet"

    session.take_jobs([a_job(2, JobState.COMPLETED, outputs=(Path("/out/2.png"),))])
    assert _desk(window).activity.progress_text == "2 pictures done"


def test_counts_that_have_no_room_lose_their_last_word_first(
    window: MainWindow, session: Session, qapp: QApplication
) -> None:
    opened(session, a_preset())
    session.take_jobs([a_job(1), a_job(2)])
    session.take_jobs([a_job(1, JobState.COMPLETED), a_job(2, JobState.FAILED, error="broken")])
    words = next(label for label in window.findChildren(ElidedLabel) if label.whole == "1 done · 1 failed")
    words.setFixedWidth(words.fontMetrics().horizontalAdvance("1 done · 1 fai"))
    qapp.processEvents()

    assert words.text().startswith("1 done · 1")
    assert words.text().endswith("…")


def test_a_cancelled_picture_is_not_counted_as_done(window: MainWindow, session: Session) -> None:
    opened(session, a_preset())
    session.take_jobs([a_job(1), a_job(2)])
    session.take_jobs([a_job(1, JobState.COMPLETED), a_job(2, JobState.CANCELLED)])
    assert _desk(window).activity.progress_text == "1 done · 1 cancelled"

    session.take_jobs([a_job(3)])
    session.take_jobs([a_job(3, JobState.COMPLETED)])
    assert _desk(window).activity.progress_text == "1 picture done"


def test_failed_jobs_are_tried_again_together(window: MainWindow, session: Session, qtbot: QtBot) -> None:
    opened(session, a_preset())
    session.take_jobs([a_job(1), a_job(2)])
    session.take_jobs([a_job(1, JobState.FAILED, error="a"), a_job(2, JobState.FAILED, error="b")])
    wanted: list[str] = []
    session.retry_wanted.connect(wanted.append)

    button = next(b for b in window.findChildren(QAbstractButton) if b.text() == "Tr&y failed again")
    assert button.isVisible()
    button.click()

    assert wanted == ["job-1", "job-2"]


def test_a_notice_stays_until_it_is_dismissed(window: MainWindow, session: Session) -> None:
    session.tell("The disk is full: free some space", trouble=True)
    assert _desk(window).notice_bar.isVisible()
    assert _desk(window).notice_bar.text == "The disk is full: free some space"


def test_an_engine_that_does_not_answer_is_marked(window: MainWindow, session: Session) -> None:
    opened(session, a_preset())
    session.show_engines([EngineView(name="comfy", reachable=False, detail="no answer at 127.0.0.1:8188")])
    combo = next(box for box in window.findChildren(QComboBox) if box.accessibleName() == "Develop with")

    assert combo.itemText(combo.findData("comfy")) == "ComfyUI (no answer)"
    combo.setCurrentIndex(combo.findData("builtin"))
    combo.activated.emit(combo.currentIndex())
    assert session.engine == "builtin"


def test_says_what_pictures_will_wait_for(
    window: MainWindow, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    opened(session, a_preset())
    with qtbot.waitSignal(session.sources.changed):
        session.sources.add([a_picture(tmp_path / "one.png")])
    session.choose_engine("cloud")

    session.show_engines([EngineView(name="cloud", reachable=False, detail="the cloud needs an API key")])

    assert _desk(window).develop_panel.advice == "They will wait in the queue. The cloud needs an API key"
    assert session.can_develop()


def test_remembers_its_shape_and_choices(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    first = _furnished(session, qtbot)
    first.resize(960, 690)
    opened(session, a_preset("amber"), a_preset("glow"))
    session.choose_preset(a_preset("glow"))
    session.form.set("glow", 77)
    session.choose_out_folder(tmp_path / "out")
    first.close()
    session.remembered.save()

    again = a_session(tmp_path)
    second = _furnished(again, qtbot)
    opened(again, a_preset("amber"), a_preset("glow"))

    assert second.size() == QSize(960, 690)
    assert again.preset is not None
    assert (again.preset.id, again.form.values, again.out_folder) == ("glow", {"glow": 77}, tmp_path / "out")
    again.close()


@pytest.mark.parametrize(("answer", "closes"), [("&Keep open", False), ("&Close now", True)])
def test_asks_before_it_leaves_work_behind(
    window: MainWindow, session: Session, qtbot: QtBot, answer: str, closes: bool
) -> None:
    opened(session, a_preset())
    session.take_jobs([a_job(1, JobState.PROCESSING)])
    closed: list[None] = []
    window.closing.connect(lambda: closed.append(None))

    def reply() -> None:
        (box,) = window.findChildren(QMessageBox)
        next(button for button in box.buttons() if button.text() == answer).click()

    QTimer.singleShot(0, reply)
    window.close()

    assert bool(closed) is closes
    assert window.isVisible() is not closes
    session.take_jobs([a_job(1, JobState.COMPLETED)])


def test_everything_that_takes_the_focus_has_a_name(window: MainWindow, session: Session) -> None:
    opened(session, a_preset())
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox)
    nameless = [
        widget
        for widget in window.findChildren(QWidget)
        if isinstance(widget, kinds)
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
        and not isinstance(widget.parent(), QAbstractSpinBox | QComboBox)
        and not (widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text()))
    ]

    assert nameless == []


@pytest.mark.parametrize("size", [QSize(960, 600), QSize(1024, 640), QSize(1920, 1080)])
def test_nothing_is_cut_off(window: MainWindow, session: Session, size: QSize, qapp: QApplication) -> None:
    opened(session, a_preset())
    window.resize(size)
    for splitter in window.findChildren(QSplitter):
        splitter.setSizes([0, 9999, 0])  # the panels at the sides as narrow as they go
    qapp.processEvents()

    cut = [
        widget
        for widget in window.findChildren(QAbstractButton)
        if widget.isVisible() and widget.width() < widget.minimumSizeHint().width()
    ]
    assert cut == []
    assert all(area.horizontalScrollBar().maximum() == 0 for area in window.findChildren(QScrollArea))


def test_results_in_a_narrow_window_keep_their_buttons(
    window: MainWindow, session: Session, qapp: QApplication
) -> None:
    opened(session, a_preset())
    widths = []
    for width in (1400, 960):
        window.resize(width, 640)
        _desk(window).activity.show_results()
        qapp.processEvents()
        [button] = [
            button
            for button in window.findChildren(SignButton)
            if button.accessibleName() == plain(Text.SHOW_IN_FOLDER)
        ]
        assert (button.text() or button.toolTip()).replace("&", "") == plain(Text.SHOW_IN_FOLDER)
        assert button.shortcut() == QKeySequence.mnemonic(say(Text.SHOW_IN_FOLDER))
        needed = button.sizeHint() if button.text() else button.minimumSizeHint()
        assert button.width() >= needed.width()
        widths.append(bool(button.text()))
    assert widths == [True, False]


@pytest.mark.parametrize("width", [960, 1160, 1500])
def test_results_fill_their_columns_at_every_width(
    window: MainWindow, session: Session, tmp_path: Path, width: int, qapp: QApplication
) -> None:
    opened(session, a_preset())
    outputs = [a_picture(tmp_path / f"{number}.png") for number in range(12)]
    session.take_jobs([a_job(n, JobState.COMPLETED, outputs=(path,)) for n, path in enumerate(outputs)])
    window.resize(width, 640)
    results = _desk(window).activity.results
    _desk(window).activity.show_results()
    qapp.processEvents()
    results.doItemsLayout()

    cells = [results.visualRect(session.results.index(row, 0)) for row in range(12)]
    columns = sum(cell.top() == cells[0].top() for cell in cells)
    assert columns >= 2
    assert results.width() - columns * results.gridSize().width() < 40


@pytest.fixture
def large_text(qapp: QApplication) -> Iterator[None]:
    """As of somebody who asked the system for it."""
    usual = qapp.font()
    large = QFont(usual)
    large.setPointSizeF(usual.pointSizeF() * 1.5)
    qapp.setFont(large)
    yield
    qapp.setFont(usual)


@pytest.mark.usefixtures("large_text")
def test_large_text_has_room(session: Session, qtbot: QtBot) -> None:
    window = _furnished(session, qtbot)
    more = tuple(replace(GLOW, id=f"glow_{number}") for number in range(20))
    opened(session, a_preset(parameters=(GLOW, *more)))
    session.take_jobs([a_job(1, JobState.COMPLETED)])
    window.resize(1280, 800)

    kinds = (QAbstractButton, QAbstractSpinBox, QComboBox, QLabel)

    def cut_off() -> list[QWidget]:
        parts = [
            part for part in window.findChildren(QWidget) if isinstance(part, kinds) and part.isVisible()
        ]
        return [part for part in parts if part.size().expandedTo(part.minimumSizeHint()) != part.size()]

    qtbot.waitUntil(lambda: cut_off() == [])
    queue = _desk(window).activity.queue
    assert queue.rowHeight(0) >= 2 * queue.fontMetrics().height() + 16


@pytest.mark.parametrize("width", [250, 251, 280, 281])
def test_cards_fill_their_columns_at_every_width(
    window: MainWindow, session: Session, width: int, qapp: QApplication
) -> None:
    opened(session, *[a_preset(f"preset-{number}") for number in range(9)])
    gallery = _desk(window).source_panel.gallery
    gallery.setFixedWidth(width)
    qapp.processEvents()
    gallery.doItemsLayout()

    first, second = (gallery.visualRect(session.presets.index(row, 0)) for row in (0, 1))
    assert second.top() == first.top()


def test_a_long_name_is_cut_in_the_middle_and_told_whole(window: MainWindow, session: Session) -> None:
    opened(session, a_preset())
    name = "A wedding in the old town hall of Gothenburg, second photographer, 2026-11-21 IMG_143512.jpg"
    window.resize(960, 600)
    session.spotlight.show_source(Path("/in") / name)
    title = next(label for label in window.findChildren(ElidedLabel) if label.whole == name)

    assert title.text().startswith("A ")
    assert "…" in title.text()
    assert title.toolTip() == name
