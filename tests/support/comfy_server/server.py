"""The stand-in server: sockets, routes, and what it checks in all that it is sent."""

import asyncio
import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.support.comfy_server.execution import Execution, Item
from tests.support.comfy_server.faults import Faults, OutputFault
from tests.support.comfy_server.recordings import Recording
from tests.support.comfy_server.wire import Request, SocketPeer, answer, json_answer, read_request
from tests.support.ports import free_port

__all__ = ["ComfyServer", "comfy_server"]

_OBJECT_INFO = Path(__file__).parents[2] / "data" / "comfyui" / "object_info.json"
_OUT_OF_ORDER = "500 Internal Server Error\n\nServer got itself in trouble"


@contextlib.asynccontextmanager
async def comfy_server(*, jobs_api: bool = False, version: str = "0.3.64") -> AsyncIterator["ComfyServer"]:
    server = ComfyServer(jobs_api=jobs_api, version=version)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
    assert not server.violations, server.violations


class ComfyServer:
    """`violations` lists every request that a well-behaved client would not have sent."""

    def __init__(self, *, jobs_api: bool, version: str) -> None:
        self.jobs_api = jobs_api
        self.version = version
        self.device: dict = {"name": "cpu", "type": "cpu", "vram_free": 8 << 30}
        self.object_info: dict = json.loads(_OBJECT_INFO.read_text())
        self.files: dict[tuple[str, str], bytes] = {}
        self.faults = Faults()
        self.violations: list[str] = []
        self.requests: list[Request] = []
        self.sockets: dict[str, SocketPeer] = {}
        self.connected: list[str] = []  # client ids, one for each handshake
        self.most_at_once = 0  # of prompts that ran or waited
        self.port = 0
        self._recordings: list[Recording] = []
        self._seen_ids: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._forget()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def begun(self) -> list[str]:
        return self.execution.begun

    def count(self, method: str, path: str) -> int:
        return sum((request.method, request.path) == (method, path) for request in self.requests)

    async def until_begun(self, prompt_id: str) -> None:
        async with asyncio.timeout(60):
            await self.execution.moments[prompt_id, "begun"].wait()

    async def until_over(self, prompt_id: str) -> None:
        async with asyncio.timeout(60):
            await self.execution.moments[prompt_id, "over"].wait()

    async def until_connected(self, count: int) -> None:
        """So many handshakes there were, from the start."""
        async with asyncio.timeout(60):
            while len(self.connected) < count:  # noqa: ASYNC110 - they have no event
                await asyncio.sleep(0.01)

    def play(self, *recordings: Recording) -> None:
        """The next prompts are not run: what a real server once did is done again."""
        self._recordings.extend(recordings)

    def delete_outputs(self) -> None:
        for key in [key for key in self.files if key[0] != "input"]:
            del self.files[key]

    async def start(self) -> None:
        self.port = self.port or free_port()  # nobody else has it while this is down
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """As a killed process: no close frames, nothing remembered."""
        self._listening.close()
        self._worker.cancel()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(self._worker, *self._tasks, return_exceptions=True)
        await self._listening.wait_closed()

    async def restart(self) -> None:
        await self.stop()
        self._forget()
        await self.start()

    def drop_sockets(self) -> None:
        for peer in list(self.sockets.values()):
            peer.abort()

    def _forget(self) -> None:
        begun = self.execution.begun if hasattr(self, "execution") else []
        self.execution = Execution(faults=self.faults, send=self._send, files=self.files, begun=begun)
        self.pending: list[Item] = []
        self.running: Item | None = None
        self._number = 0
        self._queued = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while request := await read_request(reader):
                self.requests.append(request)
                if "origin" in request.headers:
                    self.violations.append(f"Origin sent with {request.path}")
                await self.faults.frozen.wait()
                await asyncio.sleep(self.faults.slow_s)
                if self.faults.output is OutputFault.CUT and request.path == "/view":
                    writer.write(self._view(request))
                    await writer.drain()
                    return
                if request.path in {"/ws", "/api/ws"}:
                    await self._socket(reader, writer, request)
                    return
                reply = await self._reply(request)
                if reply is None:
                    writer.transport.abort()
                    return
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the server stops: asyncio would report a cancelled handler as an error
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _socket(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request
    ) -> None:
        if self.faults.refuse_sockets:
            writer.write(answer(403))
            return
        client_id = request.query["clientId"]
        peer = SocketPeer(writer, request)
        self.connected.append(client_id)
        self.sockets[client_id] = peer
        self.faults.deaf_clients.discard(client_id)
        peer.send(json.dumps({"type": "status", "data": {"status": self._exec_info(), "sid": client_id}}))
        try:
            await peer.read(reader, self._hear)
        finally:
            self.sockets.pop(client_id, None)  # as the real server does, whoever holds the id by now

    def _hear(self, peer: SocketPeer, message: dict) -> None:
        if message.get("type") == "feature_flags" and len(peer.received) == 1:
            flags = {"supports_preview_metadata": True, "max_upload_size": 104857600}
            peer.send(json.dumps({"type": "feature_flags", "data": flags}))
        elif message.get("type") == "feature_flags":
            self.violations.append("feature_flags was not the first message")

    async def _reply(self, request: Request) -> bytes | None:
        if self.faults.take("answer_html"):
            return answer(200, b"<!DOCTYPE html><html>please sign in</html>", "text/html")
        path = request.path
        route: Callable[[Request], bytes | None] | None = {
            ("POST", "/prompt"): self._prompt,
            ("GET", "/queue"): lambda _: json_answer(self._queue()),
            ("POST", "/queue"): self._change_queue,
            ("POST", "/interrupt"): self._interrupt,
            ("POST", "/history"): self._change_history,
            ("POST", "/upload/image"): self._upload,
            ("POST", "/free"): lambda _: answer(200),
            ("GET", "/view"): self._view,
            ("GET", "/object_info"): lambda _: json_answer(self.object_info),
            ("GET", "/system_stats"): lambda _: json_answer(self._stats()),
            ("GET", "/models"): lambda _: json_answer(["checkpoints", "loras"]),
        }.get((request.method, path))
        if route is not None:
            return route(request)
        if path.startswith("/history/"):
            wanted = path.removeprefix("/history/")
            found = self.execution.history.get(wanted)
            return json_answer({} if found is None else {wanted: found})
        if path.startswith("/models/"):
            return self._models(path.removeprefix("/models/"))
        if path.startswith("/api/jobs") and self.jobs_api:
            return self._jobs(request)
        return answer(404)

    def _prompt(self, request: Request) -> bytes | None:
        if self.faults.take("lose_requests"):
            return None
        if self.faults.take("answer_500_only"):
            return answer(500, _OUT_OF_ORDER.encode())
        body = request.json()
        prompt, prompt_id = body["prompt"], body["prompt_id"]
        self._check_prompt_id(prompt_id)
        number, self._number = self._number, self._number + 1
        refusal = self._refusal(prompt)
        if refusal is not None:
            return json_answer(refusal, 400)
        if self.faults.own_ids:
            prompt_id = str(uuid.uuid4())
        extra = {**body.get("extra_data", {}), "client_id": body.get("client_id")}
        outputs = [node for node in prompt if self.object_info[prompt[node]["class_type"]]["output_node"]]
        if self._recordings:
            self.execution.recordings[prompt_id] = self._recordings.pop(0)
        self.pending.append(Item(number, prompt_id, prompt, extra, outputs))
        self.most_at_once = max(self.most_at_once, self._exec_info()["exec_info"]["queue_remaining"])
        self._queued.set()
        self._status()
        if self.faults.take("lose_answers"):
            return None
        if self.faults.take("answer_500"):
            return answer(500, _OUT_OF_ORDER.encode())
        errors = _missing_input("2", "SaveImage", "images") if self.faults.partial else {}
        return json_answer({"prompt_id": prompt_id, "number": number, "node_errors": errors})

    def _check_prompt_id(self, prompt_id: str) -> None:
        if prompt_id in self._seen_ids:
            self.violations.append(f"the prompt {prompt_id} was sent twice")
        self._seen_ids.add(prompt_id)
        if str(uuid.UUID(prompt_id)) != prompt_id:
            self.violations.append(f"{prompt_id} is not a canonical UUID")

    def _refusal(self, prompt: dict) -> dict | None:
        for node, entry in prompt.items():
            if entry["class_type"] not in self.object_info:
                message = f"Cannot execute because node {entry['class_type']} does not exist."
                error = {"type": "invalid_prompt", "message": message, "details": f"Node ID '#{node}'"}
                return {"error": {**error, "extra_info": {}}, "node_errors": {}}
        errors: dict = {}
        for node, entry in prompt.items():
            declared = self.object_info[entry["class_type"]]["input"].get("required", {})
            for name, spec in declared.items():
                value = entry["inputs"].get(name)
                if name not in entry["inputs"]:
                    errors |= _missing_input(node, entry["class_type"], name)
                elif entry["class_type"] == "LoadImage" and ("input", value) not in self.files:
                    errors |= _invalid_file(node, name, value)
                elif isinstance(value, int) and len(spec) > 1 and value > spec[1].get("max", value):
                    errors |= _too_big(node, entry["class_type"], name, value)
        if not errors:
            return None
        kind = "prompt_outputs_failed_validation"
        return {
            "error": {"type": kind, "message": "", "details": "", "extra_info": {}},
            "node_errors": errors,
        }

    def _change_queue(self, request: Request) -> bytes:
        unwanted = request.json().get("delete", [])
        before = len(self.pending)
        self.pending = [item for item in self.pending if item.prompt_id not in unwanted]
        if len(self.pending) != before:
            self._status()
        return answer(200)

    def _interrupt(self, request: Request) -> bytes:
        prompt_id = request.json().get("prompt_id")
        if prompt_id is None:
            self.violations.append("an interrupt that would hit anybody's prompt")
        elif self.running and self.running.prompt_id == prompt_id and not self.faults.take("lose_interrupts"):
            self.execution.interrupted = True
        return answer(200)

    def _change_history(self, request: Request) -> bytes:
        for prompt_id in request.json()["delete"]:
            self.execution.history.pop(prompt_id, None)
        return answer(200)

    def _upload(self, request: Request) -> bytes:
        form = request.form()
        name, data = form["image"]
        digest = hashlib.sha256(data).hexdigest()
        if not name.startswith(digest):
            self.violations.append(f"the upload {name} is not named after its content")
        folder = form["subfolder"][1].decode() if "subfolder" in form else ""
        path = f"{folder}/{name}" if folder else name
        if self.files.get(("input", path), data) != data:
            name = f"{Path(name).stem} (1){Path(name).suffix}"
            path = f"{folder}/{name}"
        self.files["input", path] = data
        return json_answer({"name": name, "subfolder": folder, "type": "input"})

    def _view(self, request: Request) -> bytes | None:
        query = request.query
        name = f"{query['subfolder']}/{query['filename']}" if query["subfolder"] else query["filename"]
        data = self.files.get((query["type"], name))
        if data is None:
            return answer(404)
        bodies = {
            None: data,
            OutputFault.EMPTY: b"",
            OutputFault.TRUNCATED: data[: len(data) // 2],
            OutputFault.HTML: b"<!DOCTYPE html><html>502</html>",
            OutputFault.HUGE: data + bytes(8 << 20),
            OutputFault.CUT: data,
        }
        reply = answer(200, bodies[self.faults.output], "image/png")
        return reply[:-10] if self.faults.output is OutputFault.CUT else reply

    def _models(self, folder: str) -> bytes:
        names = self.object_info["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
        return json_answer(names) if folder == "checkpoints" else answer(404)

    def _jobs(self, request: Request) -> bytes:
        _, _, _, *rest = request.path.split("/")
        if not rest:
            return json_answer({"jobs": [], "pagination": {"offset": 0, "limit": 1, "total": 0}})
        prompt_id = rest[0]
        if rest[1:] == ["cancel"]:
            was = len(self.pending)
            self.pending = [item for item in self.pending if item.prompt_id != prompt_id]
            runs = self.running is not None and self.running.prompt_id == prompt_id
            self.execution.interrupted |= runs
            return json_answer({"cancelled": runs or len(self.pending) != was})
        status = self._job_status(prompt_id)
        if status is None:
            return json_answer({"error": "Job not found"}, 404)
        return json_answer({"id": prompt_id, "status": status})

    def _job_status(self, prompt_id: str) -> str | None:
        if self.running and self.running.prompt_id == prompt_id:
            return "in_progress"
        if any(item.prompt_id == prompt_id for item in self.pending):
            return "pending"
        entry = self.execution.history.get(prompt_id)
        return None if entry is None else "completed"

    def _queue(self) -> dict:
        running = [self.running.to_json()] if self.running else []
        return {"queue_running": running, "queue_pending": [item.to_json() for item in self.pending]}

    def _stats(self) -> dict:
        return {"system": {"comfyui_version": self.version}, "devices": [self.device]}

    def _exec_info(self) -> dict:
        return {"exec_info": {"queue_remaining": len(self.pending) + (self.running is not None)}}

    def _status(self) -> None:
        for client_id in list(self.sockets):
            self._send_to(client_id, json.dumps({"type": "status", "data": {"status": self._exec_info()}}))

    def _send(self, item: Item, frame: str | bytes) -> None:
        self._send_to(item.extra_data["client_id"], frame)

    def _send_to(self, client_id: str, frame: str | bytes) -> None:
        peer = self.sockets.get(client_id)
        if peer is None or self.faults.deaf or client_id in self.faults.deaf_clients:
            return
        for piece in (*self.faults.garbage, frame):
            peer.send(piece)

    async def _work(self) -> None:
        while True:
            await self._queued.wait()
            await self.faults.frozen.wait()
            if not self.pending:
                self._queued.clear()
                continue
            self.pending.sort(key=lambda item: item.number)
            item = self.running = self.pending.pop(0)
            self._status()
            await self.execution.run(item)
            self.running = None
            self._status()
            data = {"node": None, "prompt_id": item.prompt_id}
            self._send(item, json.dumps({"type": "executing", "data": data}))
            self.execution.moments[item.prompt_id, "over"].set()


def _error(node: str, class_type: str, kind: str, details: str, **extra: object) -> dict:
    found = {"type": kind, "message": "", "details": details, "extra_info": extra}
    return {node: {"errors": [found], "dependent_outputs": [], "class_type": class_type}}


def _missing_input(node: str, class_type: str, name: str) -> dict:
    return _error(node, class_type, "required_input_missing", name, input_name=name)


def _invalid_file(node: str, name: str, value: object) -> dict:
    details = f"{name} - Invalid image file: {value}"
    return _error(node, "LoadImage", "custom_validation_failed", details, input_name=name)


def _too_big(node: str, class_type: str, name: str, value: int) -> dict:
    return _error(node, class_type, "value_bigger_than_max", name, input_name=name, received_value=value)
