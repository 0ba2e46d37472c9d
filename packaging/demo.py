"""Develop the sample photographs by every road, with the commands that a user would type.

Prints a table (file, preset, road, seconds, output), writes build/demo/contact-sheet.jpg and exits
non-zero if anything failed. No window, no network; a ComfyUI takes part when COMFYUI_URL is set.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from contact_sheet import Pair, write_contact_sheet
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "presets" / "samples"
OUT = ROOT / "build" / "demo"
COMMANDS = Path(sys.executable).parent

WATCHED = ("product-glow", "cinematic", "thumbnail")
CLOUD_PRESETS = ("cinematic",)
COMFYUI_PRESETS = ("product-glow",)
START_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Developed:
    """One finished or failed picture; `output` is None where it failed, `note` says why."""

    file: str
    preset: str
    road: str
    seconds: float
    output: Path | None
    note: str = ""


def main() -> int:
    console = Console(width=max(110, Console().width))
    photos = sorted(path for path in PHOTOS.iterdir() if path.suffix == ".jpg")
    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="safelight-demo-") as scratch:
        rows = list(_every_road(photos, Path(scratch)))
    console.print(_table(rows))
    done = [row for row in rows if row.output is not None]
    sheet = OUT / "contact-sheet.jpg"
    if done:
        pairs = [
            Pair(PHOTOS / row.file, row.output, f"{row.preset}, {row.road}") for row in done if row.output
        ]
        write_contact_sheet(pairs, sheet)
        console.print(
            f"{len(done)} of {len(rows)} pictures developed; contact sheet: {sheet.relative_to(ROOT)}"
        )
    return 0 if done and len(done) == len(rows) else 1


def _every_road(photos: list[Path], scratch: Path) -> Iterator[Developed]:
    desktop = {"SAFELIGHT_DATA_DIR": str(scratch / "desktop")}
    inbox = scratch / "inbox"
    inbox.mkdir()
    for photo in photos:
        shutil.copy(photo, inbox)
    for preset in WATCHED:
        yield from _hot_folder(photos, inbox, preset, desktop)
    with _cloud(scratch / "cloud") as access:
        for preset in CLOUD_PRESETS:
            yield from _develop(photos, preset, "cloud", desktop | access)
    if url := os.environ.get("COMFYUI_URL"):
        for preset in COMFYUI_PRESETS:
            yield from _develop(photos, preset, "comfy", desktop | {"SAFELIGHT_COMFYUI_URL": url})


def _hot_folder(
    photos: list[Path], inbox: Path, preset: str, variables: Mapping[str, str]
) -> Iterator[Developed]:
    out = OUT / "hot-folder" / preset
    arguments = ["watch", str(inbox), "--preset", preset, "--out", str(out), "--engine", "builtin", "--once"]
    yield from _run(arguments, photos, preset, "hot folder", variables)


def _develop(
    photos: list[Path], preset: str, engine: str, variables: Mapping[str, str]
) -> Iterator[Developed]:
    paths = [str(photo) for photo in photos]
    out = OUT / engine / preset
    arguments = ["develop", *paths, "--preset", preset, "--out", str(out), "--engine", engine]
    yield from _run(arguments, photos, preset, engine, variables)


def _run(
    arguments: list[str], photos: list[Path], preset: str, road: str, variables: Mapping[str, str]
) -> Iterator[Developed]:
    """Run one command with --json and tell what became of each photograph."""
    command = [str(COMMANDS / "safelight"), *arguments, "--json"]
    result = subprocess.run(command, env=_environment(variables), capture_output=True, text=True, check=False)
    events = [json.loads(line) for line in result.stdout.splitlines()]
    developed = {row.file: row for row in _completed(events, preset, road)}
    problems = [event["message"] for event in events if event["event"] == "failed"]
    complaint = "; ".join(problems) or result.stderr.strip() or f"exit code {result.returncode}"
    for photo in photos:
        yield developed.get(photo.name) or Developed(photo.name, preset, road, 0.0, None, complaint)


def _completed(events: list[dict[str, object]], preset: str, road: str) -> Iterator[Developed]:
    begun: dict[object, datetime] = {}
    for event in events:
        at = datetime.fromisoformat(str(event["at"]))
        begun.setdefault(event["job_id"], at)
        if event["event"] == "started":
            begun[event["job_id"]] = at
        outputs = event.get("outputs")
        if event["event"] == "completed" and isinstance(outputs, list):
            path = Path(outputs[0]["path"])
            seconds = (at - begun[event["job_id"]]).total_seconds()
            yield Developed(path.name, preset, road, seconds, path)


@contextlib.contextmanager
def _cloud(folder: Path) -> Iterator[dict[str, str]]:
    """A Safelight cloud on this one box; gives the variables with which the commands reach it."""
    variables = {"SAFELIGHT_DATA_DIR": str(folder)}
    command = str(COMMANDS / "safelight-cloud")
    port = _free_port()
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            [command, "serve", "--port", str(port)], env=_environment(variables), stdout=log, stderr=log
        ) as server,
    ):
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/ready", server)
            made = _cloud_command(variables, "keys", "create")
            key = next(word for word in made.split() if word.startswith("sl_live_"))
            yield {"SAFELIGHT_CLOUD_URL": f"http://127.0.0.1:{port}", "SAFELIGHT_API_KEY": key}
        finally:
            server.terminate()


def _cloud_command(variables: Mapping[str, str], *arguments: str) -> str:
    """What it prints. Ends the demo with what it says beside that, if it fails."""
    command = [str(COMMANDS / "safelight-cloud"), *arguments]
    result = subprocess.run(command, env=_environment(variables), capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"safelight-cloud {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the cloud on one box did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAFELIGHT_")}
    return inherited | dict(variables)


def _table(rows: list[Developed]) -> Table:
    table = Table("File", "Preset", "Road", "Seconds", "Output")
    for row in rows:
        where = str(row.output.relative_to(ROOT)) if row.output else f"FAILED: {row.note}"
        table.add_row(row.file, row.preset, row.road, f"{row.seconds:.2f}", where)
    return table


if __name__ == "__main__":
    sys.exit(main())
