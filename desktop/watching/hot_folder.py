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
from shared.presets.acceptance import batch_input
from shared.presets.bundle import Preset

__all__ = ["HotFolder", "NeedsCompanions", "SourceNotFound", "set_up_hot_folder"]


class SourceNotFound(UsageError):
    code = "source_not_found"


class NeedsCompanions(UsageError):
    """A hot folder gives a preset one file at a time."""

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

    def order(
        self, path: str, *, digest: str, stamp: FileStamp, key: str, lineage: tuple[str, ...]
    ) -> NewJob:
        """The job for one version of one file; `key` is its ledger key."""
        source = self.source / path
        primary = batch_input(self.preset.manifest)
        return NewJob(
            key=idempotency_key(key, self.preset.digest, self.values),
            batch=self.id,
            recipe=self.recipe,
            inputs=(
                JobInput(
                    slot=primary.id,
                    path=source,
                    digest=digest,
                    name=source.name,
                    bytes=stamp.size,
                    modified_ns=stamp.mtime_ns,
                ),
            ),
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
    primary = batch_input(preset.manifest)
    needed = [item.label for item in preset.manifest.inputs if item is not primary and item.min_count]
    if needed:
        raise NeedsCompanions(
            f"{preset.manifest.name} needs {', '.join(needed)} beside each picture, which a hot folder does "
            "not give: use `safelight develop`",
            preset=preset.manifest.id,
        )
