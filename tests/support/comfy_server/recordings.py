"""Runs of a real server, recorded once, to be played again under another prompt id."""

import json
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

__all__ = ["FOLDER", "Recording", "load_recordings"]

FOLDER = Path(__file__).parents[2] / "data" / "comfyui" / "transcripts"


@dataclass(frozen=True)
class Recording:
    """`frames` in the order of the socket; `entry` is what the history said afterwards, if it was asked."""

    name: str
    prompt: dict
    prompt_id: str
    frames: tuple[str | bytes, ...]
    entry: dict | None

    def frames_for(self, prompt_id: str) -> list[str | bytes]:
        return [_renamed(frame, self.prompt_id, prompt_id) for frame in self.frames]

    def entry_for(self, prompt_id: str) -> dict | None:
        text = json.dumps(self.entry)
        return json.loads(text.replace(self.prompt_id, prompt_id))


def load_recordings(name: str) -> list[Recording]:
    """Every prompt of one transcript that was accepted."""
    lines = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]
    prompts: dict[str, dict] = {}
    sent: dict | None = None
    entries: dict[str, dict] = {}
    for line in lines:
        if line["ch"] != "http":
            continue
        if line["dir"] == "out" and line.get("path") == "/prompt":
            sent = line.get("json")
        elif line.get("for") == "POST /prompt" and line["status"] == 200 and sent:
            prompts[line["json"]["prompt_id"]] = sent["prompt"]
        elif str(line.get("for", "")).startswith("GET /history/"):
            entries.update(line.get("json") or {})
    return [
        Recording(name, prompt, prompt_id, tuple(_frames(lines, prompt_id)), entries.get(prompt_id))
        for prompt_id, prompt in prompts.items()
    ]


def _frames(lines: list[dict], prompt_id: str) -> list[str | bytes]:
    frames: list[str | bytes] = []
    for line in lines:
        if line["ch"] != "ws" or line["dir"] != "in":
            continue
        if line["kind"] == "text" and _prompt_of(line["msg"]) in {prompt_id, None}:
            frames.append(json.dumps(line["msg"]))
        elif line["kind"] == "binary" and line.get("metadata", {}).get("prompt_id", prompt_id) == prompt_id:
            frames.append(_binary(line))
    return frames


def _prompt_of(message: dict) -> str | None:
    return message["data"].get("prompt_id")


def _binary(line: dict) -> bytes:
    """Recorded were heads and sizes; the picture inside is drawn anew."""
    if line["event"] == 4:
        header = json.dumps(line["metadata"]).encode()
        return struct.pack(">II", 4, len(header)) + header + _jpeg()
    if line["event"] == 1:
        return struct.pack(">II", 1, line["image_type"]) + _jpeg()
    return bytes.fromhex(line["head_hex"])


def _jpeg() -> bytes:
    data = BytesIO()
    Image.new("RGB", (16, 16), (90, 60, 30)).save(data, "JPEG")
    return data.getvalue()


def _renamed(frame: str | bytes, old: str, new: str) -> str | bytes:
    return frame.replace(old, new) if isinstance(frame, str) else frame.replace(old.encode(), new.encode())
