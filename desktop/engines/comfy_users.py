"""The files by which processes agree on one ComfyUI: who uses it, who keeps it, where it answers."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from shared.files import replace_file
from shared.ids import new_id

__all__ = ["ComfyPlace", "Ended", "Running", "UserMark"]

_RACE_S = 5.0  # others look at a lock for an instant to see whether its holder lives


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the keeper was told to run; the files in `cwd` are those of ComfyUI."""

    command: tuple[str, ...]
    cwd: str | None
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    lasted_s: float


class ComfyPlace:
    """The state folder. All methods block, for an instant."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "comfyui.log"

    def keeper_lock(self) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "keeper.lock", timeout=_RACE_S)

    def start_lock(self) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / "start.lock")

    def is_kept(self) -> bool:
        return _is_held(self.folder / "keeper.lock")

    def has_users(self) -> bool:
        marks = sorted(self.folder.glob("users/*.lock"))
        return any(_is_held(mark, forget=True) for mark in marks)

    def running(self) -> Running | None:
        """What the living keeper runs."""
        if not self.is_kept():
            return None
        return self.order()

    def order(self) -> Running | None:
        try:
            fields = json.loads((self.folder / "running.json").read_bytes())
            return Running(command=tuple(fields["command"]), cwd=fields["cwd"], url=fields["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_order(self, running: Running) -> None:
        (self.folder / "ended.json").unlink(missing_ok=True)
        replace_file(self.folder / "running.json", json.dumps(asdict(running)).encode())

    def ended(self) -> Ended | None:
        """How the last one ended by itself."""
        try:
            return Ended(**json.loads((self.folder / "ended.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write_ended(self, ended: Ended) -> None:
        replace_file(self.folder / "ended.json", json.dumps(asdict(ended)).encode())

    def last_lines(self, count: int) -> tuple[str, ...]:
        try:
            with self.log.open("rb") as file:
                file.seek(max(os.fstat(file.fileno()).st_size - (1 << 16), 0))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(line.strip() for line in text.splitlines() if line.strip())[-count:]


class UserMark:
    """While inside, this process uses the ComfyUI; the system takes the mark away when it dies."""

    def __init__(self, place: ComfyPlace) -> None:
        self._path = place.folder / "users" / f"{new_id()}.lock"
        self._lock = FileLock(self._path, timeout=_RACE_S)

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        while not self._path.exists():  # who looked in between took it for one left behind
            self._lock.release()
            self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._path.unlink(missing_ok=True)


def _is_held(path: Path, *, forget: bool = False) -> bool:
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            if forget:
                path.unlink(missing_ok=True)
    except Timeout:
        return True
    return False
