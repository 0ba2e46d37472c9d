"""A hot folder written down in a TOML file."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from desktop.store.job import EngineChoice
from shared.errors import UsageError

__all__ = ["BadWatchConfig", "WatchConfig", "load_watch_config"]


class BadWatchConfig(UsageError):
    code = "bad_watch_config"


class WatchConfig(BaseModel):
    """Paths are relative to the file. `values` are the preset's; times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Path
    out: Path
    preset: str = Field(min_length=1)
    values: Mapping[str, JsonValue] = {}
    engine: EngineChoice = EngineChoice.AUTO
    server: str | None = None
    new_only: bool = False
    exclude: tuple[str, ...] = ()
    format: str | None = None
    quality: int | None = Field(default=None, ge=1, le=100)
    drop_gps: bool = False
    undecodable_s: float = Field(default=30.0, ge=0)
    quiet_local_s: float = Field(default=2.0, gt=0)
    quiet_network_s: float = Field(default=10.0, gt=0)


def load_watch_config(file: Path) -> WatchConfig:
    """Raises BadWatchConfig naming the file and each key at fault."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadWatchConfig(f"{file} cannot be read: {error.strerror}", file=str(file)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadWatchConfig(f"{file} is not valid TOML: {error}", file=str(file)) from error
    try:
        config = WatchConfig.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_problem(item["loc"], item["msg"]) for item in error.errors())
        raise BadWatchConfig(f"{file}: {problems}", file=str(file)) from error
    folder = file.absolute().parent
    return config.model_copy(
        update={
            "source": folder / config.source.expanduser(),
            "out": folder / config.out.expanduser(),
        }
    )


def _problem(location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in location)
    if message.startswith("Extra inputs"):
        return f"{name} is not known here; the keys are {', '.join(WatchConfig.model_fields)}"
    return f"{name}: {message[0].lower()}{message[1:]}"
