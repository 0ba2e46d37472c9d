"""Bundles taken into a folder of presets: unpacked beside, checked, then put in place at once."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from shared.files import TEMPORARY_PREFIX, flush_folder, replace_file
from shared.presets.archive import Archive
from shared.presets.bundle import Preset, load_preset
from shared.presets.document import read_document
from shared.presets.errors import BundleRejected

__all__ = ["install"]

_SIGNERS_FILE = "signers.json"


def install(archive: Archive, folder: Path, *, reserved: frozenset[str], new_signer: bool = False) -> Preset:
    """Put the bundle into `folder` under its id, in place of an older version by the same author.

    Raises BundleRejected for an id in `reserved`, and for one that another author's preset has
    unless `new_signer` says that this is known; PresetError for a bundle that does not load.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder) as temporary:
        fresh = Path(temporary) / "fresh"
        _unpack(archive.files, fresh)
        preset_id = load_preset(fresh).manifest.id
        if preset_id in reserved:
            raise BundleRejected(f"{preset_id} is a preset of Safelight itself; its author must rename it")
        signers = _signers(folder)
        known = signers.get(preset_id)
        if known is not None and known != archive.signer and not new_signer:
            raise BundleRejected(
                f"{preset_id} was signed by {known}, this one by {archive.signer}; "
                "if you trust the new author, install it with --new-signer"
            )
        place = folder / preset_id
        if place.exists():
            place.rename(Path(temporary) / "old")
        fresh.rename(place)
        flush_folder(folder)
    document = json.dumps({**signers, preset_id: archive.signer}, indent=2, sort_keys=True)
    replace_file(folder / _SIGNERS_FILE, document.encode())
    return load_preset(place)


def _unpack(files: Mapping[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _signers(folder: Path) -> dict[str, str]:
    path = folder / _SIGNERS_FILE
    if not path.exists():
        return {}
    document = read_document(path.read_text("utf-8"), file=_SIGNERS_FILE)
    return {name: signer for name, signer in document.items() if isinstance(signer, str)}
