"""Rendering: values, files and sizes find their nodes; nodes that are not wanted go."""

import json
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.comfy.graph import InputValue, Link, parse_graph
from shared.comfy.node_catalog import NodeCatalogue, parse_catalogue
from shared.errors import JsonValue
from shared.presets.bundle import Preset
from shared.presets.errors import InvalidValue, PresetError
from shared.presets.render import Rendered, render
from tests.shared.presets.samples import GRAPH, graph_of, make_preset

PHOTO: JsonValue = {
    "id": "photo",
    "label": "Photo",
    "primary": True,
    "targets": [{"node": {"alias": "sl:photo"}, "input": "image"}],
}


def rendered(
    preset: Preset,
    values: Mapping[str, JsonValue],
    *,
    size: tuple[int, int] = (640, 400),
    files: Sequence[str] = ("a.png",),
    catalogue: NodeCatalogue | None = None,
    transparent: frozenset[str] = frozenset(),
) -> Rendered:
    return render(
        preset,
        values,
        {"photo": files},
        catalogue=catalogue,
        sizes={"photo": size},
        transparent=transparent,
    )


def inputs(result: Rendered, node: str) -> Mapping[str, InputValue]:
    return result.graph.nodes[node].inputs


def test_files_values_and_outputs_find_their_nodes() -> None:
    result = rendered(make_preset(), {"softness": 0.02}, files=["server-name.png"])
    assert inputs(result, "1") == {"image": "server-name.png"}
    assert inputs(result, "2")["blur_radius"] == 8  # 0.02 × the shorter side of 400 pixels
    assert result.outputs == {"picture": "3"}


def test_rendering_leaves_the_preset_as_it_was() -> None:
    preset = make_preset()
    rendered(preset, {"softness": 0.05})
    assert preset.graph == graph_of()


def test_a_reduced_preview_has_the_same_look() -> None:
    radii = [
        inputs(rendered(make_preset(), {"softness": 0.01}, size=size), "2")["blur_radius"]
        for size in ((800, 500), (1600, 1000), (3200, 2000))
    ]
    assert radii == [5, 10, 20]


def test_bypassed_node_is_gone_and_its_reader_rewired() -> None:
    result = rendered(make_preset(), {"softness": 0})
    assert sorted(result.graph.nodes) == ["1", "3"]
    assert inputs(result, "3")["images"] == Link("1", 0)


def test_zero_is_not_false() -> None:
    bindings: JsonValue = [
        {
            "parameter": "softness",
            "bypass": [
                {"node": {"class_type": "ImageBlur", "title": "Blur"}, "when": [False], "through": ["image"]}
            ],
        }
    ]
    assert "2" in rendered(make_preset(bindings=bindings), {"softness": 0}).graph.nodes


def test_an_output_without_stand_in_cannot_be_bypassed() -> None:
    bindings: JsonValue = [
        {
            "parameter": "softness",
            "bypass": [{"node": {"id": "2", "class_type": "ImageBlur"}, "when": [0], "through": []}],
        }
    ]
    with pytest.raises(PresetError) as caught:
        rendered(make_preset(bindings=bindings), {"softness": 0})
    assert caught.value.details["node"] == "2"


@pytest.mark.parametrize("files", [(), ("a.png", "b.png")])
def test_too_few_or_too_many_files_name_the_input(files: tuple[str, ...]) -> None:
    with pytest.raises(InvalidValue) as caught:
        rendered(make_preset(), {"softness": 0.01}, files=files)
    assert caught.value.details["field"] == "inputs.photo"
    assert caught.value.message.endswith(f"takes 1 file, not {len(files)}")


@pytest.mark.parametrize(
    ("limits", "size"),
    [({"max_pixels": 1000}, (40, 26)), ({"min_side": 8}, (640, 7)), ({"max_side": 4096}, (4097, 1))],
)
def test_pictures_beyond_the_limits_name_the_input(limits: dict[str, int], size: tuple[int, int]) -> None:
    preset = make_preset(inputs=[{**dict(PHOTO), "limits": limits}])  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="must have at") as caught:
        rendered(preset, {"softness": 0.01}, size=size)
    assert caught.value.details["field"] == "inputs.photo"
    rendered(preset, {"softness": 0.01}, size=(32, 31))


def test_unknown_size_is_an_error_where_it_matters() -> None:
    with pytest.raises(InvalidValue, match="size of photo"):
        render(make_preset(), {"softness": 0.01}, {"photo": ["a.png"]}, catalogue=None, sizes={})


def test_several_files_go_to_one_target_each() -> None:
    graph = graph_of(
        **{"4": {"class_type": "LoadImage", "inputs": {"image": "y"}, "_meta": {"title": "sl:second"}}}
    )
    photo: JsonValue = {
        **dict(PHOTO),  # type: ignore[arg-type]
        "max_count": 2,
        "targets": [
            {"node": {"alias": "sl:photo"}, "input": "image"},
            {"node": {"alias": "sl:second"}, "input": "image"},
        ],
    }
    preset = make_preset(graph, inputs=[photo])
    both = rendered(preset, {"softness": 0.01}, files=["a.png", "b.png"])
    assert (inputs(both, "1")["image"], inputs(both, "4")["image"]) == ("a.png", "b.png")
    one = rendered(preset, {"softness": 0.01}, files=["a.png"])
    assert (inputs(one, "1")["image"], inputs(one, "4")["image"]) == ("a.png", "a.png")


@pytest.mark.parametrize(
    ("policy", "size", "transparent", "kept"),
    [
        ("opaque_bypass", (640, 400), frozenset({"photo"}), True),
        ("opaque_bypass", (640, 400), frozenset(), False),
        ("small_bypass", (640, 400), frozenset(), True),
        ("small_bypass", (640, 9), frozenset(), False),
    ],
)
def test_nodes_that_a_picture_does_not_need(
    policy: str, size: tuple[int, int], transparent: frozenset[str], *, kept: bool
) -> None:
    bypass: JsonValue = [{"node": {"id": "2", "class_type": "ImageBlur"}, "through": ["image"], "below": 10}]
    photo: JsonValue = {**dict(PHOTO), policy: bypass}  # type: ignore[arg-type]
    result = rendered(make_preset(inputs=[photo]), {"softness": 0.01}, size=size, transparent=transparent)
    assert ("2" in result.graph.nodes) is kept


def test_fits_and_crops_put_sizes_into_the_graph() -> None:
    graph = graph_of(
        **{
            "4": {"class_type": "ImageScale", "inputs": {}, "_meta": {"title": "sl:scale"}},
            "5": {"class_type": "ImageCrop", "inputs": {}, "_meta": {"title": "sl:crop"}},
        }
    )
    scale, crop = {"alias": "sl:scale"}, {"alias": "sl:crop"}
    preset = make_preset(
        graph,
        fits=[
            {
                "input": "photo",
                "longer_side": 320,
                "width": [{"node": scale, "input": "width"}],
                "height": [{"node": scale, "input": "height"}],
            }
        ],
        crops=[
            {
                "input": "photo",
                "aspect": 1.0,
                **{name: [{"node": crop, "input": name}] for name in ("width", "height", "x", "y")},
            }
        ],
    )
    result = rendered(preset, {"softness": 0.01})
    assert inputs(result, "4") == {"width": 320, "height": 200}
    assert inputs(result, "5") == {"width": 400, "height": 400, "x": 120, "y": 0}


LORA_GRAPH: Mapping[str, JsonValue] = {
    **GRAPH,
    "4": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "base"},
        "_meta": {"title": "sl:model"},
    },
    "5": {
        "class_type": "LoraLoader",
        "inputs": {
            "model": ["4", 0],
            "clip": ["4", 1],
            "lora_name": "",
            "strength_model": 1.0,
            "strength_clip": 1.0,
        },
        "_meta": {"title": "sl:lora"},
    },
    "6": {"class_type": "KSampler", "inputs": {"model": ["5", 0]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["5", 1]}},
}
LORAS: Mapping[str, JsonValue] = {
    "parameters": [{"id": "loras", "type": "lora_list", "label": "LoRAs", "default": []}],
    "bindings": [{"parameter": "loras", "repeat": {"alias": "sl:lora"}}],
}


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b"), ("a", "b", "c")])
def test_loras_stand_in_a_row_in_their_order(names: tuple[str, ...]) -> None:
    preset = make_preset(parse_graph(LORA_GRAPH), **LORAS)
    loras: JsonValue = [{"name": name, "strength": 0.5} for name in names]
    result = rendered(preset, {"loras": loras})
    for reader, name, slot in (("6", "model", 0), ("7", "clip", 1)):
        seen = []
        link = inputs(result, reader)[name]
        while isinstance(link, Link) and link.node != "4":
            assert link.slot == slot
            seen.append(inputs(result, str(link.node))["lora_name"])
            link = inputs(result, str(link.node))[name]
        assert link == Link("4", slot)
        assert tuple(reversed(seen)) == names


@pytest.mark.parametrize(
    ("wanted", "offered", "sent"),
    [
        ("base.safetensors", ["base.safetensors", "sd15/base.safetensors"], "base.safetensors"),
        ("base.safetensors", ["sd15\\base.safetensors", "other"], "sd15\\base.safetensors"),
        ("sd15/base.safetensors", ["base.safetensors"], "base.safetensors"),
        ("base.safetensors", ["a/base.safetensors", "b/base.safetensors"], None),
        ("base.safetensors", [], None),
    ],
)
def test_a_model_is_named_as_the_server_names_it_and_never_guessed(
    wanted: str, offered: list[str], sent: str | None
) -> None:
    catalogue = parse_catalogue(
        {"CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [offered]}}, "output": ["MODEL"]}}
    )
    choices: JsonValue = {"node_class": "CheckpointLoaderSimple", "input": "ckpt_name"}
    preset = make_preset(
        parse_graph(LORA_GRAPH),
        parameters=[
            {"id": "model", "type": "model", "label": "Model", "default": wanted, "choices_from": choices}
        ],
        bindings=[{"parameter": "model", "targets": [{"node": {"alias": "sl:model"}, "input": "ckpt_name"}]}],
    )
    if sent is None:
        with pytest.raises(InvalidValue, match="has no") as caught:
            rendered(preset, {"model": wanted}, catalogue=catalogue)
        assert caught.value.details["field"] == "values.model"
    else:
        assert inputs(rendered(preset, {"model": wanted}, catalogue=catalogue), "4")["ckpt_name"] == sent


@given(st.floats(0, 0.1), st.integers(1, 9000), st.integers(1, 9000))
def test_any_value_and_size_give_a_graph_that_json_can_carry(
    softness: float, width: int, height: int
) -> None:
    result = rendered(make_preset(), {"softness": softness}, size=(width, height))
    graph = json.loads(json.dumps(result.graph.to_json(), allow_nan=False))
    if "2" in graph:
        assert isinstance(graph["2"]["inputs"]["blur_radius"], int)
        assert 1 <= graph["2"]["inputs"]["blur_radius"] <= 31
