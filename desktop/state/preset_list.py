"""The presets of the gallery, as a Qt model."""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from desktop.views import PresetView

__all__ = ["PRESET_ROLE", "PresetList"]

PRESET_ROLE = int(Qt.ItemDataRole.UserRole)

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class PresetList(QAbstractListModel):
    """Instant presets that can run come first, those that cannot run last."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._presets: tuple[PresetView, ...] = ()

    def show(self, presets: Sequence[PresetView]) -> None:
        before, now = self._presets, tuple(sorted(presets, key=_place))
        if [preset.id for preset in before] == [preset.id for preset in now]:
            self._presets = now  # nothing moves under the pointer
            self.dataChanged.emit(self.index(0), self.index(len(now) - 1))
            return
        self.beginResetModel()
        self._presets = now
        self.endResetModel()

    def find(self, preset_id: str) -> PresetView | None:
        return next((preset for preset in self._presets if preset.id == preset_id), None)

    def row_of(self, preset_id: str) -> int | None:
        return next((row for row, preset in enumerate(self._presets) if preset.id == preset_id), None)

    def first(self) -> PresetView | None:
        return self._presets[0] if self._presets else None

    def rowCount(self, parent: _Index = _ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(self._presets)

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid():
            return None
        preset = self._presets[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return preset.name
            case Qt.ItemDataRole.AccessibleDescriptionRole:
                return preset.unavailable or preset.summary
            case Qt.ItemDataRole.UserRole:
                return preset
            case _:
                return None


def _place(preset: PresetView) -> tuple[bool, bool, str]:
    return preset.unavailable is not None, not preset.instant, preset.name.casefold()
