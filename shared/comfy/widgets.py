"""The fields of an editor node, matched with the values that the editor saved by position."""

from collections.abc import Iterator, Mapping

from shared.comfy.editor import EditorNode
from shared.comfy.node_catalog import InputSpec, NodeClass
from shared.errors import JsonValue

__all__ = ["widget_values"]

_SEED_CONTROLS = frozenset({"fixed", "increment", "decrement", "randomize"})
_SEED_NAMES = frozenset({"seed", "noise_seed"})
_UPLOAD_BUTTONS = ("image", "upload", "", None)


def widget_values(node: EditorNode, node_class: NodeClass) -> dict[str, JsonValue]:
    """Values by input name; what was not saved has its default, as in the editor.

    Two kinds of fields exist in the editor alone and yet take a place: what becomes of a seed after
    each run, and the upload button behind a node's required fields.
    """
    if isinstance(node.values, Mapping):
        named = {spec.name for spec in _widgets(node, node_class)}
        return {name: value for name, value in node.values.items() if name in named}
    saved = list(node.values)
    values: dict[str, JsonValue] = {}
    at_optional = False
    has_button = any(spec.uploads for spec in node_class.inputs.values())
    for spec in _widgets(node, node_class):
        if has_button and not spec.required and not at_optional and saved and saved[0] in _UPLOAD_BUTTONS:
            saved.pop(0)
        at_optional |= not spec.required
        values[spec.name] = saved.pop(0) if saved else _default(spec)
        if saved and _is_seed_control(spec, saved[0]):
            saved.pop(0)
    return values


def _widgets(node: EditorNode, node_class: NodeClass) -> Iterator[InputSpec]:
    """Fields by their type, and those of types we do not know that the saved slots call fields."""
    named = {slot.widget for slot in node.inputs if slot.widget is not None}
    for spec in node_class.inputs.values():
        if spec.is_widget or (spec.name in named and not spec.socket_only):
            yield spec


def _is_seed_control(spec: InputSpec, following: JsonValue) -> bool:
    """Is this the control that the editor puts behind a seed? Old files hold True or False there."""
    if spec.seed_control and isinstance(following, bool):
        return True
    is_seed = spec.seed_control or (spec.type == "INT" and spec.name in _SEED_NAMES)
    return is_seed and isinstance(following, str) and following in _SEED_CONTROLS


def _default(spec: InputSpec) -> JsonValue:
    if spec.default is None and spec.choices:
        return spec.choices[0]
    return spec.default
