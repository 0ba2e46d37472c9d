"""How an output was made, written down in the transaction that completes its job."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from cloud.errors import NotFound
from cloud.repositories.attempt import Claim, Workplace
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName
from cloud.services.callers import Caller, Scope
from shared.api.recipes import Recipe, RecipeFile, RecipeModel, RecipePreset
from shared.errors import JsonValue
from shared.jobs.events import Output
from shared.presets.bundle import Preset
from shared.presets.manifest import Manifest
from shared.presets.parameter import ParameterType
from shared.presets.requires import ModelRequirement

__all__ = ["Making", "Recipes", "making_of", "recipe_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What the outputs of one attempt have in common."""

    claim: Claim
    seed: int | None
    models: tuple[RecipeModel, ...]

    @property
    def input_digests(self) -> frozenset[str]:
        return frozenset(file.digest for files in self.claim.inputs.values() for file in files)


class Recipes:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def show(self, caller: Caller, job_id: str, position: int) -> str:
        """The body of the answer, as it was written when the job completed."""
        caller.require(Scope.READ)
        found = await self._database.read(lambda unit: unit.jobs.recipe(caller.account_id, job_id, position))
        if found is None:
            raise NotFound("there is no such output", job=job_id, position=position)
        return found


def making_of(claim: Claim, preset: Preset | None) -> Making:
    """`preset` is the one of the claim, where it has one."""
    if preset is None:
        return Making(claim=claim, seed=None, models=())
    manifest = preset.manifest
    models = (_model(need, claim.values) for need in manifest.requires.models)
    return Making(
        claim=claim,
        seed=_seed(manifest, claim.values),
        models=tuple(model for model in models if model is not None),
    )


def recipe_of(making: Making, output: Output, *, at: Workplace, made_at: datetime) -> Recipe:
    claim = making.claim
    return Recipe(
        job=claim.ref.job_id,
        attempt=claim.ref.number,
        output=RecipeFile(digest=output.digest, name=output.name),
        node=output.node,
        index=output.index,
        preset=RecipePreset(id=claim.lane.preset, version=claim.preset_version, digest=claim.preset_digest),
        values=dict(claim.values),
        seed=making.seed,
        models=list(making.models),
        inputs={name: [_file(file) for file in files] for name, files in claim.inputs.items()},
        engine=at.engine,
        engine_version=at.engine_version,
        server_class=at.server_class,
        made_at=made_at,
    )


def _seed(manifest: Manifest, values: Mapping[str, JsonValue]) -> int | None:
    for parameter in manifest.parameters:
        value = values.get(parameter.id)
        if parameter.type is ParameterType.SEED and isinstance(value, int):
            return value
    return None


def _model(need: ModelRequirement, values: Mapping[str, JsonValue]) -> RecipeModel | None:
    """The digest is that of the file that the preset suggests, and of no other."""
    name = values.get(need.parameter) if need.parameter else need.filename
    if not isinstance(name, str):
        return None
    sha256 = need.sha256 if name == need.filename else None
    return RecipeModel(folder=need.folder, name=name, sha256=sha256)


def _file(file: InputName) -> RecipeFile:
    return RecipeFile(digest=file.digest, name=file.name)
