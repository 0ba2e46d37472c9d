"""Write docs/preset.schema.json: `make schema`. A test holds the file to what the code reads."""

import json
import sys
from pathlib import Path

from shared.presets.schema import json_schema

__all__ = ["main"]

SCHEMA_FILE = Path(__file__).parents[1] / "docs" / "preset.schema.json"


def main() -> int:
    SCHEMA_FILE.parent.mkdir(exist_ok=True)
    SCHEMA_FILE.write_text(json.dumps(json_schema(), indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
