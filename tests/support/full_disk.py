"""A file system that can be filled: a small one of its own."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["small_disk"]


@contextlib.contextmanager
def small_disk(*, megabytes: int) -> Iterator[Path]:
    """Belongs to whom the PostgreSQL of the tests runs as. Skips where one may not mount."""
    folder = Path(tempfile.mkdtemp(prefix="safelight-disk-"))
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
    options = f"size={megabytes}m,uid={owner},mode=0700"
    try:
        folder.chmod(0o755)
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=False, capture_output=True
        )
        if mount.returncode:
            pytest.skip("needs the right to mount a small file system")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
