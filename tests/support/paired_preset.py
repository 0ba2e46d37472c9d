"""A preset of two pictures: what the mask `<name>_mask` covers is turned into its negative."""

import json
import shutil
from pathlib import Path
from typing import Any

from shared.presets.bundle import Preset, load_preset, shipped_presets_folder

__all__ = ["PAIRED_ID", "make_paired_preset"]

PAIRED_ID = "masked-negative"
_GRAPH: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}, "_meta": {"title": "sl:photo"}},
    "2": {
        "class_type": "LoadImageMask",
        "inputs": {"image": "mask.png", "channel": "red"},
        "_meta": {"title": "sl:mask"},
    },
    "3": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "4": {
        "class_type": "ImageCompositeMasked",
        "inputs": {
            "destination": ["1", 0], "source": ["3", 0], "mask": ["2", 0],
            "x": 0, "y": 0, "resize_source": False,
        },
        "_meta": {"title": "sl:composite"},
    },
    "5": {
        "class_type": "SaveImage",
        "inputs": {"images": ["4", 0], "filename_prefix": "safelight"},
        "_meta": {"title": "sl:save"},
    },
}  # fmt: skip


def make_paired_preset(folder: Path, *, optional: bool = False) -> Preset:
    """In a folder of its own below `folder`. Without an optional mask the picture stays as it is."""
    shipped = shipped_presets_folder() / "noir"
    made = folder / PAIRED_ID
    made.mkdir(parents=True)
    for look in ("cover.webp", "before.webp", "after.webp"):
        shutil.copy(shipped / look, made / look)
    manifest = json.loads((shipped / "preset.json").read_text("utf-8"))
    manifest |= {
        "id": PAIRED_ID, "name": "Masked negative", "summary": "A negative where the mask is.",
        "parameters": [], "bindings": [], "value_sets": [], "fits": [], "crops": [], "samples": [],
        "inputs": [_input("photo", primary=True), _mask(optional=optional)],
        "requires": {
            "nodes": [
                {"class_type": name, "package": "comfyui", "ref": "0.3.64"}
                for name in sorted({node["class_type"] for node in _GRAPH.values()})
            ]
        },
    }  # fmt: skip
    manifest.pop("translations", None)
    (made / "preset.json").write_text(json.dumps(manifest), "utf-8")
    (made / "graph.json").write_text(json.dumps(_GRAPH), "utf-8")
    return load_preset(made)


def _input(name: str, *, primary: bool = False) -> dict[str, Any]:
    return {
        "id": name,
        "label": name.capitalize(),
        "primary": primary,
        "targets": [{"node": {"alias": f"sl:{name}"}, "input": "image"}],
    }


def _mask(*, optional: bool) -> dict[str, Any]:
    declared = _input("mask") | {"kind": "mask", "role": "mask", "pair_by": "*_mask"}
    if not optional:
        return declared
    return declared | {
        "min_count": 0,
        "absent_bypass": [{"node": {"alias": "sl:composite"}, "through": ["destination"]}],
    }
