"""Bundles as they travel: signed zip files, packed the same way every time, read with suspicion."""

import io
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shared.presets.bundle import GRAPH_FILE, MANIFEST_FILE, Preset
from shared.presets.document import read_document
from shared.presets.errors import BundleRejected
from shared.presets.signature import SigningKey, verified_signer

__all__ = ["SIGNATURE_FILE", "SUFFIX", "Archive", "pack_bundle", "read_archive"]

SUFFIX = ".safelight"
SIGNATURE_FILE = "signature.json"

_MAX_FILES = 64
_MAX_BYTES = 64 << 20  # of all files together, unpacked
_MAX_RATIO = 100
_ALLOWED = frozenset({".json", ".webp", ".png", ".jpg", ".jpeg", ".md", ".txt"})
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The checked content of a bundle file; `signer` is the fingerprint of its author's key."""

    files: Mapping[str, bytes]
    signer: str


def pack_bundle(preset: Preset, key: SigningKey) -> bytes:
    """The bundle's declared files and its texts as a signed zip."""
    files = {name: (preset.folder / name).read_bytes() for name in sorted(_shared_names(preset))}
    for name in files:
        _check_name(name)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, SIGNATURE_FILE: key.sign(files)}.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def read_archive(path: Path) -> Archive:
    """Check and unpack into memory. Raises BundleRejected saying what is wrong with the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(entries)
            files = {entry.filename: _content(archive, entry) for entry in entries}
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BundleRejected(f"{path.name} is not a readable bundle file: {error}", file=path.name) from error
    signature = files.pop(SIGNATURE_FILE, None)
    if signature is None:
        raise BundleRejected(f"{path.name} is not signed; ask its author to pack it again", file=path.name)
    try:
        document = read_document(signature.decode(), file=SIGNATURE_FILE)
    except UnicodeDecodeError as error:
        raise BundleRejected(f"{path.name}: the signature is not text", file=path.name) from error
    return Archive(files=files, signer=verified_signer(document, files))


def _shared_names(preset: Preset) -> Iterable[str]:
    manifest = preset.manifest
    yield from (MANIFEST_FILE, GRAPH_FILE)
    yield from (look.file for look in (manifest.looks.cover, manifest.looks.before, manifest.looks.after))
    for sample in manifest.samples:
        yield from sample.inputs.values()
        yield from (item.reference for item in sample.expect.values() if item.reference is not None)
    yield from (path.name for path in preset.folder.iterdir() if path.suffix in {".md", ".txt"})


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _MAX_FILES:
        raise BundleRejected(f"the bundle holds {len(entries)} files; at most {_MAX_FILES} are allowed")
    if sum(entry.file_size for entry in entries) > _MAX_BYTES:
        raise BundleRejected(f"the bundle unpacks to more than {_MAX_BYTES >> 20} MiB")
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry.orig_filename)
        same = unicodedata.normalize("NFC", entry.filename).casefold()
        if same in seen:
            raise BundleRejected(f"the bundle holds {entry.filename!r} twice", file=entry.filename)
        seen.add(same)
        _check_kind(entry)


def _check_kind(entry: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or kind not in {0, stat.S_IFREG}:
        raise BundleRejected(f"{entry.filename!r} is not an ordinary file", file=entry.filename)
    if entry.flag_bits & 0x1:
        raise BundleRejected(f"{entry.filename!r} is encrypted", file=entry.filename)
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise BundleRejected(f"{entry.filename!r} is compressed in an unusual way", file=entry.filename)
    if entry.file_size > max(entry.compress_size, 1) * _MAX_RATIO:
        raise BundleRejected(f"{entry.filename!r} unpacks to far more than it is", file=entry.filename)


def _check_name(name: str) -> None:
    parts = name.split("/")
    harmless = (
        name.isprintable()
        and not any(sign in name for sign in '\\:*?"<>|')
        and all(_is_plain(part) for part in parts)
        and PurePosixPath(name).suffix.lower() in _ALLOWED
    )
    if not harmless or len(parts) > 3:
        raise BundleRejected(f"{name!r} is no name for a file in a bundle", file=name)


def _is_plain(part: str) -> bool:
    return (
        bool(part)
        and not part.startswith(".")
        and part == part.rstrip(". ")
        and part.partition(".")[0].lower() not in _DEVICES
    )


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Never more than the entry declares, whatever the compressed data says."""
    with archive.open(entry) as file:
        data = file.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise BundleRejected(f"{entry.filename!r} is not as large as it claims", file=entry.filename)
    return data
