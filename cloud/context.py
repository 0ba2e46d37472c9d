"""What a process holds as long as it lives, and how it is opened: the settings decide which parts."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cloud.clients.blob import BlobStore, LocalBlobStore
from cloud.clients.broadcast import Broadcast, LocalBroadcast, RedisBroadcast
from cloud.clients.inspector import Inspector
from cloud.clients.metrics import Metrics
from cloud.clients.queue import LocalQueue, Queue, RedisQueue
from cloud.clients.rate_counter import LocalRateCounter, RateCounter, RedisRateCounter
from cloud.clients.redis_link import RedisLink
from cloud.clients.safe_http import SafeHttp
from cloud.clients.secret_box import SecretBox
from cloud.errors import BadSettings
from cloud.repositories.database import Database
from cloud.repositories.postgres import PostgresDatabase
from cloud.repositories.sqlite import SqliteDatabase
from cloud.services.lane_needs import GRAPH
from cloud.services.placing import Directions
from cloud.services.pricing import Pricing, Rates
from cloud.services.signing import LinkSigner
from cloud.services.stream_door import StreamDoor
from cloud.settings import Settings
from shared.api.accounts import Plan
from shared.media import DEFAULT_INPUT_LIMITS, MediaLimits
from shared.presets.bundle import Preset, load_preset, preset_folders, shipped_presets_folder

__all__ = ["ProcessContext", "open_context", "open_database"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessContext:
    settings: Settings
    schema_version: str
    database: Database
    blobs: BlobStore
    queue: Queue
    broadcast: Broadcast
    inspector: Inspector
    counter: RateCounter
    streams: StreamDoor
    metrics: Metrics
    redis: RedisLink | None
    presets: Mapping[str, Preset]
    directions: Directions
    pricing: Pricing
    signer: LinkSigner
    box: SecretBox
    user_http: SafeHttp
    utcnow: Callable[[], datetime]


@contextlib.asynccontextmanager
async def open_context(settings: Settings, *, schema_version: str) -> AsyncIterator[ProcessContext]:
    """`schema_version` is the one that this program was written for."""
    presets = _shipped_presets()
    directions = _directions(settings, presets)
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings))
        redis = None if settings.redis_url is None else RedisLink(url=settings.redis_url)
        queue: Queue = LocalQueue() if redis is None else RedisQueue(link=redis)
        broadcast: Broadcast = LocalBroadcast() if redis is None else RedisBroadcast(link=redis)
        if redis is not None:
            stack.push_async_callback(redis.aclose)
            await redis.start()
        blobs = _blob_store(settings)
        stack.push_async_callback(blobs.aclose)
        inspector = Inspector(limits=_upload_limits(settings))
        stack.push_async_callback(inspector.aclose)
        yield ProcessContext(
            settings=settings,
            schema_version=schema_version,
            database=database,
            blobs=blobs,
            queue=queue,
            broadcast=broadcast,
            inspector=inspector,
            metrics=Metrics(),
            streams=StreamDoor(per_account=settings.streams_per_account),
            counter=LocalRateCounter() if redis is None else RedisRateCounter(link=redis),
            redis=redis,
            presets=presets,
            directions=directions,
            pricing=Pricing(rates=Rates(settings.credits_per_s, settings.credits_per_s_by_class)),
            signer=_signer(settings),
            box=SecretBox(settings.sealing_keys()),
            user_http=SafeHttp(allowed_hosts=settings.allowed_fetch_hosts),
            utcnow=_utcnow,
        )


@contextlib.asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    database: Database = (
        PostgresDatabase(url=settings.postgres_url, connections=settings.database_connections)
        if settings.is_cluster
        else SqliteDatabase(path=settings.sqlite_path)
    )
    try:
        yield database
    finally:
        await database.aclose()


def _signer(settings: Settings) -> LinkSigner:
    return LinkSigner(
        secret=settings.signing_secret(),
        valid_for=timedelta(seconds=settings.link_valid_s),
        utcnow=_utcnow,
    )


def _blob_store(settings: Settings) -> BlobStore:
    """What speaks S3 is loaded only where it is used."""
    if not settings.is_stored_in_s3:
        return LocalBlobStore(folder=settings.storage_folder)
    from cloud.clients.blob_s3 import S3BlobStore
    from cloud.clients.s3_place import parse_s3_url
    from cloud.clients.s3_signing import S3Keys

    secret = settings.s3_secret_access_key
    keys = S3Keys(
        access_key_id=settings.s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
    )
    place = parse_s3_url(settings.storage_url or "")
    return S3BlobStore(
        place=place,
        keys=keys,
        staging_folder=settings.storage_folder / "staging",
        answer_within=timedelta(seconds=settings.storage_answer_s),
        patience=timedelta(seconds=settings.storage_patience_s),
    )


def _upload_limits(settings: Settings) -> MediaLimits:
    return MediaLimits(
        max_bytes=settings.max_upload_bytes,
        max_pixels=settings.max_pixels,
        max_frames=DEFAULT_INPUT_LIMITS.max_frames,
    )


def _shipped_presets() -> Mapping[str, Preset]:
    presets = (load_preset(folder) for folder in preset_folders(shipped_presets_folder()))
    return {preset.manifest.id: preset for preset in presets}


def _directions(settings: Settings, presets: Mapping[str, Preset]) -> Directions:
    """Raises BadSettings where they speak of a preset that is not there."""
    pools, labels = settings.preset_pools, settings.preset_labels
    for name, given in (("SAFELIGHT_PRESET_POOLS", pools), ("SAFELIGHT_PRESET_LABELS", labels)):
        unknown = sorted(set(given) - {*presets, GRAPH})
        if unknown:
            known = ", ".join([*presets, GRAPH])
            raise BadSettings(f"{name}: there is no preset {unknown[0]!r}; there are {known}", field=name)
    plans = {Plan(name): pool for name, pool in settings.plan_pools.items()}
    return Directions(preset_pools=pools, plan_pools=plans, preset_labels=labels)


def _utcnow() -> datetime:
    return datetime.now(UTC)
