"""Where finished pictures go, and what develops them."""

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QGridLayout, QLabel, QMenu, QToolButton, QWidget

from desktop.state.session import Session
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, say
from desktop.ui.widgets.elided_label import ElidedLabel
from desktop.ui.widgets.engine_choice import EngineChoice

__all__ = ["Destination"]


class Destination(QWidget):
    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._folder = ElidedLabel()
        self._change = QToolButton()
        self._change.setIcon(icon("folder"))
        self._change.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._change.setToolTip(say(Text.DESTINATION_TITLE))
        self._change.setAccessibleName(say(Text.DESTINATION_TITLE))
        menu = QMenu(self._change)
        menu.addAction(say(Text.DESTINATION_CHANGE)).triggered.connect(self._ask)
        self._usual = menu.addAction(say(Text.DESTINATION_DEFAULT))
        self._usual.triggered.connect(lambda: session.choose_out_folder(None))
        self._change.setMenu(menu)
        engine = EngineChoice(session)
        engine_label = QLabel(say(Text.ENGINE))
        engine_label.setBuddy(engine)
        folder_label = QLabel(say(Text.DESTINATION))
        for label in (engine_label, folder_label):
            label.setProperty("look", "muted")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(10)
        layout.setVerticalSpacing(6)
        layout.setColumnStretch(1, 1)
        layout.addWidget(engine_label, 0, 0)
        layout.addWidget(engine, 0, 1, 1, 2)
        layout.addWidget(folder_label, 1, 0)
        layout.addWidget(self._folder, 1, 1)
        layout.addWidget(self._change, 1, 2)
        session.destination_changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        folder = self._session.out_folder
        if folder is not None:
            self._folder.show_text(_short(folder), tooltip=str(folder))
        self._usual.setEnabled(self._session.remembered.out_folder is not None)

    def _ask(self) -> None:
        start = self._session.out_folder
        dialog = QFileDialog(self, say(Text.DESTINATION_TITLE), str(start or Path.home()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(lambda name: self._session.choose_out_folder(Path(name)))
        dialog.open()


def _short(folder: Path) -> str:
    home = Path.home()
    return f"~/{folder.relative_to(home).as_posix()}" if folder.is_relative_to(home) else str(folder)
