"""What an output says of its origin, so that a lost journal can be rebuilt from the files alone.

The record is an XMP property; a format without XMP gets a small file in a `.safelight` folder.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import assert_never

from PIL import Image, UnidentifiedImageError

from desktop.store.job import GraphRecipe, PresetRecipe, Recipe
from shared.files import digest_bytes
from shared.ids import derived_key

__all__ = [
    "SIDECAR_FOLDER",
    "Origin",
    "origin_in_xmp",
    "read_origin",
    "recipe_digest",
    "sidecar_content",
    "sidecar_path",
    "with_origin",
]

SIDECAR_FOLDER = ".safelight"
_NAMESPACE = "https://safelight.app/ns/1.0/"
_RECORD = re.compile(
    r'safelight:source="([0-9a-f]{64})" safelight:recipe="([0-9a-f]{64})" safelight:lineage="([0-9a-f ]*)"'
)
_OLD_RECORD = re.compile(rf'<rdf:Description rdf:about="" xmlns:safelight="{_NAMESPACE}"[^>]*/>')


@dataclass(frozen=True, slots=True)
class Origin:
    """Digest of the source's content, and of the preset version with its values.

    `lineage` are the ids of the hot folders it came through, oldest first.
    """

    source: str
    recipe: str
    lineage: tuple[str, ...] = ()


def recipe_digest(recipe: Recipe) -> str:
    match recipe:
        case PresetRecipe():
            return derived_key(recipe.digest, json.dumps(dict(recipe.values), sort_keys=True))
        case GraphRecipe():
            return digest_bytes(json.dumps(recipe.graph.to_json(), sort_keys=True).encode())
        case _:
            assert_never(recipe)


def with_origin(xmp: bytes | None, origin: Origin) -> bytes:
    """The XMP packet with the record in place of any earlier one."""
    record = (
        f'<rdf:Description rdf:about="" xmlns:safelight="{_NAMESPACE}" '
        f'safelight:source="{origin.source}" safelight:recipe="{origin.recipe}" '
        f'safelight:lineage="{" ".join(origin.lineage)}"/>'
    )
    packet = _OLD_RECORD.sub("", (xmp or b"").decode("utf-8", "surrogateescape"))
    before, closing, after = packet.rpartition("</rdf:RDF>")
    if not closing:
        before = (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        )
        after = '</x:xmpmeta><?xpacket end="w"?>'
    return f"{before}{record}</rdf:RDF>{after}".encode("utf-8", "surrogateescape")


def origin_in_xmp(xmp: bytes | str) -> Origin | None:
    text = xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else xmp
    found = _RECORD.search(text)
    return Origin(found[1], found[2], tuple(found[3].split())) if found else None


def sidecar_path(output: Path) -> Path:
    return output.parent / SIDECAR_FOLDER / f"{output.name}.json"


def sidecar_content(origin: Origin) -> bytes:
    return json.dumps(asdict(origin)).encode()


def read_origin(output: Path) -> Origin | None:
    """The record of a file that Safelight delivered; None for any other file."""
    try:
        with Image.open(output) as image:
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        xmp = None
    if isinstance(xmp, bytes | str):
        return origin_in_xmp(xmp)
    try:
        record = json.loads(sidecar_path(output).read_bytes())
        return Origin(record["source"], record["recipe"], tuple(record["lineage"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
