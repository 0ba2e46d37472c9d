"""What is refused before anything runs, and how it is said."""

from typing import Any

import pytest

from shared.comfy.graph import parse_graph
from shared.comfy.node_catalog import parse_catalogue
from shared.engines.base import WorkRefused
from shared.engines.builtin.classes import NODE_CLASSES, object_info
from shared.engines.builtin.validation import checked_graph
from tests.support.builtin_works import node

EMPTY = node("EmptyImage", width=8, height=8, batch_size=1, color=0)


def save(source: Any) -> Any:
    return node("SaveImage", images=source, filename_prefix="x")


def refused(graph: dict[str, Any]) -> WorkRefused:
    with pytest.raises(WorkRefused) as caught:
        checked_graph(parse_graph(graph), frozenset())
    return caught.value


@pytest.mark.parametrize(
    ("graph", "named", "words"),
    [
        ({}, (None, None), "saves nothing"),
        ({"1": EMPTY}, (None, None), "saves nothing"),
        ({"1": node("KSampler"), "2": save(["1", 0])}, ("1", "class_type"), "does not have"),
        ({"1": node("ImageInvert"), "2": save(["1", 0])}, ("1", "image"), "image is missing"),
        ({"2": save(["9", 0])}, ("2", "images"), "node 9, which is not in the graph"),
        ({"1": EMPTY, "2": save([1, 0])}, ("2", "images"), "not in the graph"),
        ({"1": EMPTY, "2": save(["1", 7])}, ("2", "images"), "output 7 of node 1, which has 1"),
        (
            {"1": node("SolidMask", value=1, width=8, height=8), "2": save(["1", 0])},
            ("2", "images"),
            "gives MASK",
        ),
        (
            {
                "1": node("ImageInvert", image=["3", 0]),
                "3": node("ImageInvert", image=["1", 0]),
                "2": save(["1", 0]),
            },
            ("1", "image"),
            "circle",
        ),
        (
            {"1": node("LoadImage", image="../../secret.png"), "2": save(["1", 0])},
            ("1", "image"),
            "was not given",
        ),
    ],
)
def test_refusal_names_what_is_wrong(graph: dict[str, Any], named: tuple[str, str], words: str) -> None:
    error = refused(graph)

    assert (error.details["node"], error.details["input"]) == named
    assert words in error.message


def test_one_good_output_does_not_save_a_bad_one() -> None:
    error = refused({"1": EMPTY, "2": save(["1", 0]), "3": node("ImageInvert"), "4": save(["3", 0])})

    assert (error.details["node"], error.details["kind"]) == ("3", "required_input_missing")


def test_all_faults_are_listed() -> None:
    error = refused({"1": node("EmptyImage", width=0, height="tall", color=0), "2": save(["1", 0])})

    faults = error.details["faults"]
    assert isinstance(faults, list)
    assert [(fault["input"], fault["kind"]) for fault in faults] == [
        ("width", "value_smaller_than_min"),
        ("height", "invalid_input_type"),
        ("batch_size", "required_input_missing"),
    ]


def test_values_are_coerced_as_the_server_does() -> None:
    graph = {
        "1": node("EmptyImage", width="24", height=9.9, batch_size=True, color=0),
        "2": node(
            "SaveAnimatedWEBP",
            images=["1", 0],
            filename_prefix=7,
            fps="3",
            lossless="false",
            quality=80,
            method="default",
        ),
    }

    checked = checked_graph(parse_graph(graph), frozenset())

    assert dict(checked.nodes["1"].inputs) == {"width": 24, "height": 9, "batch_size": 1, "color": 0}
    webp = checked.nodes["2"].inputs
    assert (webp["filename_prefix"], webp["fps"], webp["lossless"]) == ("7", 3.0, True)


@pytest.mark.parametrize(("length", "fits"), [(983, True), (984, False)])
def test_chain_is_as_long_as_the_server_takes(length: int, fits: bool) -> None:
    graph = {"0": EMPTY, "save": save([str(length), 0])}
    graph |= {str(at): node("ImageInvert", image=[str(at - 1), 0]) for at in range(1, length + 1)}

    if fits:
        checked_graph(parse_graph(graph), frozenset())
    else:
        assert refused(graph).details["kind"] == "exception_during_validation"


def test_many_ways_through_a_graph_cost_no_time() -> None:
    """There are 2 to the power of 500."""
    graph = {"0": EMPTY, "save": save(["500", 0])}
    graph |= {
        str(at): node("ImageBatch", image1=[str(at - 1), 0], image2=[str(at - 1), 0]) for at in range(1, 501)
    }

    checked_graph(parse_graph(graph), frozenset())


def test_catalogue_reads_as_a_servers() -> None:
    catalogue = parse_catalogue(object_info())

    assert catalogue.names == NODE_CLASSES
    assert catalogue.choices("ImageScale", "crop") == ("disabled", "center")
    assert catalogue.choices("ImageBlend", "blend_mode") is not None
    assert catalogue.classes["LoadImage"].inputs["image"].uploads
