"""One sentence at the window's foot, until it is read or another comes."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from desktop.state.notice import Notice
from desktop.ui.icon_set import icon, pixmap
from desktop.ui.messages import Text, say, sentence
from desktop.ui.theme import Ink
from shared.legible import legible

__all__ = ["NoticeBar"]

_SHOWN_MS = 8000


class NoticeBar(QFrame):
    """Trouble stays until it is dismissed; good news goes by itself."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "notice")
        self._sign = QLabel()
        self._text = QLabel()
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        dismiss = QToolButton()
        dismiss.setIcon(icon("cancel"))
        dismiss.setToolTip(say(Text.DISMISS))
        dismiss.setAccessibleName(say(Text.DISMISS))
        dismiss.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 7, 8, 7)
        layout.setSpacing(10)
        layout.addWidget(self._sign)
        layout.addWidget(self._text, 1)
        layout.addWidget(dismiss)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SHOWN_MS)
        self._timer.timeout.connect(self.hide)
        self.hide()

    @property
    def text(self) -> str:
        return self._text.text()

    def tell(self, notice: Notice) -> None:
        sign, ink = ("warning", Ink.TROUBLE) if notice.trouble else ("check", Ink.AMBER)
        self._sign.setPixmap(pixmap(sign, 18, ink, ratio=self.devicePixelRatioF()))
        text = sentence(legible(notice.text))
        self._text.setText(text)
        self._text.setAccessibleName(text)
        self.show()
        if notice.trouble:
            self._timer.stop()
        else:
            self._timer.start()
