"""Limits as clients meet them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cloud.services.key_text import new_key
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan
from tests.cloud.api import BASE, Api, open_api, settings_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@asynccontextmanager
async def _api(database_url: str, folder: Path, **more: Any) -> AsyncIterator[Api]:
    async with open_api(settings_for(database_url, folder, **more)) as api:
        yield api


async def test_every_answer_says_what_is_left_of_the_plan(tmp_path: Path, database_url: str) -> None:
    async with _api(database_url, tmp_path) as api:
        client = await api.client(plan=Plan.CREATOR)
        limit = entitlements_of(Plan.CREATOR).requests_per_minute
        for path, status in (("/jobs", 200), ("/jobs/nope", 422), ("/presets", 200)):
            answer = await client.call("GET", path)
            assert answer.status_code == status
            assert answer.headers["RateLimit-Policy"] == f'"minute";q={limit};w=60'
            assert re.fullmatch(r'"minute";r=\d+;t=\d+', answer.headers["RateLimit"])
        assert f"r={limit - 3};" in answer.headers["RateLimit"]


async def test_key_with_a_rate_of_its_own_is_told_to_wait(tmp_path: Path, database_url: str) -> None:
    async with _api(database_url, tmp_path) as api:
        slow, other = await api.client(requests_per_minute=2), await api.client()
        answers = [await slow.call("GET", "/jobs") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        refused = answers[-1]
        assert refused.json()["error"]["code"] == "rate_limited"
        assert refused.headers["Retry-After"] == str(refused.json()["error"]["details"]["retry_after_s"])
        assert 1 <= int(refused.headers["Retry-After"]) <= 120
        assert (await other.call("GET", "/jobs")).status_code == 200


async def test_whoever_guesses_keys_must_wait_and_no_one_else(tmp_path: Path, database_url: str) -> None:
    async with _api(database_url, tmp_path, failed_sign_ins_per_minute=3) as api:
        client = await api.client()
        headers = {"Authorization": f"Bearer {new_key()}"}
        answers = [await api.http.get(f"{BASE}/api/v1/jobs", headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert (await client.call("GET", "/jobs")).status_code == 200


async def test_address_is_that_of_the_client_behind_a_proxy(tmp_path: Path, database_url: str) -> None:
    """Names that the client itself put before it change nothing."""
    settings = {"address_requests_per_minute": 2, "trusted_proxies": ("127.0.0.0/8",)}
    async with _api(database_url, tmp_path, **settings) as api:
        statuses = [
            (await api.http.get(f"{BASE}/api/v1/jobs", headers={"X-Forwarded-For": hops})).status_code
            for hops in (
                "1.1.1.1, 203.0.113.9",
                "2.2.2.2, 203.0.113.9",
                "3.3.3.3, 203.0.113.9",
                "203.0.113.8",
            )
        ]
        assert statuses == [401, 401, 429, 401]


async def test_header_of_a_stranger_is_not_believed(tmp_path: Path, database_url: str) -> None:
    async with _api(database_url, tmp_path, address_requests_per_minute=2) as api:
        statuses = [
            (await api.http.get(f"{BASE}/api/v1/jobs", headers={"X-Forwarded-For": f"9.9.9.{n}"})).status_code
            for n in range(3)
        ]
        assert statuses == [401, 401, 429]
        assert (await api.http.get(f"{BASE}/health")).status_code == 200


async def test_limits_can_be_left_to_what_stands_in_front(tmp_path: Path, database_url: str) -> None:
    settings = {"address_requests_per_minute": 1, "failed_sign_ins_per_minute": 1, "rate_limits": False}
    async with _api(database_url, tmp_path, **settings) as api:
        client = await api.client(requests_per_minute=1)
        answers = [await client.call("GET", "/jobs") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert "RateLimit" not in answers[0].headers
