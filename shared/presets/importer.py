"""A ComfyUI workflow becomes the draft of a preset: what can be known from the graph alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from shared.comfy.graph import Graph, Link, Node
from shared.errors import JsonValue
from shared.jobs.events import OutputKind
from shared.presets.binding import ALIAS_PREFIX, Binding, NodeRef, Target
from shared.presets.errors import PresetError
from shared.presets.manifest import (
    SCHEMA_VERSION,
    InputKind,
    InputRole,
    Licence,
    Look,
    Looks,
    Manifest,
    PresetInput,
    PresetOutput,
)
from shared.presets.parameter import ChoicesFrom, Parameter, ParameterType
from shared.presets.requires import ModelRequirement, NodeRequirement, Requirements

__all__ = ["draft"]

_INPUTS = {
    "LoadImage": (InputKind.IMAGE, InputRole.SOURCE),
    "LoadImageMask": (InputKind.MASK, InputRole.MASK),
}
_OUTPUTS = {
    "SaveImage": OutputKind.IMAGE,
    "SaveAnimatedPNG": OutputKind.IMAGE,
    "SaveAnimatedWEBP": OutputKind.IMAGE,
    "SaveVideo": OutputKind.VIDEO,
    "SaveWEBM": OutputKind.VIDEO,
    "SaveAudio": OutputKind.AUDIO,
    "SaveAudioMP3": OutputKind.AUDIO,
}
_MODELS = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("VAELoader", "vae_name"): "vae",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("ControlNetLoader", "control_net_name"): "controlnet",
    ("UpscaleModelLoader", "model_name"): "upscale_models",
}
_T = ParameterType
_KNOWN: Mapping[tuple[str, str], Parameter] = {
    ("CLIPTextEncode", "text"): Parameter(id="prompt", type=_T.PROMPT, label="Prompt", max_length=4000),
    ("KSampler", "seed"): Parameter(id="seed", type=_T.SEED, label="Seed"),
    ("KSampler", "steps"): Parameter(id="steps", type=_T.INT, label="Steps", min=1, max=150, step=1),
    ("KSampler", "cfg"): Parameter(id="cfg", type=_T.FLOAT, label="Guidance", min=0, max=30, step=0.1),
    ("KSampler", "denoise"): Parameter(
        id="strength", type=_T.FLOAT, label="Strength", min=0, max=1, step=0.01
    ),
}


@dataclass(frozen=True, slots=True)
class _Found:
    parameter: Parameter
    binding: Binding


def draft(graph: Graph, *, preset_id: str, name: str) -> Manifest:
    """A manifest that fits the graph: its loaders, its savers, and the settings worth offering.

    Offered are the inputs of nodes whose title begins with "sl:", prompts, sampler settings and
    models. Looks, samples, texts and limits are left to the author. PresetError if nothing is saved.
    """
    outputs = tuple(_outputs(graph))
    if not outputs:
        raise PresetError("the workflow saves nothing: add a SaveImage node", file="graph.json")
    found = _numbered(list(_offers(graph)))
    classes = sorted({node.class_type for node in graph.nodes.values()})
    return Manifest(
        schema_version=SCHEMA_VERSION,
        id=preset_id,
        version="0.1.0",
        name=name,
        summary=f"{name}, a draft made from a ComfyUI workflow",
        author="",
        category="Own",
        licence=Licence(spdx="NOASSERTION", commercial_use=False),
        looks=Looks(**{look: Look(file=f"{look}.webp", alt="") for look in ("cover", "before", "after")}),
        inputs=tuple(_inputs(graph)),
        outputs=outputs,
        requires=Requirements(
            nodes=tuple(NodeRequirement(class_type=name) for name in classes),
            models=tuple(_models(found)),
        ),
        parameters=tuple(item.parameter for item in found),
        bindings=tuple(item.binding for item in found),
    )


def _inputs(graph: Graph) -> Iterator[PresetInput]:
    loaders = [item for item in graph.nodes.items() if item[1].class_type in _INPUTS]
    primary = next((node_id for node_id, node in loaders if node.class_type == "LoadImage"), None)
    for at, (node_id, node) in enumerate(loaders, start=1):
        kind, role = _INPUTS[node.class_type]
        yield PresetInput(
            id="photo" if node_id == primary else f"{kind}-{at}",
            label=_label(node, "Photograph" if node_id == primary else f"Picture {at}"),
            targets=(Target(node=_ref(node_id, node), input="image"),),
            kind=kind,
            role=role if node_id == primary or kind is InputKind.MASK else InputRole.REFERENCE,
            primary=node_id == primary,
        )


def _outputs(graph: Graph) -> Iterator[PresetOutput]:
    savers = [item for item in graph.nodes.items() if item[1].class_type in _OUTPUTS]
    for at, (node_id, node) in enumerate(savers, start=1):
        yield PresetOutput(
            id="result" if at == 1 else f"result-{at}",
            label=_label(node, "Result"),
            node=_ref(node_id, node),
            kind=_OUTPUTS[node.class_type],
            primary=at == 1,
        )


def _offers(graph: Graph) -> Iterator[_Found]:
    for node_id, node in graph.nodes.items():
        if node.class_type in _INPUTS or node.class_type in _OUTPUTS:
            continue
        for name, value in node.inputs.items():
            parameter = None if isinstance(value, Link) else _parameter(node, name, value)
            if parameter is not None:
                target = Target(node=_ref(node_id, node), input=name)
                yield _Found(parameter, Binding(parameter=parameter.id, targets=(target,)))


def _parameter(node: Node, name: str, value: JsonValue) -> Parameter | None:
    known = _KNOWN.get((node.class_type, name))
    if known is not None:
        return replace(known, default=value)
    if (node.class_type, name) in _MODELS:
        source = ChoicesFrom(node.class_type, name)
        return Parameter(id="model", type=_T.MODEL, label="Model", default=value, choices_from=source)
    type_ = {bool: _T.BOOL, int: _T.INT, float: _T.FLOAT, str: _T.TEXT}.get(type(value))
    if not _is_alias(node) or type_ is None:
        return None
    words = f"{_label(node, '')} {name}"
    return Parameter(id=_slug(words), type=type_, label=words.replace("_", " "), default=value)


def _numbered(found: list[_Found]) -> list[_Found]:
    """Every id once: the second prompt is prompt-2."""
    seen: dict[str, int] = {}
    unique: list[_Found] = []
    for item in found:
        plain = item.parameter.id
        seen[plain] = seen.get(plain, 0) + 1
        own = plain if seen[plain] == 1 else f"{plain}-{seen[plain]}"
        parameter = replace(item.parameter, id=own, order=len(unique) + 1)
        unique.append(_Found(parameter, replace(item.binding, parameter=own)))
    return unique


def _models(found: list[_Found]) -> Iterator[ModelRequirement]:
    for item in found:
        source, filename = item.parameter.choices_from, item.parameter.default
        if source is not None and isinstance(filename, str):
            folder = _MODELS[source.node_class, source.input]
            yield ModelRequirement(folder=folder, filename=filename, parameter=item.parameter.id)


def _ref(node_id: str, node: Node) -> NodeRef:
    if _is_alias(node):
        return NodeRef(alias=node.title)
    return NodeRef(id=node_id, class_type=node.class_type)


def _is_alias(node: Node) -> bool:
    return node.title is not None and node.title.startswith(ALIAS_PREFIX)


def _label(node: Node, otherwise: str) -> str:
    if node.title is None or not _is_alias(node):
        return otherwise
    return node.title.removeprefix(ALIAS_PREFIX).replace("-", " ").strip().capitalize()


def _slug(text: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", text.lower())) or "value"
