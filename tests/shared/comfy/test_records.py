import pytest

from shared.comfy.records import (
    Interrupted,
    NodeFailure,
    Place,
    ServerFile,
    ServerText,
    Succeeded,
    parse_outcome,
    parse_place,
)
from tests.support.comfy_server.recordings import load_recordings


def entry(status: str, *messages: list[object], outputs: object = None) -> dict[str, object]:
    return {"outputs": outputs, "status": {"status_str": status, "messages": list(messages)}}


def test_every_kind_of_recorded_output_is_collected() -> None:
    found = [
        (item.group, item.filename.rpartition(".")[2], item.type) if isinstance(item, ServerFile) else item
        for recording in load_recordings("20_output_kinds")
        if recording.entry is not None and isinstance(outcome := parse_outcome(recording.entry), Succeeded)
        for item in outcome.outputs
    ]

    assert {item for item in found if isinstance(item, tuple)} == {
        ("images", "png", "output"),
        ("images", "png", "temp"),
        ("images", "webp", "output"),
        ("images", "webm", "output"),
        ("images", "mp4", "output"),
        ("audio", "mp3", "output"),
        ("audio", "flac", "output"),
        ("audio", "flac", "temp"),
        ("latents", "latent", "output"),
    }
    assert [item.text for item in found if isinstance(item, ServerText)][:1] == ["héllo"]


def test_outputs_count_within_their_node_and_skip_what_is_no_file() -> None:
    outputs = {
        "2": {
            "images": [{"filename": "a.png"}, None, {"filename": ""}, {"filename": "b.png", "type": "temp"}],
            "animated": [True],
            "gifs": [{"filename": "c.webm", "subfolder": "s", "id": 3}],
            "result": "text",
        },
        "3": None,
    }

    outcome = parse_outcome(entry("success", outputs=outputs))

    assert outcome == Succeeded(
        (
            ServerFile(node="2", index=0, group="images", filename="a.png", subfolder="", type="output"),
            ServerFile(node="2", index=1, group="images", filename="b.png", subfolder="", type="temp"),
            ServerFile(node="2", index=2, group="gifs", filename="c.webm", subfolder="s", type="output"),
        )
    )


@pytest.mark.parametrize("status", ["success", "error"])
def test_an_error_counts_whatever_the_status_says(status: str) -> None:
    failed = ["execution_error", {"node_id": "3", "node_type": "KSampler", "exception_message": "no\n"}]

    assert parse_outcome(entry(status, failed)) == NodeFailure(
        node="3", class_type="KSampler", exception="", message="no\n"
    )


def test_an_interruption_is_no_failure() -> None:
    assert parse_outcome(entry("error", ["execution_interrupted", {}])) == Interrupted()
    assert isinstance(parse_outcome(entry("error")), NodeFailure)
    assert parse_outcome(None) == Succeeded(())


@pytest.mark.parametrize(
    ("exception", "message", "expected"),
    [
        ("torch.OutOfMemoryError", "Allocation on device", True),
        ("torch.cuda.OutOfMemoryError", "", True),
        ("RuntimeError", "CUDA error: out of memory", True),
        ("RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("ValueError", "the room is dark", False),
    ],
)
def test_lack_of_memory_is_recognised(exception: str, message: str, expected: bool) -> None:
    failure = NodeFailure(node="3", class_type="KSampler", exception=exception, message=message)

    assert failure.is_out_of_memory is expected


def test_places() -> None:
    queue = {"queue_running": [[0, "a", {}, {}, []]], "queue_pending": [None, [1, "b", {}, {}, []]]}

    assert [parse_place(queue, name) for name in "abc"] == [Place.RUNNING, Place.PENDING, Place.ABSENT]
    assert parse_place("nonsense", "a") is Place.ABSENT
