"""What must hold between a manifest and its graph."""

import re
from collections.abc import Iterator
from typing import assert_never

from shared.comfy.graph import Graph
from shared.errors import JsonValue, UsageError
from shared.legible import is_legible, legible
from shared.presets.binding import Binding, NodeRef, find_node
from shared.presets.errors import PresetError
from shared.presets.fit import Crop, Fit
from shared.presets.manifest import Manifest
from shared.presets.pairing import is_pattern
from shared.presets.parameter import Parameter, ParameterType
from shared.presets.translation import texts_of
from shared.presets.values import check_value

__all__ = ["check_consistency", "contradictions"]

_ID = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_CHOOSERS = {ParameterType.ENUM, ParameterType.MODEL}


def check_consistency(manifest: Manifest, graph: Graph) -> None:
    """Raise the first contradiction, as a PresetError with field and node."""
    for problem in contradictions(manifest, graph):
        raise problem


def contradictions(manifest: Manifest, graph: Graph) -> Iterator[PresetError]:
    """Everything that keeps these two from being a preset."""
    yield from _identity(manifest)
    yield from _parameters(manifest)
    yield from _attachments(manifest, graph)
    yield from _classes(manifest, graph)
    yield from _named_values(manifest)
    yield from _texts(manifest)


def _identity(manifest: Manifest) -> Iterator[PresetError]:
    if not _ID.fullmatch(manifest.id):
        yield _problem("id", "must be lower-case words joined by hyphens")
    if not _VERSION.fullmatch(manifest.version):
        yield _problem("version", "must be a semantic version such as 1.0.0")
    named = {
        "inputs": [item.id for item in manifest.inputs],
        "outputs": [item.id for item in manifest.outputs],
        "parameters": [item.id for item in manifest.parameters],
        "value_sets": [item.id for item in manifest.value_sets],
        "samples": [item.id for item in manifest.samples],
    }
    for field, ids in named.items():
        for twice in sorted({name for name in ids if ids.count(name) > 1}):
            yield _problem(field, f"holds {twice!r} twice")
    if sum(item.primary for item in manifest.inputs) > 1:
        yield _problem("inputs", "marks several inputs as primary; a batch walks over one")
    for item in manifest.inputs:
        if item.pair_by is not None and not is_pattern(item.pair_by):
            yield _problem(f"inputs.{item.id}.pair_by", "must hold one * and more, such as *_mask")


def _parameters(manifest: Manifest) -> Iterator[PresetError]:
    known = {parameter.id for parameter in manifest.parameters}
    for parameter in manifest.parameters:
        field = f"parameters.{parameter.id}"
        if parameter.type in _CHOOSERS and not parameter.choices and parameter.choices_from is None:
            yield _problem(field, "offers no choices")
        if parameter.visible_when is not None and parameter.visible_when.parameter not in known:
            yield _problem(f"{field}.visible_when", f"names no parameter: {parameter.visible_when.parameter}")
        yield from _value(parameter, f"{field}.default", parameter.default)


def _value(parameter: Parameter, field: str, value: JsonValue) -> Iterator[PresetError]:
    try:
        check_value(parameter, value)
    except UsageError as error:
        yield _problem(field, error.message)


def _attachments(manifest: Manifest, graph: Graph) -> Iterator[PresetError]:
    known = {parameter.id for parameter in manifest.parameters}
    for at, binding in enumerate(manifest.bindings):
        field = f"bindings[{at}] ({binding.parameter})"
        if binding.parameter not in known:
            yield _problem(field, f"names no parameter: {binding.parameter}")
        yield from _nodes(graph, field, *_binding_nodes(binding))
    bound = {binding.parameter for binding in manifest.bindings}
    for unbound in sorted(known - bound - set(_derivation_parameters(manifest))):
        yield _problem(f"parameters.{unbound}", "is bound to nothing in the graph")
    yield from _derived(manifest, graph)
    for item in manifest.inputs:
        targets = [target.node for target in item.targets]
        skipped = [bypass.node for bypass in item.bypasses]
        yield from _nodes(graph, f"inputs.{item.id}", *targets, *skipped)
    for output in manifest.outputs:
        yield from _nodes(graph, f"outputs.{output.id}", output.node)


def _binding_nodes(binding: Binding) -> Iterator[NodeRef]:
    yield from (target.node for target in binding.targets)
    yield from (bypass.node for bypass in binding.bypass)
    if binding.repeat is not None:
        yield binding.repeat


def _derived(manifest: Manifest, graph: Graph) -> Iterator[PresetError]:
    inputs = {item.id for item in manifest.inputs}
    known = {parameter.id for parameter in manifest.parameters}
    items: list[tuple[str, Fit | Crop]] = [(f"fits[{at}]", fit) for at, fit in enumerate(manifest.fits)]
    items += [(f"crops[{at}]", crop) for at, crop in enumerate(manifest.crops)]
    for field, item in items:
        if item.input not in inputs:
            yield _problem(field, f"names no input: {item.input}")
        for name in _sources(item):
            if name not in known:
                yield _problem(field, f"names no parameter: {name}")
        yield from _nodes(graph, field, *(t.node for t in item.width + item.height + item.x + item.y))
    for at, crop in enumerate(manifest.crops):
        if (crop.aspect is None) == (crop.aspect_from is None):
            yield _problem(f"crops[{at}]", "needs either aspect or aspect_from")


def _derivation_parameters(manifest: Manifest) -> Iterator[str]:
    for fit in manifest.fits:
        yield from _sources(fit)
    for crop in manifest.crops:
        yield from _sources(crop)


def _sources(item: Fit | Crop) -> Iterator[str]:
    match item:
        case Fit():
            names = (item.longer_side_from, item.box_from, item.inset_from)
        case Crop():
            names = (item.aspect_from, item.anchor_x_from, item.anchor_y_from)
        case _:
            assert_never(item)
    yield from (name for name in names if name is not None)


def _nodes(graph: Graph, field: str, *refs: NodeRef) -> Iterator[PresetError]:
    for ref in refs:
        try:
            find_node(graph, ref, field=field)
        except PresetError as error:
            yield error


def _classes(manifest: Manifest, graph: Graph) -> Iterator[PresetError]:
    used = {node.class_type for node in graph.nodes.values()}
    declared = {need.class_type for need in manifest.requires.nodes}
    for name in sorted(used - declared):
        yield _problem("requires.nodes", f"does not list {name}, which the graph uses")
    for name in sorted(declared - used):
        yield _problem("requires.nodes", f"lists {name}, which the graph does not use")


def _named_values(manifest: Manifest) -> Iterator[PresetError]:
    parameters = {parameter.id: parameter for parameter in manifest.parameters}
    sets = [(f"value_sets.{item.id}", item.values) for item in manifest.value_sets]
    samples = [(f"samples.{item.id}.values", item.values) for item in manifest.samples]
    for field, values in sets + samples:
        for name, value in values.items():
            if name not in parameters:
                yield _problem(field, f"names no parameter: {name}")
            else:
                yield from _value(parameters[name], f"{field}.{name}", value)
    inputs = {item.id for item in manifest.inputs}
    outputs = {item.id for item in manifest.outputs}
    for sample in manifest.samples:
        for name in sorted((sample.inputs.keys() - inputs) | (sample.expect.keys() - outputs)):
            yield _problem(f"samples.{sample.id}", f"names no input or output: {name}")


def _texts(manifest: Manifest) -> Iterator[PresetError]:
    known = dict(texts_of(manifest))
    shown = known | {"author": manifest.author, "licence.spdx": manifest.licence.spdx}
    shown |= {f"parameters.{item.id}.unit": item.unit for item in manifest.parameters}
    for language, texts in manifest.translations.items():
        for path in sorted(texts.keys() - known.keys()):
            yield _problem(f"translations.{language}", f"translates what is not there: {path}")
        shown |= {f"translations.{language}.{path}": text for path, text in texts.items()}
    for path, text in shown.items():
        if not all(is_legible(line) for line in text.split("\n")):
            yield _problem(path, f"holds a character that cannot be seen: {legible(text)}")


def _problem(field: str, what: str) -> PresetError:
    return PresetError(f"{field}: {what}", field=field)
