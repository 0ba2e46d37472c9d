"""Settings are checked at the start, and what is wrong is named."""

from pathlib import Path

import pytest

from desktop.settings import BadSettings, load_settings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("SAFELIGHT_CONFIG", str(path))
    path.touch()
    return path


def test_variables_stand_above_the_file_and_arguments_above_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('engine = "comfy"\njpeg_quality = 80\n')
    monkeypatch.setenv("SAFELIGHT_JPEG_QUALITY", "85")
    settings = load_settings()
    assert (settings.engine, settings.jpeg_quality) == ("comfy", 85)
    assert load_settings(engine="builtin", jpeg_quality=None).engine == "builtin"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('jpeg_quality = "high"', "jpeg_quality in "),
        ("colour = 1", "colour in "),
        ("engine = ", "not valid TOML"),
        ('comfyui_url = "somewhere"', "comfyui_url in "),
    ],
)
def test_the_key_at_fault_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(BadSettings, match=said) as raised:
        load_settings()
    assert str(file) in raised.value.message


@pytest.mark.parametrize(
    ("variable", "value"),
    [("JPEG_QUALITY", "400"), ("ENGINE", "magic"), ("COMFYUI_URL", "ftp://x"), ("PROCESSES", "0")],
)
@pytest.mark.usefixtures("file")
def test_the_variable_at_fault_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"SAFELIGHT_{variable}", value)
    with pytest.raises(BadSettings, match=f"SAFELIGHT_{variable}: "):
        load_settings()


def test_a_named_file_must_be_there(file: Path) -> None:
    file.unlink()
    with pytest.raises(BadSettings, match="SAFELIGHT_CONFIG"):
        load_settings()
