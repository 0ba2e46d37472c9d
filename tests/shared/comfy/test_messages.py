import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.comfy.messages import (
    Executed,
    ExecutionCached,
    ExecutionStarted,
    Ignored,
    NodeStarted,
    NodeText,
    PreviewFrame,
    PromptEnded,
    PromptOver,
    ServerStatus,
    StepProgress,
    TreeProgress,
    parse_frame,
    parse_text,
)
from tests.support.comfy_server.recordings import FOLDER, load_recordings

JPEG = b"\xff\xd8\xff\xe0 and so on"


def event(kind: str, **data: object) -> str:
    return json.dumps({"type": kind, "data": data})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (event("status", status={"exec_info": {"queue_remaining": 3}}, sid="x"), ServerStatus(3)),
        (event("execution_start", prompt_id="p", timestamp=1), ExecutionStarted("p")),
        (event("execution_cached", nodes=["1", 2], prompt_id="p"), ExecutionCached("p", frozenset({"1"}))),
        (event("executing", node="7", display_node="3", prompt_id="p"), NodeStarted("p", "3")),
        (event("executing", node=None, prompt_id="p"), PromptOver("p")),
        (event("executing", node="3"), Ignored()),
        (event("executed", node="9", output=None, prompt_id="p"), Executed("p", "9")),
        (event("progress", value=2, max=6, node="3", prompt_id="p"), StepProgress("p", "3", 2, 6)),
        (event("progress", value=9, max=6, node="3", prompt_id="p"), StepProgress("p", "3", 6, 6)),
        (event("progress", value=1, max=0, node="3", prompt_id="p"), Ignored()),
        (event("execution_success", prompt_id="p"), PromptEnded("p")),
        (event("execution_error", prompt_id="p"), PromptEnded("p")),
        (event("execution_interrupted", prompt_id="p"), PromptEnded("p")),
        (event("crystools.monitor", cpu=3), Ignored()),
        ("", Ignored()),
        ("[1, 2]", Ignored()),
        ('{"type": "status", "data": null}', Ignored()),
        ("[" * 100_000, Ignored()),
    ],
)
def test_text(text: str, expected: object) -> None:
    assert parse_text(text) == expected


def test_a_tree_is_read_on_demand() -> None:
    text = event(
        "progress_state",
        prompt_id="p",
        nodes={"1": {"state": "finished"}, "2": {"state": "running"}, "3": None},
    )
    tree = parse_text(text)

    assert tree == TreeProgress("p", text)
    assert isinstance(tree, TreeProgress)
    assert tree.finished() == {"1"}


def test_oversized_text_is_not_decoded() -> None:
    assert parse_text(event("execution_start", prompt_id="p", more="x" * (9 << 20))) == Ignored()


def described(facts: object, image: bytes = JPEG) -> bytes:
    header = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    return struct.pack(">II", 4, len(header)) + header + image


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (struct.pack(">II", 1, 1) + JPEG, PreviewFrame("image/jpeg", JPEG)),
        (struct.pack(">II", 1, 2) + JPEG, Ignored()),
        (struct.pack(">II", 1, 9) + JPEG, Ignored()),
        (struct.pack(">II", 2, 0), Ignored()),
        (struct.pack(">II", 3, 1) + b"7size", NodeText("7", "size")),
        (struct.pack(">II", 3, 99) + b"7size", Ignored()),
        (
            described({"prompt_id": "p", "node_id": "7", "display_node_id": "3", "image_type": "image/jpeg"}),
            PreviewFrame("image/jpeg", JPEG, "p", "3"),
        ),
        (described({"prompt_id": "p", "image_type": "text/html"}), Ignored()),
        (described({"node_id": "3", "image_type": "image/jpeg"}), Ignored()),
        (described(b"{not json"), Ignored()),
        (struct.pack(">II", 4, 2**32 - 1) + JPEG, Ignored()),
        (b"\0\0\0\1", Ignored()),
        (struct.pack(">II", 1, 1) + JPEG + bytes(17 << 20), Ignored()),
    ],
    ids=range(13),
)
def test_frame(frame: bytes, expected: object) -> None:
    assert parse_frame(frame) == expected


@given(st.binary(max_size=200))
def test_no_frame_breaks_the_parser(data: bytes) -> None:
    parse_frame(data)
    parse_frame(b"\0\0\0\4" + data)


KEYS = ["type", "data", "prompt_id", "node", "nodes", "value", "max", "status"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
        max_leaves=12,
    ),
    st.sampled_from(["status", "progress", "executing", "executed", "execution_cached", "progress_state"]),
)
def test_no_event_breaks_the_parser(data: object, kind: str) -> None:
    message = parse_text(json.dumps({"type": kind, "data": data}))
    if isinstance(message, TreeProgress):
        message.finished()


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.jsonl")))
def test_everything_recorded_is_understood(name: str) -> None:
    for recording in load_recordings(name):
        for frame in recording.frames:
            message = parse_text(frame) if isinstance(frame, str) else parse_frame(frame)
            assert not isinstance(message, Ignored) or "feature_flags" in str(frame), frame
