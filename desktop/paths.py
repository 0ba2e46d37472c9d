"""Where Safelight keeps its own files on this machine."""

from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

__all__ = ["Paths", "default_config_file", "default_data_folder"]

_DIRS = PlatformDirs("safelight", appauthor=False)


def default_config_file() -> Path:
    return Path(_DIRS.user_config_dir) / "settings.toml"


def default_data_folder() -> Path:
    return Path(_DIRS.user_data_dir)


@dataclass(frozen=True, slots=True)
class Paths:
    """The files below one data folder."""

    data: Path

    @property
    def journal(self) -> Path:
        return self.data / "journal.sqlite3"

    @property
    def holders(self) -> Path:
        return self.data / "holders"

    @property
    def engine_state(self) -> Path:
        """One folder per engine: staged inputs and finished outputs until they are delivered."""
        return self.data / "engines"

    @property
    def presets(self) -> Path:
        """Presets that the user installed."""
        return self.data / "presets"

    @property
    def log(self) -> Path:
        return self.data / "safelight.log"
