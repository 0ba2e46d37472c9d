import re
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QApplication

import desktop.ui
from desktop.ui.icon_set import icon, pixmap
from desktop.ui.theme import Ink

_UI = Path(desktop.ui.__file__).parent
_ICONS = sorted(path.stem for path in (_UI / "icons").glob("*.svg"))
_INKS = {name: ink for name, ink in vars(Ink).items() if isinstance(ink, QColor)}


@pytest.mark.parametrize("name", _ICONS)
def test_every_icon_can_be_drawn(name: str) -> None:
    drawn = pixmap(name, 20, Ink.AMBER, ratio=2.0).toImage()

    assert drawn.size() == QSize(40, 40)
    assert any(drawn.pixelColor(x, y).alpha() for x in range(40) for y in range(40))


def test_an_icon_that_cannot_act_looks_so() -> None:
    enabled = icon("folder").pixmap(16, 16)
    disabled = icon("folder").pixmap(16, 16, icon("folder").Mode.Disabled)

    assert isinstance(disabled, QPixmap)
    assert enabled.toImage() != disabled.toImage()


def test_every_icon_that_the_style_names_is_there() -> None:
    named = re.findall(r"url\(safelight:icons/([\w-]+)\.svg\)", (_UI / "theme.qss").read_text())

    assert named
    assert set(named) <= set(_ICONS)


def test_amber_is_the_only_colour_but_for_trouble() -> None:
    coloured = {name for name, ink in _INKS.items() if max(ink.getRgb()[:3]) - min(ink.getRgb()[:3]) > 8}

    assert coloured == {"AMBER", "QUIET_AMBER", "ON_AMBER", "TROUBLE"}


@pytest.mark.parametrize("ink", ["TEXT", "SOFT", "TROUBLE", "AMBER"])
@pytest.mark.parametrize("ground", ["WINDOW", "PANEL", "RAISED"])
def test_text_has_contrast_enough_to_read(ink: str, ground: str) -> None:
    light, dark = _luminance(_INKS[ink]), _luminance(_INKS[ground])

    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_the_palette_is_ours(qapp: QApplication) -> None:
    assert qapp.palette().window().color() == Ink.WINDOW
    assert qapp.palette().highlight().color() == Ink.AMBER


def _luminance(colour: QColor) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.getRgbF()[:3]
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
