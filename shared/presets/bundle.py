"""A preset as loaded from its bundle."""

import os
from dataclasses import dataclass
from pathlib import Path

from shared.comfy.graph import Graph, GraphError, parse_graph
from shared.files import digest_file, replace_file
from shared.ids import derived_key
from shared.presets.consistency import check_consistency
from shared.presets.document import read_document
from shared.presets.errors import PresetError
from shared.presets.manifest import Manifest
from shared.presets.schema import parse_manifest, updated_text

__all__ = [
    "GRAPH_FILE",
    "MANIFEST_FILE",
    "Preset",
    "load_preset",
    "preset_folders",
    "sample_photos_folder",
    "save_manifest",
    "shipped_presets_folder",
]

MANIFEST_FILE = "preset.json"
GRAPH_FILE = "graph.json"
_SAMPLES = "samples"


@dataclass(frozen=True, slots=True)
class Preset:
    """One version of a preset. `digest` is the SHA-256 over the bundle's files that decide results.

    `folder` holds the looks and samples: cover.webp, before.webp, after.webp.
    """

    manifest: Manifest
    graph: Graph
    digest: str
    folder: Path


def load_preset(folder: Path) -> Preset:
    """Read and check a bundle. PresetError names the preset, the file, and the field or node."""
    manifest = parse_manifest(_read(folder, MANIFEST_FILE))
    try:
        graph = parse_graph(read_document(_read(folder, GRAPH_FILE), file=GRAPH_FILE))
    except GraphError as error:
        raise PresetError(f"{GRAPH_FILE}: {error.message}", file=GRAPH_FILE, **error.details) from error
    check_consistency(manifest, graph)
    return Preset(manifest=manifest, graph=graph, digest=_digest(folder), folder=folder)


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `preset.json`, keeping what a later version or another program added to it."""
    path = folder / MANIFEST_FILE
    old = path.read_text("utf-8") if path.exists() else None
    replace_file(path, updated_text(old, manifest).encode())


def preset_folders(folder: Path) -> tuple[Path, ...]:
    """The bundles in a folder of bundles, by name; hidden and other folders are passed over."""
    found = (path.parent for path in folder.glob(f"*/{MANIFEST_FILE}"))
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def shipped_presets_folder() -> Path:
    """The presets that come with the product: in the installed package, else in the checkout."""
    installed = Path(__file__).parent / "shipped"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "presets"


def sample_photos_folder() -> Path:
    """Free photographs to try presets on; CREDITS.md beside them says whose they are."""
    return shipped_presets_folder() / _SAMPLES


def _digest(folder: Path) -> str:
    """Looks and samples stay out: they show results, they do not decide them."""
    return derived_key(*(digest_file(folder / name) for name in (MANIFEST_FILE, GRAPH_FILE)))


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text("utf-8")
    except FileNotFoundError as error:
        raise PresetError(f"{os.fspath(folder)} has no {name}", file=name) from error
    except UnicodeDecodeError as error:
        raise PresetError(f"{name} in {folder.name} is not UTF-8 text", file=name) from error
