"""The commands as a person meets them: output, errors, exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.desktop.cli.command import Here, environment, safelight

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}},
    "4": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def _picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (48, 32), (10, 20, 30)).save(path)
    return path


def _graph(folder: Path, graph: object = GRAPH) -> Path:
    path = folder / "graph.json"
    path.write_text(json.dumps(graph))
    return path


def test_run_writes_what_the_graph_saves_and_tells_it_as_events(here: Here, tmp_path: Path) -> None:
    _picture(tmp_path / "in.png")
    answer = safelight(tmp_path / "data", "run", _graph(tmp_path), "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    names = [event["event"] for event in answer.events]
    assert names[0] == "queued"
    assert names[-1] == "completed"
    assert {"started", "progress"} <= set(names)
    outputs = answer.last("completed")["outputs"]
    assert [(output["node"], output["index"], output["kind"]) for output in outputs] == [
        ("3", 0, "image"),
        ("4", 0, "preview"),
    ]
    with Image.open(outputs[0]["path"]) as made:
        assert made.getpixel((0, 0)) == (245, 235, 225)
    again = here(tmp_path / "data", "run", _graph(tmp_path), "--out", tmp_path / "out")
    assert again.code == 0
    assert f"{tmp_path}/out/made_00001_ (2).png" in again.out.splitlines()
    assert again.err == ""


def test_run_takes_a_graph_out_of_a_request(here: Here, tmp_path: Path) -> None:
    _picture(tmp_path / "in.png")
    request = _graph(tmp_path, {"client_id": "somebody", "prompt": GRAPH})
    answer = here(tmp_path / "data", "run", request, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert f"{tmp_path}/out/made_00001_.png" in answer.out.splitlines()


def test_run_takes_other_files_for_its_loaders(here: Here, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    _picture(folder / "in.png")
    graph, out = _graph(tmp_path), tmp_path / "out"
    missing = here(tmp_path / "data", "run", graph, "--out", out)
    assert missing.code == 2
    assert "node 1 needs in.png" in missing.err
    assert here(tmp_path / "data", "run", graph, "--input-dir", folder, "--out", out).code == 0
    named = here(tmp_path / "data", "run", graph, "--input", f"1={folder / 'in.png'}", "--out", out)
    assert named.code == 0, named.err


def test_run_keeps_outputs_of_one_name_apart(here: Here, tmp_path: Path) -> None:
    _picture(tmp_path / "in.png")
    nodes = {name: GRAPH[name] for name in ("1", "2")}
    for node, picture, prefix in (("5", "1", "one/x"), ("6", "2", "two/x"), ("7", "1", "x")):
        nodes[node] = {
            "class_type": "SaveImage",
            "inputs": {"images": [picture, 0], "filename_prefix": prefix},
        }
    answer = here(
        tmp_path / "data",
        "run",
        _graph(tmp_path, nodes),
        "--out",
        tmp_path / "out",
        "--engine",
        "builtin",
        "--json",
    )
    assert answer.code == 0, answer.err
    paths = {output["node"]: output["path"] for output in answer.last("completed")["outputs"]}
    assert len(set(paths.values())) == 3
    shades = {}
    for node, path in paths.items():
        with Image.open(path) as made:
            shades[node] = made.getpixel((0, 0))
    assert shades == {"5": (10, 20, 30), "6": (245, 235, 225), "7": (10, 20, 30)}


@pytest.mark.parametrize(
    ("graph", "code", "said"),
    [
        ({"nodes": [{"id": 1, "type": "KSampler"}], "links": []}, 2, "editor format"),
        ([], 2, "JSON object"),
        ({"1": {"inputs": {}}}, 2, "node 1 has no class_type"),
        ({"1": {"class_type": "KSampler", "inputs": {}}}, 3, "KSampler"),
        ({"1": {"class_type": "LoadImage", "inputs": {"image": "../secret.png"}}}, 2, "node 1"),
    ],
)
def test_graphs_that_cannot_run_are_refused_in_words(
    here: Here,
    tmp_path: Path,
    graph: object,
    code: int,
    said: str,
) -> None:
    command = ("run", _graph(tmp_path, graph), "--out", tmp_path / "out")
    answer = here(tmp_path / "data", *command)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err


def test_develop_keeps_going_past_a_bad_file_and_says_so(here: Here, tmp_path: Path) -> None:
    _picture(tmp_path / "in" / "good.png")
    _picture(tmp_path / "in" / "sub" / os.fsdecode(b"b\xff\xfe.png"))
    (tmp_path / "in" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    data, out = tmp_path / "data", tmp_path / "out"
    answer = safelight(
        data, "develop", tmp_path / "in", "--preset", "noir", "--set", "contrast=10", "--out", out, "--json"
    )
    assert answer.code == 1
    assert answer.last("failed")["message"].startswith("bad.png is damaged")
    paths = {event["outputs"][0]["path"] for event in answer.events if event["event"] == "completed"}
    assert paths == {str(out / "good.png"), str(out / "sub" / os.fsdecode(b"b\xff\xfe.png"))}
    assert all(Path(path).is_file() for path in paths)

    listed = here(data, "jobs", "list", "--failed", "--json")
    [failed] = [json.loads(line) for line in listed.out.splitlines()]
    _picture(tmp_path / "in" / "bad.png")
    retried = here(data, "jobs", "retry", failed["id"])
    assert (retried.code, retried.out.strip()) == (0, str(out / "bad.png"))
    shown = here(data, "jobs", "show", failed["id"][:8], "--json")
    assert json.loads(shown.out)["state"] == "failed"


def test_no_name_acts_on_the_line_that_it_stands_in(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in\x1b[31m\u202egnp.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    answer = here(tmp_path / "data", "develop", *tmp_path.glob("*.png"), "--preset", "noir")
    assert answer.code == 1
    assert "in\\x1b[31m\\u202egnp.png" in answer.err
    listed = here(tmp_path / "data", "jobs", "list")
    assert "in\\x1b[31m\\u202egnp.png" in listed.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["develop", "in.png", "--preset", "nope"], 2, "no preset 'nope'"),
        (["develop", "in.png", "--preset", "noir", "--set", "bogus=1"], 2, "bogus"),
        (["develop", "in.png", "--preset", "noir", "--set", "contrast=much"], 2, "ontrast"),
        (["develop", "in.png", "--preset", "noir", "--format", "xyz"], 2, "--format xyz"),
        (
            ["develop", "in.png", "--preset", "noir", "--server", "http://10.1.2.3:8188"],
            2,
            "not be encrypted",
        ),
        (["develop", "in.png", "--preset", "noir", "--engine", "comfy"], 3, "127.0.0.1:9"),
        (["develop", "in.png", "--preset", "portrait-pro"], 3, "needs a ComfyUI"),
        (["develop", "in.png", "--preset", "noir", "--engine", "cloud"], 3, "SAFELIGHT_CLOUD_URL"),
        (["develop", "gone.png", "--preset", "noir"], 2, "gone.png does not exist"),
        (["jobs", "show", "zzz"], 2, "no job zzz"),
        (["develop", "--bogus"], 2, "--bogus"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    here: Here,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    _picture(tmp_path / "in.png")
    monkeypatch.chdir(tmp_path)
    answer = here(tmp_path / "data", *arguments)
    assert (answer.code, answer.out) == (code, "")
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_bad_settings_name_their_variable(here: Here, tmp_path: Path) -> None:
    answer = here(tmp_path, "engines", env={"SAFELIGHT_JPEG_QUALITY": "400"})
    assert answer.code == 2
    assert "SAFELIGHT_JPEG_QUALITY" in answer.err


def test_engines_and_doctor_say_what_is_there(here: Here, tmp_path: Path) -> None:
    listed = here(tmp_path, "engines", "--json")
    reachable = {line["name"]: line["reachable"] for line in map(json.loads, listed.out.splitlines())}
    assert (listed.code, reachable) == (0, {"builtin": True, "comfy": False})
    answer = here(tmp_path, "doctor", env={"SAFELIGHT_OUTPUT_DIR": str(tmp_path / "out")})
    assert answer.code == 0, answer.out
    assert "noir" in answer.out


def test_interrupted_it_cancels_and_can_be_begun_again(here: Here, tmp_path: Path) -> None:
    for number in range(3):
        Image.effect_noise((2500, 2000), 80).save(
            _picture(tmp_path / "in" / f"{number}.png"), compress_level=1
        )
    data, out = tmp_path / "data", tmp_path / "out"
    command = ["develop", str(tmp_path / "in"), "--preset", "product-glow", "--out", str(out), "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "desktop", *command], env=environment(data), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"started"' in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 130
    assert '"cancelled"' in rest
    listed = here(data, "jobs", "list", "--json")
    states = [json.loads(line)["state"] for line in listed.out.splitlines()]
    assert set(states) == {"cancelled"}
    assert not out.exists() or list(out.iterdir()) == []


def test_what_could_not_be_delivered_is_delivered_when_asked_again(here: Here, tmp_path: Path) -> None:
    _picture(tmp_path / "a.png")
    out, data = tmp_path / "out", tmp_path / "data"
    out.write_text("a file where the folder should be")
    command = ("develop", tmp_path / "a.png", "--preset", "noir", "--out", out)
    blocked = here(data, *command)
    assert (blocked.code, blocked.out) == (1, "")
    assert f"done but not delivered: {out} cannot be written" in blocked.err
    assert here(data, *command).code == 1
    out.unlink()
    delivered = here(data, *command)
    assert (delivered.code, delivered.out.strip(), delivered.err) == (0, str(out / "a.png"), "")
    assert [path.name for path in out.iterdir()] == ["a.png"]
