"""The raw JSON of a bundle: read with care, and saved without losing what we do not know."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from shared.errors import JsonValue
from shared.presets.errors import PresetError

__all__ = ["merged", "read_document", "unknown_paths"]

_MAX_CHARACTERS = 4_000_000
_NAMES = ("id", "parameter", "alias", "class_type")  # what tells the items of a list apart


def read_document(text: str, *, file: str) -> dict[str, JsonValue]:
    """One JSON object without repeated names, NaN or absurd depth; PresetError names the file."""
    if len(text) > _MAX_CHARACTERS:
        raise PresetError(f"{file} is larger than {_MAX_CHARACTERS} characters", file=file)
    try:
        data: JsonValue = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError as error:
        raise PresetError(f"{file} is nested too deeply", file=file) from error
    except ValueError as error:
        raise PresetError(f"{file} is not valid JSON: {error}", file=file) from error
    if not isinstance(data, dict):
        raise PresetError(f"{file} must hold one JSON object", file=file)
    return data


def unknown_paths(document: JsonValue, known: JsonValue, path: str = "") -> Iterator[str]:
    """Where `document` says something that `known`, the same document as we read it, does not."""
    if isinstance(document, Mapping) and isinstance(known, Mapping):
        for name, value in document.items():
            here = f"{path}.{name}" if path else name
            if name not in known:
                yield here
            else:
                yield from unknown_paths(value, known[name], here)
    elif _is_list(document) and _is_list(known):
        for index, (value, ours) in enumerate(zip(document, known, strict=False)):
            yield from unknown_paths(value, ours, f"{path}[{index}]")


def merged(old: JsonValue, new: JsonValue, known: JsonValue) -> JsonValue:
    """`new`, with those fields of `old` that are unknown to `known` (old as we read it) carried over.

    List items are told apart by their id where they have one, else by their place.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping) and isinstance(known, Mapping):
        kept = {name: value for name, value in old.items() if name not in known}
        ours = {
            name: merged(old[name], value, known[name]) if name in old and name in known else value
            for name, value in new.items()
        }
        return {**ours, **kept}
    if _is_list(old) and _is_list(new) and _is_list(known):
        pairs = enumerate(zip(old, known, strict=False))
        before = {_key(item, at): (item, ours) for at, (item, ours) in pairs}
        return [_merged_item(before.get(_key(item, at)), item) for at, item in enumerate(new)]
    return new


def _merged_item(before: tuple[JsonValue, JsonValue] | None, item: JsonValue) -> JsonValue:
    return item if before is None else merged(before[0], item, before[1])


def _key(item: JsonValue, place: int) -> object:
    if isinstance(item, Mapping):
        for name in _NAMES:
            if isinstance(item.get(name), str):
                return (name, item[name])
    return place


def _is_list(value: JsonValue) -> TypeGuard[Sequence[JsonValue]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return data


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a number")
