"""Which files a job's outputs become."""

from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from desktop.jobs.outputs import plan_graph_outputs, plan_preset_outputs
from desktop.store.job import GraphRecipe, Job, NewJob, OutputPolicy
from shared.comfy.graph import parse_graph
from shared.jobs.events import Output, OutputKind
from shared.jobs.state import JobState
from shared.presets.binding import find_node
from shared.presets.bundle import Preset, load_preset, shipped_presets_folder
from shared.presets.manifest import MetadataPolicy
from tests.desktop.jobs.test_queue import NOW


@pytest.fixture
def preset() -> Preset:
    return load_preset(shipped_presets_folder() / "noir")


def _job(relative: str, policy: OutputPolicy | None = None) -> Job:
    order = NewJob(
        key="key",
        batch="batch",
        recipe=GraphRecipe(parse_graph({})),
        inputs=(),
        out_folder=Path("/out"),
        relative_path=PurePath(relative),
        source=Path("/in") / relative,
        source_name=PurePath(relative).name,
        source_digest="d" * 64,
        output_policy=policy or OutputPolicy(),
    )
    return Job(id="job", seq=1, order=order, state=JobState.SAVING, created_at=NOW)


def _output(node: str, index: int = 0, kind: OutputKind = OutputKind.IMAGE) -> Output:
    return Output(
        node=node, index=index, kind=kind, name="x_00001_.png", media_type="image/png", bytes=1, digest="e"
    )


def _node(preset: Preset) -> str:
    return find_node(preset.graph, preset.manifest.primary_output.node, field="output")


def _plan(
    preset: Preset, job: Job, *outputs: Output, source_type: str = "image/jpeg", frames: int = 1
) -> list[tuple[str, str, int]]:
    planned = plan_preset_outputs(
        job, preset, outputs, source_type=source_type, source_frames=frames, default_quality=92
    )
    return [(item.relative.as_posix(), item.media_type, 1 + len(item.further_frames)) for item in planned]


@pytest.mark.parametrize(
    ("source", "source_type", "made"),
    [
        ("a/b.JPG", "image/jpeg", ("a/b.JPG", "image/jpeg")),
        ("a/b.png", "image/png", ("a/b.png", "image/png")),
        ("b.png", "image/jpeg", ("b.jpg", "image/jpeg")),  # the name does not say what it is
        ("b.heic", "image/heic", ("b.jpg", "image/jpeg")),
        ("b.dng", "image/x-raw", ("b.jpg", "image/jpeg")),
        ("no suffix", "image/webp", ("no suffix.webp", "image/webp")),
    ],
)
def test_format_and_place_are_the_sources(
    preset: Preset, source: str, source_type: str, made: tuple[str, str]
) -> None:
    job = _job(source)
    assert _plan(preset, job, _output(_node(preset)), source_type=source_type) == [(*made, 1)]


def test_the_folder_may_ask_for_another_format(preset: Preset) -> None:
    job = _job("a/b.png", OutputPolicy(suffix=".avif", quality=50, drop_gps=True))
    [item] = plan_preset_outputs(
        job, preset, [_output(_node(preset))], source_type="image/png", source_frames=1, default_quality=92
    )
    assert (item.relative, item.media_type, item.quality) == (PurePath("a/b.avif"), "image/avif", 50)
    assert item.metadata is MetadataPolicy.DROP_LOCATION


@pytest.mark.parametrize(
    ("policy", "made"),
    [
        (OutputPolicy(), ("a/b.webp", "image/webp", 70, MetadataPolicy.DROP)),
        (OutputPolicy(drop_gps=True), ("a/b.webp", "image/webp", 70, MetadataPolicy.DROP)),
        (OutputPolicy(suffix=".jpg", quality=50), ("a/b.jpg", "image/jpeg", 50, MetadataPolicy.DROP)),
    ],
)
def test_the_preset_may_declare_its_format_and_the_folder_has_the_last_word(
    preset: Preset, policy: OutputPolicy, made: tuple[str, str, int, MetadataPolicy]
) -> None:
    declared = replace(
        preset.manifest.primary_output, format="webp", quality=70, metadata=MetadataPolicy.DROP
    )
    changed = replace(preset, manifest=replace(preset.manifest, outputs=(declared,)))
    [item] = plan_preset_outputs(
        _job("a/b.png", policy),
        changed,
        [_output(_node(preset))],
        source_type="image/png",
        source_frames=1,
        default_quality=92,
    )
    assert (item.relative.as_posix(), item.media_type, item.quality, item.metadata) == made


def test_other_nodes_and_previews_are_left_behind(preset: Preset) -> None:
    node = _node(preset)
    outputs = (_output("999"), _output(node, kind=OutputKind.PREVIEW), _output(node, 1))
    assert _plan(preset, _job("b.jpg"), *outputs) == [("b.jpg", "image/jpeg", 1)]


def test_several_pictures_are_numbered_unless_they_are_the_sources_frames(preset: Preset) -> None:
    outputs = tuple(_output(_node(preset), index) for index in range(3))
    assert [name for name, _, _ in _plan(preset, _job("b.jpg"), *outputs)] == ["b.jpg", "b_2.jpg", "b_3.jpg"]
    frames = _plan(preset, _job("b.gif"), *outputs, source_type="image/gif", frames=3)
    assert frames == [("b.gif", "image/gif", 3)]


def test_a_raw_graph_keeps_names_and_bytes_but_no_paths() -> None:
    outputs = (_output("9"), replace(_output("9", 1), name="../../CON.txt"))
    planned = plan_graph_outputs(outputs)
    assert [(item.relative.as_posix(), item.as_is) for item in planned] == [
        ("x_00001_.png", True),
        ("CON_.txt", True),
    ]
