"""The worker that tells a webhook, or fetches an input, dies on the way: another does it, a lease later."""

import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from shared.ids import new_id
from shared.jobs.state import JobState
from tests.cloud.api import picture
from tests.journeys.cluster import Cluster, open_cluster
from tests.support.http_server import HttpServer, Reply, http_server
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

LEASE_S = 5.0
SOON_S = 45.0  # on a machine with much to do; the time that one try may take is longer


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Cluster]:
    redis = RedisServer()
    settings = {"LEASE_S": str(LEASE_S), "REAP_EVERY_S": "0.5", "ALLOWED_FETCH_HOSTS": "127.0.0.1"}
    try:
        folder = tmp_path_factory.mktemp("taken-over")
        with open_cluster(folder, postgres_server, redis, FETCH_TRY_S="600", **settings) as cluster:
            yield cluster
    finally:
        redis.close()


@pytest.fixture
def site(cluster: Cluster) -> Iterator[HttpServer]:
    """Whatever was begun there ends with the test."""
    with http_server() as site:
        yield site
        for worker in cluster.processes.workers():
            worker.kill()
            worker.wait()
        cluster.rows("DELETE FROM workers")


def _call(cluster: Cluster, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {**cluster.headers, "Idempotency-Key": new_id()}
    answer = httpx.request(method, f"{cluster.processes.url}/api/v1{path}", headers=headers, json=body)
    assert answer.is_success, answer.text
    return answer


def _until(cluster: Cluster, condition: Callable[[], object], *, within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until, cluster.processes.logs()[-6000:]
        time.sleep(0.05)


def _die_in_the_middle(cluster: Cluster, site: HttpServer, begin: Callable[[], object]) -> threading.Event:
    """A worker asks there, and is killed while it waits for its answer; another is at work by then. The
    gate that it died at."""
    gate = threading.Event()
    site.replies[0] = Reply(site.replies[0].status, site.replies[0].body, gate=gate)
    victim = cluster.processes.worker()
    begin()
    _until(cluster, lambda: site.asked)
    cluster.processes.worker()
    _until(cluster, lambda: len(cluster.rows("SELECT name FROM workers")) == 2)
    assert len(site.asked) == 1
    victim.kill()
    victim.wait()
    return gate


def test_a_webhook_is_told_by_another_worker(cluster: Cluster, site: HttpServer) -> None:
    site.replies.extend([Reply(204, b"")] * 5)
    webhook = _call(cluster, "POST", "/webhooks", {"url": site.url}).json()["webhook"]["id"]
    gate = _die_in_the_middle(cluster, site, lambda: _call(cluster, "POST", f"/webhooks/{webhook}/ping"))
    deliveries = "SELECT state, tries FROM webhook_deliveries WHERE webhook_id = $1"
    _until(
        cluster,
        lambda: cluster.rows(deliveries, webhook)[0]["state"] == "delivered",
        within_s=SOON_S,
    )
    gate.set()
    assert [tuple(row) for row in cluster.rows(deliveries, webhook)] == [("delivered", 2)]
    first, again = (asked.headers["webhook-id"] for asked in site.asked)
    assert first == again


def test_an_input_is_fetched_by_another_worker(cluster: Cluster, site: HttpServer) -> None:
    site.replies.extend([Reply(200, picture())] * 5)
    jobs = []

    def submit() -> None:
        inputs = {"photo": [{"url": f"{site.url}/a.png", "name": "a.png"}]}
        jobs.append(_call(cluster, "POST", "/jobs", {"preset": "noir", "inputs": inputs}).json()["id"])

    gate = _die_in_the_middle(cluster, site, submit)
    _until(cluster, lambda: len(site.asked) == 2, within_s=SOON_S)
    assert cluster.end_of(jobs[0]).state is JobState.COMPLETED
    gate.set()
    assert len(site.asked) == 2
    assert cluster.rows("SELECT * FROM input_fetches") == []
    assert cluster.events(jobs[0]).count("completed") == 1
