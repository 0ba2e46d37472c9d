"""What accounts do all the while: they send pictures and submit jobs, some of them twice."""

import io
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from PIL import Image

from shared.files import digest_bytes
from shared.ids import new_id

__all__ = ["Customers", "Errand", "Promise", "errands"]

MODEL = "random_sd15_fp16.safetensors"
_WITHIN_S = 240.0
_AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class Errand:
    """`at` is when it begins, as a share of the whole time; `account` whose it is."""

    kind: str
    at: float
    account: int
    steps: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A job that was accepted, and the ends that it may have."""

    job_id: str
    ends: frozenset[str]


def errands(seed: int, jobs: int, accounts: int) -> list[Errand]:
    """As many as come to so many jobs, in the order of their beginning."""
    dice = random.Random(seed ^ 0x5AFE)
    weights = {"photo": 6, "portrait": 4, "twins": 2, "batch": 1, "cancel": 2, "again": 1}
    found, count = [], 0
    while count < jobs:
        [kind] = dice.choices(list(weights), weights=list(weights.values()))
        count += {"batch": 4, "again": 2}.get(kind, 1)
        found.append(Errand(kind, dice.random(), dice.randrange(accounts), dice.randrange(2, 12)))
    return sorted(found, key=lambda errand: errand.at)


class Customers:
    """They ask any of the API processes, and ask again, under the same key, until they are answered."""

    def __init__(self, ports: Sequence[int], keys: Sequence[str]) -> None:
        self._urls = [f"http://127.0.0.1:{port}/api/v1" for port in ports]
        self._keys = keys
        self._http = httpx.Client(timeout=10, trust_env=False, limits=httpx.Limits(max_connections=32))
        self._lock = threading.Lock()
        self.promises: list[Promise] = []
        self.troubles: list[str] = []
        self.answers: Counter[int] = Counter()

    def serve(self, todo: Sequence[Errand], *, within_s: float) -> None:
        """Returns when every errand is done."""
        begun = time.monotonic()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for errand in todo:
                time.sleep(max(0.0, begun + errand.at * within_s - time.monotonic()))
                pool.submit(self._run, errand)

    def close(self) -> None:
        self._http.close()

    def download(self, account: int, job_id: str) -> list[tuple[str, bytes]]:
        """What the outputs should be by their digest, and what they are."""
        job = self._asked(account, "GET", f"/jobs/{job_id}").json()
        found = []
        for output in job["outputs"]:
            data = self._until(
                lambda output=output: self._http.get(output["download"]["url"], follow_redirects=True)
            )
            found.append((output["digest"], data.content))
        return found

    def _fetch(self, output: Mapping[str, Any]) -> httpx.Response:
        return self._http.get(output["download"]["url"], follow_redirects=True)

    def _run(self, errand: Errand) -> None:
        act: Callable[[Errand], None] = getattr(self, f"_{errand.kind}")
        try:
            act(errand)
        except Exception as error:  # noqa: BLE001 - the end of a thread: told with the rest
            self.troubles.append(f"{errand}: {error!r}")

    def _photo(self, errand: Errand) -> None:
        self._submitted(errand, {"preset": "noir"}, "completed")

    def _portrait(self, errand: Errand) -> None:
        self._submitted(errand, _portrait(errand.steps), "completed")

    def _twins(self, errand: Errand) -> None:
        """The same submission three times at once."""
        body = {"preset": "noir", "inputs": self._inputs(errand)}
        key = new_id()
        with ThreadPoolExecutor(3) as pool:
            answers = list(
                pool.map(lambda _: self._asked(errand.account, "POST", "/jobs", json=body, key=key), range(3))
            )
        ids = {answer.json()["id"] for answer in answers}
        if len(ids) != 1:
            self.troubles.append(f"one key, several jobs: {ids}")
        for job_id in ids:
            self._promise(job_id, "completed")

    def _batch(self, errand: Errand) -> None:
        items = [{"inputs": self._inputs(errand)} for _ in range(4)]
        answer = self._asked(
            errand.account, "POST", "/batches", json={"preset": "thumbnail", "items": items}, key=new_id()
        )
        for job_id in answer.json()["jobs"]:
            self._promise(job_id, "completed")

    def _cancel(self, errand: Errand) -> None:
        job_id = self._submitted(errand, _portrait(40), "cancelled", "completed")
        if job_id is not None:
            time.sleep(errand.steps / 10)
            self._asked(errand.account, "POST", f"/jobs/{job_id}/cancel")

    def _again(self, errand: Errand) -> None:
        job_id = self._submitted(errand, {"preset": "noir"}, "completed")
        answer = self._asked(errand.account, "POST", f"/jobs/{job_id}/retry", key=new_id())
        self._promise(answer.json()["id"], "completed")

    def _submitted(self, errand: Errand, body: dict[str, Any], *ends: str) -> str | None:
        """The job's id; None where the account has no credits left."""
        body = {**body, "inputs": self._inputs(errand)}
        answer = self._asked(errand.account, "POST", "/jobs", json=body, key=new_id())
        if answer.status_code == 402:
            return None
        job_id = str(answer.json()["id"])
        self._promise(job_id, *ends)
        return job_id

    def _promise(self, job_id: str, *ends: str) -> None:
        with self._lock:
            self.promises.append(Promise(job_id, frozenset(ends)))

    def _inputs(self, errand: Errand) -> dict[str, Any]:
        file = io.BytesIO()
        Image.frombytes("RGB", (48, 48), os.urandom(48 * 48 * 3)).save(file, "PNG")
        data = file.getvalue()
        digest = digest_bytes(data)
        self._asked(errand.account, "PUT", f"/artifacts/{digest}", content=data)
        return {"photo": [{"digest": digest, "name": "a.png"}]}

    def _asked(
        self, account: int, method: str, path: str, *, key: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._keys[account]}"}
        headers |= {} if key is None else {"Idempotency-Key": key}

        def ask() -> httpx.Response:
            url = random.choice(self._urls)
            return self._http.request(method, f"{url}{path}", headers=headers, **more)

        answer = self._until(ask)
        if answer.status_code >= 400 and answer.status_code != 402:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    def _until(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        until = time.monotonic() + _WITHIN_S
        while True:
            try:
                answer = ask()
                with self._lock:
                    self.answers[answer.status_code] += 1
                if answer.status_code < 500 and "Retry-After" not in answer.headers:
                    return answer
                problem = answer.text
            except httpx.TransportError as error:
                problem = repr(error)
            if time.monotonic() > until:
                raise AssertionError(f"no answer for {_WITHIN_S} s: {problem}")
            time.sleep(random.uniform(0.1, 0.4))


def _portrait(steps: int) -> dict[str, Any]:
    return {"preset": "portrait-pro", "values": {"model": MODEL, "steps": steps}}
