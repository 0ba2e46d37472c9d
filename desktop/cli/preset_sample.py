"""A preset's samples, run on an engine and compared with what they promise."""

import io
from collections.abc import AsyncIterator, Sequence

import numpy as np
from PIL import Image

from desktop.cli.preset_check import Flaw
from shared.engines.base import Engine, InputFile, PresetWork
from shared.engines.single_run import FinishedOutput, run_once
from shared.errors import SafelightError
from shared.files import digest_file
from shared.ids import new_id
from shared.media import open_image
from shared.presets.binding import find_node
from shared.presets.bundle import MANIFEST_FILE, Preset
from shared.presets.manifest import Expectation, Sample
from shared.presets.values import resolve_values

__all__ = ["sample_flaws", "sample_work"]


async def sample_flaws(engine: Engine, preset: Preset) -> AsyncIterator[Flaw]:
    """What is not as the samples say. An engine that cannot run the preset is a flaw too."""
    for sample in preset.manifest.samples:
        field = f"samples.{sample.id}"
        try:
            outputs = await run_once(engine, sample_work(preset, sample))
        except SafelightError as error:
            yield Flaw(file=MANIFEST_FILE, field=field, message=error.message)
            continue
        for says in _differences(preset, sample, outputs):
            yield Flaw(file=MANIFEST_FILE, field=field, message=says)


def sample_work(preset: Preset, sample: Sample) -> PresetWork:
    paths = {name: preset.folder / file for name, file in sample.inputs.items()}
    return PresetWork(
        job_id=new_id(),
        preset=preset,
        values=resolve_values(preset.manifest, sample.values),
        inputs={name: (InputFile(path, digest_file(path), path.name),) for name, path in paths.items()},
    )


def _differences(preset: Preset, sample: Sample, outputs: Sequence[FinishedOutput]) -> list[str]:
    differences: list[str] = []
    for declared in preset.manifest.outputs:
        expected = sample.expect.get(declared.id)
        if expected is None:
            continue
        node = find_node(preset.graph, declared.node, field=f"outputs.{declared.id}")
        made = [item.data for item in outputs if item.output.node == node]
        if not made:
            differences.append(f"{declared.id} was not made")
        else:
            differences += _picture_differences(preset, declared.id, expected, made[0])
    return differences


def _picture_differences(preset: Preset, name: str, expected: Expectation, data: bytes) -> list[str]:
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    if picture.size != (expected.width, expected.height):
        size = f"{picture.width} × {picture.height}"
        return [f"{name} is {size}, not {expected.width} × {expected.height} pixels"]
    if expected.reference is None:
        return []
    with open_image(preset.folder / expected.reference) as opened:
        reference = opened.convert("RGB")
    if reference.size != picture.size:
        return [f"{expected.reference} has another size than {name}"]
    mean = float(np.abs(np.asarray(picture, np.float32) - np.asarray(reference, np.float32)).mean())
    if mean <= expected.max_mean_difference:
        return []
    return [f"{name} differs from {expected.reference} by {mean:.1f} levels on average"]
