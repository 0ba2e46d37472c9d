"""What to have done so that the process gets to a failpoint, and what must come of it all the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.files import digest_bytes
from shared.ids import new_id
from tests.chaos.box import ENDS, Box, new_picture, photo
from tests.cloud.api import picture
from tests.support.comfy_thread import ComfyThread
from tests.support.http_server import Reply, http_server

__all__ = ["ERRANDS", "Scene", "photograph", "sent_with_its_file", "sent_with_its_file_once"]

MODEL = "random_sd15_fp16.safetensors"
FEW = {"model": MODEL, "steps": 2}
_WITH_FILES = "/jobs/with-files"
_OLD = "'2025-01-01 00:00:00.000000'"
_OUT_OF_MEMORY = ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory.")


@dataclass
class Scene:
    """A box with two GPU servers, of which one is disabled."""

    box: Box
    gpu: ComfyThread
    spare: ComfyThread
    is_alone: bool

    def arm(self) -> None:
        self.box.arm(self.failpoint, self.action)

    def aim(self, failpoint: str, action: str) -> None:
        self.failpoint, self.action = failpoint, action

    @property
    def may_fail(self) -> bool:
        """An error where nobody expects one ends the job, not the worker."""
        return self.action == "raise"

    def ends(self, job_id: str, *states: str) -> None:
        allowed = (*states, "failed") if self.may_fail else states
        assert self.box.end_of(job_id)["state"] in allowed, self.box.job(job_id)

    def set_state(self, server: ComfyThread, state: str) -> None:
        [(name,)] = self.box.query("SELECT name FROM servers WHERE url = ?", server.url)
        verb = {"active": "enable", "draining": "drain", "disabled": "disable"}[state]
        answer = self.box.call("POST", f"/operator/servers/{name}/{verb}")
        assert answer.status_code == 200, answer.text

    def hold(self, *, on: bool = True) -> None:
        """What the server runs does not end meanwhile, unless it is stopped."""
        self.gpu.server.execution.held = on

    def make_sound(self) -> None:
        """As at the start."""
        self.hold(on=False)
        self.gpu.server.faults.fail_with = None
        self.gpu.server.faults.lose_interrupts = 0
        self.gpu.server.execution.step_s = 0.02
        self.set_state(self.gpu, "active")
        self.set_state(self.spare, "disabled")


def photograph(scene: Scene) -> None:
    """A picture through the built-in engine."""
    scene.arm()
    scene.ends(scene.box.submit("noir"), "completed")


def _sent_in_steps(scene: Scene) -> None:
    scene.arm()
    digest = scene.box.upload(at_once=False)
    scene.ends(scene.box.submit("noir", digest), "completed")


def _portrait(scene: Scene) -> None:
    scene.arm()
    scene.ends(scene.box.submit("portrait-pro", values=FEW), "completed")


def _batch(scene: Scene) -> None:
    """Cancelled while its jobs wait and run."""
    scene.hold()
    items = [{"inputs": photo(scene.box.upload())} for _ in range(3)]
    body = {"preset": "portrait-pro", "values": FEW, "items": items}
    made = scene.box.call("POST", "/batches", json=body, key=new_id()).json()
    scene.arm()
    scene.box.call("POST", f"/batches/{made['id']}/cancel")
    for job_id in made["jobs"]:
        scene.box.call("POST", f"/batches/{made['id']}/cancel")
        scene.ends(job_id, "cancelled")


def _cancelled_while_it_waits(scene: Scene) -> None:
    scene.set_state(scene.gpu, "draining")
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.arm()
    scene.box.call("POST", f"/jobs/{job_id}/cancel")
    scene.ends(job_id, "cancelled")


def _cancelled_while_it_runs(scene: Scene) -> None:
    scene.hold()
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.box.begun(job_id)
    scene.arm()
    scene.box.call("POST", f"/jobs/{job_id}/cancel")
    scene.ends(job_id, "cancelled")


def _failing(scene: Scene) -> None:
    scene.gpu.server.faults.fail_with = ("ValueError", "no such colour")
    scene.arm()
    scene.ends(scene.box.submit("portrait-pro", values=FEW), "failed")


def _failing_once(scene: Scene) -> None:
    scene.gpu.server.faults.fail_with = _OUT_OF_MEMORY
    scene.arm()
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.box.until_hit()
    scene.gpu.server.faults.fail_with = None
    scene.ends(job_id, "completed", "failed")


def _impossible(scene: Scene) -> None:
    scene.arm()
    scene.ends(scene.box.submit("portrait-pro", values={"model": "nobody-has-this.safetensors"}), "failed")


def _late(scene: Scene) -> None:
    """Expired while nobody looked: found at the start."""
    scene.set_state(scene.gpu, "draining")
    job_id = scene.box.submit("portrait-pro", values=FEW, expires_in_s=3600)
    scene.box.query("UPDATE jobs SET expires_at = created_at WHERE id = ?", job_id)
    scene.arm()
    scene.box.restart()
    scene.ends(job_id, "expired")


def _abandoned(scene: Scene) -> None:
    """Its worker died: found at the start."""
    scene.hold()
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.box.begun(job_id)
    scene.arm()
    scene.box.restart()
    scene.box.until_hit()
    scene.hold(on=False)
    scene.ends(job_id, "completed")


def _told_to_stop(scene: Scene) -> None:
    job_id = scene.box.submit("portrait-pro", values={"model": MODEL, "steps": 30})
    scene.box.begun(job_id)
    scene.arm()
    scene.box.terminate()
    scene.ends(job_id, "completed")


def _taken_from_a_disabled_server(scene: Scene) -> None:
    scene.hold()
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.box.begun(job_id)
    scene.arm()
    scene.set_state(scene.gpu, "disabled")
    scene.box.until_hit()
    scene.set_state(scene.gpu, "active")
    scene.box.until(job_id, lambda job: job["attempt"] > 1 or job["state"] in ENDS)
    scene.box.call("POST", f"/jobs/{job_id}/cancel")
    scene.ends(job_id, "cancelled", "completed")


def _asked_back_by_an_idle_server(scene: Scene) -> None:
    """One runs, one waits behind it, and then another server may take it."""
    scene.hold()
    jobs = [_given_to_the_gpu(scene) for _ in range(2)]
    scene.arm()
    scene.set_state(scene.spare, "active")
    scene.box.until_hit()
    scene.hold(on=False)
    for job_id in jobs:
        scene.ends(job_id, "completed")


def _given_to_the_gpu(scene: Scene) -> str:
    """A worker that has not heard yet that the other one is disabled may give it that."""
    server = "SELECT 1 FROM jobs j JOIN servers s ON s.name = j.server WHERE j.id = ? AND s.url = ?"
    while True:
        job_id = scene.box.submit("portrait-pro", values=FEW)
        job = scene.box.until(job_id, lambda job: job["attempt"] > 0)
        if job["state"] not in ENDS and scene.box.query(server, job_id, scene.gpu.url):
            return job_id
        scene.box.end_of(job_id)


def _hung(scene: Scene) -> None:
    scene.hold()
    scene.gpu.server.faults.lose_interrupts = 10_000
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.box.begun(job_id)
    scene.arm()
    scene.box.call("POST", f"/jobs/{job_id}/cancel")
    scene.box.until_hit()
    scene.gpu.server.faults.lose_interrupts = 0
    scene.hold(on=not scene.may_fail)
    scene.ends(job_id, "cancelled")


def _server_gone(scene: Scene) -> None:
    scene.box.end_of(scene.box.submit("portrait-pro", values=FEW))
    scene.arm()
    scene.gpu.stop()
    scene.box.until_hit()
    scene.gpu.start()
    scene.ends(scene.box.submit("portrait-pro", values=FEW), "completed")


def _left_running(scene: Scene) -> None:
    """The server was silent so long that its job was taken away, and then it is there again."""
    scene.hold()
    job_id = scene.box.submit("portrait-pro", values=FEW)
    scene.box.begun(job_id)
    scene.gpu.freeze()
    scene.box.until(job_id, lambda job: job["state"] == "queued")
    scene.arm()
    scene.gpu.thaw()
    scene.box.until_hit()
    scene.hold(on=False)
    scene.ends(job_id, "completed")


def _shared(scene: Scene) -> None:
    digest = scene.box.upload()
    scene.arm()
    answer = scene.box.call("POST", f"/artifacts/{digest}/shares", json={})
    assert answer.status_code == 201 or scene.may_fail, answer.text


def _outdated(scene: Scene) -> None:
    """Nobody has used the artifact for a year."""
    box, digest = scene.box, scene.box.upload()
    box.restart()
    _backdate(box, digest, "created_at", "ready_at", "touched_at")
    scene.arm()
    _collected(scene, digest)


def _collected(scene: Scene, digest: str) -> None:
    """It is old enough to go with the next rounds, which come with each start."""
    box, there = scene.box, "SELECT 1 FROM artifacts WHERE digest = ?"
    box.until_true(lambda: box.query(f"{there} AND condemned_at IS NOT NULL", digest))
    while box.query(there, digest):
        box.restart()
        _backdate(box, digest, "condemned_at")
        _backdate(box, digest, "deleting_at")
        deaths, was_hit = len(box.ends), box.was_hit

        def is_over(deaths: int = deaths, was_hit: bool = was_hit) -> bool:
            """The round: its process died, or it failed, or the artifact is gone."""
            failed = scene.may_fail and box.was_hit != was_hit
            return len(box.ends) > deaths or failed or not box.query(there, digest)

        box.until_true(is_over)


def _backdate(box: Box, digest: str, *columns: str) -> None:
    """Of those that are set."""
    for column in columns:
        box.query(
            f"UPDATE artifacts SET {column} = {_OLD} WHERE digest = ? AND {column} IS NOT NULL",  # noqa: S608
            digest,
        )


def _fetched(scene: Scene) -> None:
    """Its picture comes from a URL, or is not there."""
    is_there = scene.failpoint != "fetch.failed"
    with http_server() as site:
        site.replies.extend([Reply(200 if is_there else 404, picture())] * 20)
        inputs = {"photo": [{"url": f"{site.url}/a.png", "name": "a.png"}]}
        scene.arm()
        answer = scene.box.call("POST", "/jobs", json={"preset": "noir", "inputs": inputs}, key=new_id())
        assert answer.status_code == 202, answer.text
        scene.ends(answer.json()["id"], "completed" if is_there else "failed")


def _told(scene: Scene) -> None:
    """A webhook hears of its end, under one id however often."""
    with http_server() as site:
        site.replies.extend([Reply(204, b"")] * 50)
        made = scene.box.call("POST", "/webhooks", json={"url": site.url})
        assert made.status_code == 201, made.text
        scene.arm()
        scene.ends(scene.box.submit("noir"), "completed")
        scene.box.until_hit()
        waiting = "SELECT 1 FROM webhook_deliveries WHERE state = 'waiting'"
        scene.box.until_true(lambda: site.asked and not scene.box.query(waiting))
        scene.box.call("DELETE", f"/webhooks/{made.json()['webhook']['id']}")
        assert len({asked.headers["webhook-id"] for asked in site.asked}) == 1


def sent_with_its_file(scene: Scene) -> None:
    """A job and its picture in one request, which is sent until it is answered, and then once more."""
    box, data, key = scene.box, new_picture(), new_id()
    scene.arm()
    first, again = (box.call("POST", _WITH_FILES, key=key, files=_form(data)) for _ in range(2))
    assert (first.status_code, first.json()) == (202, again.json()), first.text
    assert again.headers["Idempotent-Replayed"] == "true"
    assert box.query("SELECT id FROM jobs WHERE idempotency_key = ?", key) == [(first.json()["id"],)]
    scene.ends(first.json()["id"], "completed")
    [(state,)] = box.query("SELECT state FROM artifacts WHERE digest = ?", digest_bytes(data))
    assert state == "ready"


def sent_with_its_file_once(scene: Scene) -> None:
    """Nobody comes again: the job was taken and is done, or nothing of it stays."""
    box, data, key = scene.box, new_picture(), new_id()
    digest = digest_bytes(data)
    scene.arm()
    box.call_once("POST", _WITH_FILES, key=key, files=_form(data))
    box.until_hit()
    jobs = box.query("SELECT id FROM jobs WHERE idempotency_key = ?", key)
    for (job_id,) in jobs:
        scene.ends(job_id, "completed")
    known = box.query("SELECT account_id, state FROM artifacts WHERE digest = ?", digest)
    assert [state for _, state in known] == (["ready"] if jobs else ["wanted"])
    if not jobs:
        box.restart()
        _backdate(box, digest, "created_at", "touched_at")
        _collected(scene, digest)
        assert not box.blob(known[0][0], digest).exists()


def _form(data: bytes) -> list[tuple[str, tuple[str | None, bytes]]]:
    return [("photo", ("a.png", data)), ("job", (None, b'{"preset": "noir"}'))]


ERRANDS: Mapping[str, Callable[[Scene], None]] = {
    "artifact.inspected": _sent_in_steps,
    "artifact.noted": _sent_in_steps,
    "artifact.received": _sent_in_steps,
    "ask_back.committed": _asked_back_by_an_idle_server,
    "attempt.handed_back": _asked_back_by_an_idle_server,
    "attempt.hung": _hung,
    "batch_cancel.asked": _batch,
    "batch_cancel.waiting_ended": _batch,
    "blob.set_aside": _outdated,
    "break_off.committed": _failing_once,
    "cancel.committed": _cancelled_while_it_waits,
    "cancelled.committed": _cancelled_while_it_runs,
    "collect.bytes_deleted": _outdated,
    "collect.condemned": _outdated,
    "collect.forgotten": _outdated,
    "collect.marked": _outdated,
    "drain.begun": _told_to_stop,
    "drain.given_up": _told_to_stop,
    "ending.settled": _portrait,
    "ending.told": _told,
    "expire.committed": _late,
    "fail.committed": _failing,
    "fetch.announced": _fetched,
    "fetch.failed": _fetched,
    "fetch.noted": _fetched,
    "fetch.received": _fetched,
    "fetch.stored": _fetched,
    "fetch.taken": _fetched,
    "reap.committed": _abandoned,
    "reap.expired": _abandoned,
    "reap.written": _abandoned,
    "refuse.committed": _impossible,
    "release.committed": _taken_from_a_disabled_server,
    "saving.announced": _portrait,
    "saving.cleaned": _portrait,
    "server.failure_noted": _server_gone,
    "server.leading": _portrait,
    "server.led": _portrait,
    "server.left": _told_to_stop,
    "server.stopped_given_up": _left_running,
    "share.announced": _shared,
    "share.copied": _shared,
    "share.made": _shared,
    "webhook.noted": _told,
    "webhook.sent": _told,
    "webhook.taken": _told,
}
