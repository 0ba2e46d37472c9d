"""Which raw graphs may run: known node classes, bounded size, only the job's own files, names of ours.

A graph names no file of the server: what loads a file is given one with the job, output names are
set by us, and model files are plain names below their folder.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cloud.errors import InvalidRequest
from shared.comfy.graph import Graph, InputValue, Link, Node, parse_graph
from shared.engines.builtin.classes import NODE_CLASSES
from shared.errors import JsonValue
from shared.ids import derived_key

__all__ = ["COMFY_CORE", "DEFAULT_CLASSES", "AdmittedGraph", "GraphLimits", "admitted"]

_MODEL_INPUTS: Mapping[str, Mapping[str, str]] = {
    "CheckpointLoaderSimple": {"ckpt_name": "checkpoints"},
    "CLIPLoader": {"clip_name": "text_encoders"},
    "CLIPVisionLoader": {"clip_name": "clip_vision"},
    "ControlNetLoader": {"control_net_name": "controlnet"},
    "DualCLIPLoader": {"clip_name1": "text_encoders", "clip_name2": "text_encoders"},
    "LoraLoader": {"lora_name": "loras"},
    "LoraLoaderModelOnly": {"lora_name": "loras"},
    "UNETLoader": {"unet_name": "diffusion_models"},
    "UpscaleModelLoader": {"model_name": "upscale_models"},
    "VAELoader": {"vae_name": "vae"},
}
_FILE_INPUTS: Mapping[str, frozenset[str]] = {
    "LoadImage": frozenset({"image"}),
    "LoadImageMask": frozenset({"image"}),
}
_WRITERS = frozenset({"SaveImage", "SaveAnimatedPNG", "SaveAnimatedWEBP", "PreviewImage", "MaskPreview"})
COMFY_CORE = frozenset(
    {
        *_MODEL_INPUTS, "BasicGuider", "BasicScheduler", "CLIPSetLastLayer", "CLIPTextEncode",
        "CLIPVisionEncode", "ConditioningAverage", "ConditioningCombine", "ConditioningConcat",
        "ConditioningSetArea", "ConditioningSetMask", "ConditioningZeroOut", "ControlNetApplyAdvanced",
        "DifferentialDiffusion", "EmptyLatentImage", "EmptySD3LatentImage", "FluxGuidance",
        "ImageUpscaleWithModel", "InpaintModelConditioning", "KSampler", "KSamplerAdvanced", "KSamplerSelect",
        "LatentUpscale", "LatentUpscaleBy", "ModelSamplingFlux", "ModelSamplingSD3", "RandomNoise",
        "SamplerCustom", "SamplerCustomAdvanced", "SetLatentNoiseMask", "VAEDecode", "VAEDecodeTiled",
        "VAEEncode", "VAEEncodeForInpaint",
    }
)  # fmt: skip
# A pattern of the user's can keep a server busy for ever, so that nothing with patterns is among them.
DEFAULT_CLASSES = COMFY_CORE | {name for name in NODE_CLASSES if not name.startswith("Regex")}

_TEXT_CLASSES = frozenset({"CLIPTextEncode"})
_MODEL_NAME = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[\w][\w .,()+@&'=/-]*\.[A-Za-z0-9]{1,12}")
_LONGEST_MODEL_NAME = 200
_PLACE = re.compile(
    r"(?:^[/~\\])|(?:\.\.[/\\])|(?:[/\\]\.\.$)|(?:\[(?:input|output|temp)\]\s*$)|(?:^[A-Za-z]:\\)"
)
_OURS: Mapping[str, str] = {"filename_prefix": "safelight", "subfolder": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphLimits:
    """`depth` is the longest way from a node to what it needs; `text` the characters of one value."""

    classes: frozenset[str] = DEFAULT_CLASSES
    bytes: int = 256 * 1024
    nodes: int = 200
    links: int = 1000
    depth: int = 100
    text: int = 20_000


@dataclass(frozen=True, slots=True)
class AdmittedGraph:
    """`places` are the inputs, as `node.input`, that the job's files go to. `models` are the model files
    by folder, with what chooses them."""

    graph: Graph
    digest: str
    places: frozenset[str]
    models: frozenset[tuple[str, str]]

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(node.class_type for node in self.graph.nodes.values())


def admitted(data: Mapping[str, JsonValue], given: Collection[str], limits: GraphLimits) -> AdmittedGraph:
    """The graph as it may run; `given` are the places that the request has files for.

    Raises GraphError and InvalidRequest, which name the node.
    """
    if len(json.dumps(data)) > limits.bytes:
        raise _refused(f"the graph is larger than {limits.bytes} bytes; leave out what it does not need")
    graph = parse_graph(data)
    _check_size(graph, limits)
    for node_id, node in graph.nodes.items():
        if node.class_type not in limits.classes:
            raise _refused(f"node {node_id}: {node.class_type} may not be used here", node=node_id)
        _check_values(node_id, node, limits)
    _check_links(graph, limits)
    if not any(node.class_type in _WRITERS for node in graph.nodes.values()):
        raise _refused(f"the graph saves nothing; end it with one of {', '.join(sorted(_WRITERS))}")
    places = _checked_places(graph, given)
    fixed = Graph(MappingProxyType({name: _fixed(name, node) for name, node in graph.nodes.items()}))
    canonical = json.dumps(fixed.to_json(), sort_keys=True, separators=(",", ":"))
    return AdmittedGraph(fixed, derived_key("graph", canonical), places, _models(fixed))


def _check_size(graph: Graph, limits: GraphLimits) -> None:
    links = sum(isinstance(value, Link) for node in graph.nodes.values() for value in node.inputs.values())
    if not graph.nodes:
        raise _refused("the graph has no nodes")
    if len(graph.nodes) > limits.nodes:
        raise _refused(f"the graph has {len(graph.nodes)} nodes; at most {limits.nodes} are taken")
    if links > limits.links:
        raise _refused(f"the graph has {links} links; at most {limits.links} are taken")


def _check_values(node_id: str, node: Node, limits: GraphLimits) -> None:
    for name, value in node.inputs.items():
        if isinstance(value, Link):
            continue
        if isinstance(value, Mapping | list):
            raise _refused(f"node {node_id}: {name} must be one value or a link", node=node_id, input=name)
        if not isinstance(value, str):
            continue
        if len(value) > limits.text:
            raise _refused(f"node {node_id}: {name} is too long", node=node_id, input=name)
        is_ours = name in _OURS or name in _FILE_INPUTS.get(node.class_type, ())
        if not is_ours and node.class_type not in _TEXT_CLASSES and _PLACE.search(value):
            raise _refused(
                f"node {node_id}: {name} names a place on the server; give files with the job",
                node=node_id,
                input=name,
            )


def _check_links(graph: Graph, limits: GraphLimits) -> None:
    """Each to a node that is there, without a circle, and no deeper than allowed."""
    depths: dict[str, int] = {}
    needs = {node_id: _needs(graph, node_id, node) for node_id, node in graph.nodes.items()}
    waiting = dict(needs)
    while waiting:
        ready = [node_id for node_id, needed in waiting.items() if needed <= depths.keys()]
        if not ready:
            node_id = min(waiting)
            raise _refused(f"node {node_id} needs itself, by way of others", node=node_id)
        for node_id in ready:
            depths[node_id] = 1 + max((depths[needed] for needed in waiting.pop(node_id)), default=0)
    deepest = max(depths, key=lambda node_id: depths[node_id])
    if depths[deepest] > limits.depth:
        raise _refused(
            f"node {deepest} stands behind {depths[deepest]} others; at most {limits.depth} are taken",
            node=deepest,
        )


def _needs(graph: Graph, node_id: str, node: Node) -> set[str]:
    needed = set()
    for name, value in node.inputs.items():
        if not isinstance(value, Link):
            continue
        is_slot = isinstance(value.slot, int) and not isinstance(value.slot, bool) and 0 <= value.slot < 100
        if not isinstance(value.node, str) or value.node not in graph.nodes or not is_slot:
            raise _refused(f"node {node_id}: {name} is linked to nothing", node=node_id, input=name)
        needed.add(value.node)
    return needed


def _checked_places(graph: Graph, given: Collection[str]) -> frozenset[str]:
    """Every loader has a file of the job's, and every file a loader."""
    places = frozenset(
        f"{node_id}.{name}"
        for node_id, node in graph.nodes.items()
        for name in _FILE_INPUTS.get(node.class_type, ())
    )
    for place in sorted(places - set(given)):
        raise InvalidRequest(
            f"{place} loads a file: name an artifact for it under inputs[{place!r}]", field=f"inputs.{place}"
        )
    for place in sorted(set(given) - places):
        raise InvalidRequest(
            f"the graph loads no file at {place}; it does at {', '.join(sorted(places)) or 'no place'}",
            field=f"inputs.{place}",
        )
    return places


def _fixed(node_id: str, node: Node) -> Node:
    """With output names of ours, and model names that were looked at."""
    inputs: dict[str, InputValue] = {}
    models = _MODEL_INPUTS.get(node.class_type, {})
    for name, value in node.inputs.items():
        if name in _OURS:
            inputs[name] = _OURS[name]
        elif name in models:
            inputs[name] = _checked_model(node_id, name, value)
        else:
            inputs[name] = value
    for name in _FILE_INPUTS.get(node.class_type, ()):
        inputs[name] = ""  # the job's own file is put here when it runs
    return Node(node.class_type, MappingProxyType(inputs))


def _checked_model(node_id: str, name: str, value: InputValue) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_MODEL_NAME or _MODEL_NAME.fullmatch(value) is None:
        raise _refused(
            f"node {node_id}: {name} must be the plain name of a model file", node=node_id, input=name
        )
    return value


def _models(graph: Graph) -> frozenset[tuple[str, str]]:
    return frozenset(
        (folder, str(node.inputs[name]))
        for node in graph.nodes.values()
        for name, folder in _MODEL_INPUTS.get(node.class_type, {}).items()
        if name in node.inputs
    )


def _refused(message: str, **details: JsonValue) -> InvalidRequest:
    return InvalidRequest(message, field="graph", **details)
