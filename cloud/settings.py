"""The settings of a cloud process: SAFELIGHT_* variables over a TOML file, typed and checked at the start."""

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import os
import re
import secrets
from collections.abc import Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from cloud.errors import BadSettings
from cloud.weak_secrets import weak_password_of, weakness_of, weakness_of_key
from shared.api.servers import PoolName, ServerLabels
from shared.comfy.address import InvalidAddress, parse_address
from shared.files import staged_file

__all__ = ["Environment", "Settings", "load_settings"]

_CONFIG_VARIABLE = "SAFELIGHT_CONFIG"
_SHORTEST_SECRET = 32
_SECRET_FILE = "cloud-secret.key"  # noqa: S105 - the name of a file
_SEALING_FILE = "cloud-encryption.key"
_SHORTEST_TOKEN = 16
_MAKE_ONE = "make one with `openssl rand -hex 32`"
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
_MB = 1024 * 1024
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")


def _split(given: object) -> object:
    """A variable lists words as `a,b` or as JSON; a TOML file as an array."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        return json.loads(given)
    return tuple(word.strip() for word in given.split(",") if word.strip())


def _server_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        try:
            parse_address(url)
        except InvalidAddress as error:
            raise ValueError(error.message) from error
    return tuple(dict.fromkeys(urls))


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        try:
            ipaddress.ip_network(word, strict=False)
        except ValueError as error:
            raise ValueError("give addresses or networks, such as 10.0.0.0/8") from error
    return words


def _origins(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if word != "*" and not _ORIGIN.fullmatch(word):
            raise ValueError("give origins as browsers do, such as https://studio.example")
    return words


_Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """Without any, one box on this machine: SQLite, a local folder, the loopback address."""

    model_config = SettingsConfigDict(
        env_prefix="SAFELIGHT_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    environment: Environment = Environment.DEVELOPMENT
    data_dir: Path = Path(platformdirs.user_data_dir("safelight-cloud", appauthor=False))
    database_url: Annotated[str, Field(pattern=r"^(sqlite:///|postgresql(\+asyncpg)?://).+")] | None = None
    database_connections: Annotated[int, Field(ge=2, le=500)] = 10
    redis_url: Annotated[str, Field(pattern=r"^(redis|rediss|unix)://.+")] | None = None
    storage_url: Annotated[str, Field(pattern=r"^(file:///|s3://).+")] | None = None
    storage_answer_s: Annotated[float, Field(gt=0, le=60)] = 5.0  # how long S3 may keep silent before a try
    storage_patience_s: Annotated[float, Field(gt=0, le=60)] = 12.0  # is repeated, and a request kept waiting
    s3_access_key_id: str | None = None  # without these two, where AWS's own tools look
    s3_secret_access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    encryption_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)] = ()
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000  # 0: any that is free
    public_url: Annotated[str, Field(pattern=r"^https?://[^/?#]+$")] | None = None
    credits_per_s: Annotated[float, Field(gt=0)] = 0.1  # of a server's time, where prices are measured
    credits_per_s_by_class: dict[str, Annotated[float, Field(gt=0)]] = {}
    graph_classes: _Words = ()  # node classes that raw graphs may use beside the usual ones
    graph_max_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024
    graph_max_nodes: Annotated[int, Field(ge=1)] = 200
    graph_max_depth: Annotated[int, Field(ge=1)] = 100
    graph_price: Annotated[int, Field(ge=0)] = 5  # credits, until the graph's own runs were measured
    credits_url: Annotated[str, Field(pattern=r"^https?://.+")] | None = None
    allowed_hosts: _Words = ("127.0.0.1", "localhost", "[::1]")  # beside the one of public_url
    cors_origins: Annotated[_Words, AfterValidator(_origins)] = ()  # of web pages that may call us
    trusted_proxies: Annotated[_Words, AfterValidator(_networks)] = ()  # whose X-Forwarded-For is believed
    max_head_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024  # of a request
    client_patience_s: Annotated[float, Field(gt=0)] = 30.0  # with clients that stop sending or reading
    streams_per_account: Annotated[int, Field(ge=1)] = 2000  # at once, of each process
    rate_limits: bool = True
    notice_s: Annotated[float, Field(ge=0)] | None = None  # between being told to stop and stopping
    drain_s: Annotated[float, Field(ge=0)] = 20.0  # for what runs, and is answered, to end
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://.+")] | None = None  # of traces
    sentry_dsn: Annotated[str, Field(pattern=r"^https?://.+")] | None = None
    metrics_token: SecretStr | None = None  # without it, only this machine may read /metrics
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None  # of processes that only work
    address_requests_per_minute: Annotated[int, Field(ge=1)] = 60_000
    failed_sign_ins_per_minute: Annotated[int, Field(ge=1)] = 300  # of an address
    preset_pools: dict[str, PoolName] = {}  # of servers, where not all run all presets
    plan_pools: dict[Literal["free", "creator", "studio"], PoolName] = {}
    preset_labels: dict[str, ServerLabels] = {}  # that a server must carry to run a preset
    comfyui_urls: Annotated[_Words, AfterValidator(_server_urls)] = ()
    fetch_try_s: Annotated[float, Field(gt=0, le=600)] = 120.0  # for one file that a job names by URL
    allowed_fetch_hosts: _Words = ()  # for development: of users' URLs, asked wherever they are
    max_upload_bytes: Annotated[int, Field(ge=1)] = 512 * _MB
    max_body_bytes: Annotated[int, Field(ge=1024)] = _MB
    requests_at_once: Annotated[int, Field(ge=1)] = 8  # the rest waits, or comes again
    requests_waiting: Annotated[int, Field(ge=0)] = 8
    request_wait_s: Annotated[float, Field(gt=0)] = 1.0
    max_pixels: Annotated[int, Field(ge=1)] = 64 * 1024 * 1024
    lease_s: Annotated[float, Field(ge=0.2)] = 30.0
    reap_every_s: Annotated[float, Field(gt=0)] = 5.0
    queue_time_s: Annotated[float, Field(ge=1)] = 24 * 3600.0
    poll_every_s: Annotated[float, Field(gt=0)] = 2.0
    look_every_s: Annotated[float, Field(gt=0, le=30)] = 10.0  # at each GPU server
    server_answer_s: Annotated[float, Field(gt=0, le=60)] = 30.0  # how long one of its answers may take
    breaker_first_s: Annotated[float, Field(gt=0)] = 5.0  # the first pause of a server that fails
    hang_s: Annotated[float, Field(gt=0)] = 30.0  # how long a run may take to stop
    restart_command: str | None = None  # run when it does not; SAFELIGHT_SERVER_NAME says for which server
    link_valid_s: Annotated[float, Field(ge=1, le=900)] = 900.0
    collect_every_s: Annotated[float, Field(gt=0)] = 600.0
    collect_grace_s: Annotated[float, Field(ge=1000)] = 1800.0  # longer than any link is valid
    unfinished_kept_s: Annotated[float, Field(ge=1000)] = 24 * 3600.0
    strays_kept_s: Annotated[float, Field(ge=1000)] = 24 * 3600.0
    log_level: Annotated[str, Field(pattern=r"^(debug|info|warning|error)$")] = "info"
    log_json: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        secret = self.secret_key.get_secret_value() if self.secret_key else None
        if secret is not None and len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"SAFELIGHT_SECRET_KEY must have at least {_SHORTEST_SECRET} characters")
        if secret is None and (self.environment is Environment.PRODUCTION or self.is_cluster):
            raise ValueError(
                "SAFELIGHT_SECRET_KEY must be set in production and with PostgreSQL: "
                "every process signs links with the same secret"
            )
        if self.environment is Environment.PRODUCTION and self.public_url is None:
            raise ValueError("SAFELIGHT_PUBLIC_URL must be set in production")
        if self.environment is Environment.PRODUCTION and not self.encryption_keys:
            raise ValueError(
                "SAFELIGHT_ENCRYPTION_KEYS must be set in production: make one with "
                "`safelight-cloud secrets key`, and keep it apart from the database"
            )
        if self.environment is Environment.PRODUCTION and self.allowed_fetch_hosts:
            raise ValueError("SAFELIGHT_ALLOWED_FETCH_HOSTS must not be set in production")
        unfit = self._unfit_for_production() if self.environment is Environment.PRODUCTION else None
        if unfit is not None:
            raise ValueError(unfit)
        return self

    def _unfit_for_production(self) -> str | None:
        """What only development may have. Values are not repeated: they may be secrets."""
        token = self.metrics_token.get_secret_value() if self.metrics_token else None
        public = urlsplit(self.public_url or "")
        rules = {
            "SAFELIGHT_PUBLIC_URL must begin with https:// in production, unless it is this machine's": (
                public.scheme != "https" and public.hostname not in _THIS_MACHINE
            ),
            "SAFELIGHT_CORS_ORIGINS must not be * in production; list your own pages": (
                "*" in self.cors_origins
            ),
            "SAFELIGHT_ALLOWED_HOSTS must not be * in production; list your own names": (
                "*" in self.allowed_hosts
            ),
            "SAFELIGHT_LOG_LEVEL must not be debug in production; set info": self.log_level == "debug",
            f"SAFELIGHT_METRICS_TOKEN must have at least {_SHORTEST_TOKEN} characters": (
                token is not None and len(token) < _SHORTEST_TOKEN
            ),
        }
        weak = (f"{name} {weakness}; {remedy}" for name, weakness, remedy in self._weak_secrets() if weakness)
        return next(chain(weak, (rule for rule, is_broken in rules.items() if is_broken)), None)

    def _weak_secrets(self) -> Iterator[tuple[str, str | None, str]]:
        """Name, what is wrong with it if anything is, and what to do."""
        yield "SAFELIGHT_SECRET_KEY", _weakness(self.secret_key), _MAKE_ONE
        yield "SAFELIGHT_METRICS_TOKEN", _weakness(self.metrics_token), _MAKE_ONE
        yield (
            "SAFELIGHT_S3_SECRET_ACCESS_KEY",
            _weakness(self.s3_secret_access_key),
            "give your store another one",
        )
        for key in self.encryption_keys:
            weakness = weakness_of_key(key.get_secret_value())
            yield (
                "a key of SAFELIGHT_ENCRYPTION_KEYS",
                weakness,
                "make one with `safelight-cloud secrets key`",
            )
        for name, url in (("DATABASE", self.database_url), ("REDIS", self.redis_url)):
            weakness = weak_password_of(url or "")
            yield (
                f"the password in SAFELIGHT_{name}_URL",
                weakness,
                f"{_MAKE_ONE}, and give it to the server too",
            )

    @property
    def is_cluster(self) -> bool:
        return self.database_url is not None and self.database_url.startswith("postgresql")

    @property
    def sqlite_path(self) -> Path:
        if self.database_url is None:
            return self.data_dir / "cloud.db"
        return Path(self.database_url.removeprefix("sqlite:///"))

    @property
    def postgres_url(self) -> str:
        """With the driver that we use."""
        return "postgresql+asyncpg://" + (self.database_url or "").partition("://")[2]

    @property
    def is_stored_in_s3(self) -> bool:
        return self.storage_url is not None and self.storage_url.startswith("s3://")

    @property
    def storage_folder(self) -> Path:
        """Of the artifacts, or of the files on their way to and from S3."""
        if self.storage_url is None or self.is_stored_in_s3:
            return self.data_dir / "artifacts"
        return Path(self.storage_url.removeprefix("file://"))

    @property
    def storage_place(self) -> str:
        """Of the artifacts, for people."""
        return (
            (self.storage_url or "").partition("?")[0] if self.is_stored_in_s3 else str(self.storage_folder)
        )

    @property
    def base_url(self) -> str:
        """Where clients reach us: scheme and host, without a path."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104 - no binding
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def stop_notice_s(self) -> float:
        """How long balancers may take to see that we are no longer ready."""
        if self.notice_s is not None:
            return self.notice_s
        return 5.0 if self.environment is Environment.PRODUCTION else 0.0

    @property
    def credits_link(self) -> str:
        """Where more credits or a larger plan can be had."""
        return self.credits_url or f"{self.base_url}/account"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names under which clients may call us."""
        own = urlsplit(self.public_url or "").hostname
        return self.allowed_hosts if own is None else (*self.allowed_hosts, own)

    def signing_secret(self) -> bytes:
        """The secret of the settings; on one box, else, one that is made once and kept with the data."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        return _kept_secret(self.data_dir / _SECRET_FILE)

    def sealing_keys(self) -> tuple[str, ...]:
        """Of secrets at rest, the newest first. Without any given, on one box one that is made once and
        kept with the data, and before it, as in a cluster, one that follows from the signing secret."""
        given = tuple(key.get_secret_value() for key in self.encryption_keys)
        if given:
            return given
        derived = _derived_fernet_key(self.signing_secret())
        if self.is_cluster:
            return (derived,)
        kept = hashlib.sha256(_kept_secret(self.data_dir / _SEALING_FILE)).digest()
        return (base64.urlsafe_b64encode(kept).decode(), derived)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(_CONFIG_VARIABLE)
        if file is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=Path(file))


def load_settings(**given: object) -> Settings:
    """Raises BadSettings, which names each variable that is wrong."""
    file = os.environ.get(_CONFIG_VARIABLE)
    if file is not None and not Path(file).is_file():
        raise BadSettings(f"{_CONFIG_VARIABLE} names {file}, which is not there", field=_CONFIG_VARIABLE)
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"]) for item in error.errors()]
        raise BadSettings("; ".join(problems), fields=problems) from error


def _problem(location: tuple[int | str, ...], message: str) -> str:
    """The value itself is not repeated: it may be a secret."""
    text = message.removeprefix("Value error, ")
    return f"SAFELIGHT_{str(location[0]).upper()}: {text}" if location else text


def _weakness(secret: SecretStr | None) -> str | None:
    return None if secret is None else weakness_of(secret.get_secret_value())


def _derived_fernet_key(secret: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, b"safelight secrets at rest", "sha256")).decode()


def _kept_secret(path: Path) -> bytes:
    """Made by whoever comes first; others, also those of the same moment, find it whole."""
    if not path.exists():
        with staged_file(path.parent) as (file, temporary):
            file.write(secrets.token_urlsafe(48).encode())
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
    return path.read_bytes()
