"""Files that go along with another one by their names, such as photo_mask.png with photo.jpg. Pure."""

from collections.abc import Iterable
from pathlib import PurePath

from shared.media import READABLE_SUFFIXES
from shared.presets.acceptance import batch_input
from shared.presets.manifest import Manifest, PresetInput

__all__ = ["is_pattern", "leaders", "other_inputs", "partner_names", "wanted_partner"]


def is_pattern(pair_by: str) -> bool:
    """One star for the primary file's stem, and something that tells the partner from it."""
    return pair_by.count("*") == 1 and pair_by != "*"


def other_inputs(manifest: Manifest) -> tuple[PresetInput, ...]:
    """All inputs but the one that a batch walks over. Raises InvalidValue for a preset without files."""
    primary = batch_input(manifest)
    return tuple(item for item in manifest.inputs if item is not primary)


def leaders(inputs: Iterable[PresetInput], stem: str) -> tuple[str, ...]:
    """Stems of the files with which a file of this stem goes along: "photo" for "photo_mask"."""
    found: list[str] = []
    for declared in inputs:
        before, star, after = (declared.pair_by or "").partition("*")
        fits = star and stem.startswith(before) and stem.endswith(after)
        if fits and len(stem) > len(before) + len(after):
            found.append(stem[len(before) : len(stem) - len(after)])
    return tuple(found)


def partner_names(declared: PresetInput, primary: PurePath) -> tuple[str, ...]:
    """Every name that the partner of `primary` may have, the likelier first; none if it has no pattern."""
    if declared.pair_by is None:
        return ()
    stem = declared.pair_by.replace("*", primary.stem)
    own = primary.suffix.lower()
    suffixes = sorted(READABLE_SUFFIXES, key=lambda suffix: (suffix != ".png", suffix != own, suffix))
    return tuple(stem + spelled for suffix in suffixes for spelled in (suffix, suffix.upper()))


def wanted_partner(declared: PresetInput, primary: PurePath) -> str:
    """What to call for when the partner is not there."""
    return (declared.pair_by or declared.label).replace("*", primary.stem)
