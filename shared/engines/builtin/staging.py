"""From work to a run folder: checked, rendered, its input files copied by digest."""

import functools
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import assert_never

from shared.comfy.graph import Graph
from shared.comfy.node_catalog import NodeCatalogue, parse_catalogue
from shared.engines.base import GraphWork, InputFile, PresetWork, Work, WorkRefused
from shared.engines.builtin.classes import NODE_CLASSES, NODE_SPECS, object_info
from shared.engines.builtin.run_folder import Request, RunFolder
from shared.engines.builtin.validation import checked_graph
from shared.engines.depth import write_in_eight_bits
from shared.errors import UsageError
from shared.files import TEMPORARY_PREFIX, digest_file
from shared.media import ImageInfo, MediaLimits, extension_for, probe_image
from shared.presets.acceptance import check_accepted
from shared.presets.render import render

__all__ = ["stage"]

# A few float32 pictures of four channels at a time.
_BYTES_PER_PIXEL = 4 * 4 * 4
_LEAST_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Picture:
    """An input file and what its header says. `scaled`: to be staged with eight bits."""

    file: InputFile
    info: ImageInfo
    scaled: bool = False

    @property
    def staged_name(self) -> str:
        return self.file.digest + (".tif" if self.scaled else extension_for(self.info.media_type))


@dataclass(frozen=True, slots=True)
class _Plan:
    """`wanted` are the nodes whose files count; None means all."""

    graph: Graph
    pictures: Mapping[tuple[str, str], _Picture]
    wanted: tuple[str, ...] | None


def stage(work: Work, folder: RunFolder, limits: MediaLimits) -> Request:
    """Make the run's folder, complete or not at all. Raises WorkRefused; blocks on the disk."""
    match work:
        case GraphWork():
            plan = _planned_graph(work, limits)
        case PresetWork():
            plan = _planned_preset(work, limits)
        case _:
            assert_never(work)
    checked_graph(plan.graph, plan.pictures.keys())
    request = Request(
        job_id=work.job_id,
        attempt=work.attempt,
        graph=plan.graph,
        files={place: picture.staged_name for place, picture in plan.pictures.items()},
        wanted=plan.wanted,
        memory_bytes=_needed_bytes(plan),
    )
    staged = RunFolder(folder.path.with_name(TEMPORARY_PREFIX + folder.path.name))
    staged.path.mkdir(parents=True)
    try:
        for picture in {picture.staged_name: picture for picture in plan.pictures.values()}.values():
            _place(picture, staged.path / picture.staged_name)
        staged.write_request(request)
        staged.path.rename(folder.path)
        return request
    finally:
        shutil.rmtree(staged.path, ignore_errors=True)  # gone already if all went well


def _planned_graph(work: GraphWork, limits: MediaLimits) -> _Plan:
    for item in work.inputs:
        if item.node not in work.graph.nodes:
            raise WorkRefused(f"the graph has no node {item.node}", node=item.node, input=item.input)
    pictures = {
        (item.node, item.input): _probed(item.file, limits, node=item.node, input=item.input)
        for item in work.inputs
    }
    return _Plan(work.graph, pictures, None)


def _planned_preset(work: PresetWork, limits: MediaLimits) -> _Plan:
    foreign = {node.class_type for node in work.preset.graph.nodes.values()} - NODE_CLASSES
    if foreign:
        name = work.preset.manifest.name
        raise WorkRefused(
            f"{name} needs a ComfyUI: the built-in engine has no {', '.join(sorted(foreign))}",
            preset=work.preset.manifest.id,
            missing=sorted(foreign),
        )
    given = {
        name: [_scaled(_probed(file, limits, field=f"inputs.{name}")) for file in files]
        for name, files in work.inputs.items()
    }
    for declared in work.preset.manifest.inputs:
        for picture in given.get(declared.id, ()):
            check_accepted(declared, picture.file.name, picture.info)
    first = {name: pictures[0].info for name, pictures in given.items() if pictures}
    rendered = render(
        work.preset,
        work.values,
        {name: [picture.staged_name for picture in pictures] for name, pictures in given.items()},
        catalogue=_catalogue(),
        sizes={name: info.upright_size for name, info in first.items()},
        transparent=frozenset(name for name, info in first.items() if info.has_alpha),
    )
    pictures = _loaded(rendered.graph, [picture for some in given.values() for picture in some])
    return _Plan(rendered.graph, pictures, tuple(dict.fromkeys(rendered.outputs.values())))


@functools.cache
def _catalogue() -> NodeCatalogue:
    return parse_catalogue(object_info())


def _loaded(graph: Graph, pictures: Sequence[_Picture]) -> dict[tuple[str, str], _Picture]:
    """Which loader of the rendered graph names which picture."""
    by_name = {picture.staged_name: picture for picture in pictures}
    return {
        (node_id, name): by_name[str(node.inputs[name])]
        for node_id, node in graph.nodes.items()
        if node.class_type in NODE_SPECS
        for name, spec in NODE_SPECS[node.class_type].inputs.items()
        if spec.is_file and str(node.inputs.get(name)) in by_name
    }


def _probed(file: InputFile, limits: MediaLimits, **place: str) -> _Picture:
    try:
        return _Picture(file, probe_image(file.path, limits))
    except UsageError as error:
        said = error.message.replace(file.path.name, file.name)
        raise WorkRefused(said, reason=error.code, file=file.name, **place) from error
    except OSError as error:
        raise WorkRefused(
            f"{file.name} cannot be read: {error.strerror}", reason="unreadable", file=file.name, **place
        ) from error


def _scaled(picture: _Picture) -> _Picture:
    return replace(picture, scaled=picture.info.is_deep)


def _place(picture: _Picture, target: Path) -> None:
    """A copy, no link, of what may change: whoever changes the file must not change this run."""
    file = picture.file
    digest = digest_file(target) if file.sealed and not picture.scaled and _link(file, target) else None
    if (digest or _copied(file.path, target)) != file.digest:
        raise WorkRefused(
            f"{file.name} changed while it was taken; it will be read again", file=file.name, reason="changed"
        )
    if picture.scaled:
        write_in_eight_bits(target, target, picture.info)


def _link(file: InputFile, target: Path) -> bool:
    """False on another disk, or one that has no links."""
    try:
        target.hardlink_to(file.path)
    except OSError:
        return False
    return True


def _copied(path: Path, target: Path) -> str:
    """Returns the digest."""
    digest = hashlib.sha256()
    with path.open("rb") as source, target.open("xb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    return digest.hexdigest()


def _needed_bytes(plan: _Plan) -> int:
    pixels = sum(
        picture.info.width * picture.info.height * picture.info.frames for picture in plan.pictures.values()
    )
    return _LEAST_BYTES + pixels * _BYTES_PER_PIXEL
