"""A button with a sign, and with words as long as there is room for them."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence, QResizeEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QStyle, QStyleOptionButton, QWidget

from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, plain, say

__all__ = ["SignButton"]

_GAP = 4  # between sign and words, as in Qt


class SignButton(QPushButton):
    """Without its words it tells them when pointed at, and keeps the key that they name."""

    def __init__(self, text: Text, sign: str, parent: QWidget | None = None) -> None:
        super().__init__(say(text), parent)
        self._words, self._plain = say(text), plain(text)
        self.setIcon(icon(sign))
        self.setAutoDefault(True)
        self.setAccessibleName(self._plain)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:  # noqa: N802
        return self._size_with(self._words)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return self._size_with("")

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        words = self._words if self.width() >= self.sizeHint().width() else ""
        if words != self.text():
            self.setText(words)
            self.setShortcut(QKeySequence.mnemonic(self._words))
            self.setToolTip("" if words else self._plain)

    def _size_with(self, words: str) -> QSize:
        """Qt has a size for the words that a button has, none for those that it may have."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = words
        text, sign = self.fontMetrics().size(Qt.TextFlag.TextShowMnemonic, words), self.iconSize()
        width = sign.width() + (_GAP + text.width() if words else 0)
        inner = QSize(width, max(sign.height(), self.fontMetrics().height()))
        return self.style().sizeFromContents(QStyle.ContentsType.CT_PushButton, option, inner, self)
