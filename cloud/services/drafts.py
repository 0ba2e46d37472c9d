"""Requests as new jobs: checked, in their lanes, and with their price."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Self

from cloud.clients.user_url import UserUrl
from cloud.errors import InvalidRequest, PlanLimit, PriceChanged
from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.jobs import GivenFile, InputName, InputUrl, JobRecord, NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller
from cloud.services.inputs import check_inputs, check_sizes, check_urls, must_fetch
from cloud.services.lane_needs import labels_of, with_labels
from cloud.services.model_choices import model_choices
from cloud.services.placing import Place, Placing
from cloud.services.plans import Entitlements, asked_priority, entitlements_of, lane_priority
from cloud.services.presets import FETCHING_POOL, Presets
from cloud.services.pricing import Offer, Price, Pricing
from shared.api.jobs import JobInput, Priority
from shared.errors import JsonValue
from shared.presets.bundle import Preset
from shared.presets.values import resolve_values

__all__ = ["Drafts", "Item", "JobContent", "Terms", "Wanted", "given_files", "new_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Where, how and for how much the jobs of one request are taken."""

    place: Place
    priority: int
    expires_in: timedelta
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request says of how its jobs are taken."""

    priority: Priority = Priority.NORMAL
    expires_in_s: int | None = None
    max_price: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def again(cls, caller: Caller, job: JobRecord) -> Self:
        """For what repeats this job, as far as the plan still allows it."""
        allowed, priority = entitlements_of(caller.plan), asked_priority(job.priority)
        return cls(
            priority=priority if priority in allowed.priorities else Priority.NORMAL,
            labels=labels_of(job.models) if allowed.server_labels else {},
        )


@dataclass(frozen=True, slots=True)
class Item:
    """What one job works on; `retry_of` is the job that it repeats."""

    job_id: str
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[GivenFile, ...]]
    retry_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContent:
    """What a job is to do. `preset`, `version` and `digest` are a preset's, or what stands there for a
    raw `graph` (as JSON); `needs` is what of a server's it must find, as text."""

    preset: str
    needs: str
    version: str
    digest: str
    values: Mapping[str, JsonValue]
    graph: str | None = None


class Drafts:
    """`longest` is how long a job waits that says nothing else; `check_url` refuses what is not asked."""

    def __init__(
        self,
        *,
        presets: Presets,
        placing: Placing,
        pricing: Pricing,
        longest: timedelta,
        link: str,
        check_url: Callable[[str], UserUrl],
    ) -> None:
        self._check_url = check_url
        self._presets = presets
        self._placing = placing
        self._pricing = pricing
        self._longest = longest
        self._link = link

    def chosen(self, preset_id: str, version: str | None) -> Preset:
        """Raises InvalidRequest, which names the field."""
        return self._presets.chosen(preset_id, version)

    def place(self, unit: Unit, caller: Caller, preset: Preset, wanted: Wanted) -> Place:
        """Raises PlanLimit and InvalidRequest."""
        manifest = preset.manifest
        if self._presets.is_instant(preset):
            return self._placing.without_server(manifest.name, wanted.labels)
        return self._placing.at_server(
            unit, caller, manifest.id, manifest.name, wanted.labels, field="preset"
        )

    def price(self, unit: Unit, preset: Preset) -> Price:
        manifest = preset.manifest
        return self._pricing.price(unit, Offer(manifest.id, manifest.version, manifest.price))

    def terms(self, caller: Caller, price: Price, place: Place, wanted: Wanted) -> Terms:
        """Raises PlanLimit, InvalidRequest, PriceChanged."""
        allowed, priority, max_price = entitlements_of(caller.plan), wanted.priority, wanted.max_price
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
            place=place,
            priority=lane_priority(allowed, priority),
            expires_in=self._expires_in(allowed, wanted.expires_in_s),
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
        content = JobContent(
            preset=preset.manifest.id,
            needs=model_choices(preset, resolved),
            version=preset.manifest.version,
            digest=preset.digest,
            values=resolved,
        )
        job = new_job(caller, content, terms, item, key=key)
        return replace(job, batch_id=batch_id, batch_index=batch_index)

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


def new_job(caller: Caller, content: JobContent, terms: Terms, item: Item, *, key: str | None) -> NewJob:
    """In the lane where it waits: for its files, if some are still to be fetched, and then for a server."""
    place, waits = terms.place, must_fetch(item.inputs)
    return NewJob(
        id=item.job_id,
        lane=Lane(
            FETCHING_POOL if waits else place.pool,
            terms.priority,
            caller.account_id,
            content.preset,
            with_labels(content.needs, place.labels),
        ),
        preset_version=content.version,
        preset_digest=content.digest,
        values=content.values,
        inputs=item.inputs,
        enters=place.pool if waits else None,
        idempotency_key=key,
        retry_of=item.retry_of,
        price=terms.price.credits,
        price_basis=terms.price.basis.model_dump_json(),
        expected_s=terms.price.expected_s,
        expires_in=terms.expires_in,
        graph=content.graph,
    )


def given_files(given: Mapping[str, list[JobInput]]) -> dict[str, tuple[GivenFile, ...]]:
    return {name: tuple(_given_file(file) for file in files) for name, files in given.items()}


def _given_file(file: JobInput) -> GivenFile:
    return InputUrl(file.url or "", file.name) if file.digest is None else InputName(file.digest, file.name)
