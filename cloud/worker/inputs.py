"""A claimed job as work for an engine: its preset, its values and its input files."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping

from cloud.clients.blob import BlobStore, artifact_key
from cloud.repositories.attempt import Claim
from cloud.repositories.jobs import InputName
from cloud.services.recipes import Making, making_of
from shared.comfy.graph import parse_graph
from shared.engines.base import GraphInput, GraphWork, InputFile, PresetWork, Work, WorkRefused
from shared.presets.bundle import Preset

__all__ = ["InputFiles"]

_LONGEST_S = 600.0  # of what no preset limits


class InputFiles:
    def __init__(self, *, blobs: BlobStore, presets: Mapping[str, Preset]) -> None:
        self._blobs = blobs
        self._presets = presets

    @contextlib.asynccontextmanager
    async def work(self, claim: Claim) -> AsyncIterator[Work]:
        """The files are there until the end of the block. Raises WorkRefused, BlobMissing."""
        preset = self._preset(claim) if claim.graph is None else None
        async with contextlib.AsyncExitStack() as stack:
            inputs = {
                name: tuple([await self._file(claim, file, stack) for file in files])
                for name, files in claim.inputs.items()
            }
            if preset is None:
                yield _graph_work(claim, inputs)
            else:
                yield PresetWork(
                    job_id=claim.ref.job_id,
                    attempt=claim.ref.number,
                    preset=preset,
                    values=claim.values,
                    inputs=inputs,
                )

    async def _file(self, claim: Claim, file: InputName, stack: contextlib.AsyncExitStack) -> InputFile:
        key = artifact_key(claim.lane.account_id, file.digest)
        path = await stack.enter_async_context(self._blobs.as_file(key))
        return InputFile(path, file.digest, file.name, sealed=True)

    def limit_s(self, claim: Claim) -> float:
        """How long its run may take, from its start."""
        preset = self._presets.get(claim.lane.preset)
        return _LONGEST_S if preset is None else preset.manifest.timeout_s

    def making(self, claim: Claim) -> Making:
        """What there is to tell of how its outputs are made."""
        return making_of(claim, self._presets.get(claim.lane.preset))

    def _preset(self, claim: Claim) -> Preset:
        preset = self._presets.get(claim.lane.preset)
        if preset is None or preset.digest != claim.preset_digest:
            raise WorkRefused(
                f"version {claim.preset_version} of the preset {claim.lane.preset} is no longer offered; "
                "submit the job again",
                field="preset",
            )
        return preset


def _graph_work(claim: Claim, inputs: Mapping[str, tuple[InputFile, ...]]) -> GraphWork:
    """Its inputs are named after the node and the input that they go to."""
    places = ((name.rpartition("."), file) for name, files in inputs.items() for file in files)
    return GraphWork(
        job_id=claim.ref.job_id,
        attempt=claim.ref.number,
        graph=parse_graph(json.loads(claim.graph or "{}")),
        inputs=tuple(GraphInput(node, name, file) for (node, _, name), file in places),
    )
