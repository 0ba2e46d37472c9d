"""Raw graphs through the whole cloud to a real ComfyUI, and back."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from shared.files import digest_file
from shared.presets.bundle import sample_photos_folder
from shared.sdk.blocking_client import BlockingCloudClient
from tests.support.cloud_processes import CloudProcesses

pytestmark = [
    pytest.mark.real_comfyui,
    pytest.mark.timeout(600),
    pytest.mark.skipif("COMFYUI_URL" not in os.environ, reason="needs COMFYUI_URL, a real server"),
]

_MAIL = "graphs@example.com"
_SECRET_TEXT = "words that the picture must not carry"
_END_S = 300.0
_Graph = dict[str, dict[str, Any]]


class _Cloud:
    """One box, and an account that may send graphs."""

    def __init__(self, processes: CloudProcesses, photo: Path) -> None:
        self._processes = processes
        processes.run("users", "create", _MAIL, "--plan", "studio")
        processes.run("users", "allow-graphs", _MAIL)
        key = processes.run("keys", "create", "--user", _MAIL)
        processes.serve()
        self.digest = digest_file(photo)
        with closing(BlockingCloudClient(server_url=processes.url, api_key=key)) as client:
            client.upload_artifact(photo, self.digest)
        self._http = httpx.Client(
            base_url=f"{processes.url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60
        )

    def submit(self, graph: _Graph) -> httpx.Response:
        places = [f"{name}.image" for name, node in graph.items() if node["class_type"] == "LoadImage"]
        file = {"digest": self.digest, "name": "photo.png"}
        return self._http.post("/jobs", json={"graph": graph, "inputs": {place: [file] for place in places}})

    def end_of(self, graph: _Graph) -> dict[str, Any]:
        accepted = self.submit(graph)
        assert accepted.status_code == 202, accepted.text
        until = time.monotonic() + _END_S
        while not (job := self._http.get(f"/jobs/{accepted.json()['id']}").json())["finished_at"]:
            assert time.monotonic() < until, self._processes.logs()[-6000:]
            time.sleep(0.1)
        return dict(job)

    def data_of(self, output: dict[str, Any]) -> bytes:
        return self._http.get(output["download"]["url"]).raise_for_status().content

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Cloud]:
    folder = tmp_path_factory.mktemp("graphs")
    photo = folder / "photo.png"
    with Image.open(sample_photos_folder() / "portrait.jpg") as opened:
        opened.convert("RGB").resize((128, 128)).save(photo)
    settings = {"SAFELIGHT_COMFYUI_URLS": os.environ["COMFYUI_URL"]}
    with closing(CloudProcesses(folder, settings)) as processes, closing(_Cloud(processes, photo)) as opened:
        yield opened


@pytest.fixture(scope="module")
def checkpoint() -> str:
    names = httpx.get(f"{os.environ['COMFYUI_URL']}/models/checkpoints", timeout=30).json()
    if not names:
        pytest.skip("the server has no checkpoint")
    return str(names[0])


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _sampled(checkpoint: str, **sampler: Any) -> _Graph:
    """A picture of 64 pixels, saved once; node `picture` makes it."""
    given = {
        "model": ["model", 0],
        "positive": ["text", 0],
        "negative": ["text", 0],
        "latent_image": ["blank", 0],
        "seed": time.time_ns() % 2**48,  # so that no server has it already
        "steps": 1,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    return {
        "model": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "text": _node("CLIPTextEncode", clip=["model", 1], text=_SECRET_TEXT),
        "blank": _node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sampler": _node("KSampler", **{**given, **sampler}),
        "picture": _node("VAEDecode", samples=["sampler", 0], vae=["model", 2]),
        "saved": _node("SaveImage", images=["picture", 0], filename_prefix="../mine"),
    }


def test_sampled_picture_comes_back_whole_and_without_its_graph(cloud: _Cloud, checkpoint: str) -> None:
    job = cloud.end_of(_sampled(checkpoint))
    assert (job["state"], job["failure"]) == ("completed", None)
    [output] = job["outputs"]
    data = cloud.data_of(output)
    assert (output["node"], output["width"], output["height"]) == ("saved", 64, 64)
    assert output["name"].startswith("safelight")
    assert hashlib.sha256(data).hexdigest() == output["digest"]
    assert _SECRET_TEXT.encode() not in data
    assert b"CLIPTextEncode" not in data


def test_photograph_goes_in_and_every_kind_of_picture_comes_out(cloud: _Cloud, checkpoint: str) -> None:
    graph = _sampled(checkpoint, latent_image=["inside", 0], denoise=0.5)
    del graph["blank"]
    graph |= {
        "photo": _node("LoadImage", image="of mine.png"),
        "small": _node(
            "ImageScale", image=["photo", 0], upscale_method="lanczos", width=64, height=64, crop="disabled"
        ),
        "inside": _node("VAEEncode", pixels=["small", 0], vae=["model", 2]),
        "inverted": _node("ImageInvert", image=["picture", 0]),
        "shown": _node("PreviewImage", images=["inverted", 0]),
        "moving": _node(
            "SaveAnimatedWEBP",
            images=["picture", 0],
            filename_prefix="m",
            fps=6.0,
            lossless=True,
            quality=80,
            method="default",
        ),
    }
    job = cloud.end_of(graph)
    assert (job["state"], job["failure"]) == ("completed", None)
    types = {output["node"]: output["media_type"] for output in job["outputs"]}
    assert types == {"saved": "image/png", "shown": "image/png", "moving": "image/webp"}
    for output in job["outputs"]:
        data = cloud.data_of(output)
        assert hashlib.sha256(data).hexdigest() == output["digest"]
        assert _SECRET_TEXT.encode() not in data


@pytest.mark.parametrize(
    ("sampler", "word"), [({"steps": 0}, "steps"), ({"sampler_name": "nobody's"}, "sampler_name")]
)
def test_what_the_server_refuses_is_told_by_node_and_input(
    cloud: _Cloud, checkpoint: str, sampler: dict[str, Any], word: str
) -> None:
    job = cloud.end_of(_sampled(checkpoint, **sampler))
    assert job["state"] == "failed"
    assert "sampler" in job["failure"]["message"], job["failure"]
    assert word in job["failure"]["message"], job["failure"]


def test_model_that_no_server_has_is_named(cloud: _Cloud) -> None:
    job = cloud.end_of(_sampled("nobody-has-this.safetensors"))
    assert (job["state"], job["failure"]["code"]) == ("failed", "no_server")
    assert "nobody-has-this.safetensors" in job["failure"]["message"]


def test_graph_that_is_not_allowed_is_refused_by_its_node(cloud: _Cloud, checkpoint: str) -> None:
    graph = _sampled(checkpoint) | {"words": _node("RegexReplace", string="a", regex_pattern="(a+)+$")}
    refused = cloud.submit(graph)
    assert (refused.status_code, refused.json()["error"]["details"]["node"]) == (422, "words")
