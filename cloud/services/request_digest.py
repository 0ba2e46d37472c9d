"""What a request asks for, as a digest: equal for equal requests, whatever version wrote them down."""

import json

from pydantic import BaseModel

from shared.ids import derived_key

__all__ = ["request_digest"]

# Fields of the first version, which its digests held even where they had their defaults.
_ALWAYS: dict[str, object] = {"preset_version": None, "values": {}}


def request_digest(kind: str, request: BaseModel) -> str:
    data = _ALWAYS | request.model_dump(mode="json", exclude_defaults=True)
    return derived_key(kind, json.dumps(data, sort_keys=True))
