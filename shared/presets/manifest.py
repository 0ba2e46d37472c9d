"""What `preset.json` declares, as values."""

from dataclasses import dataclass

from shared.presets.parameter import Parameter

__all__ = ["Manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    id: str
    version: str
    name: str
    summary: str
    parameters: tuple[Parameter, ...] = ()
