import pytest
from PySide6.QtCore import QPointF, QRectF, QSizeF

from desktop.ui.widgets.lens import Lens, fit_scale, lens_rect, moved, zoomed

_PICTURE = QSizeF(2000, 1000)
_FRAME = QRectF(10, 20, 500, 400)


def test_fits_the_whole_picture_in_the_middle() -> None:
    assert lens_rect(Lens(), _PICTURE, _FRAME) == QRectF(10, 95, 500, 250)


def test_a_small_picture_is_not_blown_up() -> None:
    assert fit_scale(QSizeF(10, 10), _FRAME.size()) == 2.0


@pytest.mark.parametrize("at", [QPointF(100, 120), QPointF(260, 220), QPointF(500, 330)])
def test_the_point_under_the_pointer_stays_while_zooming(at: QPointF) -> None:
    def picture_point(lens: Lens) -> tuple[float, float]:
        rect = lens_rect(lens, _PICTURE, _FRAME)
        return (at.x() - rect.left()) / rect.width(), (at.y() - rect.top()) / rect.height()

    once = zoomed(Lens(0.6), 1.5, at, _PICTURE, _FRAME)

    assert once.scale == pytest.approx(0.9)
    assert picture_point(once) == pytest.approx(picture_point(Lens(0.6)))


def test_zooming_out_ends_at_the_whole_picture() -> None:
    assert zoomed(Lens(0.3), 0.5, QPointF(0, 0), _PICTURE, _FRAME) == Lens()


def test_zooming_in_ends_somewhere() -> None:
    assert zoomed(Lens(10.0), 100, _FRAME.center(), _PICTURE, _FRAME).scale == 16.0


def test_a_dragged_picture_follows_and_keeps_its_edge_in_sight() -> None:
    lens = Lens(1.0)
    before = lens_rect(lens, _PICTURE, _FRAME)

    after = lens_rect(moved(lens, QPointF(-30, 10), _PICTURE, _FRAME), _PICTURE, _FRAME)
    far = lens_rect(moved(lens, QPointF(9000, 9000), _PICTURE, _FRAME), _PICTURE, _FRAME)

    assert after.topLeft() - before.topLeft() == QPointF(-30, 10)
    assert far.topLeft() == _FRAME.topLeft()
