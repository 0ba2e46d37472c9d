from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from shared.comfy.graph import parse_graph
from shared.engines.base import GraphInput, GraphWork, InputFile, WorkRefused
from shared.engines.builtin.run_folder import RunFolder
from shared.engines.builtin.staging import stage
from shared.files import digest_file
from shared.media import DEFAULT_INPUT_LIMITS
from tests.support.builtin_works import node


@pytest.fixture
def file(tmp_path: Path) -> InputFile:
    path = tmp_path / "a.png"
    Image.linear_gradient("L").save(path)
    return InputFile(path, digest_file(path), path.name)


def _staged(file: InputFile, folder: Path) -> Path:
    graph = {
        "1": node("LoadImage", image="a.png"),
        "2": node("SaveImage", images=["1", 0], filename_prefix="b"),
    }
    work = GraphWork(job_id="job", graph=parse_graph(graph), inputs=(GraphInput("1", "image", file),))
    stage(work, RunFolder(folder), DEFAULT_INPUT_LIMITS)
    return folder / f"{file.digest}.png"


def test_what_may_still_change_is_copied(file: InputFile, tmp_path: Path) -> None:
    staged = _staged(file, tmp_path / "run")

    assert (staged.read_bytes(), staged.stat().st_nlink) == (file.path.read_bytes(), 1)


def test_what_changes_no_more_gets_another_name(file: InputFile, tmp_path: Path) -> None:
    staged = _staged(replace(file, sealed=True), tmp_path / "run")

    assert staged.samefile(file.path)


@pytest.mark.parametrize("sealed", [False, True])
def test_other_content_than_was_promised_is_refused(file: InputFile, tmp_path: Path, *, sealed: bool) -> None:
    with pytest.raises(WorkRefused, match="changed"):
        _staged(replace(file, digest="0" * 64, sealed=sealed), tmp_path / "run")
    assert not (tmp_path / "run").exists()
