"""How the ComfyUI that the user has is started."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from shared.engines.base import EngineUnavailable

__all__ = ["ComfyCommand", "ComfyNotFound"]

_ENVIRONMENTS = (".venv", "venv", "env")
_IN_ENVIRONMENT = ("bin/python", "Scripts/python.exe")
_PORTABLE = ("../python_embeded/python.exe", "../python_embedded/python.exe")  # sic, the first


class ComfyNotFound(EngineUnavailable):
    code = "comfyui_not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComfyCommand:
    """`folder` is ComfyUI's own, with its main.py; `command` stands for the Python and main.py there.

    `more` are further options of ComfyUI.
    """

    folder: Path | None
    command: str | None = None
    more: str = ""

    @property
    def place(self) -> str:
        return str(self.folder or self.command)

    def line(self, port: int) -> tuple[str, ...]:
        """Raises ComfyNotFound."""
        listen = ("--listen", "127.0.0.1", "--port", str(port), "--disable-auto-launch")
        return (*self._program(), *listen, *shlex.split(self.more))

    def _program(self) -> tuple[str, ...]:
        if self.command is not None:
            return tuple(shlex.split(self.command, posix=os.name == "posix"))
        if self.folder is None or not (self.folder / "main.py").is_file():
            raise ComfyNotFound(
                f"{self.folder} holds no main.py: let SAFELIGHT_COMFYUI_FOLDER name ComfyUI's own folder",
                field="comfyui_folder",
            )
        return str(_python_of(self.folder)), "main.py"


def _python_of(folder: Path) -> Path:
    """ComfyUI's own Python: an environment in its folder or beside it, or the portable package's."""
    places = [
        top / name / program
        for top in (folder, folder.parent)
        for name in _ENVIRONMENTS
        for program in _IN_ENVIRONMENT
    ]
    places += [folder / place for place in _PORTABLE]
    for place in places:
        if place.is_file():
            return place
    raise ComfyNotFound(
        f"no Python environment was found in {folder} or beside it: give the whole command that starts "
        "ComfyUI as SAFELIGHT_COMFYUI_COMMAND",
        field="comfyui_command",
    )
