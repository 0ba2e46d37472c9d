"""A few requests of each kind; `make fuzz` sends many."""

import sys
from pathlib import Path

import pytest

from tests.fuzz.run import fuzz


@pytest.mark.skipif(sys.platform == "win32", reason="processes are told to stop by signals")
def test_every_answer_is_one_that_the_document_tells(tmp_path: Path) -> None:
    said, good = fuzz(tmp_path, "--phases", "fuzzing", "--max-examples", "1", accounts="a")
    assert good, said
