"""What every request meets before a route does."""

from pathlib import Path

import pytest

from tests.cloud.api import BASE, Api, open_api, settings_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

STUDIO, STRANGER = "https://studio.example", "https://studio.example.evil"


async def _preflight(api: Api, origin: str) -> dict[str, str]:
    answer = await api.http.options(
        f"{BASE}/api/v1/jobs",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, idempotency-key",
        },
    )
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_pages_of_listed_origins_may_call(tmp_path: Path, database_url: str) -> None:
    async with open_api(settings_for(database_url, tmp_path, cors_origins=(STUDIO,))) as api:
        allowed = await _preflight(api, STUDIO)
        assert allowed["access-control-allow-origin"] == STUDIO
        assert "Idempotency-Key" in allowed["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in allowed
        assert "access-control-allow-origin" not in await _preflight(api, STRANGER)
        refused = await api.http.get(f"{BASE}/api/v1/jobs", headers={"Origin": STUDIO})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, STUDIO)
        assert "Retry-After" in refused.headers["access-control-expose-headers"]


async def test_without_a_list_no_page_may(tmp_path: Path, database_url: str) -> None:
    async with open_api(settings_for(database_url, tmp_path)) as api:
        assert await _preflight(api, STUDIO) == {}


async def test_answers_are_safe_in_browsers(tmp_path: Path, database_url: str) -> None:
    settings = settings_for(database_url, tmp_path, public_url="https://api.example")
    async with open_api(settings) as api:
        for path, status in (("/health", 200), ("/api/v1/jobs", 401), ("/nowhere", 404)):
            answer = await api.http.get(f"{BASE}{path}")
            assert answer.status_code == status
            kept = {
                "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
                "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            }
            assert {name: answer.headers[name] for name in kept} == kept


async def test_headers_without_end_are_refused(tmp_path: Path, database_url: str) -> None:
    async with open_api(settings_for(database_url, tmp_path, max_head_bytes=2048)) as api:
        answer = await api.http.get(f"{BASE}/health", headers={"X-Long": "x" * 2048})
        assert (answer.status_code, answer.json()["error"]["code"]) == (431, "headers_too_large")
        assert (await api.http.get(f"{BASE}/health", headers={"X-Long": "x" * 1000})).status_code == 200
