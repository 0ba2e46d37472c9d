"""The darkroom: neutral greys, one amber accent."""

from pathlib import Path

from PySide6.QtCore import QDir
from PySide6.QtGui import QColor, QFont, QFontInfo, QPalette
from PySide6.QtWidgets import QApplication

__all__ = ["STYLE", "Ink", "apply_theme", "small_font", "text_scale", "title_font"]

# For the QApplication: asked for afterwards, Python's view of a style alone takes as long as a window.
STYLE = ("-style", "fusion")

_HERE = Path(__file__).parent
_USUAL_PIXELS = 13


class Ink:
    """The colours that code paints with; theme.qss repeats the ones that it needs."""

    SURROUND = QColor("#161616")
    WINDOW = QColor("#1e1e1e")
    PANEL = QColor("#242424")
    RAISED = QColor("#2d2d2d")
    HOVER = QColor("#353535")
    LINE = QColor("#3a3a3a")
    FAINT = QColor("#7d7d7d")
    SOFT = QColor("#a6a6a6")
    TEXT = QColor("#e8e8e8")
    AMBER = QColor("#f2a33a")
    QUIET_AMBER = QColor("#a8763a")
    ON_AMBER = QColor("#1a1206")
    TROUBLE = QColor("#e2897c")
    DISABLED = QColor("#5c5c5c")


def apply_theme(application: QApplication) -> None:
    QDir.addSearchPath("safelight", str(_HERE))
    application.setPalette(_palette())
    application.setFont(_font(application.font()))
    application.setStyleSheet((_HERE / "theme.qss").read_text(encoding="utf-8"))


def title_font(base: QFont, *, points: float = 2.0) -> QFont:
    font = QFont(base)
    font.setPointSizeF(base.pointSizeF() + points)
    font.setWeight(QFont.Weight.DemiBold)
    return font


def small_font(base: QFont) -> QFont:
    font = QFont(base)
    font.setPointSizeF(base.pointSizeF() - 1.0)
    return font


def text_scale(font: QFont) -> float:
    """How much larger than usual text is, at least 1: what holds text in a fixed room grows with it."""
    return max(1.0, QFontInfo(font).pixelSize() / _USUAL_PIXELS)


def _font(base: QFont) -> QFont:
    font = QFont(base)
    font.setFamilies(["Inter", *base.families(), "Noto Sans", "DejaVu Sans"])
    font.setPointSizeF(max(base.pointSizeF(), 9.5))
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def _palette() -> QPalette:
    palette = QPalette()
    roles = QPalette.ColorRole
    colours = {
        roles.Window: Ink.WINDOW,
        roles.WindowText: Ink.TEXT,
        roles.Base: Ink.SURROUND,
        roles.AlternateBase: Ink.PANEL,
        roles.Text: Ink.TEXT,
        roles.PlaceholderText: Ink.FAINT,
        roles.Button: Ink.RAISED,
        roles.ButtonText: Ink.TEXT,
        roles.BrightText: Ink.TEXT,
        roles.ToolTipBase: Ink.RAISED,
        roles.ToolTipText: Ink.TEXT,
        roles.Highlight: Ink.AMBER,
        roles.HighlightedText: Ink.ON_AMBER,
        roles.Link: Ink.AMBER,
        roles.LinkVisited: Ink.AMBER,
        roles.Light: Ink.HOVER,
        roles.Midlight: Ink.RAISED,
        roles.Mid: Ink.LINE,
        roles.Dark: Ink.SURROUND,
        roles.Shadow: QColor("#0c0c0c"),
        roles.Accent: Ink.AMBER,
    }
    for role, colour in colours.items():
        palette.setColor(role, colour)
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#6a6a6a"))
    return palette
