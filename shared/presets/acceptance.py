"""Which files a preset takes: what a batch walks over, and what pictures' headers must say. Pure."""

from shared.media import ImageInfo, media_type_for
from shared.presets.errors import InvalidValue
from shared.presets.manifest import InputLimits, Manifest, PresetInput

__all__ = ["batch_input", "check_accepted"]


def batch_input(manifest: Manifest) -> PresetInput:
    """The input that is given one file after the other. Raises InvalidValue for a preset without files."""
    if not manifest.inputs:
        raise InvalidValue(f"{manifest.name} makes pictures from nothing: it takes no files", field="inputs")
    return manifest.primary_input or manifest.inputs[0]


def check_accepted(declared: PresetInput, name: str, info: ImageInfo) -> None:
    """Raises InvalidValue naming the file and what is taken; sizes in pixels are judged on rendering."""
    problem = _wrong_type(declared.accepts, info) or _too_much(declared.limits, info)
    if problem is not None:
        raise InvalidValue(f"{name} {problem}", field=declared.field, file=name)


def _wrong_type(accepts: tuple[str, ...], info: ImageInfo) -> str | None:
    """`accepts` holds media types, whole families such as "image/*", or suffixes."""
    family = f"{info.media_type.partition('/')[0]}/*"
    taken = {item if "/" in item else media_type_for(f".{item.lstrip('.')}") for item in accepts}
    if not accepts or {info.media_type, family} & taken:
        return None
    return f"is {info.media_type}; this preset takes {', '.join(accepts)}"


def _too_much(limits: InputLimits, info: ImageInfo) -> str | None:
    if limits.max_bytes is not None and info.bytes > limits.max_bytes:
        return f"has {info.bytes / 1e6:.1f} MB; this preset takes at most {limits.max_bytes / 1e6:.1f} MB"
    if limits.max_frames is not None and info.frames > limits.max_frames:
        return f"has {info.frames} frames; this preset takes at most {limits.max_frames}"
    return None
