"""A contact sheet of before/after pairs, as one JPEG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

__all__ = ["Pair", "write_contact_sheet"]

_CELL = (360, 300)  # pixels of one picture
_GAP = 12
_CAPTION = 34
_COLUMNS = 3
_GROUND = (38, 38, 38)
_TEXT = (205, 205, 205)


@dataclass(frozen=True, slots=True)
class Pair:
    before: Path
    after: Path
    caption: str


def write_contact_sheet(pairs: Sequence[Pair], target: Path) -> None:
    """Lay the pairs out in rows of three, each with its caption below."""
    pair_width, pair_height = 2 * _CELL[0] + _GAP, _CELL[1] + _CAPTION
    rows = -(-len(pairs) // _COLUMNS)
    columns = min(_COLUMNS, len(pairs))
    size = (columns * (pair_width + 2 * _GAP) + 2 * _GAP, rows * (pair_height + 2 * _GAP) + 2 * _GAP)
    sheet = Image.new("RGB", size, _GROUND)
    for number, pair in enumerate(pairs):
        row, column = divmod(number, _COLUMNS)
        left = 2 * _GAP + column * (pair_width + 2 * _GAP)
        top = 2 * _GAP + row * (pair_height + 2 * _GAP)
        _draw_pair(sheet, pair, left, top)
    target.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(target, quality=88)


def _draw_pair(sheet: Image.Image, pair: Pair, left: int, top: int) -> None:
    for offset, path in ((0, pair.before), (_CELL[0] + _GAP, pair.after)):
        with Image.open(path) as picture:
            picture.draft("RGB", (2 * _CELL[0], 2 * _CELL[1]))
            fitted = ImageOps.contain(ImageOps.exif_transpose(picture).convert("RGB"), _CELL)
        sheet.paste(
            fitted, (left + offset + (_CELL[0] - fitted.width) // 2, top + (_CELL[1] - fitted.height) // 2)
        )
    font = ImageFont.load_default(17)
    ImageDraw.Draw(sheet).text((left, top + _CELL[1] + 8), pair.caption, fill=_TEXT, font=font)
