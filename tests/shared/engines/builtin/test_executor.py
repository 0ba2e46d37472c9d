"""Values live no longer than they are needed, and a run stops when it is told to."""

import gc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.comfy.graph import Graph, parse_graph
from shared.engines.builtin.executor import NodeProgress, Surroundings, execute
from shared.engines.builtin.validation import checked_graph
from tests.support.builtin_works import node


class Stop(Exception):
    """What this test's pause raises."""


def surroundings(folder: Path, **changes: Any) -> Surroundings:
    defaults: dict[str, Any] = {
        "files": {},
        "folder": folder,
        "now": datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC),
        "on_progress": lambda _: None,
        "on_text": lambda _node, _text: None,
        "pause": lambda: None,
    }
    return Surroundings(**(defaults | changes))


def long_chain(length: int) -> Graph:
    graph: dict[str, Any] = {"0": node("EmptyImage", width=300, height=300, batch_size=1, color=255)}
    graph |= {str(at): node("ImageInvert", image=[str(at - 1), 0]) for at in range(1, length)}
    graph["save"] = node("SaveImage", images=[str(length - 1), 0], filename_prefix="x")
    return checked_graph(parse_graph(graph), frozenset())


def test_intermediate_values_are_dropped(tmp_path: Path) -> None:
    alive: list[int] = []

    def count(_progress: NodeProgress) -> None:
        arrays = [item for item in gc.get_objects() if isinstance(item, dict)]
        alive.append(
            sum(
                isinstance(value, np.ndarray) and value.shape == (1, 300, 300, 3)
                for values in arrays
                for value in values.values()
            )
        )

    execute(long_chain(20), surroundings(tmp_path, on_progress=count))

    assert max(alive) <= 1


def test_progress_counts_nodes(tmp_path: Path) -> None:
    seen: list[NodeProgress] = []

    execute(long_chain(3), surroundings(tmp_path, on_progress=seen.append))

    assert [(progress.node, progress.done) for progress in seen] == [
        ("0", 0), ("1", 1), ("2", 2), ("save", 3), (None, 4),
    ]  # fmt: skip
    assert {progress.total for progress in seen} == {4}


@pytest.mark.parametrize("after", [0, 5])
def test_pause_stops_between_nodes(tmp_path: Path, after: int) -> None:
    calls = iter(range(100))

    def pause() -> None:
        if next(calls) >= after:
            raise Stop

    with pytest.raises(Stop):
        execute(long_chain(50), surroundings(tmp_path, pause=pause))


def test_pause_stops_within_a_long_node(tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.linear_gradient("L").save(mask)
    graph = checked_graph(
        parse_graph(
            {
                "1": node("LoadImageMask", image="mask", channel="red"),
                "2": node("GrowMask", mask=["1", 0], expand=250, tapered_corners=True),
                "3": node("MaskPreview", mask=["2", 0]),
            }
        ),
        {("1", "image")},
    )
    calls = iter(range(100))

    def pause() -> None:
        if next(calls) > 20:
            raise Stop

    with pytest.raises(Stop):
        execute(graph, surroundings(tmp_path, files={("1", "image"): mask}, pause=pause))


def test_tokens_of_a_prefix(tmp_path: Path) -> None:
    prefix = "a/%year%-%month%-%day%_%width%x%height%_%batch_num%"
    graph = checked_graph(
        parse_graph(
            {
                "1": node("EmptyImage", width=4, height=3, batch_size=2, color=0),
                "2": node("SaveImage", images=["1", 0], filename_prefix=prefix),
                "3": node("SaveImage", images=["1", 0], filename_prefix=""),
                "4": node(
                    "SaveAnimatedPNG",
                    images=["1", 0],
                    filename_prefix="b%batch_num%",
                    fps=5.0,
                    compress_level=1,
                ),
            }
        ),
        frozenset(),
    )  # fmt: skip

    saved = execute(graph, surroundings(tmp_path))

    assert [file.name for file in saved] == [
        "2026-05-06_4x3_0_00001_.png",
        "2026-05-06_4x3_1_00002_.png",
        "._00001_.png",
        "._00002_.png",
        "b%batch_num%_00001_.png",
    ]


def test_picture_with_broken_exif_is_taken_as_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (12, 8)).save(path, exif=b"Exif\0\0nonsense")
    graph = checked_graph(
        parse_graph(
            {
                "1": node("LoadImage", image="a.jpg"),
                "2": node("SaveImage", images=["1", 0], filename_prefix="x"),
            }
        ),
        {("1", "image")},
    )

    [saved] = execute(graph, surroundings(tmp_path, files={("1", "image"): path}))

    with Image.open(saved.path) as image:
        assert image.size == (12, 8)
