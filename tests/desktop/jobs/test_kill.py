"""Killed at any line and started again: no input lost, no output twice, no partial file."""

import json
import signal
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from tests.desktop.cli.command import safelight

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
}
FAILPOINTS = [
    "job.journalled",
    "job.prepared",
    "job.ticket_stored",
    "job.started",
    "job.run_ended",
    "outputs.staged",
    "outputs.named",
    "outputs.placed",
    "job.closed",
]


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_killed_there_and_started_again(tmp_path: Path, failpoint: str) -> None:
    Image.new("RGB", (8, 8), (10, 20, 30)).save(tmp_path / "in.png")
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    out, data = tmp_path / "out", tmp_path / "data"
    command = ("run", tmp_path / "graph.json", "--out", out, "--json")

    killed = safelight(data, *command, env={"FAILPOINT": f"{failpoint}:kill"})
    assert killed.code == -signal.SIGKILL
    visible = [path.name for path in out.glob("[!.]*")] if out.exists() else []
    assert visible in ([], ["made_00001_.png"])

    again = safelight(data, *command)
    assert again.code == 0, again.err
    [output] = again.last("completed")["outputs"]
    assert output["path"] == str(out / "made_00001_.png")
    assert [path.name for path in out.iterdir()] == ["made_00001_.png"]
    with Image.open(out / "made_00001_.png") as made:
        assert made.getpixel((4, 4)) == (245, 235, 225)
    with sqlite3.connect(data / "journal.sqlite3") as journal:
        rows = journal.execute("SELECT state, delivery FROM jobs").fetchall()
    journal.close()
    assert rows == [("completed", "delivered")]
