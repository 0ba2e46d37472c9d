"""Presets that come and go: drafts from workflows, bundles packed for others, theirs installed."""

import json
from pathlib import Path

from desktop.cli.preset_check import check_bundle
from desktop.cli.preset_shelf import bundles_named
from desktop.settings import load_settings
from shared.comfy.graph import parse_graph
from shared.files import replace_file
from shared.presets.archive import SUFFIX, pack_bundle, read_archive
from shared.presets.bundle import (
    GRAPH_FILE,
    Preset,
    load_preset,
    preset_folders,
    save_manifest,
    shipped_presets_folder,
)
from shared.presets.consistency import check_consistency
from shared.presets.document import read_document
from shared.presets.errors import PresetError
from shared.presets.importer import draft
from shared.presets.installer import install
from shared.presets.signature import SigningKey

__all__ = ["import_graph", "install_file", "pack"]

_KEY_FILE = "signing.key"


def import_graph(graph_file: Path, *, preset_id: str, name: str | None, out: Path) -> Path:
    """The folder of the new bundle. Raises PresetError, GraphError; never writes over a bundle."""
    folder = out / preset_id
    if folder.exists():
        raise PresetError(f"{folder} is there already; choose another --id", field="id")
    text = _read(graph_file)
    document = read_document(text, file=graph_file.name)
    graph = parse_graph(document)
    manifest = draft(graph, preset_id=preset_id, name=name or preset_id.replace("-", " ").title())
    check_consistency(manifest, graph)
    replace_file(folder / GRAPH_FILE, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
    save_manifest(folder, manifest)
    return folder


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(f"{path} cannot be read as text", file=path.name) from error


def pack(bundle: str, out: Path | None) -> tuple[Path, str]:
    """Pack a sound bundle; returns the file and the fingerprint of this user's key."""
    (folder,) = bundles_named([bundle])
    flaws = [flaw for flaw in check_bundle(folder) if not flaw.note]
    if flaws:
        raise PresetError(f"{folder.name} has flaws; `safelight presets check {bundle}` lists them")
    preset = load_preset(folder)
    key = SigningKey.at(load_settings().data_dir / _KEY_FILE)
    path = out or Path(f"{preset.manifest.id}-{preset.manifest.version}{SUFFIX}")
    replace_file(path, pack_bundle(preset, key))
    return path, key.fingerprint


def install_file(file: Path, *, new_signer: bool) -> tuple[Preset, str]:
    """Put the bundle where this user's presets live; returns it and its author's fingerprint."""
    archive = read_archive(file)
    shipped = frozenset(folder.name for folder in preset_folders(shipped_presets_folder()))
    preset = install(archive, load_settings().paths.presets, reserved=shipped, new_signer=new_signer)
    return preset, archive.signer
