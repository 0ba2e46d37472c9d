"""The shipped presets, run by the built-in engine on pictures of every size and kind."""

import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from PIL import Image, ImageFilter

from shared.engines.base import InputFile, PresetWork
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.engines.single_run import run_once
from shared.errors import JsonValue
from shared.files import digest_file
from shared.ids import new_id
from shared.presets.bundle import (
    load_preset,
    preset_folders,
    sample_photos_folder,
    shipped_presets_folder,
)
from shared.presets.values import resolve_values

PRESETS = {folder.name: load_preset(folder) for folder in preset_folders(shipped_presets_folder())}
INSTANT = sorted(name for name, preset in PRESETS.items() if preset.manifest.instant(NODE_CLASSES))
KEEPS_SIZE = sorted(set(INSTANT) - {"thumbnail", "social-square"})
NO_EFFECT: Mapping[str, Mapping[str, JsonValue]] = {
    "product-glow": {"glow": 0, "brightness": 0, "contrast": 0, "sharpness": 0},
    "cinematic": {"exposure": 0, "grade": 0, "contrast": 0, "fade": 0, "bloom": 0, "vignette": 0},
    "matte-film": {"fade": 0, "muted": 0, "colour": 0, "halation": 0, "vignette": 0},
}

Pixels = npt.NDArray[np.int16]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BuiltinEngine]:
    state = tmp_path_factory.mktemp("engine")
    pool = ProcessPool(size=1)
    made = BuiltinEngine(state_folder=state, pool=pool)
    yield made
    await made.aclose()
    await pool.aclose()


async def developed(
    engine: BuiltinEngine, preset_id: str, photo: Path, values: Mapping[str, JsonValue] | None = None
) -> Image.Image:
    preset = PRESETS[preset_id]
    work = PresetWork(
        job_id=new_id(),
        preset=preset,
        values=resolve_values(preset.manifest, values or {}),
        inputs={"photo": (InputFile(photo, digest_file(photo), photo.name),)},
    )
    (finished,) = await run_once(engine, work)
    picture = Image.open(io.BytesIO(finished.data))
    picture.load()
    return picture


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture, np.uint8).astype(np.int16)


def saved(path: Path, picture: Image.Image) -> Path:
    picture.save(path)
    return path


def photograph(size: tuple[int, int], *, name: str = "landscape") -> Image.Image:
    with Image.open(sample_photos_folder() / f"{name}.jpg") as opened:
        return opened.convert("RGB").resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("preset_id", INSTANT)
async def test_any_picture_comes_out_well_formed(
    engine: BuiltinEngine, tmp_path: Path, preset_id: str
) -> None:
    fixed = {"thumbnail": (1280, 720), "social-square": (1080, 1080)}.get(preset_id)
    for size in ((1, 1), (17, 9), (640, 427), (3000, 2), (2, 3000)):
        made = await developed(engine, preset_id, saved(tmp_path / "rgb.png", photograph(size)))
        assert (made.mode, made.size) == ("RGB", fixed or size)
    grey = photograph((64, 48)).convert("L")
    made = await developed(engine, preset_id, saved(tmp_path / "grey.png", grey))
    assert (made.mode, made.size) == ("RGB", fixed or (64, 48))


@pytest.mark.parametrize("preset_id", INSTANT)
async def test_transparency_is_kept_or_filled(engine: BuiltinEngine, tmp_path: Path, preset_id: str) -> None:
    cut_out = photograph((96, 64))
    alpha = Image.new("L", cut_out.size, 0)
    alpha.paste(255, (24, 16, 72, 48))
    cut_out.putalpha(alpha)
    made = await developed(engine, preset_id, saved(tmp_path / "rgba.png", cut_out), None)
    if preset_id in KEEPS_SIZE:
        assert made.mode == "RGBA"
        assert np.abs(pixels(made.getchannel("A")) - pixels(alpha)).max() <= 1
    else:
        assert made.mode == "RGB"
        assert made.getpixel((20, made.height // 2)) != cut_out.convert("RGB").getpixel((2, 32))


@pytest.mark.parametrize("preset_id", INSTANT)
async def test_value_sets_look_different(engine: BuiltinEngine, tmp_path: Path, preset_id: str) -> None:
    photo = saved(tmp_path / "photo.png", photograph((240, 160), name="product"))
    plain = await developed(engine, preset_id, photo)
    for value_set in PRESETS[preset_id].manifest.value_sets:
        made = await developed(engine, preset_id, photo, value_set.values)
        assert made.size != plain.size or np.abs(pixels(made) - pixels(plain)).mean() > 1.0


@pytest.mark.parametrize("preset_id", sorted(NO_EFFECT))
async def test_nothing_changes_when_all_is_turned_down(
    engine: BuiltinEngine, tmp_path: Path, preset_id: str
) -> None:
    picture = photograph((200, 133))
    made = await developed(engine, preset_id, saved(tmp_path / "photo.png", picture), NO_EFFECT[preset_id])
    assert np.abs(pixels(made) - pixels(picture)).max() <= 1


@pytest.mark.parametrize("preset_id", ["product-glow", "noir"])
async def test_greys_stay_grey_and_ramps_smooth(
    engine: BuiltinEngine, tmp_path: Path, preset_id: str
) -> None:
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 1024), (64, 1)).astype(np.uint8))
    made = pixels(await developed(engine, preset_id, saved(tmp_path / "ramp.png", ramp)))
    assert np.ptp(made, axis=2).max() <= 1
    assert np.diff(made[32, 8:-8, 0]).min() >= -1
    assert np.diff(made[32, :, 0]).max() <= 4


@pytest.mark.parametrize("preset_id", KEEPS_SIZE)
async def test_a_reduced_picture_shows_what_the_full_one_will_be(
    engine: BuiltinEngine, tmp_path: Path, preset_id: str
) -> None:
    full = photograph((900, 600)).filter(ImageFilter.GaussianBlur(3))
    reduced = full.resize((300, 200), Image.Resampling.BOX)
    large = await developed(engine, preset_id, saved(tmp_path / "full.png", full))
    small = await developed(engine, preset_id, saved(tmp_path / "reduced.png", reduced))
    difference = np.abs(pixels(large.resize(small.size, Image.Resampling.BOX)) - pixels(small))
    assert difference.mean() < 1.5


@pytest.mark.timeout(300)  # a machine under load takes its time over 24 million pixels
async def test_twenty_four_megapixels(engine: BuiltinEngine, tmp_path: Path) -> None:
    photo = saved(tmp_path / "large.bmp", photograph((4000, 6000), name="portrait"))
    made = await developed(engine, "cinematic", photo)
    assert made.size == (4000, 6000)
