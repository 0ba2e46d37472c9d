from pathlib import Path

from PySide6.QtCore import QByteArray

from desktop.state.remembered import Remembered


def test_keeps_choices_between_two_starts(tmp_path: Path) -> None:
    before = Remembered(file=tmp_path / "window.ini")
    before.preset_id = "glow"
    before.engine = "comfy"
    before.out_folder = tmp_path / "out"
    before.keep_values("glow", {"glow": 70, "title": 'Ü, "x"', "size": [1, 2]})
    before.keep_layout("window", QByteArray(b"\x00\x01shape"))
    before.save()

    after = Remembered(file=tmp_path / "window.ini")

    assert (after.preset_id, after.engine, after.out_folder) == ("glow", "comfy", tmp_path / "out")
    assert after.values("glow") == {"glow": 70, "title": 'Ü, "x"', "size": [1, 2]}
    assert after.layout("window") == QByteArray(b"\x00\x01shape")


def test_knows_nothing_at_first(tmp_path: Path) -> None:
    remembered = Remembered(file=tmp_path / "window.ini")

    assert remembered.preset_id is None
    assert remembered.out_folder is None
    assert remembered.layout("window") is None
    assert remembered.values("glow") == {}


def test_a_spoiled_file_counts_as_nothing_remembered(tmp_path: Path) -> None:
    file = tmp_path / "window.ini"
    file.write_bytes(b"\x00\xff[[[values]\nglow={{{\npreset")

    remembered = Remembered(file=file)

    assert remembered.preset_id is None
    assert remembered.values("glow") == {}
