import json
from pathlib import Path

import pytest

from shared.comfy.errors import ServerFaulty
from shared.comfy.node_catalog import InputSpec, NodeCatalogue, parse_catalogue

RECORDED = Path(__file__).parents[2] / "data" / "comfyui" / "object_info.json"


@pytest.fixture(scope="module")
def recorded() -> NodeCatalogue:
    return parse_catalogue(json.loads(RECORDED.read_text()))


def test_every_recorded_class_is_read(recorded: NodeCatalogue) -> None:
    assert len(recorded.classes) == 119
    assert recorded.classes["SaveImage"].is_output
    assert recorded.classes["KSampler"].outputs == ("LATENT",)
    assert list(recorded.classes["KSampler"].inputs)[:4] == ["model", "seed", "steps", "cfg"]


def test_choices_are_read_in_both_forms(recorded: NodeCatalogue) -> None:
    old = recorded.choices("ImageScale", "upscale_method")
    new = recorded.choices("ImageBlend", "blend_mode")

    assert old == ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
    assert new == ("normal", "multiply", "screen", "overlay", "soft_light", "difference")
    assert recorded.classes["ImageBlend"].inputs["blend_mode"].type == "COMBO"
    assert recorded.choices("CheckpointLoaderSimple", "ckpt_name") == ("random_sd15_fp16.safetensors",)
    assert recorded.choices("KSampler", "steps") is None
    assert recorded.choices("NoSuchNode", "x") is None


def test_a_list_that_comes_from_elsewhere_is_not_known(recorded: NodeCatalogue) -> None:
    assert recorded.choices("LoadImageOutput", "image") is None


def test_seeds_and_uploads_are_marked(recorded: NodeCatalogue) -> None:
    assert recorded.classes["KSampler"].inputs["seed"].seed_control
    assert recorded.classes["LoadImage"].inputs["image"].uploads
    assert recorded.classes["KSampler"].inputs["seed"].max == 18446744073709551615


def test_what_makes_no_sense_is_left_out() -> None:
    info = {
        "Odd": {
            "input": {"required": {"a": [], "b": "INT", "c": ["INT", None], "d": [["x"]]}, "optional": None},
            "input_order": {"required": ["d", "gone", 3]},
            "output": None,
            "output_node": "yes",
        },
        "Broken": None,
    }

    catalogue = parse_catalogue(info)

    assert catalogue.names == {"Odd"}
    assert catalogue.classes["Odd"].inputs == {
        "d": InputSpec(name="d", type="COMBO", required=True, choices=("x",)),
        "c": InputSpec(name="c", type="INT", required=True),
    }
    assert not catalogue.classes["Odd"].is_output


def test_an_answer_that_is_no_object_is_a_fault() -> None:
    with pytest.raises(ServerFaulty):
        parse_catalogue(["nodes"])
