"""`make fuzz`: all phases and all checks, `FUZZ` examples of each operation."""

import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import fuzz


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        said, good = fuzz(Path(folder), "--max-examples", os.environ.get("FUZZ", "100"))
    sys.stdout.write(said)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
