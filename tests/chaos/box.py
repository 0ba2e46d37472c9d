"""One box under attack: a process that is API and worker, begun anew whenever it has died."""

import io
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from cloud.services.key_text import PREFIX
from shared.files import digest_bytes
from shared.ids import new_id
from tests.chaos.invariants import violations
from tests.chaos.rows import Rows, SqliteRows
from tests.support.ports import free_port
from tests.support.zygote import ForkedProcess, Zygote

__all__ = ["ENDS", "Box", "new_picture", "photo"]

ENDS = ("completed", "failed", "cancelled", "expired")
_WITHIN_S = 150.0
_LOOK_S = 0.1
_QUICK = {
    "SAFELIGHT_POLL_EVERY_S": "0.5",
    "SAFELIGHT_LOOK_EVERY_S": "0.5",
    "SAFELIGHT_BREAKER_FIRST_S": "0.3",
    "SAFELIGHT_HANG_S": "0.5",
    "SAFELIGHT_SERVER_ANSWER_S": "2",
    "SAFELIGHT_LOG_LEVEL": "warning",
    "SAFELIGHT_RATE_LIMITS": "false",
    "SAFELIGHT_ALLOWED_FETCH_HOSTS": "127.0.0.1",
}


class Box:
    """`call` and `end_of` outlive any number of deaths: a request is sent again under its key."""

    def __init__(
        self, folder: Path, *, servers: Sequence[str] = (), rows: Rows | None = None, **settings: str
    ) -> None:
        """On SQLite, unless `rows` are those of the database that the settings name."""
        self._folder = folder
        self._rows = rows or SqliteRows(folder / "data/cloud.db")
        self._armed = folder / "failpoint"
        self._port = free_port()
        self._environment = {
            "SAFELIGHT_DATA_DIR": str(folder / "data"),
            "SAFELIGHT_COMFYUI_URLS": ",".join(servers),
            **_QUICK,
            **{f"SAFELIGHT_{name}": value for name, value in settings.items()},
        }
        self._zygote = Zygote(failpoints=self._armed)
        self._process: ForkedProcess | None = None
        self.ends: list[int] = []  # exit codes of those that have ended
        self._ran("migrate")
        self._ran("users", "create", "a@example.com", "--plan", "studio")
        self._ran("keys", "create", "--scope", "read", "--scope", "write", "--scope", "operate")
        [key] = re.findall(rf"\b{PREFIX}\w+", (folder / "keys.log").read_text())
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self._port}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=10,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()
        self._zygote.close()

    def arm(self, name: str, action: str) -> None:
        """Whoever gets to the failpoint first takes it."""
        coming = self._armed.with_suffix(".coming")
        coming.write_text(f"{name}:{action}")
        coming.rename(self._armed)

    @property
    def was_hit(self) -> bool:
        return not self._armed.exists()

    def disarm(self) -> None:
        self._armed.unlink(missing_ok=True)

    def restart(self) -> None:
        self._running().kill()
        self._note_end()

    def terminate(self) -> None:
        """Told to stop, it ends, or it dies on the way."""
        self._running().terminate()
        self._note_end()

    def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:
        """Until it is answered with anything but "try again"."""
        until = time.monotonic() + _WITHIN_S
        while (answer := self.call_once(method, path, key=key, **more)) is None:
            assert time.monotonic() < until, self.log()[-4000:]
            time.sleep(_LOOK_S)
        return answer

    def call_once(
        self, method: str, path: str, *, key: str | None = None, **more: Any
    ) -> httpx.Response | None:
        """None without an answer, or with one that says to try again."""
        headers = {} if key is None else {"Idempotency-Key": key}
        self._running()
        try:
            answer = self._http.request(method, f"/api/v1{path}", headers=headers, **more)
        except httpx.TransportError:
            return None
        return answer if answer.status_code < 500 and answer.headers.get("Retry-After") is None else None

    def upload(self, *, at_once: bool = True) -> str:
        """The digest of a picture that nobody has sent before."""
        data = new_picture()
        digest = digest_bytes(data)
        if at_once:
            answer = self.call("PUT", f"/artifacts/{digest}", content=data)
            assert answer.status_code in (200, 201), answer.text
            return digest
        while True:
            answer = self.call("POST", "/artifacts", json={"digest": digest, "bytes": len(data)})
            assert answer.status_code == 200, answer.text
            if answer.json()["state"] == "ready":
                return digest
            self._send(answer.json()["upload"], data)
            self.call("POST", f"/artifacts/{digest}/complete")

    def submit(self, preset: str, digest: str | None = None, *, ask: int = 202, **more: Any) -> str:
        body = {"preset": preset, "inputs": photo(digest or self.upload()), **more}
        answer = self.call("POST", "/jobs", json=body, key=new_id())
        assert answer.status_code == ask, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.call("GET", f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def until(self, job_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        until = time.monotonic() + _WITHIN_S
        while not reached(job := self.job(job_id)):
            assert time.monotonic() < until, f"{job}\n{self.log()[-6000:]}"
            time.sleep(_LOOK_S)
        return job

    def until_true(self, what: Callable[[], object]) -> None:
        until = time.monotonic() + _WITHIN_S
        while not what():
            self._running()
            assert time.monotonic() < until, self.log()[-6000:]
            time.sleep(_LOOK_S)

    def until_hit(self) -> None:
        self.until_true(lambda: self.was_hit)

    def begun(self, job_id: str) -> None:
        self.until(job_id, lambda job: job["started_at"] is not None or job["state"] in ENDS)

    def end_of(self, job_id: str) -> dict[str, Any]:
        return self.until(job_id, lambda job: job["state"] in ENDS)

    def settle(self) -> None:
        """Every job has ended, and every event was told; then all that must hold does."""
        self.until_true(lambda: not self.query("SELECT id FROM jobs WHERE finished_at IS NULL"))
        self.until_true(lambda: not self.query("SELECT id FROM events WHERE published_at IS NULL"))
        found = violations(self.query, at_rest=True)
        assert not found, found
        for digest, account, size in self.query(
            "SELECT DISTINCT a.digest, a.account_id, a.bytes FROM outputs o"
            " JOIN jobs j ON j.id = o.job_id"
            " JOIN artifacts a ON a.digest = o.digest AND a.account_id = j.account_id"
        ):
            assert self.blob(account, digest).stat().st_size == size

    def blob(self, account: str, digest: str) -> Path:
        """Where its bytes lie."""
        return self._folder / "data/artifacts/blobs/artifacts" / account / digest[:2] / digest

    def query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        return self._rows.query(statement, *values)

    def log(self) -> str:
        return (self._folder / "serve.log").read_text(errors="replace")

    def _running(self) -> ForkedProcess:
        if self._process is not None and self._process.poll() is not None:
            self._note_end()
        if self._process is None:
            self._process = self._start("serve", "--port", str(self._port))
        return self._process

    def _note_end(self) -> None:
        assert self._process is not None
        self.ends.append(self._process.wait(_WITHIN_S))
        self._process = None

    def _ran(self, *words: str) -> None:
        assert self._start(*words).wait() == 0, (self._folder / f"{words[0]}.log").read_text()

    def _start(self, *words: str) -> ForkedProcess:
        return self._zygote.start(words, self._environment, self._folder / f"{words[0]}.log")

    def _send(self, link: dict[str, Any], data: bytes) -> None:
        self._running()
        try:
            self._http.request(link["method"], link["url"], headers=link["headers"], content=data)
        except httpx.TransportError:
            return  # it is asked for again


def photo(digest: str) -> dict[str, Any]:
    return {"photo": [{"digest": digest, "name": "a.png"}]}


def new_picture() -> bytes:
    """That nobody has sent before."""
    file = io.BytesIO()
    Image.frombytes("RGB", (16, 16), os.urandom(768)).save(file, "PNG")
    return file.getvalue()
