from pathlib import Path

import pytest
import typer.main

from desktop.__main__ import COMMANDS, files_to_open
from desktop.cli.app import create_app


def test_every_command_is_known_before_it_is_loaded() -> None:
    command = typer.main.get_command(create_app())

    assert set(command.list_commands(None)) == COMMANDS  # type: ignore[attr-defined]


def test_files_and_folders_open_the_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    Path("watch").mkdir()

    assert files_to_open([]) == ()
    assert files_to_open(["photo.jpg", "gone.jpg"]) == (Path("photo.jpg"), Path("gone.jpg"))
    assert files_to_open(["./watch"]) == (Path("watch"),)


def test_a_command_wins_over_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("watch").mkdir()

    assert files_to_open(["watch", "--help"]) is None
    assert files_to_open(["--version"]) is None
    assert files_to_open(["gone.jpg"]) is None
