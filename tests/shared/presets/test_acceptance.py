"""What a preset's inputs take, and how the others are refused."""

from dataclasses import replace

import pytest

from shared.media import ImageInfo
from shared.presets.acceptance import check_accepted
from shared.presets.errors import InvalidValue
from shared.presets.manifest import InputLimits, PresetInput
from tests.shared.presets.samples import make_preset

GIF = ImageInfo(
    media_type="image/gif", width=20, height=10, frames=6, bytes=2_500_000, has_alpha=False, orientation=1
)


def _photo(**declared: object) -> PresetInput:
    return replace(make_preset().manifest.inputs[0], **declared)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"accepts": ("image/gif",)},
        {"accepts": ("image/*",)},
        {"accepts": ("jpg", ".gif")},
        {"limits": InputLimits(max_bytes=2_500_000, max_frames=6)},
    ],
)
def test_what_is_declared_is_taken(declared: dict[str, object]) -> None:
    check_accepted(_photo(**declared), "a.gif", GIF)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"accepts": ("image/jpeg", "png")}, "a.gif is image/gif; this preset takes image/jpeg, png"),
        (
            {"limits": InputLimits(max_bytes=2_000_000)},
            "a.gif has 2.5 MB; this preset takes at most 2.0 MB",
        ),
        ({"limits": InputLimits(max_frames=1)}, "a.gif has 6 frames; this preset takes at most 1"),
    ],
)
def test_what_is_not_is_refused_with_the_files_name(declared: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        check_accepted(_photo(**declared), "a.gif", GIF)
    assert refused.value.message == said
    assert refused.value.details["field"] == "inputs.photo"
