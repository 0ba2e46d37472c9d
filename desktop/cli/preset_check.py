"""Whether a preset bundle is finished: every flaw, by file, field and node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.comfy.graph import Graph, GraphError, Link, parse_graph
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.validation import find_faults
from shared.errors import JsonValue, UsageError
from shared.media import DEFAULT_INPUT_LIMITS, verify_image
from shared.presets.bundle import GRAPH_FILE, MANIFEST_FILE, Preset, load_preset
from shared.presets.consistency import contradictions
from shared.presets.document import read_document
from shared.presets.errors import PresetError
from shared.presets.manifest import Look, Manifest
from shared.presets.render import render
from shared.presets.schema import parse_manifest, unknown_fields
from shared.presets.values import resolve_values

__all__ = ["Flaw", "check_bundle"]

_LOOK_SIDES = (128, 2400)  # pixels
_LOOK_BYTES = 1_000_000
_TRIAL_SIZES = ((640, 427), (1, 1), (4000, 6000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """`note` marks what is worth knowing and does no harm."""

    file: str
    message: str
    field: str | None = None
    node: str | None = None
    note: bool = False


def check_bundle(folder: Path) -> tuple[Flaw, ...]:
    """Everything that can be found without running the preset."""
    try:
        text = (folder / MANIFEST_FILE).read_text("utf-8")
        manifest = parse_manifest(text)
    except OSError:
        return (Flaw(file=MANIFEST_FILE, message="the folder has no readable preset.json"),)
    except UnicodeDecodeError:
        return (Flaw(file=MANIFEST_FILE, message="the file is not UTF-8 text"),)
    except PresetError as error:
        return (_flaw(MANIFEST_FILE, error),)
    flaws = [
        Flaw(file=MANIFEST_FILE, field=path, message="is not known; it is kept", note=True)
        for path in unknown_fields(text)
    ]
    flaws += _folder_flaws(folder, manifest)
    try:
        graph = parse_graph(read_document((folder / GRAPH_FILE).read_text("utf-8"), file=GRAPH_FILE))
    except OSError:
        return (*flaws, Flaw(file=GRAPH_FILE, message="the file is missing"))
    except (GraphError, PresetError) as error:
        return (*flaws, _flaw(GRAPH_FILE, error))
    wrong = [_flaw(MANIFEST_FILE, problem) for problem in contradictions(manifest, graph)]
    flaws += wrong or _graph_flaws(load_preset(folder))
    return tuple(flaws)


def _folder_flaws(folder: Path, manifest: Manifest) -> Iterator[Flaw]:
    if folder.resolve().name != manifest.id:
        yield Flaw(file=MANIFEST_FILE, field="id", message=f"is {manifest.id}, the folder has another name")
    looks = manifest.looks
    for name, look in (("cover", looks.cover), ("before", looks.before), ("after", looks.after)):
        yield from _look_flaws(folder, f"looks.{name}", look)
    for sample in manifest.samples:
        references = [item.reference for item in sample.expect.values() if item.reference is not None]
        for file in (*sample.inputs.values(), *references):
            if not (folder / file).is_file():
                yield Flaw(file=file, field=f"samples.{sample.id}", message="the file is missing")
    if not manifest.samples:
        yield Flaw(file=MANIFEST_FILE, field="samples", message="there is no sample to test the preset with")


def _look_flaws(folder: Path, field: str, look: Look) -> Iterator[Flaw]:
    if not look.alt.strip():
        yield Flaw(file=MANIFEST_FILE, field=f"{field}.alt", message="says nothing about the picture")
    try:
        info = verify_image(folder / look.file, DEFAULT_INPUT_LIMITS)
    except (UsageError, OSError):
        yield Flaw(file=look.file, field=field, message="the picture is missing or cannot be read")
        return
    low, high = _LOOK_SIDES
    if not low <= min(info.width, info.height) or not max(info.width, info.height) <= high:
        says = (
            f"the picture is {info.width} × {info.height}; its sides must lie between {low} and {high} pixels"
        )
        yield Flaw(file=look.file, field=field, message=says)
    if info.bytes > _LOOK_BYTES:
        yield Flaw(file=look.file, field=field, message=f"the file is larger than {_LOOK_BYTES} bytes")


def _graph_flaws(preset: Preset) -> list[Flaw]:
    """The graph as it comes out for some sizes, with the defaults and with every value set."""
    sets: list[Mapping[str, JsonValue]] = [{}, *(item.values for item in preset.manifest.value_sets)]
    flaws: dict[Flaw, None] = {}
    for given in sets:
        values = resolve_values(preset.manifest, given)
        for size in _TRIAL_SIZES:
            flaws.update(dict.fromkeys(_trial_flaws(preset, values, size)))
    return list(flaws)


def _trial_flaws(preset: Preset, values: Mapping[str, JsonValue], size: tuple[int, int]) -> Iterator[Flaw]:
    inputs = preset.manifest.inputs
    names = {item.id: [f"{item.id}.png"] * max(item.min_count, 1) for item in inputs}
    sizes = {item.id: size for item in inputs}
    for transparent in (frozenset[str](), frozenset(names)):
        try:
            graph = render(preset, values, names, catalogue=None, sizes=sizes, transparent=transparent).graph
        except UsageError as error:
            yield _flaw(MANIFEST_FILE, error)
            return
        yield from _dangling(graph)
        if preset.manifest.instant(NODE_CLASSES):
            yield from _refusals(graph)


def _dangling(graph: Graph) -> Iterator[Flaw]:
    for node_id, node in graph.nodes.items():
        for name, value in node.inputs.items():
            if isinstance(value, Link) and value.node not in graph.nodes:
                yield Flaw(
                    file=GRAPH_FILE,
                    node=node_id,
                    field=name,
                    message=f"is linked to node {value.node}, which is not there",
                )


def _refusals(graph: Graph) -> Iterator[Flaw]:
    files = {(node_id, name) for node_id, node in graph.nodes.items() for name in node.inputs}
    for fault in find_faults(graph, files):
        yield Flaw(file=GRAPH_FILE, node=fault.node, field=fault.input, message=fault.message)


def _flaw(file: str, error: UsageError) -> Flaw:
    field, node = error.details.get("field"), error.details.get("node")
    return Flaw(
        file=file,
        message=error.message,
        field=field if isinstance(field, str) else None,
        node=node if isinstance(node, str) else None,
    )
