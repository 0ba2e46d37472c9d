"""Names that can be derived again without the journal. Pure."""

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from shared.errors import JsonValue
from shared.ids import derived_key

__all__ = ["hot_folder_id", "idempotency_key", "identity_path"]


def hot_folder_id(source: Path, out: Path, preset_id: str) -> str:
    """For the command line; both paths real."""
    return derived_key(str(source), str(out), preset_id)


def identity_path(relative: str) -> str:
    """The relative path as the ledger names it: `/` between the parts, composed characters (NFC)."""
    return unicodedata.normalize("NFC", PurePosixPath(relative).as_posix())


def idempotency_key(ledger_key: str, preset_digest: str, values: Mapping[str, JsonValue]) -> str:
    return derived_key(
        ledger_key, preset_digest, json.dumps(dict(values), sort_keys=True, ensure_ascii=False)
    )
