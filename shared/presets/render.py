"""A preset, values and file names become the graph that an engine runs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.comfy.graph import Graph
from shared.comfy.node_catalog import NodeCatalogue
from shared.errors import JsonValue
from shared.presets.binding import Binding
from shared.presets.bundle import Preset
from shared.presets.errors import InvalidValue
from shared.presets.fit import Area, Crop, Fit, cropped_area, fitted_area
from shared.presets.manifest import Manifest, PresetInput
from shared.presets.parameter import Parameter
from shared.presets.requirement import match_model
from shared.presets.size import size_in
from shared.presets.transform import transformed
from shared.presets.wiring import Wiring

__all__ = ["Rendered", "render"]

_Sizes = Mapping[str, tuple[int, int]]
_LORA_THROUGH = ("model", "clip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """`outputs` says which node of the graph makes which of the preset's outputs (by its id)."""

    graph: Graph
    outputs: Mapping[str, str]


def render(
    preset: Preset,
    values: Mapping[str, JsonValue],
    inputs: Mapping[str, Sequence[str]],
    *,
    catalogue: NodeCatalogue | None,
    sizes: _Sizes,
    transparent: frozenset[str] = frozenset(),
) -> Rendered:
    """The graph for one run.

    `values` come from resolve_values; `catalogue` is that of the server which will run it.
    `inputs` are file names as the server knows them, `sizes` the first picture of each input in
    pixels, upright; `transparent` the inputs with an alpha channel. Raises InvalidValue with the
    field, PresetError with field and node.
    """
    manifest = preset.manifest
    wiring = Wiring(preset.graph)
    for declared in manifest.inputs:
        _check_size(declared, sizes.get(declared.id))
        _attach_files(wiring, declared, inputs.get(declared.id, ()))
    for at, fit in enumerate(manifest.fits):
        _attach_area(wiring, fit, _fitted(fit, values, sizes), field=f"fits[{at}]")
    for at, crop in enumerate(manifest.crops):
        _attach_area(wiring, crop, _cropped(crop, values, sizes), field=f"crops[{at}]")
    parameters = {parameter.id: parameter for parameter in manifest.parameters}
    for binding in manifest.bindings:
        parameter = parameters[binding.parameter]
        value = _offered(parameter, values[parameter.id], catalogue)
        _attach_value(wiring, binding, parameter, _absolute(manifest, parameter, value, sizes))
    for declared in manifest.inputs:
        _drop_idle(wiring, declared, sizes.get(declared.id), opaque=declared.id not in transparent)
    outputs = {item.id: wiring.find(item.node, field=f"outputs.{item.id}") for item in manifest.outputs}
    return Rendered(graph=wiring.graph(), outputs=outputs)


def _attach_files(wiring: Wiring, declared: PresetInput, files: Sequence[str]) -> None:
    field = declared.field
    if not declared.min_count <= len(files) <= declared.max_count:
        raise InvalidValue(
            f"{declared.label} ({declared.id}) takes {declared.count_text}, not {len(files)}",
            field=declared.field,
        )
    if not files:
        for bypass in declared.absent_bypass:
            wiring.take_out(bypass.node, bypass.through, field=field)
        return
    for at, target in enumerate(declared.targets):
        if len(files) == 1 or at < len(files):
            wiring.put(target.node, target.input, files[0 if len(files) == 1 else at], field=field)


def _check_size(declared: PresetInput, size: tuple[int, int] | None) -> None:
    if size is None:
        return
    limits, (width, height) = declared.limits, size
    fits = (
        (limits.max_pixels is None or width * height <= limits.max_pixels)
        and (limits.max_side is None or max(size) <= limits.max_side)
        and (limits.min_side is None or min(size) >= limits.min_side)
    )
    if not fits:
        allowed = {
            "at least {} pixels each way": limits.min_side,
            "at most {} pixels each way": limits.max_side,
            "at most {} pixels in all": limits.max_pixels,
        }
        wanted = ", ".join(text.format(limit) for text, limit in allowed.items() if limit is not None)
        raise InvalidValue(
            f"{declared.label} is {width} × {height}; it must have {wanted}", field=declared.field
        )


def _drop_idle(wiring: Wiring, declared: PresetInput, size: tuple[int, int] | None, *, opaque: bool) -> None:
    """Take out the nodes that this picture needs not, or is too small for."""
    idle = list(declared.opaque_bypass) if opaque else []
    if size is not None:
        idle += [bypass for bypass in declared.small_bypass if min(size) < bypass.below]
    for bypass in idle:
        wiring.take_out(bypass.node, bypass.through, field=declared.field)


def _fitted(fit: Fit, values: Mapping[str, JsonValue], sizes: _Sizes) -> Area:
    box = None if fit.box_from is None else size_in(values[fit.box_from])
    longer = fit.longer_side if fit.longer_side_from is None else values[fit.longer_side_from]
    if box is None and isinstance(longer, int | float):
        box = (longer, longer)
    inset = 0.0 if fit.inset_from is None else _number(values[fit.inset_from])
    return fitted_area(fit, _size_of(sizes, fit.input), box, inset)


def _cropped(crop: Crop, values: Mapping[str, JsonValue], sizes: _Sizes) -> Area:
    size = _size_of(sizes, crop.input)
    shape = None if crop.aspect_from is None else size_in(values[crop.aspect_from])
    aspect = crop.aspect or (size[0] / size[1] if shape is None else shape[0] / shape[1])
    anchors = [
        0.5 if name is None else _number(values[name]) for name in (crop.anchor_x_from, crop.anchor_y_from)
    ]
    return cropped_area(size, aspect, (anchors[0], anchors[1]))


def _attach_area(wiring: Wiring, item: Fit | Crop, area: Area, *, field: str) -> None:
    lengths = (item.width, area.width), (item.height, area.height), (item.x, area.x), (item.y, area.y)
    for targets, length in lengths:
        for target in targets:
            wiring.put(target.node, target.input, length, field=field)


def _number(value: JsonValue) -> float:
    return value if isinstance(value, int | float) else 0.0


def _attach_value(wiring: Wiring, binding: Binding, parameter: Parameter, value: JsonValue) -> None:
    field = f"bindings ({parameter.id})"
    if binding.repeat is not None:
        wiring.repeat(binding.repeat, _LORA_THROUGH, _lora_inputs(value), field=field)
    sent = value if binding.transform is None else transformed(value, binding.transform, field=field)
    for target in binding.targets:
        wiring.put(target.node, target.input, sent, field=field)
    for bypass in binding.bypass:
        if any(value == off and isinstance(value, bool) == isinstance(off, bool) for off in bypass.when):
            wiring.take_out(bypass.node, bypass.through, field=field)


def _lora_inputs(value: JsonValue) -> list[Mapping[str, JsonValue]]:
    entries = value if isinstance(value, list) else []
    return [
        {
            "lora_name": entry["name"],
            "strength_model": entry["strength"],
            "strength_clip": entry["strength"],
        }
        for entry in entries
        if isinstance(entry, Mapping)
    ]


def _offered(parameter: Parameter, value: JsonValue, catalogue: NodeCatalogue | None) -> JsonValue:
    """A file name as the server at hand writes it; InvalidValue where it does not have the file."""
    source = parameter.choices_from
    if source is None or catalogue is None or not isinstance(value, str):
        return value
    offered = catalogue.choices(source.node_class, source.input) or ()
    found = match_model(value, offered)
    if found is None:
        names = ", ".join(offered) or "none"
        raise InvalidValue(
            f"{parameter.label} ({parameter.id}): this server has no {value}; it has {names}",
            field=parameter.field,
        )
    return found


def _absolute(manifest: Manifest, parameter: Parameter, value: JsonValue, sizes: _Sizes) -> JsonValue:
    """A length relative to the picture's shorter side in pixels; other values as they are."""
    if parameter.relative_to is None or not isinstance(value, int | float):
        return value
    primary = manifest.primary_input
    if primary is None:
        return value
    return value * min(_size_of(sizes, primary.id))


def _size_of(sizes: _Sizes, input_id: str) -> tuple[int, int]:
    size = sizes.get(input_id)
    if size is None:
        raise InvalidValue(
            f"the size of {input_id} is not known, so the graph cannot be made", field=f"inputs.{input_id}"
        )
    return size
