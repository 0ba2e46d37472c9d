"""A hot folder as it was set up: source, preset, values, destination and policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from desktop.store.job import EngineChoice, JobInput, NewJob, OutputPolicy, PresetRecipe
from desktop.store.ledger import FileStamp
from desktop.watching.guards import check_output_place
from desktop.watching.identity import hot_folder_id, idempotency_key
from desktop.watching.settle import Patience
from shared.errors import JsonValue, UsageError
from shared.presets.bundle import Preset
from shared.presets.manifest import InputKind, PresetInput
from shared.presets.pairing import other_inputs

__all__ = ["HotFolder", "NeedsCompanions", "SourceNotFound", "set_up_hot_folder"]


class SourceNotFound(UsageError):
    code = "source_not_found"


class NeedsCompanions(UsageError):
    """A hot folder gives a preset one file at a time, and those that pair with it by name."""

    code = "needs_companions"


@dataclass(frozen=True, slots=True, kw_only=True)
class HotFolder:
    """`source` and `out` are real paths; `excluded` are folders relative to the source.

    `new_only` leaves alone what is there at the first set-up; `again` runs everything once more.
    """

    id: str
    source: Path
    out: Path
    preset: Preset
    values: Mapping[str, JsonValue]
    engine: EngineChoice = EngineChoice.AUTO
    server: str | None = None
    output_policy: OutputPolicy = field(default_factory=OutputPolicy)
    excluded: frozenset[str] = frozenset()
    new_only: bool = False
    again: bool = False
    patience: Patience = field(default_factory=Patience)

    @property
    def recipe(self) -> PresetRecipe:
        return PresetRecipe(
            preset_id=self.preset.manifest.id,
            version=self.preset.manifest.version,
            digest=self.preset.digest,
            values=self.values,
        )

    @property
    def others(self) -> tuple[PresetInput, ...]:
        """The inputs whose files pair with the primary one by name."""
        return other_inputs(self.preset.manifest)

    def input(self, slot: str, path: str, *, digest: str, stamp: FileStamp) -> JobInput:
        full = self.source / path
        return JobInput(
            slot=slot,
            path=full,
            digest=digest,
            name=full.name,
            bytes=stamp.size,
            modified_ns=stamp.mtime_ns,
        )

    def order(
        self, path: str, *, inputs: tuple[JobInput, ...], digest: str, key: str, lineage: tuple[str, ...]
    ) -> NewJob:
        """The job for one version of one file; `digest` is that of all its inputs, `key` its ledger key."""
        source = self.source / path
        return NewJob(
            key=idempotency_key(key, self.preset.digest, self.values),
            batch=self.id,
            recipe=self.recipe,
            inputs=inputs,
            out_folder=self.out,
            relative_path=PurePosixPath(path),
            source=source,
            source_name=source.name,
            source_digest=digest,
            output_policy=self.output_policy,
            engine=self.engine,
            server=self.server,
            ledger_key=key,
            lineage=(*lineage, self.id),
        )


def set_up_hot_folder(
    *,
    source: Path,
    out: Path,
    preset: Preset,
    values: Mapping[str, JsonValue],
    engine: EngineChoice = EngineChoice.AUTO,
    server: str | None = None,
    output_policy: OutputPolicy | None = None,
    exclude: tuple[str, ...] = (),
    new_only: bool = False,
    again: bool = False,
    patience: Patience | None = None,
) -> HotFolder:
    """Check the places and the preset, and name the folder.

    Raises SourceNotFound, OutputOverlapsSource, NeedsCompanions, InvalidValue.
    """
    _check_inputs(preset)
    real_source = source.expanduser().resolve()
    real_out = out.expanduser().resolve()
    if not real_source.is_dir():
        raise SourceNotFound(f"{source} is not a folder: make it first, or name another", source=str(source))
    excluded = frozenset(PurePosixPath(folder).as_posix() for folder in exclude)
    check_output_place(real_source, real_out, excluded)
    return HotFolder(
        id=hot_folder_id(real_source, real_out, preset.manifest.id),
        source=real_source,
        out=real_out,
        preset=preset,
        values=values,
        engine=engine,
        server=server,
        output_policy=output_policy or OutputPolicy(),
        excluded=excluded,
        new_only=new_only,
        again=again,
        patience=patience or Patience(),
    )


def _check_inputs(preset: Preset) -> None:
    needed = [item.label for item in other_inputs(preset.manifest) if item.min_count and not _pairs(item)]
    if needed:
        raise NeedsCompanions(
            f"{preset.manifest.name} needs {', '.join(needed)} beside each picture, which a hot folder "
            "cannot find by name: use a preset that says how it is named (pair_by)",
            preset=preset.manifest.id,
        )


def _pairs(declared: PresetInput) -> bool:
    is_picture = declared.kind in {InputKind.IMAGE, InputKind.MASK}
    return is_picture and declared.pair_by is not None and declared.min_count == 1
