"""Which files a job's outputs become: folders, names and formats, decided without touching a disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from desktop.store.job import Job, OutputPolicy
from shared.engines.builtin.classes import NODE_CLASSES
from shared.jobs.events import Output, OutputKind
from shared.media import extension_for, media_type_for
from shared.naming import safe_name
from shared.presets.binding import find_node
from shared.presets.bundle import Preset
from shared.presets.manifest import MetadataPolicy, PresetOutput

__all__ = ["PlannedOutput", "plan_graph_outputs", "plan_preset_outputs"]

# Formats that are read but not written: the picture is delivered as JPEG.
_WRITTEN_AS_JPEG = frozenset({"image/heic", "image/x-raw"})
_ANIMATED = frozenset({"image/gif", "image/webp", "image/png", "image/tiff", "image/avif"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOutput:
    """`relative` is the wanted place below the output folder; a free name is chosen on placing.

    `media_type` is what the file is to be; an animation has its `further_frames`. `as_is` keeps
    the engine's bytes; otherwise it is written anew with the source's metadata as `metadata` says,
    in sRGB where the preset was given sRGB.
    """

    output: Output
    relative: PurePath
    media_type: str
    as_is: bool
    further_frames: tuple[Output, ...] = ()
    quality: int | None = None
    metadata: MetadataPolicy = MetadataPolicy.KEEP
    made_in_srgb: bool = False


def plan_graph_outputs(outputs: Sequence[Output]) -> tuple[PlannedOutput, ...]:
    """A raw graph's files keep the server's names and bytes."""
    return tuple(
        PlannedOutput(
            output=output, relative=PurePath(safe_name(output.name)), media_type=output.media_type, as_is=True
        )
        for output in outputs
    )


def plan_preset_outputs(
    job: Job,
    preset: Preset,
    outputs: Sequence[Output],
    *,
    source_type: str,
    source_frames: int,
    default_quality: int,
) -> tuple[PlannedOutput, ...]:
    """Only what the preset declares, in the engine's order; other nodes' files are left behind.

    As many pictures as the source has frames become one animation again.
    """
    planned: list[PlannedOutput] = []
    for declared in preset.manifest.outputs:
        node = find_node(preset.graph, declared.node, field=f"outputs.{declared.id}.node")
        made = [output for output in outputs if output.node == node and output.kind is not OutputKind.PREVIEW]
        primary = declared is preset.manifest.primary_output
        stem = job.order.relative_path.stem + ("" if primary else f"_{declared.id}")
        format_ = _format(
            declared, job.order.output_policy, source_type=source_type, source=job.order.relative_path
        )
        if len(made) == source_frames > 1 and format_[0] in _ANIMATED:
            planned.append(_picture(job, declared, tuple(made), stem, format_, default_quality))
            continue
        for number, output in enumerate(made, start=1):
            numbered = stem if number == 1 else f"{stem}_{number}"
            if output.kind is OutputKind.IMAGE:
                planned.append(_picture(job, declared, (output,), numbered, format_, default_quality))
            else:
                planned.append(_other_file(job, output, numbered))
    made_in_srgb = not preset.manifest.instant(NODE_CLASSES)
    return tuple(replace(item, made_in_srgb=made_in_srgb) for item in planned)


def _picture(
    job: Job,
    declared: PresetOutput,
    frames: tuple[Output, ...],
    stem: str,
    format_: tuple[str, str],
    default_quality: int,
) -> PlannedOutput:
    media_type, suffix = format_
    policy = job.order.output_policy
    return PlannedOutput(
        output=frames[0],
        further_frames=frames[1:],
        relative=job.order.relative_path.with_name(stem + suffix),
        media_type=media_type,
        as_is=False,
        quality=policy.quality or declared.quality or default_quality,
        metadata=MetadataPolicy.DROP_LOCATION
        if policy.drop_gps and declared.metadata is MetadataPolicy.KEEP
        else declared.metadata,
    )


def _other_file(job: Job, output: Output, stem: str) -> PlannedOutput:
    suffix = PurePath(safe_name(output.name)).suffix
    return PlannedOutput(
        output=output,
        relative=job.order.relative_path.with_name(stem + suffix),
        media_type=output.media_type,
        as_is=True,
    )


def _format(
    declared: PresetOutput, policy: OutputPolicy, *, source_type: str, source: PurePath
) -> tuple[str, str]:
    """The type and suffix: the job's, else the preset's, else the source's with its own spelling."""
    asked = policy.suffix or ("" if declared.format == "source" else f".{declared.format.lstrip('.')}")
    media_type = media_type_for(asked) if asked else None
    if media_type is not None:
        return media_type, asked
    if source_type in _WRITTEN_AS_JPEG:
        return "image/jpeg", ".jpg"
    if media_type_for(source.suffix) == source_type:
        return source_type, source.suffix
    return source_type, extension_for(source_type)
