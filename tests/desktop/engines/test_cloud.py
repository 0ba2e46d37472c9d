"""The cloud keeps what every engine promises: against a real one, on one box."""

import io
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from desktop.engines.cloud import CloudEngine
from shared.comfy.graph import parse_graph
from shared.engines.base import Engine, EngineUnavailable, PresetWork, RunLost, Ticket, Work, WorkRefused
from shared.errors import JsonValue
from shared.ids import new_id
from shared.jobs.events import Completed, Started
from shared.media import BrokenMedia, MediaLimits
from shared.presets.binding import NodeRef, Target
from shared.presets.bundle import Preset
from shared.presets.manifest import SCHEMA_VERSION, Licence, Look, Looks, Manifest, PresetInput, PresetOutput
from shared.sdk.client import CloudClient
from tests.contract.engine_suite import EngineRig, EngineSuite, begin, end_of, run
from tests.support.builtin_works import graph_work, input_file, node
from tests.support.cloud_server import CloudServer, cloud_server
from tests.support.http_server import Reply, http_server

OUTPUT_LIMITS = MediaLimits(max_bytes=50_000_000, max_pixels=3_000_000, max_frames=100)
_LOOK = Look(file="cover.webp", alt="nothing")


def _preset(preset_id: str, graph: Mapping[str, JsonValue], *saves: str) -> Preset:
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        id=preset_id,
        version="1.0.0",
        name=preset_id,
        summary="for tests",
        author="tests",
        category="Tests",
        licence=Licence(spdx="CC0-1.0", commercial_use=True),
        looks=Looks(cover=_LOOK, before=_LOOK, after=_LOOK),
        inputs=(
            PresetInput(
                id="photo",
                label="Photo",
                primary=True,
                targets=(Target(node=NodeRef(id="in", class_type="LoadImage"), input="image"),),
            ),
        ),
        outputs=tuple(
            PresetOutput(id=f"out{save}", label="Out", node=NodeRef(id=save, class_type="SaveImage"))
            for save in saves
        ),
    )
    whole = {"in": node("LoadImage", image="x.png"), **graph}
    return Preset(
        manifest=manifest,
        graph=parse_graph(whole),
        digest=preset_id.encode().hex().ljust(64, "0"),
        folder=Path(),
    )


def _blurs() -> dict[str, JsonValue]:
    graph: dict[str, JsonValue] = {
        "big": node(
            "ImageScale", image=["in", 0], upscale_method="bilinear", width=1500, height=1500, crop="disabled"
        ),
        "0": node("ImageInvert", image=["big", 0]),
    }
    for number in range(1, 400):
        graph[str(number)] = node("ImageBlur", image=[str(number - 1), 0], blur_radius=31, sigma=3.0)
    return {**graph, "save": node("SaveImage", images=["399", 0], filename_prefix="slow")}


PRESETS = {
    preset.manifest.id: preset
    for preset in (
        _preset(
            "quick",
            {
                "2": node("ImageInvert", image=["in", 0]),
                "3": node("ImageBatch", image1=["in", 0], image2=["2", 0]),
                "4": node("SaveImage", images=["3", 0], filename_prefix="both"),
                "5": node("SaveImage", images=["2", 0], filename_prefix="sub/one"),
            },
            "4",
            "5",
        ),
        _preset("slow", _blurs(), "save"),
        _preset(
            "failing",
            {
                "2": node("ImageToMask", image=["in", 0], channel="alpha"),
                "3": node("MaskToImage", mask=["2", 0]),
                "4": node("SaveImage", images=["3", 0], filename_prefix="never"),
            },
            "4",
        ),
        _preset(
            "bad-output",
            {
                "2": node("ImageScaleBy", image=["in", 0], upscale_method="bilinear", scale_by=8.0),
                "3": node("ImageScaleBy", image=["2", 0], upscale_method="bilinear", scale_by=8.0),
                "4": node("SaveImage", images=["3", 0], filename_prefix="larger than the limit"),
            },
            "4",
        ),
    )
}  # fmt: skip


class CloudRig(EngineRig):
    def __init__(self, server: CloudServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._engines = [self._new_engine()]

    @property
    def engine(self) -> Engine:
        return self._engines[0]

    async def another_process(self) -> Engine:
        self._engines.append(self._new_engine())
        return self._engines[-1]

    def quick_work(self, job_id: str) -> Work:
        return self.work(job_id, "quick")

    def slow_work(self, job_id: str) -> Work:
        return self.work(job_id, "slow")

    def failing_work(self, job_id: str) -> Work:
        return self.work(job_id, "failing")

    def refused_work(self, job_id: str) -> tuple[Work, str, str]:
        return graph_work(job_id, {"1": node("SaveImage")}), "", ""

    async def runs(self, ticket: Ticket) -> int:
        rows = self._sql(
            "SELECT count(*) FROM events JOIN jobs ON jobs.id = events.job_id "
            "WHERE jobs.idempotency_key = ? AND events.kind = 'started'",
            ticket.run_id,
        )
        return int(rows[0][0])

    async def lose(self, ticket: Ticket) -> None:
        """The worker's child is freed first: it is the record that is lost."""
        async with CloudClient(server_url=self.server.url, api_key=self.server.key) as client:
            job = await client.find_job(idempotency_key=ticket.run_id)
            assert job is not None
            job_id = job.id
            await client.cancel_job(job_id)
            async for _ in client.events(job_id):
                pass
        for table in ("events", "attempts", "outputs"):
            self._sql(f"DELETE FROM {table} WHERE job_id = ?", job_id)  # noqa: S608 - our own names
        self._sql("DELETE FROM jobs WHERE id = ?", job_id)

    async def bad_output_work(self, job_id: str) -> Work:
        return self.work(job_id, "bad-output")

    def work(self, job_id: str, preset_id: str, **values: JsonValue) -> PresetWork:
        path = self.folder / "input.png"
        if not path.exists():
            Image.linear_gradient("L").convert("RGB").resize((37, 23)).save(path)
        return PresetWork(
            job_id=job_id,
            preset=PRESETS[preset_id],
            values=values,
            inputs={"photo": (input_file(path),)},
        )

    async def aclose(self) -> None:
        for engine in self._engines:
            await engine.aclose()

    def _new_engine(self) -> CloudEngine:
        return CloudEngine(
            server_url=self.server.url, api_key=self.server.key, state_folder=self.folder / "state"
        )

    def _sql(self, statement: str, *values: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.server.database, timeout=10)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudServer]:
    folder = tmp_path_factory.mktemp("cloud")
    with cloud_server(folder, presets=PRESETS, output_limits=OUTPUT_LIMITS) as running:
        yield running


@pytest.fixture
async def rig(server: CloudServer, tmp_path: Path) -> AsyncIterator[CloudRig]:
    rig = CloudRig(server, tmp_path)
    yield rig
    await rig.aclose()


class TestCloudEngine(EngineSuite):
    """The promises of every engine."""

    async def test_a_refusal_names_the_node_and_the_input(self, rig: CloudRig) -> None:
        """The cloud speaks of a preset's fields; it takes no graphs whose nodes it could name."""
        with pytest.raises(WorkRefused) as caught:
            await begin(rig.engine, rig.work(new_id(), "quick", exposure=3))
        assert caught.value.details["field"] == "values.exposure"
        with pytest.raises(WorkRefused, match="presets"):
            await rig.engine.prepare(rig.refused_work(new_id())[0])


class TestCloudThatIsWell(TestCloudEngine):
    """The same where inputs go out in the request that submits the job."""

    @pytest.fixture
    async def rig(self, server: CloudServer, tmp_path: Path) -> AsyncIterator[CloudRig]:
        rig = CloudRig(server, tmp_path)
        await rig.engine.capabilities()
        yield rig
        await rig.aclose()


@pytest.mark.parametrize("is_well", [False, True])
async def test_a_picture_that_does_not_decode_is_told_as_such(rig: CloudRig, *, is_well: bool) -> None:
    (rig.folder / "input.png").write_bytes(_half_a_picture())
    if is_well:
        await rig.engine.capabilities()
    with pytest.raises(BrokenMedia, match=r"input\.png" if is_well else "the file"):
        await begin(rig.engine, rig.quick_work(new_id()))


async def test_a_file_that_changes_before_it_is_sent_is_refused(rig: CloudRig) -> None:
    await rig.engine.capabilities()
    work = rig.quick_work(new_id())
    (rig.folder / "input.png").write_bytes(_half_a_picture())
    with pytest.raises(WorkRefused, match="changed"):
        await rig.engine.prepare(work)


@pytest.mark.parametrize("is_there", [False, True])
async def test_another_process_sends_the_files_that_were_not_submitted(
    rig: CloudRig, *, is_there: bool
) -> None:
    """Or says that the run must be prepared anew."""
    await rig.engine.capabilities()
    Image.effect_noise((40, 30), 80).save(rig.folder / "input.png")
    ticket = await rig.engine.prepare(rig.quick_work(new_id()))
    if not is_there:
        (rig.folder / "input.png").unlink()
    other = await rig.another_process()
    if is_there:
        await other.start(ticket)
        assert isinstance(await end_of(other, ticket), Completed)
    else:
        with pytest.raises(RunLost):
            await other.start(ticket)


def _half_a_picture() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(file, "PNG")
    return file.getvalue()[:-800]


async def test_a_name_that_is_no_line_of_text_stands_in_no_way(rig: CloudRig) -> None:
    work = rig.work(new_id(), "quick")
    [file] = work.inputs["photo"]
    named = replace(work, inputs={"photo": (replace(file, name="two\nlines.png"),)})
    _, events = await run(rig.engine, named)
    assert isinstance(events[-1], Completed)


async def test_a_known_input_is_not_sent_again(rig: CloudRig) -> None:
    await run(rig.engine, rig.quick_work(new_id()))
    before = sorted(path.name for path in rig.server.database.parent.rglob("blobs/**/*") if path.is_file())
    await rig.engine.prepare(rig.quick_work(new_id()))
    assert before == sorted(
        path.name for path in rig.server.database.parent.rglob("blobs/**/*") if path.is_file()
    )


async def test_the_start_is_told_as_the_clouds(rig: CloudRig) -> None:
    _, events = await run(rig.engine, rig.quick_work(new_id()))
    assert [event.engine for event in events if isinstance(event, Started)] == ["cloud"]


async def test_outputs_are_here_before_the_run_counts_as_completed(rig: CloudRig) -> None:
    """The server's files may go at any time afterwards."""
    ticket, events = await run(rig.engine, rig.quick_work(new_id()))
    end = events[-1]
    assert isinstance(end, Completed)
    for blob in rig.server.database.parent.rglob("blobs/**/*"):
        if blob.is_file() and blob.name in {output.digest for output in end.outputs}:
            blob.unlink()
    for output in end.outputs:
        sink = io.BytesIO()
        await rig.engine.fetch(ticket, output, sink)
        assert len(sink.getvalue()) == output.bytes


@pytest.mark.parametrize("key", [None, "sl_live_wrong"])
async def test_without_a_good_key_the_engine_waits_and_no_work_fails(
    rig: CloudRig, tmp_path: Path, key: str | None
) -> None:
    engine = CloudEngine(server_url=rig.server.url, api_key=key, state_folder=tmp_path)
    with pytest.raises(EngineUnavailable):
        await engine.capabilities()
    with pytest.raises(EngineUnavailable):
        await engine.prepare(rig.quick_work(new_id()))
    await engine.aclose()


@pytest.mark.parametrize("status", [402, 429])
async def test_want_of_credits_and_of_patience_pauses(rig: CloudRig, tmp_path: Path, status: int) -> None:
    with http_server() as busy:
        busy.replies.append(Reply(status=status, headers={"Retry-After": "600"}))
        engine = CloudEngine(server_url=busy.url, api_key="key", state_folder=tmp_path)
        with pytest.raises(EngineUnavailable):
            await engine.prepare(rig.quick_work(new_id()))
        await engine.aclose()
