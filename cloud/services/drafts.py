"""Requests as new jobs: checked, in their lanes, and with their price."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from cloud.clients.user_url import UserUrl
from cloud.errors import InvalidRequest, PlanLimit, PriceChanged
from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.jobs import GivenFile, InputName, InputUrl, NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller
from cloud.services.inputs import check_inputs, check_sizes, check_urls, must_fetch
from cloud.services.model_choices import model_choices
from cloud.services.plans import Entitlements, entitlements_of, lane_priority
from cloud.services.presets import BUILTIN_POOL, FETCHING_POOL, Presets
from cloud.services.pricing import Offer, Price, Pricing
from shared.api.jobs import JobInput, Priority
from shared.errors import JsonValue
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values

__all__ = ["Drafts", "Item", "Terms", "given_files", "require_pool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How and for how much the jobs of one request are taken."""

    priority: int
    expires_in: timedelta
    price: Price


@dataclass(frozen=True, slots=True)
class Item:
    """What one job works on; `retry_of` is the job that it repeats."""

    job_id: str
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[GivenFile, ...]]
    retry_of: str | None = None


class Drafts:
    """`longest` is how long a job waits that says nothing else; `check_url` refuses what is not asked."""

    def __init__(
        self,
        *,
        presets: Presets,
        pricing: Pricing,
        longest: timedelta,
        link: str,
        check_url: Callable[[str], UserUrl],
    ) -> None:
        self._check_url = check_url
        self._presets = presets
        self._pricing = pricing
        self._longest = longest
        self._link = link

    def chosen(self, unit: Unit, preset_id: str, version: str | None) -> Preset:
        """Raises InvalidRequest, which names the field."""
        preset = self._presets.chosen(preset_id, version)
        require_pool(unit, self._presets.pool_of(preset), preset.manifest.name, field="preset")
        return preset

    def price(self, unit: Unit, preset: Preset) -> Price:
        manifest = preset.manifest
        return self._pricing.price(unit, Offer(manifest.id, manifest.version, manifest.price))

    def terms(
        self,
        caller: Caller,
        price: Price,
        *,
        priority: Priority,
        expires_in_s: int | None,
        max_price: int | None,
    ) -> Terms:
        """Raises PlanLimit, InvalidRequest, PriceChanged."""
        allowed = entitlements_of(caller.plan)
        if priority not in allowed.priorities:
            raise PlanLimit(
                f"the plan {caller.plan} has no {priority} priority; ask for another, or for a larger plan",
                limit="priority",
                field="priority",
                plan=caller.plan.value,
                link=self._link,
            )
        if max_price is not None and price.credits > max_price:
            raise PriceChanged(
                f"the price is {price.credits} credits now, and the request would pay {max_price}",
                price=price.credits,
                max_price=max_price,
                field="max_price",
            )
        return Terms(
            priority=lane_priority(allowed, priority),
            expires_in=self._expires_in(allowed, expires_in_s),
            price=price,
        )

    def job(
        self,
        caller: Caller,
        preset: Preset,
        terms: Terms,
        item: Item,
        artifacts: Mapping[str, ArtifactRecord],
        *,
        key: str | None = None,
        batch_id: str | None = None,
        batch_index: int | None = None,
    ) -> NewJob:
        """`artifacts` are the account's, by digest. Raises what names the field."""
        resolved = resolve_values(preset.manifest, item.values)
        check_inputs(preset.manifest, item.inputs, artifacts)
        check_sizes(entitlements_of(caller.plan), item.inputs, artifacts)
        check_urls(item.inputs, self._check_url)
        pool, waits = self._presets.pool_of(preset), must_fetch(item.inputs)
        return NewJob(
            id=item.job_id,
            lane=Lane(
                FETCHING_POOL if waits else pool,
                terms.priority,
                caller.account_id,
                preset.manifest.id,
                model_choices(preset, resolved),
            ),
            preset_version=preset.manifest.version,
            preset_digest=preset.digest,
            values=resolved,
            inputs=item.inputs,
            enters=pool if waits else None,
            idempotency_key=key,
            retry_of=item.retry_of,
            price=terms.price.credits,
            price_basis=terms.price.basis.model_dump_json(),
            expected_s=terms.price.expected_s,
            expires_in=terms.expires_in,
            batch_id=batch_id,
            batch_index=batch_index,
        )

    def _expires_in(self, allowed: Entitlements, wanted_s: int | None) -> timedelta:
        if wanted_s is None:
            return min(self._longest, allowed.queue_time)
        most = int(allowed.queue_time.total_seconds())
        if wanted_s > most:
            raise InvalidRequest(
                f"a job of this plan may wait at most {most} seconds, not {wanted_s}",
                field="expires_in_s",
                max=most,
            )
        return timedelta(seconds=wanted_s)


def require_pool(unit: Unit, pool: str, name: str, *, field: str) -> None:
    """Raises InvalidRequest where nothing is there that could ever run it."""
    if pool != BUILTIN_POOL and not unit.servers.has_pool(pool):
        raise InvalidRequest(
            f"{name} needs a GPU server, and there is none here; choose another preset", field=field
        )


def given_files(given: Mapping[str, list[JobInput]]) -> dict[str, tuple[GivenFile, ...]]:
    return {name: tuple(_given_file(file) for file in files) for name, files in given.items()}


def _given_file(file: JobInput) -> GivenFile:
    return InputUrl(file.url or "", file.name) if file.digest is None else InputName(file.digest, file.name)
