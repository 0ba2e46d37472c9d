import os
import sys
from pathlib import Path

import pytest

from desktop.watching.leases import Writers, writers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")


def asked(path: Path) -> Writers:
    handle = os.open(path, os.O_RDONLY)
    try:
        return writers_of(handle)
    finally:
        os.close(handle)


def test_a_closed_file_has_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")

    assert asked(path) is Writers.NONE


def test_an_open_file_has_one_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        assert asked(path) is Writers.SOME

    assert asked(path) is Writers.NONE


def test_readers_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")

    with path.open("rb"):
        assert asked(path) is Writers.NONE
