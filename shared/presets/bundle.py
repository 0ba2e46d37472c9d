"""A preset as loaded from its bundle."""

from dataclasses import dataclass
from pathlib import Path

from shared.comfy.graph import Graph
from shared.presets.manifest import Manifest

__all__ = ["Preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One version of a preset. `digest` is the SHA-256 over the bundle's files that decide results.

    `folder` holds the looks and samples: cover.webp, before.webp, after.webp.
    """

    manifest: Manifest
    graph: Graph
    digest: str
    folder: Path
