"""The `safelight` command as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from desktop.cli.app import run_command

__all__ = ["Answer", "Here", "environment", "safelight"]

LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def last(self, event: str) -> dict[str, Any]:
        return [line for line in self.events if line["event"] == event][-1]


def safelight(data: Path, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Answer:
    done = subprocess.run(
        [sys.executable, "-m", "desktop", *arguments],
        env=environment(data, env),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Answer(done.returncode, done.stdout.decode(errors="surrogateescape"), done.stderr.decode())


class Here:
    """The same within this process, which saves the start of another: the fixture `here`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, data: Path, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Answer:
        for name, value in environment(data, env).items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.setattr(sys, "argv", ["safelight", *map(str, arguments)])
        code = run_command()
        said = self._capsys.readouterr()
        return Answer(code, said.out, said.err)


def environment(data: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAFELIGHT_")}
    return (
        kept
        | {
            "SAFELIGHT_DATA_DIR": str(data),
            "SAFELIGHT_COMFYUI_URL": "http://127.0.0.1:9",  # nothing answers there
            "SAFELIGHT_PROCESSES": "1",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        | dict(more or {})
    )
