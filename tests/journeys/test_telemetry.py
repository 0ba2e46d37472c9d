"""Traces and faults of a process arrive where the settings say, without secrets."""

import sys
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.cloud_processes import CloudProcesses
from tests.support.telemetry_receiver import telemetry_receiver

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are told to stop by signals")

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_traced_and_its_fault_reported(tmp_path: Path) -> None:
    with telemetry_receiver() as receiver:
        settings = {"SAFELIGHT_OTLP_ENDPOINT": receiver.url, "SAFELIGHT_SENTRY_DSN": receiver.sentry_dsn}
        with closing(CloudProcesses(tmp_path, settings)) as processes:
            key = processes.run("keys", "create")
            process = processes.serve()
            headers = {"Authorization": f"Bearer {key}", "traceparent": CALLER, "X-Request-ID": "r-7"}
            listed = httpx.get(f"{processes.url}/api/v1/jobs?cursor=canary", headers=headers)
            assert listed.status_code in {200, 422}
            process.terminate()
            assert process.wait(60) == 0
    told = [(span.name, span.parent_span_id.hex()) for span in receiver.spans]
    [span] = [span for span in receiver.spans if span.parent_span_id.hex() == "b7ad6b7169203331"]
    assert span.name == "GET /api/v1/jobs", told
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert {attribute.key for attribute in span.attributes} == {"http.response.status_code"}
    assert not any(word in str(receiver.spans) for word in (key, "canary"))
