"""Which files a job's outputs become: folders, names and formats, decided without touching a disk."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from desktop.store.job import Job, OutputPolicy
from shared.jobs.events import Output, OutputKind
from shared.media import extension_for, media_type_for
from shared.naming import safe_name
from shared.presets.binding import find_node
from shared.presets.bundle import Preset
from shared.presets.manifest import MetadataPolicy, PresetOutput

__all__ = ["PlannedOutput", "plan_graph_outputs", "plan_preset_outputs"]

# Formats that are read but not written: the picture is delivered as JPEG.
_WRITTEN_AS_JPEG = frozenset({"image/heic", "image/x-raw"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOutput:
    """`relative` is the wanted place below the output folder; a free name is chosen on placing.

    `media_type` is what the file is to be. `as_is` keeps the engine's bytes; otherwise it is
    written anew with the source's metadata as `metadata` says.
    """

    output: Output
    relative: PurePath
    media_type: str
    as_is: bool
    quality: int | None = None
    metadata: MetadataPolicy = MetadataPolicy.KEEP


def plan_graph_outputs(outputs: Sequence[Output]) -> tuple[PlannedOutput, ...]:
    """A raw graph's files keep the server's names and bytes."""
    return tuple(
        PlannedOutput(
            output=output, relative=PurePath(safe_name(output.name)), media_type=output.media_type, as_is=True
        )
        for output in outputs
    )


def plan_preset_outputs(
    job: Job, preset: Preset, outputs: Sequence[Output], *, source_type: str, default_quality: int
) -> tuple[PlannedOutput, ...]:
    """Only what the preset declares, in the engine's order; other nodes' files are left behind."""
    declared = {
        find_node(preset.graph, output.node, field=f"outputs.{output.id}.node"): output
        for output in preset.manifest.outputs
    }
    counts: Counter[str] = Counter()
    planned: list[PlannedOutput] = []
    for output in outputs:
        wanted = declared.get(output.node)
        if wanted is None or output.kind is OutputKind.PREVIEW:
            continue
        counts[wanted.id] += 1
        planned.append(
            _planned(job, wanted, output, counts[wanted.id], source_type=source_type, quality=default_quality)
        )
    return tuple(planned)


def _planned(
    job: Job, wanted: PresetOutput, output: Output, number: int, *, source_type: str, quality: int
) -> PlannedOutput:
    source = job.order.relative_path
    policy = job.order.output_policy
    label = "" if wanted.primary else f"_{wanted.id}"
    stem = f"{source.stem}{label}{f'_{number}' if number > 1 else ''}"
    if output.kind is not OutputKind.IMAGE:
        suffix = PurePath(safe_name(output.name)).suffix
        return PlannedOutput(
            output=output, relative=source.with_name(stem + suffix), media_type=output.media_type, as_is=True
        )
    media_type, suffix = _format(wanted, policy, source_type=source_type, source_suffix=source.suffix)
    return PlannedOutput(
        output=output,
        relative=source.with_name(stem + suffix),
        media_type=media_type,
        as_is=False,
        quality=policy.quality or wanted.quality or quality,
        metadata=MetadataPolicy.DROP_LOCATION
        if policy.drop_gps and wanted.metadata is MetadataPolicy.KEEP
        else wanted.metadata,
    )


def _format(
    wanted: PresetOutput, policy: OutputPolicy, *, source_type: str, source_suffix: str
) -> tuple[str, str]:
    """The type and suffix: the job's, else the preset's, else the source's with its own spelling."""
    asked = policy.suffix or ("" if wanted.format == "source" else f".{wanted.format.lstrip('.')}")
    if asked:
        media_type = media_type_for(asked)
        if media_type is not None:
            return media_type, asked
    if source_type in _WRITTEN_AS_JPEG:
        return "image/jpeg", ".jpg"
    if media_type_for(source_suffix) == source_type:
        return source_type, source_suffix
    return source_type, extension_for(source_type)
