"""Recipes on the wire: how an output was made, in enough detail to make it again."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

__all__ = ["Recipe", "RecipeFile", "RecipeModel", "RecipePreset"]


class RecipePreset(BaseModel):
    """`digest` is that of the preset's own files."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: str
    digest: str


class RecipeModel(BaseModel):
    """A model file in ComfyUI's folder `folder`; its SHA-256 where the preset knows it."""

    model_config = ConfigDict(frozen=True)

    folder: str
    name: str
    sha256: str | None


class RecipeFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    digest: str
    name: str


class Recipe(BaseModel):
    """`engine_version` is ComfyUI's where a server made it, else Safelight's; None where a server does not
    tell. `server_class` tells servers of different kinds apart. `seed` is the preset's own seed, which is
    among the values too; None where it has none."""

    model_config = ConfigDict(frozen=True)

    job: str
    attempt: int
    output: RecipeFile
    node: str
    index: int
    preset: RecipePreset
    values: dict[str, JsonValue]
    seed: int | None
    models: list[RecipeModel]
    inputs: dict[str, list[RecipeFile]]
    engine: str
    engine_version: str | None = None  # recipes are kept as they were written, and older ones lack it
    server_class: str | None
    made_at: datetime
