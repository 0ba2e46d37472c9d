"""Make the looks of the shipped presets with the product itself: `make looks`.

before.webp is a sample photograph, after.webp what the built-in engine makes of it with the
preset's defaults; both are the preset's self-test. The cover is a second run, cut to 4 : 3. A preset
that needs a model gets a card that says so in place of a result: nothing is shown that was not made.
"""

import asyncio
import io
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from shared.engines.base import InputFile, PresetWork
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.engines.single_run import run_once
from shared.errors import JsonValue
from shared.files import digest_file, replace_file
from shared.ids import new_id
from shared.presets.bundle import MANIFEST_FILE, Preset, load_preset
from shared.presets.values import resolve_values

__all__ = ["main"]

PRESETS = Path(__file__).parents[1] / "presets"
COVER_SIZE = (640, 480)
BACKDROP = (22, 22, 22)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Which photograph shows a preset; `whole` keeps the cover's edges, on a dark ground."""

    photo: str
    cover_values: Mapping[str, JsonValue] = field(default_factory=dict)
    whole: bool = False


STAGINGS = {
    "cinematic": Staging(
        photo="landscape", cover_values={"frame": "bars", "aspect": "1.85:1", "position": 0.8}
    ),
    "matte-film": Staging(photo="portrait"),
    "noir": Staging(photo="cat"),
    "portrait-pro": Staging(photo="portrait"),
    "product-glow": Staging(photo="product"),
    "social-square": Staging(photo="product", whole=True),
    "thumbnail": Staging(photo="portrait", whole=True),
}


async def render_looks() -> None:
    with tempfile.TemporaryDirectory(prefix="safelight-looks-") as state:
        pool = ProcessPool()
        engine = BuiltinEngine(state_folder=Path(state), pool=pool)
        try:
            for preset_id, staging in STAGINGS.items():
                await _render(engine, load_preset(PRESETS / preset_id), staging)
        finally:
            await engine.aclose()
            await pool.aclose()


async def _render(engine: BuiltinEngine, preset: Preset, staging: Staging) -> None:
    photo = PRESETS / "samples" / f"{staging.photo}.jpg"
    with Image.open(photo) as opened:
        before = opened.convert("RGB")
    _write(before, preset.folder / "before.webp", quality=92)
    if preset.manifest.instant(NODE_CLASSES):
        after = await _developed(engine, preset, {})
        shown = await _developed(engine, preset, staging.cover_values)
    else:
        after, shown = _card(before), before
    _write(after, preset.folder / "after.webp", quality=92)
    _write(_cover(shown, whole=staging.whole), preset.folder / "cover.webp", quality=88)
    _expect(preset.folder / MANIFEST_FILE, after.size)
    print(f"{preset.manifest.id}: {after.width} × {after.height}")


async def _developed(engine: BuiltinEngine, preset: Preset, values: Mapping[str, JsonValue]) -> Image.Image:
    path = preset.folder / "before.webp"
    work = PresetWork(
        job_id=new_id(),
        preset=preset,
        values=resolve_values(preset.manifest, values),
        inputs={"photo": (InputFile(path, digest_file(path), path.name),)},
    )
    (finished,) = await run_once(engine, work)
    return Image.open(io.BytesIO(finished.data)).convert("RGB")


def _cover(picture: Image.Image, *, whole: bool) -> Image.Image:
    if whole:
        return ImageOps.pad(picture, COVER_SIZE, Image.Resampling.LANCZOS, color=BACKDROP)
    return ImageOps.fit(picture, COVER_SIZE, Image.Resampling.LANCZOS, centering=(0.5, 0.3))


def _card(photo: Image.Image) -> Image.Image:
    """Written into the right half, which the divider between before and after leaves in sight."""
    card = ImageEnhance.Brightness(ImageOps.grayscale(photo).convert("RGB")).enhance(0.3)
    lines = "No example\nis shown:\nthe result\ndepends on\nthe checkpoint\nyou install."
    ImageDraw.Draw(card).multiline_text(
        (card.width * 0.77, card.height / 2),
        lines,
        fill=(235, 235, 235),
        font=ImageFont.load_default(card.width / 20),
        anchor="mm",
        align="center",
        spacing=card.width / 40,
    )
    return card


def _expect(path: Path, size: tuple[int, int]) -> None:
    """Note in the sample how large its result is."""
    declared = json.loads(path.read_text("utf-8"))
    for sample in declared["samples"]:
        for expectation in sample["expect"].values():
            expectation["width"], expectation["height"] = size
    replace_file(path, (json.dumps(declared, indent=2, ensure_ascii=False) + "\n").encode())


def _write(picture: Image.Image, path: Path, *, quality: int) -> None:
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=quality, method=6)
    replace_file(path, data.getvalue())


def main() -> int:
    asyncio.run(render_looks())
    return 0


if __name__ == "__main__":
    sys.exit(main())
