"""The window without a mouse: every control in reach, in order, named, and seen when it has the focus."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAccessible, QImage, QKeySequence
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox, QLabel, QWidget
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from desktop.ui.desk import Desk
from desktop.ui.main_window import MainWindow
from shared.jobs.state import JobState
from shared.presets.parameter import Level, Parameter, ParameterType
from tests.desktop.window import GLOW, a_job, a_picture, a_preset, opened

_WARMTH = Parameter(id="warmth", type=ParameterType.BOOL, label="Warmth", help="Warmer.", default=False)
_SEED = Parameter(
    id="seed", type=ParameterType.SEED, label="Seed", help="Another one.", default=1, level=Level.ADVANCED
)


@pytest.fixture
def desk(window: MainWindow, session: Session, tmp_path: Path, qtbot: QtBot) -> Desk:
    """Pictures chosen, a form changed, a queue with a failed job, and something to show."""
    opened(session, a_preset(looks=a_picture(tmp_path / "looks.png"), parameters=(GLOW, _WARMTH, _SEED)))
    with qtbot.waitSignal(session.sources.changed):
        session.sources.add([a_picture(tmp_path / "one.png", 300, 200)])
    session.take_jobs([a_job(1), a_job(2)])
    session.take_jobs(
        [
            a_job(1, JobState.COMPLETED, outputs=(a_picture(tmp_path / "out.png"),)),
            a_job(2, JobState.FAILED, error="2.png is empty"),
        ]
    )
    session.form.set("glow", 80)
    session.tell("Something went wrong", trouble=True)
    desk = window.centralWidget()
    assert isinstance(desk, Desk)
    qtbot.waitUntil(lambda: not desk.viewer.is_reading and not session.pictures.is_reading)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return desk


def _walk(desk: Desk, qtbot: QtBot, key: Qt.Key = Qt.Key.Key_Tab) -> Iterator[QWidget]:
    """What gets the focus, once round."""
    desk.setFocus()
    first: QWidget | None = None
    for _ in range(100):
        qtbot.keyClick(QApplication.focusWidget() or desk, key)
        widget = QApplication.focusWidget()
        assert widget is not None
        if widget is first:
            return
        first = first or widget
        yield widget
    raise AssertionError("the walk has no end")


def _name(widget: QWidget) -> str:
    return QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)


def _is_control(widget: QWidget) -> bool:
    inner = isinstance(widget.parent(), QAbstractSpinBox | QComboBox)
    other_tab = isinstance(widget, QAbstractButton) and widget.group() is not None and not widget.isChecked()
    return (
        not inner
        and not other_tab  # arrow keys lead there
        and widget.isVisible()
        and widget.isEnabled()
        and bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)
    )


def test_the_tab_key_goes_through_the_work_in_its_order(desk: Desk, qtbot: QtBot) -> None:
    next(one for one in desk.findChildren(QAbstractButton) if one.text() == "Advanced").setChecked(True)

    assert [_name(widget) for widget in _walk(desk, qtbot)] == [
        "Clear",
        "Chosen pictures; arrow keys look at them",
        "Add more…",
        "Add folder…",
        "Preset gallery",
        "Original",
        "Fit",
        "Actual size",
        "Before and after; arrow keys move the divider, hold O for the original",
        "Queue",
        "Try failed again",
        "Queue",
        "Reset all",
        "Glow: Reset to 50",
        "Glow",
        "Glow",
        "Warmth",
        "Advanced",
        "Seed",
        "Throw the dice for another seed",
        "Automatic",
        "Choose where finished pictures go",
        "Develop 1 picture",
        "Dismiss",
    ]


def test_nothing_is_out_of_reach(desk: Desk, qtbot: QtBot) -> None:
    for turn_page in (desk.activity.show_queue, desk.activity.show_results):
        turn_page()
        wanted = {widget for widget in desk.findChildren(QWidget) if _is_control(widget)}

        for key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
            assert {widget for widget in _walk(desk, qtbot, key) if _is_control(widget)} == wanted
        assert [widget for widget in wanted if not _name(widget)] == []


def test_the_focus_is_seen_wherever_it_is(desk: Desk, qtbot: QtBot) -> None:
    unseen = []
    for turn_page in (desk.activity.show_queue, desk.activity.show_results):
        turn_page()
        for widget in list(_walk(desk, qtbot)):
            widget.setFocus(Qt.FocusReason.TabFocusReason)
            with_focus = _looks(desk, widget)
            desk.setFocus()
            if with_focus == _looks(desk, widget):
                unseen.append(_name(widget))

    assert unseen == []


def _looks(desk: Desk, widget: QWidget) -> QImage:
    QApplication.processEvents()
    place = widget.rect().translated(widget.mapTo(desk, QPoint()))
    return desk.grab(place).toImage()


def test_arrow_keys_turn_the_page(desk: Desk, qtbot: QtBot) -> None:
    tab = next(button for button in desk.findChildren(QAbstractButton) if button.text() == "&Queue")
    tab.setFocus()

    qtbot.keyClick(tab, Qt.Key.Key_Right)

    assert desk.activity.results.isVisible()


def test_no_two_controls_share_a_key(desk: Desk) -> None:
    for turn_page in (desk.activity.show_queue, desk.activity.show_results):
        turn_page()
        texts = [
            widget.text()
            for widget in desk.findChildren(QWidget)
            if isinstance(widget, QAbstractButton | QLabel) and widget.isVisible()
        ]
        keys = Counter(QKeySequence.mnemonic(text).toString() for text in texts)
        del keys[""]

        assert len(keys) > 6
        assert [key for key, count in keys.items() if count > 1] == []


def test_escape_puts_a_notice_away(desk: Desk, qtbot: QtBot) -> None:
    assert desk.notice_bar.isVisible()

    qtbot.keyClick(desk, Qt.Key.Key_Escape)

    assert not desk.notice_bar.isVisible()


def test_enter_begins_where_the_button_has_the_focus(desk: Desk, session: Session, qtbot: QtBot) -> None:
    desk.develop_panel.develop.setFocus()
    with qtbot.waitSignal(session.develop_wanted):
        qtbot.keyClick(desk.develop_panel.develop, Qt.Key.Key_Return)
