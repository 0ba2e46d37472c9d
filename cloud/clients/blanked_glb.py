"""glTF without texts: what its own tool wrote beside the model leaves the description."""

import json
import mmap
import struct

__all__ = ["blank_glb"]

_HEAD, _JSON = 12, b"JSON"


def blank_glb(data: mmap.mmap) -> None:
    """glTF 2.0, 4: a description, padded with spaces, before the binary part. Raises ValueError."""
    length, kind = struct.unpack_from("<I4s", data, _HEAD)
    start = _HEAD + 8
    if kind != _JSON or start + length > len(data):
        raise ValueError("it does not begin with its description")
    described = json.loads(data[start : start + length])
    for holder in (described, described.get("asset", {})):
        holder.pop("extras", None)
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > length:
        raise ValueError("its description cannot be written any shorter")
    data[start : start + length] = text.ljust(length)
