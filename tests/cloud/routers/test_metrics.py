"""What Prometheus reads."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from cloud.services.callers import COMMAND_LINE
from cloud.services.key_text import new_key
from shared.api.servers import ServerRequest
from tests.cloud.api import BASE, Api, Client, open_api, settings_for


def _samples(text: str) -> dict[tuple[str, str], float]:
    """By name and labels."""
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for value in (sample.value,)
    }


async def _read(api: Api, **headers: str) -> httpx.Response:
    return await api.http.get(f"{BASE}/metrics", headers=headers)


async def test_work_that_waits_runs_and_ends_is_counted(api: Api, client: Client) -> None:
    await api.factory.servers().add(COMMAND_LINE, ServerRequest(url="http://gpu.example", name="gpu"))
    for _ in range(3):
        await client.job_id()
    claiming, attempts = api.factory.claiming(), api.factory.attempts()
    [lane] = (await claiming.backlog(("builtin",))).lanes
    first = await claiming.claim(lane, worker="w")
    second = await claiming.claim(lane, worker="w")
    assert first is not None
    assert second is not None
    await attempts.mark_running(first.ref, engine="builtin")
    await attempts.fail(first.ref, code="broken_image", message="no", retryable=False)

    found = _samples((await _read(api)).text)
    pool = "pool=builtin,priority=0"
    assert found["safelight_queue_jobs", pool] == 1
    assert 0 <= found["safelight_queue_oldest_seconds", pool] < 60
    assert found["safelight_jobs_running", "pool=builtin"] == 1
    assert found["safelight_jobs_ended_total", "outcome=failed,preset=noir"] == 1
    assert found["safelight_job_failures_total", "code=broken_image"] == 1
    assert found["safelight_job_seconds_count", "outcome=failed,preset=noir"] == 1
    assert found["safelight_server_breaker", "server=gpu"] == 0
    assert found["safelight_server_busy", "server=gpu"] == 0
    assert found["safelight_outbox_events", ""] == 5
    assert found["safelight_database_up", ""] == 1
    assert found["safelight_requests_total", "method=POST,route=/api/v1/jobs,status=202"] == 3
    assert found["safelight_request_seconds_count", "route=/api/v1/jobs"] == 3


async def test_no_label_holds_what_a_client_chose(api: Api, client: Client) -> None:
    job_id = await client.job_id()
    secret = new_key()
    await client.call("GET", f"/jobs/{job_id}", params={"token": "canary-7"})
    await client.http.request("BREW", f"{BASE}/canary-7/{job_id}")
    await client.http.get(f"{BASE}/api/v1/jobs", headers={"Authorization": f"Bearer {secret}"})
    text = (await _read(api)).text
    for word in (job_id, client.account_id, client.key_id, "canary-7", "BREW", secret, "a@example.com"):
        assert word not in text
    assert _samples(text)["safelight_sign_ins_failed_total", ""] == 1


async def test_database_is_asked_once_in_a_while(api: Api, client: Client) -> None:
    await _read(api)
    await client.job_id()
    assert ("safelight_queue_jobs", "pool=builtin,priority=0") not in _samples((await _read(api)).text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_strangers_find_nothing_there(api: Api) -> None:
    assert (await _read(api)).status_code == 200
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert (await _read(api, **{header: "203.0.113.9"})).status_code == 404
    elsewhere = httpx.ASGITransport(api.http._transport.app, client=("203.0.113.9", 1))  # type: ignore[attr-defined]
    async with httpx.AsyncClient(transport=elsewhere) as http:
        assert (await http.get(f"{BASE}/metrics")).status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_token_opens_them_from_anywhere(database_url: str, tmp_path: Path) -> None:
    settings = settings_for(database_url, tmp_path, metrics_token="t" * 20)
    async with open_api(settings) as api:
        for token, status in (("t" * 20, 200), ("u" * 20, 404)):
            answer = await _read(api, Authorization=f"Bearer {token}", **{"X-Forwarded-For": "203.0.113.9"})
            assert answer.status_code == status
