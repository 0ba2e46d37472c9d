"""A list view for rows that change often."""

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex
from PySide6.QtWidgets import QListView

__all__ = ["RepaintingList"]

_Index = QModelIndex | QPersistentModelIndex


class RepaintingList(QListView):
    """Changed data is painted again; the stock view lays out every row of the model for it."""

    def dataChanged(  # noqa: N802
        self,
        _top_left: _Index,
        _bottom_right: _Index,
        _roles: Sequence[int] = (),
    ) -> None:
        self.viewport().update()
