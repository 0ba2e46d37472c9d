"""Options that several commands share, and how their texts are read."""

from collections.abc import Sequence
from typing import Annotated

import typer

from desktop.store.job import EngineChoice, OutputPolicy
from shared.errors import JsonValue, UsageError
from shared.media import media_type_for
from shared.presets.manifest import Manifest
from shared.presets.values import parse_text

__all__ = [
    "DropGpsOption",
    "EngineOption",
    "FormatOption",
    "JsonOption",
    "QualityOption",
    "ServerOption",
    "SetOption",
    "output_policy",
    "parse_values",
    "split_pairs",
]

_WRITTEN = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/tiff", "image/avif", "image/gif", "image/bmp"}
)

EngineOption = Annotated[
    EngineChoice, typer.Option("--engine", help="What runs it. auto takes what suits and answers.")
]
ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="The ComfyUI to use, such as http://127.0.0.1:8188."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one event per line on stdout.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A value of the preset; may be repeated."),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", metavar="SUFFIX", help="jpg, png, webp, tiff, avif, gif or bmp.")
]
QualityOption = Annotated[
    int | None, typer.Option("--quality", min=1, max=100, help="How much JPEG, WebP and AVIF keep.")
]
DropGpsOption = Annotated[bool, typer.Option("--drop-gps", help="Leave out where the picture was taken.")]


def split_pairs(texts: Sequence[str], *, option: str) -> dict[str, str]:
    """`name=value` texts as a mapping. Raises UsageError."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {text}: write {option} NAME=VALUE", field=option.lstrip("-"))
        pairs[name] = value
    return pairs


def parse_values(manifest: Manifest, texts: Sequence[str]) -> dict[str, JsonValue]:
    """--set texts as values of their parameters' types. Raises InvalidValue, UsageError, naming the field."""
    parameters = {parameter.id: parameter for parameter in manifest.parameters}
    values: dict[str, JsonValue] = {}
    for name, text in split_pairs(texts, option="--set").items():
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise UsageError(f"{manifest.id} has no setting {name}; it has {known}", field=f"values.{name}")
        values[name] = parse_text(parameters[name], text)
    return values


def output_policy(suffix: str | None, quality: int | None, *, drop_gps: bool) -> OutputPolicy:
    """Raises UsageError for a format that pictures are not written in."""
    if suffix is None:
        return OutputPolicy(quality=quality, drop_gps=drop_gps)
    dotted = f".{suffix.lower().lstrip('.')}"
    if media_type_for(dotted) not in _WRITTEN:
        raise UsageError(
            f"--format {suffix}: pictures are written as jpg, png, webp, tiff, avif, gif or bmp",
            field="format",
        )
    return OutputPolicy(suffix=dotted, quality=quality, drop_gps=drop_gps)
