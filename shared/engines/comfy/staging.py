"""From work to a graph that the server at hand can run: checked, its inputs uploaded by digest."""

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from shared.comfy.client import UPLOAD_FOLDER, ComfyClient
from shared.comfy.errors import NodeProblem
from shared.comfy.graph import Graph, InputValue
from shared.comfy.graph_check import check_graph
from shared.engines.base import GraphInput, GraphWork, InputFile, PresetWork, WorkRefused
from shared.engines.depth import write_in_eight_bits
from shared.errors import UsageError
from shared.files import digest_file
from shared.media import ImageInfo, MediaLimits, extension_for, media_type_for, probe_image, sniff
from shared.presets.acceptance import check_accepted
from shared.presets.manifest import InputKind
from shared.presets.render import Rendered, render
from shared.presets.requirement import Missing, missing_requirements, require

__all__ = ["StagedGraph", "Staging"]

_References = Mapping[str, Sequence[str]]
_Pictures = Mapping[str, Sequence[ImageInfo | None]]
_Inputs = Mapping[str, Sequence[InputFile]]
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedGraph:
    """`outputs` are the nodes whose files are wanted; None means all."""

    graph: Graph
    outputs: tuple[str, ...] | None


class Staging:
    """Files go up once for each content, under a name made from the digest."""

    def __init__(self, *, client: ComfyClient, limits: MediaLimits) -> None:
        self._client = client
        self._limits = limits
        self._references: dict[str, str] = {}

    def forget_uploads(self) -> None:
        """The server's input folder is not as we left it: send files again when next needed."""
        self._references.clear()

    def brought(self, value: InputValue) -> bool:
        """Is this the name of a file that we uploaded?"""
        return value in self._references.values()

    async def graph_work(self, work: GraphWork) -> StagedGraph:
        for item in work.inputs:
            if item.node not in work.graph.nodes:
                raise WorkRefused(f"the graph has no node {item.node}", node=item.node, input=item.input)
        staged = {(item.node, item.input) for item in work.inputs}
        await self._require_runnable(work.graph, staged)
        for item in work.inputs:
            await self._facts(item.file, node=item.node, input=item.input)
        names = [await self._uploaded(item.file) for item in work.inputs]
        return StagedGraph(graph=_with_files(work.graph, work.inputs, names), outputs=None)

    async def preset_work(self, work: PresetWork) -> StagedGraph:
        """Rendered twice only where the server stored a file under another name than it was sent."""
        await self._require_needs(work)
        pictures = {
            name: [await self._facts(file, field=f"inputs.{name}") for file in files]
            for name, files in work.inputs.items()
        }
        _check_pictures(work, pictures)
        async with _in_eight_bits(work, pictures) as inputs:
            expected = {
                name: [f"{UPLOAD_FOLDER}/{_upload_name(file)}" for file in files]
                for name, files in inputs.items()
            }
            rendered = await self._rendered(work, expected, pictures)
            await self._require_runnable(rendered.graph, set())
            stored = {name: [await self._uploaded(file) for file in files] for name, files in inputs.items()}
        if stored != expected:
            rendered = await self._rendered(work, stored, pictures)
        return StagedGraph(graph=rendered.graph, outputs=tuple(dict.fromkeys(rendered.outputs.values())))

    async def _rendered(self, work: PresetWork, references: _References, pictures: _Pictures) -> Rendered:
        return render(
            work.preset,
            work.values,
            references,
            catalogue=await self._client.catalogue(),
            sizes={name: found[0].upright_size for name, found in pictures.items() if found and found[0]},
            transparent=frozenset(
                name for name, found in pictures.items() if any(info and info.has_alpha for info in found)
            ),
        )

    async def _require_needs(self, work: PresetWork) -> None:
        """Node classes and model files first, so that nothing is sent where they are missing."""
        missing = await self._missing(work, refresh=False)
        if missing:
            missing = await self._missing(work, refresh=True)
        require(work.preset, missing)

    async def _missing(self, work: PresetWork, *, refresh: bool) -> tuple[Missing, ...]:
        catalogue = await self._client.catalogue(refresh=refresh)
        folders = {need.folder for need in work.preset.manifest.requires.models}
        models = {folder: await self._client.models(folder) for folder in folders}
        return missing_requirements(work.preset, catalogue.names, models, work.values)

    async def _require_runnable(self, graph: Graph, staged: set[tuple[str, str]]) -> None:
        """A new model or node appears on the server within a second: look again before refusing."""
        problems = check_graph(graph, await self._client.catalogue(), staged=staged)
        if problems:
            problems = check_graph(graph, await self._client.catalogue(refresh=True), staged=staged)
        if problems:
            raise _refused(problems)

    async def _facts(self, file: InputFile, **place: str) -> ImageInfo | None:
        """Facts of a picture, None for files of other kinds. Raises WorkRefused naming the place."""
        try:
            if not await asyncio.to_thread(_is_picture, file):
                return None
            return await asyncio.to_thread(probe_image, file.path, self._limits)
        except UsageError as error:
            said = error.message.replace(file.path.name, file.name)
            raise WorkRefused(said, reason=error.code, file=file.name, **place) from error

    async def _uploaded(self, file: InputFile) -> str:
        reference = self._references.get(file.digest)
        if reference is None:
            stored = await self._client.upload(file.path, name=_upload_name(file))
            reference = self._references[file.digest] = stored.reference
        return reference


def _check_pictures(work: PresetWork, pictures: _Pictures) -> None:
    """Raises InvalidValue, WorkRefused naming the file."""
    for declared in work.preset.manifest.inputs:
        files = work.inputs.get(declared.id, ())
        for file, info in zip(files, pictures.get(declared.id, ()), strict=True):
            if info is not None:
                check_accepted(declared, file.name, info)
            elif declared.kind in {InputKind.IMAGE, InputKind.MASK}:
                raise WorkRefused(f"{file.name} is no picture", field=declared.field, file=file.name)


@contextlib.asynccontextmanager
async def _in_eight_bits(work: PresetWork, pictures: _Pictures) -> AsyncIterator[_Inputs]:
    """The inputs as they go up: those of more bits, while inside, scaled in a folder of their own."""
    if not any(info and info.is_deep for found in pictures.values() for info in found):
        yield work.inputs
        return
    with tempfile.TemporaryDirectory(prefix="safelight-") as folder:
        yield {
            name: [
                await asyncio.to_thread(_scaled, file, info, Path(folder)) if info and info.is_deep else file
                for file, info in zip(files, pictures[name], strict=True)
            ]
            for name, files in work.inputs.items()
        }


def _scaled(file: InputFile, info: ImageInfo, folder: Path) -> InputFile:
    path = folder / f"{file.digest}.tif"
    write_in_eight_bits(file.path, path, info)
    return InputFile(path=path, digest=digest_file(path), name=path.name)


def _refused(problems: tuple[NodeProblem, ...]) -> WorkRefused:
    first = problems[0]
    more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
    return WorkRefused(
        f"{first.message}{more}",
        node=first.node,
        input=first.input,
        class_type=first.class_type,
        reason=first.kind,
    )


def _is_picture(file: InputFile) -> bool:
    """By its name, or where that says nothing by its first bytes."""
    claimed = media_type_for(Path(file.name).suffix)
    if claimed is None:
        with file.path.open("rb") as opened:
            claimed = sniff(opened.read(64))
    return claimed is not None and claimed.startswith("image/")


def _upload_name(file: InputFile) -> str:
    """The digest with the usual suffix: some loaders choose their decoder by it."""
    suffix = Path(file.name).suffix.lower()
    media_type = media_type_for(suffix)
    if media_type is not None:
        suffix = extension_for(media_type)
    return file.digest + (suffix if _SUFFIX.fullmatch(suffix) else "")


def _with_files(graph: Graph, inputs: tuple[GraphInput, ...], names: list[str]) -> Graph:
    nodes = dict(graph.nodes)
    for item, name in zip(inputs, names, strict=True):
        node = nodes[item.node]
        changed = {**node.inputs, item.input: name}
        nodes[item.node] = replace(node, inputs=MappingProxyType(changed))
    return Graph(MappingProxyType(nodes))
