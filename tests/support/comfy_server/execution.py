"""The stand-in's worker: one prompt at a time, with the events in the real server's order."""

import asyncio
import hashlib
import json
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.comfy_server.faults import Faults
from tests.support.comfy_server.nodes import NodeError, compute, encode
from tests.support.comfy_server.recordings import Recording

__all__ = ["Execution", "Item"]

OUTPUTS = {"SaveImage": "output", "PreviewImage": "temp", "PreviewAny": "text"}


@dataclass
class Item:
    number: float
    prompt_id: str
    prompt: dict
    extra_data: dict
    outputs: list[str]

    def to_json(self) -> list:
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]


class Interrupted(Exception):
    pass


@dataclass
class Execution:
    """Runs prompts and tells `send(client_id, frame)`; `files` maps (type, name) to content."""

    faults: Faults
    send: object
    files: dict[tuple[str, str], bytes]
    step_s: float = 0.02
    held: bool = False  # a sampler stays at its step until this is off or it is interrupted
    held_while: Path | None = None  # there is such a file, as well
    history: dict[str, dict] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    interrupted: bool = False
    recordings: dict[str, Recording] = field(default_factory=dict)
    cache: dict[str, tuple] = field(default_factory=dict)
    moments: dict = field(default_factory=lambda: defaultdict(asyncio.Event))
    saved: int = 0
    timeline: Path | None = None  # when each prompt began and ended is written there
    writes_prompts: bool = False  # into what it saves, as ComfyUI does unless it is told not to

    async def run(self, item: Item) -> None:
        """Everything from execution_start to the history entry; the caller sends the rest."""
        began_at = time.time()
        await self._run(item)
        if self.timeline is not None:
            with self.timeline.open("a") as file:
                file.write(f"{began_at} {time.time()}\n")

    async def _run(self, item: Item) -> None:
        self.begun.append(item.prompt_id)
        self.moments[item.prompt_id, "begun"].set()
        self.interrupted = False
        recording = self.recordings.pop(item.prompt_id, None)
        if recording is not None:
            await self._replay(item, recording)
            return
        outputs: dict[str, dict] = {}
        messages: list = []
        done: dict[str, tuple] = {}
        try:
            self._tell(item, messages, "execution_start", {})
            order = _order(item)
            cached = [node for node in order if self._signature(item.prompt, node) in self.cache]
            self._tell(item, messages, "execution_cached", {"nodes": cached})
            for node in order:
                await self._node(item, node, done, outputs)
            self._tell(item, messages, "execution_success", {})
        except Interrupted:
            self._tell(item, messages, "execution_interrupted", {"executed": list(done)})
        except NodeError as error:
            facts = {
                "node_id": node,
                "node_type": item.prompt[node]["class_type"],
                "executed": list(done),
                "exception_message": str(error),
                "exception_type": error.kind,
                "traceback": ['  File "/srv/comfy/execution.py", line 496, in execute\n'],
                "current_inputs": {},
                "current_outputs": [],
            }
            self._tell(item, messages, "execution_error", facts)
        signatures = {self._signature(item.prompt, node): value for node, value in done.items()}
        self.cache = signatures
        self._remember(item, outputs, messages)

    def _remember(self, item: Item, outputs: dict, messages: list) -> None:
        ended_well = messages[-1][0] == "execution_success"
        if self.faults.lie_success:
            messages.append(["execution_error", {"node_id": "1", "node_type": "LoadImage"}])
        self.history[item.prompt_id] = {
            "prompt": item.to_json(),
            "outputs": outputs,
            "status": {
                "status_str": "success" if ended_well else "error",
                "completed": ended_well,
                "messages": messages,
            },
            "meta": {},
        }

    async def _node(self, item: Item, node: str, done: dict, outputs: dict) -> None:
        await asyncio.sleep(0)
        signature = self._signature(item.prompt, node)
        class_type = item.prompt[node]["class_type"]
        if signature in self.cache:
            done[node] = self.cache[signature]
            if class_type in OUTPUTS:
                outputs[node] = done[node][0]
                self._executed(item, node, outputs[node])
            return
        self._progress_state(item, node, "running")
        self._event(item, "executing", {"node": node, "display_node": node})
        if self.faults.fail_with:
            raise NodeError(*self.faults.fail_with)
        inputs = {
            name: done[value[0]][value[1]] if isinstance(value, list) else value
            for name, value in item.prompt[node]["inputs"].items()
        }
        if class_type == "KSampler":
            await self._sample(item, node, inputs["steps"])
        if self.interrupted:
            raise Interrupted
        if class_type in OUTPUTS:
            outputs[node] = self._output(item, class_type, inputs)
            done[node] = (outputs[node],)
            self._executed(item, node, outputs[node])
        else:
            done[node] = compute(class_type, inputs, self._inputs())
        self._progress_state(item, node, "finished")

    async def _sample(self, item: Item, node: str, steps: int) -> None:
        for step in range(1, steps + 1):
            await asyncio.sleep(self.step_s)
            while self._is_held() and not self.interrupted:  # noqa: ASYNC110 - as the real one looks
                await asyncio.sleep(self.step_s)
            value = steps - step if self.faults.backwards and step > 1 else step
            self._event(item, "progress", {"value": value, "max": steps, "node": node})
            header = json.dumps(
                {
                    "node_id": node,
                    "prompt_id": item.prompt_id,
                    "display_node_id": node,
                    "image_type": "image/jpeg",
                }
            ).encode()
            picture = encode(compute("VAEDecode", {"samples": (16, 16)}, {})[0][0], "JPEG")
            self.send(item, struct.pack(">II", 4, len(header)) + header + picture)
            if self.interrupted:
                raise Interrupted

    def _is_held(self) -> bool:
        return self.held or (self.held_while is not None and self.held_while.exists())

    def _output(self, item: Item, class_type: str, inputs: dict) -> dict:
        if class_type == "PreviewAny":
            return {"text": [str(inputs["source"])]}
        kind = OUTPUTS[class_type]
        folder, _, base = inputs.get("filename_prefix", "ComfyUI_temp_abcde").rpartition("/")
        listed = []
        for image in inputs["images"]:
            self.saved += 1
            name = f"{base}_{self.saved:05}_.png"
            prompt = item.prompt if self.writes_prompts else None
            self.files[kind, f"{folder}/{name}" if folder else name] = encode(image, prompt=prompt)
            listed.append({"filename": name, "subfolder": folder, "type": kind})
        return {"images": listed}

    def _inputs(self) -> dict[str, bytes]:
        return {name: data for (kind, name), data in self.files.items() if kind == "input"}

    def _signature(self, prompt: dict, node: str) -> str:
        """By class, inputs and what lies upstream, as the real cache: ids and titles do not count."""
        inputs = {}
        for name, value in prompt[node]["inputs"].items():
            if isinstance(value, list):
                inputs[name] = [self._signature(prompt, value[0]), value[1]]
            else:
                inputs[name] = [value, hash(self.files.get(("input", str(value))))]
        text = json.dumps([prompt[node]["class_type"], inputs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _executed(self, item: Item, node: str, output: dict) -> None:
        self._event(item, "executed", {"node": node, "display_node": node, "output": output})

    def _progress_state(self, item: Item, node: str, state: str) -> None:
        entry = {"value": 0.0, "max": 1.0, "state": state, "node_id": node}
        self._event(item, "progress_state", {"nodes": {node: entry}}, first=True)

    def _tell(self, item: Item, messages: list, kind: str, data: dict) -> None:
        facts = {**data, "prompt_id": item.prompt_id, "timestamp": int(time.time() * 1000)}
        messages.append([kind, facts])
        self.send(item, json.dumps({"type": kind, "data": facts}))

    def _event(self, item: Item, kind: str, data: dict, *, first: bool = False) -> None:
        ids = {"prompt_id": item.prompt_id}
        facts = {**ids, **data} if first else {**data, **ids}
        self.send(item, json.dumps({"type": kind, "data": facts}))

    async def _replay(self, item: Item, recording: Recording) -> None:
        for frame in recording.frames_for(item.prompt_id):
            self.send(item, frame)
            await asyncio.sleep(0)
        entry = recording.entry_for(item.prompt_id)
        if entry is not None:
            self.history[item.prompt_id] = entry


def _order(item: Item) -> list[str]:
    """What the outputs need, each node after those it reads."""
    order: list[str] = []

    def visit(node: str) -> None:
        if node in order:
            return
        for value in item.prompt[node]["inputs"].values():
            if isinstance(value, list):
                visit(value[0])
        order.append(node)

    for node in item.outputs:
        visit(node)
    return order
