"""A claimed job as work for an engine: its preset, its values and its input files."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from cloud.clients.blob import BlobStore, artifact_key
from cloud.repositories.claims import Claim
from cloud.services.recipes import Making, making_of
from shared.engines.base import InputFile, PresetWork, WorkRefused
from shared.presets.bundle import Preset

__all__ = ["InputFiles"]

_LONGEST_S = 600.0  # of what no preset limits


class InputFiles:
    def __init__(self, *, blobs: BlobStore, presets: Mapping[str, Preset]) -> None:
        self._blobs = blobs
        self._presets = presets

    @contextlib.asynccontextmanager
    async def work(self, claim: Claim) -> AsyncIterator[PresetWork]:
        """The files are there until the end of the block. Raises WorkRefused, BlobMissing."""
        preset = self._preset(claim)
        async with contextlib.AsyncExitStack() as stack:
            inputs = {
                name: tuple(
                    [
                        InputFile(
                            await stack.enter_async_context(
                                self._blobs.as_file(artifact_key(claim.lane.account_id, file.digest))
                            ),
                            file.digest,
                            file.name,
                        )
                        for file in files
                    ]
                )
                for name, files in claim.inputs.items()
            }
            yield PresetWork(
                job_id=claim.ref.job_id,
                attempt=claim.ref.number,
                preset=preset,
                values=claim.values,
                inputs=inputs,
            )

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
