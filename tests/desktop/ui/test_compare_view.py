from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.state.picture import Picture
from desktop.ui.widgets.compare_view import CompareView

_RED, _BLUE = QColor("#aa0000"), QColor("#0000aa")


def _plain(colour: QColor, width: int = 400, height: int = 300) -> Picture:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(colour)
    return Picture.whole(image)


@pytest.fixture
def view(qtbot: QtBot) -> CompareView:
    view = CompareView()
    qtbot.addWidget(view)
    view.resize(424, 324)
    view.show_pictures(_plain(_RED), _plain(_BLUE), captions=("", ""), keep_lens=False)
    view.show()
    return view


def _colour(view: CompareView, x: int, y: int = 60) -> QColor:
    return view.grab().toImage().pixelColor(x, y)


def test_the_divider_cuts_before_from_after(view: CompareView) -> None:
    assert (_colour(view, 60), _colour(view, 360)) == (_RED, _BLUE)

    view.set_divider(0.05)
    assert (_colour(view, 60), _colour(view, 360)) == (_BLUE, _BLUE)


def test_the_divider_is_dragged(view: CompareView, qtbot: QtBot) -> None:
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(212, 160))
    qtbot.mouseMove(view, QPoint(112, 160))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(112, 160))

    assert view.divider == pytest.approx(0.25, abs=0.01)


def test_the_divider_is_moved_by_keys(view: CompareView, qtbot: QtBot) -> None:
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.divider == pytest.approx(0.52)
    qtbot.keyClick(view, Qt.Key.Key_Left)
    assert view.divider == pytest.approx(0.5)
    qtbot.keyClick(view, Qt.Key.Key_Home)
    assert view.divider == 0.0
    qtbot.keyClick(view, Qt.Key.Key_End)
    assert view.divider == 1.0


def test_holding_a_key_shows_the_original(view: CompareView, qtbot: QtBot) -> None:
    qtbot.keyPress(view, Qt.Key.Key_O)
    assert _colour(view, 360) == _RED
    qtbot.keyRelease(view, Qt.Key.Key_O)
    assert _colour(view, 360) == _BLUE


def test_the_wheel_zooms_and_keys_bring_it_back(view: CompareView, qtbot: QtBot) -> None:
    assert view.percent == 100
    wheel = QWheelEvent(
        QPointF(200, 150), QPointF(200, 150), QPoint(), QPoint(0, 480),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view, wheel)
    assert view.percent is not None
    assert view.percent > 150
    assert not view.is_fitted

    qtbot.keyClick(view, Qt.Key.Key_F)
    assert view.is_fitted
    qtbot.keyClick(view, Qt.Key.Key_1)
    assert view.percent == 100


def test_pictures_of_other_shapes_stand_side_by_side(view: CompareView) -> None:
    view.show_pictures(_plain(_RED, 400, 300), _plain(_BLUE, 300, 300), captions=("", ""), keep_lens=False)
    view.set_divider(1.0)

    assert (_colour(view, 110, 160), _colour(view, 320, 160)) == (_RED, _BLUE)


def test_a_reduced_picture_counts_as_its_file(view: CompareView, qtbot: QtBot) -> None:
    small = _plain(_BLUE)
    view.show_pictures(None, Picture(small.image, small.full * 4), captions=("", ""), keep_lens=False)

    assert view.percent == 25


def test_draws_attention_to_nothing_while_empty(qtbot: QtBot, tmp_path: Path) -> None:
    view = CompareView()
    qtbot.addWidget(view)

    assert view.percent is None
    assert not view.grab().isNull()
