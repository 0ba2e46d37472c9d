"""The built-in engine makes what a real server made of the same graphs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from shared.comfy.graph import Graph
from shared.engines.base import WorkRefused
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.executor import RunFailed, Surroundings, execute, implemented_classes
from shared.engines.builtin.node_run import SavedFile
from shared.engines.builtin.validation import checked_graph
from shared.jobs.events import OutputKind
from tests.support.golden import GoldenCase, golden_cases, golden_files

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

CASES = golden_cases()
RAN = [case for case in CASES if case.result == "ok"]
FAILED = [case for case in CASES if case.result == "failed"]
REFUSED = [case for case in CASES if case.result == "refused"]


@dataclass
class Ran:
    saved: list[SavedFile]
    texts: dict[str, str]

    def of(self, node: str) -> list[SavedFile]:
        return [file for file in self.saved if file.node == node]


def run(graph: Graph, files: Mapping[tuple[str, str], Path], folder: Path) -> Ran:
    texts: dict[str, str] = {}
    around = Surroundings(
        files=files,
        folder=folder,
        now=datetime(2026, 11, 21, tzinfo=UTC),
        on_progress=lambda _: None,
        on_text=texts.__setitem__,
        pause=lambda: None,
    )
    return Ran(execute(checked_graph(graph, files.keys()), around), texts)


def test_every_recorded_case_is_here() -> None:
    assert (len(RAN), len(FAILED), len(REFUSED)) == (91, 16, 10)


def test_every_declared_class_is_implemented() -> None:
    assert implemented_classes() == NODE_CLASSES


@pytest.mark.parametrize("case", RAN, ids=lambda case: case.name)
def test_result_is_the_servers(case: GoldenCase, tmp_path: Path) -> None:
    ran = run(case.graph, golden_files(case.graph), tmp_path)

    assert ran.texts == case.progress_texts
    shown = {file.node: file.path.read_text() for file in ran.saved if file.kind is OutputKind.TEXT}
    assert {node: [text] for node, text in shown.items()} == case.texts
    for node in {output["node"] for output in case.outputs}:
        expected = [output for output in case.outputs if output["node"] == node]
        if "animation" in expected[0]:
            _assert_same_animation(case, expected, ran.of(node))
        else:
            _assert_same_pictures(case, expected, ran.of(node))


def _assert_same_pictures(case: GoldenCase, expected: list[dict], files: list[SavedFile]) -> None:
    assert len(files) == len(expected)
    for output, file in zip(expected, files, strict=True):
        temporary = output.get("type") == "temp"
        assert file.kind is (OutputKind.PREVIEW if temporary else OutputKind.IMAGE)
        assert temporary or _uncounted(file.name) == _uncounted(output["server_filename"])
        with Image.open(file.path) as ours, Image.open(case.path(output["file"])) as theirs:
            _assert_close(case, ours, theirs)


def _uncounted(name: str) -> str:
    """Which of several nodes with one prefix saves first is the server's chance."""
    return re.sub(r"_\d{5}_", "_#_", name.replace(":", "_"))


def _assert_same_animation(case: GoldenCase, expected: list[dict], files: list[SavedFile]) -> None:
    [file] = files
    facts = expected[0]["animation"]
    with Image.open(file.path) as ours:
        assert (ours.format, getattr(ours, "n_frames", 1)) == (facts["format"], facts["frames"])
        assert ours.info.get("loop") == facts["loop"]
        frames = list(ImageSequence.Iterator(ours)) if facts["frames"] == 1 else []
        durations = [frame.info.get("duration") for frame in frames]
        for index, output in enumerate(expected[: facts["frames"]]):
            ours.seek(index)
            ours.load()
            durations = [*durations[:index], ours.info.get("duration")]
            with Image.open(case.path(output["file"])) as theirs:
                _assert_close(case, ours, theirs)
        assert durations == facts["durations_ms"]


def _assert_close(case: GoldenCase, ours: Image.Image, theirs: Image.Image) -> None:
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs).astype(int))
    if case.compare in {"exact", "library_dependent"}:
        assert difference.max() == 0
    elif case.compare == "lossy_codec":
        assert difference.max() <= 4
    else:
        assert difference.max() <= 2
        assert (difference > 1).mean() <= 0.001


@pytest.mark.parametrize("case", FAILED, ids=lambda case: case.name)
def test_fails_at_the_node_where_the_server_failed(case: GoldenCase, tmp_path: Path) -> None:
    theirs = case.error["execution_error"]

    with pytest.raises(RunFailed) as caught:
        run(case.graph, golden_files(case.graph), tmp_path)
    named = (caught.value.details["node"], caught.value.details["class_type"])
    assert named == (theirs["node_id"], theirs["node_type"])


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refuses_what_the_server_refused(case: GoldenCase) -> None:
    expected = {
        (error["type"], node, error["extra_info"]["input_name"])
        for node, entry in case.error["body"]["node_errors"].items()
        for error in entry["errors"]
    }

    with pytest.raises(WorkRefused) as caught:
        checked_graph(case.graph, golden_files(case.graph).keys())
    faults = caught.value.details["faults"]
    assert {(fault["kind"], fault["node"], fault["input"]) for fault in faults} == expected
