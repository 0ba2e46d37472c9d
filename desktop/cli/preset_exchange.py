"""Bundles packed for others, and theirs installed."""

from pathlib import Path

from desktop.cli.preset_check import check_bundle
from desktop.cli.preset_shelf import bundles_named
from desktop.settings import load_settings
from shared.files import replace_file
from shared.presets.archive import SUFFIX, pack_bundle, read_archive
from shared.presets.bundle import Preset, load_preset, preset_folders, shipped_presets_folder
from shared.presets.errors import PresetError
from shared.presets.installer import install
from shared.presets.signature import SigningKey

__all__ = ["install_file", "pack"]

_KEY_FILE = "signing.key"


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
