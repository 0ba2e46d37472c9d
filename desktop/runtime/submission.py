"""From what a person asked for to jobs for the journal."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from desktop.jobs.origin import recipe_digest
from desktop.jobs.sources import describe_input, source_digest
from desktop.runtime.gathering import FoundFile
from desktop.store.job import EngineChoice, GraphRecipe, NewJob, OutputPolicy, PresetRecipe
from shared.comfy.graph import Graph, Node
from shared.engines.builtin.classes import NODE_SPECS
from shared.errors import JsonValue, UsageError
from shared.ids import derived_key
from shared.presets.acceptance import batch_input
from shared.presets.bundle import Preset
from shared.presets.manifest import PresetInput
from shared.presets.pairing import leaders, other_inputs, partner_names, wanted_partner

__all__ = ["FileMissing", "check_companions", "graph_job", "preset_job", "without_companions"]

# Loaders that only a ComfyUI has, by the input that names their file.
_OTHER_LOADERS: Mapping[str, tuple[str, ...]] = {
    "LoadAudio": ("audio",),
    "LoadVideo": ("file",),
    "LoadLatent": ("latent",),
    "Load3D": ("model_file",),
    "VHS_LoadVideo": ("video",),
    "VHS_LoadAudioUpload": ("audio",),
}
_ON_THE_SERVER = ("[output]", "[temp]")


class FileMissing(UsageError):
    """A picture that a graph or preset needs is not there; `details` name node and file."""

    code = "file_missing"


def preset_job(
    file: FoundFile,
    *,
    preset: Preset,
    values: Mapping[str, JsonValue],
    out_folder: Path,
    policy: OutputPolicy,
    engine: EngineChoice,
    server: str | None,
    batch: str,
) -> NewJob:
    """`values` are resolved. Blocking: reads the files' digests. Raises SourceUnreadable, FileMissing."""
    primary = batch_input(preset.manifest)
    source = describe_input(file.path, slot=primary.id)
    recipe = PresetRecipe(
        preset_id=preset.manifest.id, version=preset.manifest.version, digest=preset.digest, values=values
    )
    companions = tuple(
        describe_input(path, slot=declared.id)
        for declared in other_inputs(preset.manifest)
        if (path := _companion(file.path, declared)) is not None
    )
    inputs = (source, *companions)
    return NewJob(
        key=derived_key(
            "develop", os.fspath(file.path), os.fspath(out_folder), os.fspath(file.relative),
            *(item.digest for item in inputs), recipe_digest(recipe), str(policy), engine, server or "",
        ),
        batch=batch,
        recipe=recipe,
        inputs=inputs,
        out_folder=out_folder,
        relative_path=file.relative,
        source=file.path,
        source_name=file.path.name,
        source_digest=source_digest(inputs),
        output_policy=policy,
        engine=engine,
        server=server,
    )  # fmt: skip


def without_companions(files: Sequence[FoundFile], preset: Preset) -> tuple[FoundFile, ...]:
    """Without the files that only go along with another one, such as photo_mask.png with photo.jpg."""
    others = other_inputs(preset.manifest)
    there = {(file.path.parent, file.path.stem) for file in files}
    return tuple(
        file
        for file in files
        if not any((file.path.parent, stem) in there for stem in leaders(others, file.path.stem))
    )


def check_companions(files: Iterable[FoundFile], preset: Preset) -> None:
    """Blocking. Raises FileMissing naming the file that lacks one, before any is read."""
    for declared in other_inputs(preset.manifest):
        if declared.min_count > 0:
            for file in files:
                _companion(file.path, declared)


def _companion(primary: Path, declared: PresetInput) -> Path | None:
    for name in partner_names(declared, primary):
        candidate = primary.with_name(name)
        if candidate.is_file():
            return candidate
    if declared.min_count > 0:
        wanted = wanted_partner(declared, primary)
        raise FileMissing(
            f"{declared.label} for {primary.name} is missing: put a picture named {wanted} beside it",
            field=declared.field,
            file=primary.name,
        )
    return None


def graph_job(
    graph: Graph,
    *,
    graph_file: Path,
    given: Mapping[str, Path],
    input_folder: Path | None,
    out_folder: Path,
    engine: EngineChoice,
    server: str | None,
    batch: str,
) -> NewJob:
    """`given` names files by node id. Blocking. Raises FileMissing naming node and file, SourceUnreadable."""
    loaders = {node_id for node_id, node in graph.nodes.items() if _file_input_names(node)}
    for node_id in given:
        if node_id not in loaders:
            names = ", ".join(sorted(loaders)) or "none"
            raise UsageError(
                f"--input names node {node_id}, which is no node that loads a file; the graph's are {names}",
                field="input",
                node=node_id,
            )
    folder = input_folder or graph_file.parent
    inputs = tuple(
        describe_input(_input_path(node_id, name, text, given, folder), slot=node_id, field=name)
        for node_id, name, text in _file_inputs(graph, given)
    )
    source = graph_file.absolute()
    graph_digest = recipe_digest(GraphRecipe(graph))
    return NewJob(
        key=derived_key(
            "run", graph_digest, os.fspath(out_folder), engine, server or "",
            json.dumps([[item.slot, item.field, item.digest] for item in inputs]),
        ),
        batch=batch,
        recipe=GraphRecipe(graph),
        inputs=inputs,
        out_folder=out_folder,
        relative_path=PurePath(graph_file.name),
        source=inputs[0].path if inputs else source,
        source_name=inputs[0].name if inputs else graph_file.name,
        source_digest=source_digest(inputs) if inputs else graph_digest,
        engine=engine,
        server=server,
    )  # fmt: skip


def _file_inputs(graph: Graph, given: Mapping[str, Path]) -> list[tuple[str, str, str]]:
    """Node id, input and file name for each input that names a file, in the graph's order."""
    found: list[tuple[str, str, str]] = []
    for node_id, node in graph.nodes.items():
        for name in _file_input_names(node):
            value = node.inputs.get(name)
            if node_id in given or (isinstance(value, str) and not value.endswith(_ON_THE_SERVER)):
                found.append((node_id, name, value if isinstance(value, str) else ""))
    return found


def _file_input_names(node: Node) -> tuple[str, ...]:
    spec = NODE_SPECS.get(node.class_type)
    if spec is not None:
        return tuple(name for name, declared in spec.inputs.items() if declared.is_file)
    return _OTHER_LOADERS.get(node.class_type, ())


def _input_path(node_id: str, name: str, text: str, given: Mapping[str, Path], folder: Path) -> Path:
    if node_id in given:
        path = given[node_id].absolute()
    else:
        wanted = PurePath(text.removesuffix(" [input]"))
        if wanted.is_absolute() or ".." in wanted.parts:
            raise FileMissing(
                f"node {node_id} names {text!r}, which leads out of {folder}; give the file with "
                f"--input {node_id}=FILE",
                node=node_id,
                input=name,
                file=text,
            )
        path = (folder / wanted).absolute()
    if not path.is_file():
        raise FileMissing(
            f"node {node_id} needs {path.name}, which is not in {path.parent}; give it with "
            f"--input {node_id}=FILE, or its folder with --input-dir",
            node=node_id,
            input=name,
            file=str(path),
        )
    return path
