"""What the window remembers between two starts."""

import json
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings

from shared.errors import JsonValue

__all__ = ["Remembered"]


class Remembered:
    """Small choices of the user, in an ini file; whatever cannot be read counts as not remembered."""

    def __init__(self, *, file: Path) -> None:
        self._settings = QSettings(str(file), QSettings.Format.IniFormat)

    @property
    def preset_id(self) -> str | None:
        return self._text("preset")

    @preset_id.setter
    def preset_id(self, preset_id: str) -> None:
        self._settings.setValue("preset", preset_id)

    @property
    def out_folder(self) -> Path | None:
        text = self._text("out_folder")
        return Path(text) if text else None

    @out_folder.setter
    def out_folder(self, folder: Path | None) -> None:
        self._settings.setValue("out_folder", "" if folder is None else str(folder))

    @property
    def engine(self) -> str | None:
        return self._text("engine")

    @engine.setter
    def engine(self, engine: str) -> None:
        self._settings.setValue("engine", engine)

    def values(self, preset_id: str) -> Mapping[str, JsonValue]:
        text = self._text(f"values/{preset_id}")
        if not text:
            return {}
        try:
            values = json.loads(text)
        except ValueError:
            return {}
        return values if isinstance(values, dict) else {}

    def keep_values(self, preset_id: str, values: Mapping[str, JsonValue]) -> None:
        self._settings.setValue(f"values/{preset_id}", json.dumps(dict(values)))

    def layout(self, name: str) -> QByteArray | None:
        """What a window or splitter said with saveGeometry or saveState."""
        stored = self._settings.value(f"layout/{name}")
        return stored if isinstance(stored, QByteArray) else None

    def keep_layout(self, name: str, layout: QByteArray) -> None:
        self._settings.setValue(f"layout/{name}", layout)

    def save(self) -> None:
        self._settings.sync()

    def _text(self, key: str) -> str | None:
        stored = self._settings.value(key)
        return stored if isinstance(stored, str) and stored else None
