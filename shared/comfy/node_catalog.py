"""The node classes that a server has, read from its /object_info."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from shared.comfy.errors import ServerFaulty
from shared.comfy.untrusted import list_in, object_in, text_in
from shared.errors import JsonValue

__all__ = ["InputSpec", "NodeCatalogue", "NodeClass", "parse_catalogue"]

_WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload", "upload")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input of a node class. `type` is "COMBO" for both ways in which choices are written.

    `choices` is None where nothing is listed: no choice input, or one that is filled from a route.
    `uploads` marks an input that names a file of the server's input folder.
    """

    name: str
    type: str
    required: bool
    choices: tuple[JsonValue, ...] | None = None
    default: JsonValue = None
    min: float | None = None
    max: float | None = None
    socket_only: bool = False
    uploads: bool = False
    seed_control: bool = False
    dynamic_prompt: bool = False

    @property
    def is_widget(self) -> bool:
        """True for what the editor shows as a field; other inputs can only be linked."""
        return self.type in _WIDGET_TYPES and not self.socket_only


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClass:
    """`inputs` stand in the editor's order: required ones first."""

    name: str
    display_name: str
    inputs: Mapping[str, InputSpec]
    outputs: tuple[str, ...]
    is_output: bool


@dataclass(frozen=True, slots=True)
class NodeCatalogue:
    classes: Mapping[str, NodeClass] = field(default_factory=dict)

    def choices(self, node_class: str, input_name: str) -> tuple[str, ...] | None:
        """The texts that the server offers for an input; None when it lists none."""
        found = self.classes.get(node_class)
        spec = found.inputs.get(input_name) if found else None
        if spec is None or spec.choices is None:
            return None
        return tuple(choice for choice in spec.choices if isinstance(choice, str))

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.classes)


def parse_catalogue(data: JsonValue) -> NodeCatalogue:
    """Read /object_info; entries that make no sense are left out, as custom nodes may send anything."""
    if not isinstance(data, Mapping):
        raise ServerFaulty("the server's list of node classes is not an object")
    classes = {name: _parse_class(name, entry) for name, entry in data.items() if isinstance(entry, Mapping)}
    return NodeCatalogue(MappingProxyType(classes))


def _parse_class(name: str, entry: Mapping[str, JsonValue]) -> NodeClass:
    declared = entry.get("input")
    order = entry.get("input_order")
    inputs: dict[str, InputSpec] = {}
    for section in ("required", "optional"):
        specs = object_in(declared).get(section)
        for input_name in _ordered(object_in(specs), object_in(order).get(section)):
            spec = _parse_input(input_name, object_in(specs)[input_name], required=section == "required")
            if spec is not None:
                inputs[input_name] = spec
    return NodeClass(
        name=name,
        display_name=text_in(entry.get("display_name")) or name,
        inputs=MappingProxyType(inputs),
        outputs=tuple(_type_name(kind) for kind in list_in(entry.get("output"))),
        is_output=entry.get("output_node") is True,
    )


def _ordered(specs: Mapping[str, JsonValue], order: JsonValue) -> Sequence[str]:
    listed = [name for name in list_in(order) if isinstance(name, str)]
    known = [name for name in listed if name in specs]
    return [*known, *(name for name in specs if name not in known)]


def _parse_input(name: str, spec: JsonValue, *, required: bool) -> InputSpec | None:
    if not isinstance(spec, list) or not spec:
        return None
    kind = spec[0]
    options = object_in(spec[1]) if len(spec) > 1 else {}
    choices = kind if isinstance(kind, list) else options.get("options")
    return InputSpec(
        name=name,
        type=_type_name(kind),
        required=required,
        choices=tuple(choices) if isinstance(choices, list) and "remote" not in options else None,
        default=options.get("default"),
        min=_number(options.get("min")),
        max=_number(options.get("max")),
        socket_only=options.get("forceInput") is True,
        uploads=any(options.get(mark) for mark in _UPLOADS),
        seed_control=bool(options.get("control_after_generate")),
        dynamic_prompt=options.get("dynamicPrompts") is True,
    )


def _type_name(kind: JsonValue) -> str:
    return "COMBO" if isinstance(kind, list) else str(kind)


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
