"""Where log events go."""

import json
from pathlib import Path

import pytest
import structlog

from shared.logs import configure_logs, logs_in_file


def test_events_are_lines_of_json_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "data" / "safelight.log"
    with logs_in_file(file):
        structlog.get_logger().info("job_failed", code="broken_media", file="a\udcff\n.png")
        structlog.get_logger().debug("too_much")
    [line] = file.read_text().splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["code"]) == ("job_failed", "info", "broken_media")


def test_a_large_file_makes_room(tmp_path: Path) -> None:
    file = tmp_path / "safelight.log"
    file.write_bytes(b"x" * (6 << 20))
    with logs_in_file(file):
        structlog.get_logger().warning("begun")
    assert file.stat().st_size < 1000
    assert (tmp_path / "safelight.log.old").stat().st_size == 6 << 20


def test_events_go_to_stderr_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="warning", as_json=True)
    structlog.get_logger().warning("begun")
    structlog.get_logger().info("too_much")
    said = capsys.readouterr()
    assert (said.out, json.loads(said.err)["event"]) == ("", "begun")
