"""What an engine lacks for a preset is said in full sentences."""

import pytest

from shared.errors import JsonValue
from shared.presets.errors import RequirementsMissing
from shared.presets.requirement import MissingKind, match_model, missing_requirements, require
from tests.shared.presets.samples import make_preset

REQUIRES: JsonValue = {
    "nodes": [
        {"class_type": "ImageBlur"},
        {"class_type": "FaceFix", "package": "face-nodes", "ref": "3f2a"},
    ],
    "models": [
        {
            "folder": "checkpoints",
            "filename": "base.safetensors",
            "parameter": "model",
            "url": "https://example.org/b",
        },
        {"folder": "vae", "filename": "vae.pt"},
    ],
}
PARAMETERS: JsonValue = [
    {
        "id": "model",
        "type": "model",
        "label": "Model",
        "default": "base.safetensors",
        "choices_from": {"node_class": "CheckpointLoaderSimple", "input": "ckpt_name"},
    }
]
PRESET = make_preset(requires=REQUIRES, parameters=PARAMETERS)
MODELS = {"checkpoints": ["sd15/base.safetensors"], "vae": ["vae.pt"]}


def test_nothing_is_missing_where_all_is_there() -> None:
    missing = missing_requirements(PRESET, {"ImageBlur", "FaceFix"}, MODELS)
    assert missing == ()
    require(PRESET, missing)


def test_missing_nodes_name_their_package_and_version() -> None:
    first, second = missing_requirements(PRESET, set(), MODELS)
    assert (first.kind, first.name) == (MissingKind.NODE, "ImageBlur")
    assert first.message.endswith("it is one of ComfyUI's own, so update ComfyUI")
    assert "face-nodes at 3f2a" in second.message


def test_missing_models_name_file_folder_and_source() -> None:
    missing = missing_requirements(PRESET, None, {"vae": ["vae.pt"]})
    (model,) = missing
    assert model.name == "base.safetensors"
    assert "models/checkpoints" in model.message
    assert "https://example.org/b" in model.message
    with pytest.raises(RequirementsMissing, match=r"base\.safetensors") as caught:
        require(PRESET, missing)
    assert caught.value.details["missing"] == ["base.safetensors"]


def test_the_model_that_was_chosen_is_the_one_that_is_needed() -> None:
    assert missing_requirements(PRESET, None, {**MODELS, "checkpoints": ["mine"]}, {"model": "mine"}) == ()
    (missing,) = missing_requirements(PRESET, None, MODELS, {"model": "other.safetensors"})
    assert missing.name == "other.safetensors"
    assert "example.org" not in missing.message  # that is where another file comes from


@pytest.mark.parametrize(
    ("wanted", "offered", "found"),
    [
        ("a.pt", ["a.pt", "x/a.pt"], "a.pt"),
        ("a.pt", ["x/a.pt"], "x/a.pt"),
        ("x\\a.pt", ["y/a.pt"], "y/a.pt"),
        ("a.pt", ["x/a.pt", "y/a.pt"], None),
        ("a.pt", ["A.pt"], None),
    ],
)
def test_models_match_by_name_then_by_unique_base_name(
    wanted: str, offered: list[str], found: str | None
) -> None:
    assert match_model(wanted, offered) == found
