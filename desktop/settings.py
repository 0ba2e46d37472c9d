"""Settings of the desktop and the command line: SAFELIGHT_* variables, then a TOML file."""

import os
import shlex
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, HttpUrl, TypeAdapter, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from desktop.paths import Paths, default_config_file, default_data_folder
from shared.errors import UsageError

__all__ = ["BadSettings", "Settings", "load_settings"]

_PREFIX = "SAFELIGHT_"
_URL = TypeAdapter(HttpUrl)


class BadSettings(UsageError):
    code = "bad_settings"


class Settings(BaseSettings):
    """Each field is the variable SAFELIGHT_<NAME> and the key <name> of settings.toml."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, validate_default=True
    )

    data_dir: Path = Field(default_factory=default_data_folder)
    output_dir: Path = Path("~/Pictures/Safelight")
    engine: Literal["auto", "builtin", "comfy", "cloud"] = "auto"
    comfyui_url: str = "http://127.0.0.1:8188"
    comfyui_folder: Path | None = None  # started from there when a preset needs it and none answers
    comfyui_command: str | None = None  # starts it, where its folder does not tell how
    comfyui_options: str = "--preview-method latent2rgb"
    comfyui_start_s: float = Field(default=180.0, gt=0)
    allow_plain_http: bool = False  # confirms a ComfyUI on another machine without TLS
    cloud_url: str | None = None
    processes: int | None = Field(default=None, ge=1, le=256)  # None: cores − 1
    memory_limit_mb: int | None = Field(default=None, ge=256)  # None: half of what the machine has
    jpeg_quality: int = Field(default=92, ge=1, le=100)
    drop_gps: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library names its arguments
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, toml_file=_config_file())
        return init_settings, env_settings, file

    @field_validator("data_dir", "output_dir", "comfyui_folder")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("comfyui_command", "comfyui_options")
    @classmethod
    def _words(cls, text: str | None) -> str | None:
        try:
            shlex.split(text or "")
        except ValueError as error:
            raise ValueError(f"is no command line: {error}") from error
        return text

    @field_validator("comfyui_url", "cloud_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if urlsplit(url).scheme not in {"http", "https"}:
            raise ValueError("must be an address that begins with http:// or https://")
        _URL.validate_python(url)
        return url.rstrip("/")

    @property
    def paths(self) -> Paths:
        return Paths(self.data_dir)


def load_settings(**given: object) -> Settings:
    """Read and check everything at once. Raises BadSettings naming each variable or key at fault.

    `given` stand above the variables; None means "not given".
    """
    _refuse_missing_config_file()
    try:
        return Settings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors()]
        fields = [str(part) for item in error.errors() for part in item["loc"][:1]]
        raise BadSettings("; ".join(problems), fields=fields) from error


def _config_file() -> Path:
    named = os.environ.get(f"{_PREFIX}CONFIG")
    return Path(named).expanduser() if named else default_config_file()


def _refuse_missing_config_file() -> None:
    named = os.environ.get(f"{_PREFIX}CONFIG")
    if named and not Path(named).expanduser().is_file():
        raise BadSettings(f"SAFELIGHT_CONFIG names {named}, which is not a file", fields=["config"])


def _problem(location: tuple[int | str, ...], message: str) -> str:
    plain = message.removeprefix("Value error, ")
    plain = plain[0].lower() + plain[1:]
    if not location:
        return f"{_config_file()} is not valid TOML: {plain}"
    name = str(location[0])
    if name not in Settings.model_fields:
        return f"{name} in {_config_file()} is no setting of Safelight: correct or remove it"
    variable = f"{_PREFIX}{name.upper()}"
    return f"{variable if variable in os.environ else f'{name} in {_config_file()}'}: {plain}"
