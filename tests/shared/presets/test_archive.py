"""Bundles as files: packed the same way each time, read with suspicion, installed at once."""

import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.presets.archive import SIGNATURE_FILE, Archive, pack_bundle, read_archive
from shared.presets.bundle import Preset, load_preset, preset_folders
from shared.presets.errors import BundleRejected, PresetError
from shared.presets.installer import install
from shared.presets.signature import SigningKey
from tests.shared.presets.samples import write_bundle


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.at(tmp_path / "signing.key")


@pytest.fixture
def preset(tmp_path: Path) -> Preset:
    bundle = write_bundle(tmp_path / "made")
    for name in ("cover.webp", "before.webp", "after.webp"):
        (bundle / name).write_bytes(name.encode())
    (bundle / "LICENSE.txt").write_text("free")
    (bundle / "private.psd").write_bytes(b"not declared, so it stays at home")
    return load_preset(bundle)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def zipped(files: Mapping[str, bytes], shape: Callable[[zipfile.ZipInfo], None] = lambda _: None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            shape(entry)
            archive.writestr(entry, data)
    return packed.getvalue()


def test_packed_and_read_again(tmp_path: Path, preset: Preset, key: SigningKey) -> None:
    packed = pack_bundle(preset, key)
    archive = read_archive(written(tmp_path / "a.safelight", packed))
    assert archive.signer == key.fingerprint
    assert sorted(archive.files) == [
        "LICENSE.txt",
        "after.webp",
        "before.webp",
        "cover.webp",
        "graph.json",
        "preset.json",
    ]
    assert pack_bundle(preset, key) == packed


def test_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    assert SigningKey.at(path).fingerprint == SigningKey.at(path).fingerprint
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize(
    "name",
    [
        "../preset.json",
        "/etc/preset.json",
        "a/../../preset.json",
        "C:/preset.json",
        "a\\preset.json",
        "./preset.json",
        "a//b.json",
        ".hidden.json",
        "run.py",
        "nul.json",
        "sub/COM1.json",
        "trailing./a.json",
        "a/b/c/d.json",
        "line\nbreak.json",
        "",
    ],
)
def test_harmful_names_are_refused(tmp_path: Path, key: SigningKey, name: str) -> None:
    files = {name: b"{}"}
    data = zipped({**files, SIGNATURE_FILE: key.sign(files)})
    with pytest.raises(BundleRejected):
        read_archive(written(tmp_path / "a.safelight", data))


def _as_link(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16


def _as_device(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = (stat.S_IFCHR | 0o666) << 16


def _as_bzip(entry: zipfile.ZipInfo) -> None:
    entry.compress_type = zipfile.ZIP_BZIP2


@pytest.mark.parametrize("shape", [_as_link, _as_device, _as_bzip])
def test_only_ordinary_files_are_read(
    tmp_path: Path, key: SigningKey, shape: Callable[[zipfile.ZipInfo], None]
) -> None:
    files = {"preset.json": b"{}"}
    data = zipped({**files, SIGNATURE_FILE: key.sign(files)}, shape)
    with pytest.raises(BundleRejected):
        read_archive(written(tmp_path / "a.safelight", data))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.json": b"0" * 5_000_000}, "far more than it is"),
        ({f"{n}.json": b"" for n in range(65)}, "at most 64"),
        ({"a.json": b"1", "A.JSON": b"2"}, "twice"),
        ({"caf\u00e9.json": b"1", "cafe\u0301.json": b"2"}, "twice"),
        ({"preset.json": b"{}"}, "not signed"),
        ({"preset.json": b"{}", SIGNATURE_FILE: b"[]"}, "one JSON object"),
        ({"preset.json": b"{}", SIGNATURE_FILE: b'{"algorithm": "rot13"}'}, "of a kind"),
    ],
)
def test_bombs_doubles_and_unsigned_files_are_refused(
    tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    with pytest.raises(PresetError, match=says):
        read_archive(written(tmp_path / "a.safelight", zipped(files)))


def test_a_size_that_is_a_lie_is_found(tmp_path: Path, preset: Preset, key: SigningKey) -> None:
    data = bytearray(pack_bundle(preset, key))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (1).to_bytes(4, "little")  # uncompressed size of the last entry
    with pytest.raises(BundleRejected):
        read_archive(written(tmp_path / "a.safelight", bytes(data)))


@pytest.mark.parametrize("change", ["content", "added", "removed", "signature"])
def test_changed_bundles_are_refused(tmp_path: Path, preset: Preset, key: SigningKey, change: str) -> None:
    with zipfile.ZipFile(io.BytesIO(pack_bundle(preset, key))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if change == "content":
        files["graph.json"] += b" "
    elif change == "added":
        files["more.json"] = b"{}"
    elif change == "removed":
        del files["cover.webp"]
    else:
        document = json.loads(files[SIGNATURE_FILE])
        document["signature"] = document["signature"].swapcase()
        files[SIGNATURE_FILE] = json.dumps(document).encode()
    with pytest.raises(BundleRejected):
        read_archive(written(tmp_path / "a.safelight", zipped(files)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_equal(
    tmp_path: Path, preset: Preset, key: SigningKey, data: st.DataObject
) -> None:
    packed = bytearray(pack_bundle(preset, key))
    intact = read_archive(written(tmp_path / "intact.safelight", bytes(packed)))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        archive = read_archive(written(tmp_path / "damaged.safelight", bytes(packed)))
    except PresetError:
        return
    assert archive.files == intact.files


def packed_archive(tmp_path: Path, preset: Preset, key: SigningKey) -> Archive:
    return read_archive(written(tmp_path / "a.safelight", pack_bundle(preset, key)))


def test_installing_replaces_an_older_version(tmp_path: Path, preset: Preset, key: SigningKey) -> None:
    folder = tmp_path / "presets"
    installed = install(packed_archive(tmp_path, preset, key), folder, reserved=frozenset())
    (installed.folder / "stale.txt").write_text("of the old version")
    again = install(packed_archive(tmp_path, preset, key), folder, reserved=frozenset())
    assert again.digest == preset.digest
    assert not (again.folder / "stale.txt").exists()
    assert preset_folders(folder) == (folder / "first-format",)
    assert sorted(path.name for path in folder.iterdir()) == ["first-format", "signers.json"]


def test_another_author_must_be_accepted(tmp_path: Path, preset: Preset, key: SigningKey) -> None:
    folder = tmp_path / "presets"
    install(packed_archive(tmp_path, preset, key), folder, reserved=frozenset())
    other = packed_archive(tmp_path, preset, SigningKey.at(tmp_path / "other.key"))
    with pytest.raises(BundleRejected, match="--new-signer"):
        install(other, folder, reserved=frozenset())
    install(other, folder, reserved=frozenset(), new_signer=True)


def test_shipped_ids_and_broken_bundles_are_not_installed(
    tmp_path: Path, preset: Preset, key: SigningKey
) -> None:
    folder = tmp_path / "presets"
    archive = packed_archive(tmp_path, preset, key)
    with pytest.raises(BundleRejected, match="must rename"):
        install(archive, folder, reserved=frozenset({"first-format"}))
    broken = Archive(files={**archive.files, "graph.json": b"{}"}, signer=archive.signer)
    with pytest.raises(PresetError):
        install(broken, folder, reserved=frozenset())
    assert preset_folders(folder) == ()
    assert list(folder.iterdir()) == []
