import json
from collections.abc import Iterator

import pytest

from shared.comfy.graph import GraphError, parse_graph
from shared.comfy.refusal import refusal_from
from tests.support.comfy_server.recordings import FOLDER


def recorded_refusals() -> Iterator[tuple[str, dict, dict]]:
    note, sent = "", {}
    for line in (FOLDER / "05_validation_errors.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["ch"] == "note":
            note = entry["text"]
        elif entry.get("path") == "/prompt":
            sent = entry.get("json") or {}
        elif entry.get("for") == "POST /prompt" and isinstance(entry.get("json"), dict):
            answer = entry["json"]
            if entry["status"] == 400 or answer.get("node_errors"):
                yield note, sent, answer


REFUSALS = list(recorded_refusals())


@pytest.mark.parametrize(("note", "sent", "answer"), REFUSALS, ids=[note for note, _, _ in REFUSALS])
def test_every_recorded_refusal_becomes_a_sentence(note: str, sent: dict, answer: dict) -> None:
    try:
        graph = parse_graph(sent.get("prompt", {}))
    except GraphError:
        graph = parse_graph({})

    refusal = refusal_from(answer, graph)

    assert refusal.message.startswith("the ComfyUI server refused the graph: ")
    assert refusal.problems
    for secret in ("Traceback", "<COMFY>", "execution.py", "line "):
        assert secret not in refusal.message
    if answer["node_errors"]:
        assert refusal.details["node"] in answer["node_errors"]


def test_node_and_input_are_named() -> None:
    by_note = {note: (sent, answer) for note, sent, answer in REFUSALS}
    sent, answer = by_note["value above max"]

    refusal = refusal_from(answer, parse_graph(sent["prompt"]))

    assert refusal.message == (
        "the ComfyUI server refused the graph: "
        "node 2 (ImageScale): the value of width is above its maximum (999999)"
    )
    assert refusal.details == {"node": "2", "input": "width", "reason": "value_bigger_than_max"}


def test_an_unknown_class_is_named() -> None:
    by_note = {note: (sent, answer) for note, sent, answer in REFUSALS}
    sent, answer = by_note["unknown class_type"]

    refusal = refusal_from(answer, parse_graph(sent["prompt"]))

    assert "node 2: the server has no node class NoSuchNode" in refusal.message
