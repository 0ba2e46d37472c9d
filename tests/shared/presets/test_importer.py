"""Drafts of presets made from workflows."""

import pytest

from shared.comfy.graph import parse_graph
from shared.errors import JsonValue
from shared.jobs.events import OutputKind
from shared.presets.binding import NodeRef, Target
from shared.presets.consistency import check_consistency
from shared.presets.errors import PresetError
from shared.presets.importer import draft
from shared.presets.manifest import InputKind, InputRole
from shared.presets.parameter import ParameterType

WORKFLOW: JsonValue = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15/base.safetensors"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "3": {"class_type": "LoadImageMask", "inputs": {"image": "m.png", "channel": "red"}},
    "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "a portrait", "clip": ["1", 1]}},
    "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["1", 1]}},
    "6": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": 20, "cfg": 8.0, "denoise": 1.0}},
    "7": {
        "class_type": "ImageBlur",
        "inputs": {"image": ["2", 0], "blur_radius": 3, "sigma": 1.5},
        "_meta": {"title": "sl:soft-focus"},
    },
    "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "x"}},
    "9": {"class_type": "PreviewImage", "inputs": {"images": ["7", 0]}},
}


def test_a_draft_fits_its_graph() -> None:
    graph = parse_graph(WORKFLOW)
    manifest = draft(graph, preset_id="mine", name="Mine")
    check_consistency(manifest, graph)
    assert [(item.id, item.kind, item.role, item.primary) for item in manifest.inputs] == [
        ("photo", InputKind.IMAGE, InputRole.SOURCE, True),
        ("mask-2", InputKind.MASK, InputRole.MASK, False),
    ]
    (output,) = manifest.outputs
    assert (output.kind, output.node) == (OutputKind.IMAGE, NodeRef(id="8", class_type="SaveImage"))


def test_settings_worth_offering_are_found_with_their_values() -> None:
    manifest = draft(parse_graph(WORKFLOW), preset_id="mine", name="Mine")
    assert {item.id: (item.type, item.default) for item in manifest.parameters} == {
        "model": (ParameterType.MODEL, "sd15/base.safetensors"),
        "prompt": (ParameterType.PROMPT, "a portrait"),
        "prompt-2": (ParameterType.PROMPT, "blurry"),
        "seed": (ParameterType.SEED, 7),
        "steps": (ParameterType.INT, 20),
        "cfg": (ParameterType.FLOAT, 8.0),
        "strength": (ParameterType.FLOAT, 1.0),
        "soft-focus-blur-radius": (ParameterType.INT, 3),
        "soft-focus-sigma": (ParameterType.FLOAT, 1.5),
    }
    (binding,) = [item for item in manifest.bindings if item.parameter == "soft-focus-sigma"]
    assert binding.targets == (Target(node=NodeRef(alias="sl:soft-focus"), input="sigma"),)


def test_models_become_requirements() -> None:
    (model,) = draft(parse_graph(WORKFLOW), preset_id="mine", name="Mine").requires.models
    assert (model.folder, model.filename, model.parameter) == (
        "checkpoints",
        "sd15/base.safetensors",
        "model",
    )


def test_a_workflow_that_saves_nothing_is_no_preset() -> None:
    graph = parse_graph({"1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}})
    with pytest.raises(PresetError, match="saves nothing"):
        draft(graph, preset_id="mine", name="Mine")
