"""`safelight watch` as a process: files in, outputs out, killed and interrupted."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from desktop.jobs.origin import read_origin
from tests.desktop.cli.command import Here, environment, safelight
from tests.desktop.watching.bench import png
from tests.support.paired_preset import PAIRED_ID, make_paired_preset

KILLS = 500 if os.environ.get("SWEEP") else 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def arguments(source: Path, *more: str) -> list[str]:
    return ["watch", str(source), "--preset", "noir", "--out", str(source.parent / "out"), *more]


def outputs(source: Path) -> list[str]:
    out = source.parent / "out"
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


@contextmanager
def running(
    source: Path, *more: str, before: Sequence[str] = (), says: bytes = b"watching"
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "desktop", *arguments(source, *more)],
        env=environment(source.parent / "data"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert says in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def until(holds: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def test_once_develops_what_is_there_and_says_what_failed(here: Here, source: Path, tmp_path: Path) -> None:
    (source / "sub").mkdir()
    (source / "sub/good.png").write_bytes(png(1, 40))
    (source / "broken.png").write_bytes(png(2, 40)[:60])
    (source / "notes.txt").write_text("nothing to develop")

    answer = safelight(tmp_path / "data", *arguments(source, "--once", "--json"))

    assert answer.code == 1
    assert outputs(source) == ["sub/good.png"]
    assert answer.last("failed")["code"] == "broken_media"
    assert answer.last("completed")["outputs"][0]["path"] == str(tmp_path / "out/sub/good.png")
    again = here(tmp_path / "data", *arguments(source, "--once", "--json"))
    assert (again.code, again.out) == (1, "")  # what failed stays failed until it changes

    (source / "broken.png").write_bytes(png(2, 40))
    mended = here(tmp_path / "data", *arguments(source, "--once"))
    assert mended.code == 0
    assert outputs(source) == ["broken.png", "sub/good.png"]


def test_a_lost_journal_is_won_back_from_the_outputs(here: Here, source: Path, tmp_path: Path) -> None:
    for number in range(3):
        (source / f"{number}.png").write_bytes(png(number, 40))
    assert here(tmp_path / "data", *arguments(source, "--once")).code == 0
    shutil.rmtree(tmp_path / "data")
    (source / "new.png").write_bytes(png(9, 40))

    assert here(tmp_path / "data", *arguments(source, "--once")).code == 0
    assert outputs(source) == ["0.png", "1.png", "2.png", "new.png"]


def test_one_picture_under_three_names_runs_once_and_is_delivered_three_times(
    here: Here, source: Path, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png", "sub/c.png"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(png(1, 40))

    answer = here(tmp_path / "data", *arguments(source, "--once", "--json"))

    assert answer.code == 0
    assert outputs(source) == ["a.png", "b.png", "sub/c.png"]
    assert [event["event"] for event in answer.events].count("started") == 1
    assert [event["event"] for event in answer.events].count("completed") == 3
    contents = {(tmp_path / "out" / name).read_bytes() for name in outputs(source)}
    assert len(contents) == 1


def test_an_interrupt_ends_it_and_an_arrival_is_developed(source: Path) -> None:
    with running(source) as process:
        (source / "new.png").write_bytes(png(1, 40))
        until(lambda: outputs(source) == ["new.png"])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="inotify's limits")
def test_without_watches_left_new_folders_are_found_by_polling(source: Path) -> None:
    limited = ["unshare", "-Ur", "sh", "-c", 'echo 1 > /proc/sys/user/max_inotify_watches && exec "$@"', "sh"]
    if subprocess.run([*limited, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system lets nobody lower the limit")
    (source / "sub").mkdir()
    with running(source, before=limited, says=b"no folder watches left") as process:
        (source / "sub/new.png").write_bytes(png(1, 40))
        until(lambda: outputs(source) == ["sub/new.png"])
        assert process.poll() is None


def test_chains_of_folders_work_and_a_loop_stops(here: Here, source: Path, tmp_path: Path) -> None:
    back = ["watch", str(tmp_path / "out"), "--preset", "matte-film", "--out", str(source)]
    (source / "a.png").write_bytes(png(1, 40))

    for _ in range(2):
        assert here(tmp_path / "data", *arguments(source, "--once")).code == 0
        assert here(tmp_path / "data", *back, "--once").code == 0

    assert outputs(source) == ["a.png"]
    assert sorted(path.name for path in source.iterdir()) == ["a (2).png", "a.png"]
    origin = read_origin(source / "a (2).png")
    assert origin is not None
    assert len(origin.lineage) == 2


@pytest.mark.timeout(7200 if os.environ.get("SWEEP") else 600)
def test_kills_lose_no_input_and_repeat_no_output(source: Path, tmp_path: Path) -> None:
    chance, files = random.Random(3), 2 * KILLS
    for number in range(files):
        (source / f"{number}.png").write_bytes(png(number, 40))
        if number % 2 == 0:
            with running(source):
                time.sleep(chance.uniform(0, 0.8))
            _check_journal(tmp_path / "data")
    points = ("job.journalled", "job.ticket_stored", "job.run_ended", "outputs.placed")
    for number, point in enumerate(points, start=files):
        (source / f"{number}.png").write_bytes(png(number, 40))
        killed = safelight(
            tmp_path / "data", *arguments(source, "--once"), env={"FAILPOINT": f"{point}:kill"}
        )
        assert killed.code == -signal.SIGKILL, point

    assert safelight(tmp_path / "data", *arguments(source, "--once")).code == 0
    assert outputs(source) == sorted(f"{number}.png" for number in range(files + len(points)))
    for path in (tmp_path / "out").iterdir():
        with Image.open(path) as image:
            image.load()


def _check_journal(data: Path) -> None:
    """As the kill has left it."""
    [path] = data.rglob("journal.sqlite3")
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_folder_can_be_written_down(here: Here, source: Path, tmp_path: Path) -> None:
    (source / "a.jpg").write_bytes(b"")
    Image.new("RGB", (40, 30), "teal").save(source / "a.jpg")
    (tmp_path / "folder.toml").write_text(
        'source = "source"\nout = "developed"\npreset = "noir"\nformat = "webp"\n'
        "[values]\ntone_strength = 40\n"
    )

    answer = here(tmp_path / "data", "watch", "--config", str(tmp_path / "folder.toml"), "--once")

    assert (answer.code, answer.err.count("Traceback")) == (0, 0), answer.err
    assert [path.name for path in (tmp_path / "developed").iterdir()] == ["a.webp"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["watch"], "name SOURCE, --preset ID and --out DIR"),
        (["watch", "nothing", "--preset", "noir", "--out", "out"], "nothing is not a folder"),
        (["watch", "source", "--preset", "noir", "--out", "source"], "output folder is the source folder"),
        (["watch", "source", "--preset", "noir", "--out", "source/out"], "inside the source folder"),
        (["watch", "source", "--preset", "noir", "--out", "."], "inside the output folder"),
        (["watch", "source", "--preset", "noir", "--out", "link"], "output folder is the source folder"),
        (["watch", "--config", "bad.toml"], "sauce is not known here"),
        (["watch", "--config", "none.toml"], "none.toml cannot be read"),
    ],
)
def test_what_cannot_be_set_up_is_said_in_a_sentence(
    here: Here,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to(source)
    Path("bad.toml").write_text('source = "a"\nout = "b"\npreset = "noir"\nsauce = 1\n')

    answer = here(tmp_path / "data", *options)

    assert answer.code == 2
    assert said in answer.err


def test_an_output_inside_the_source_is_allowed_where_it_is_excluded(
    here: Here, source: Path, tmp_path: Path
) -> None:
    (source / "a.png").write_bytes(png(1, 40))
    command = ["watch", str(source), "--preset", "noir", "--out", str(source / "out"), "--exclude", "out"]

    for _ in range(2):
        assert here(tmp_path / "data", *command, "--once").code == 0
    assert [path.name for path in (source / "out").iterdir()] == ["a.png"]


def test_pairs_are_developed_together_and_a_kill_loses_none(here: Here, source: Path, tmp_path: Path) -> None:
    make_paired_preset(tmp_path / "data/presets")
    command = ["watch", str(source), "--preset", PAIRED_ID, "--out", str(tmp_path / "out"), "--once"]
    for name, colour in (("a", "white"), ("b", "black")):
        Image.new("RGB", (8, 8), "teal").save(source / f"{name}.png")
        Image.new("L", (8, 8), colour).save(source / f"{name}_mask.png")
    Image.new("RGB", (8, 8), "teal").save(source / "alone.png")

    for point in ("job.journalled", "job.ticket_stored"):
        killed = safelight(tmp_path / "data", *command, env={"FAILPOINT": f"{point}:kill"})
        assert killed.code == -signal.SIGKILL, point
    waiting = here(tmp_path / "data", *command)
    assert waiting.code == 1
    assert "alone.png waits for its Mask: put a picture named alone_mask beside it" in waiting.err
    listed = here(tmp_path / "data", "jobs", "list", "--json").events
    assert [line["waiting"] for line in listed if "waiting" in line] == [str(source / "alone.png")]
    assert "waits for its Mask" in here(tmp_path / "data", "jobs", "list").out.replace("\n", " ")
    assert outputs(source) == ["a.png", "b.png"]
    assert Image.open(tmp_path / "out/a.png").getpixel((0, 0)) == (255, 126, 126)
    assert Image.open(tmp_path / "out/b.png").getpixel((0, 0)) == (0, 128, 128)

    Image.new("L", (8, 8), "black").save(source / "a_mask.png")
    (source / "alone.png").unlink()
    assert here(tmp_path / "data", *command).code == 0
    assert "waiting" not in here(tmp_path / "data", "jobs", "list", "--json").out
    assert outputs(source) == ["a (2).png", "a.png", "b.png"]
    shutil.rmtree(tmp_path / "data/holders")
    for file in (tmp_path / "data").glob("journal.sqlite3*"):
        file.unlink()
    assert here(tmp_path / "data", *command).code == 0  # won back from what the outputs say of both files
    assert outputs(source) == ["a (2).png", "a.png", "b.png"]


def test_develop_pairs_by_name_and_names_what_is_missing(here: Here, source: Path, tmp_path: Path) -> None:
    make_paired_preset(tmp_path / "data/presets")
    command = ["develop", str(source), "--preset", PAIRED_ID, "--out", str(tmp_path / "out")]
    Image.new("RGB", (8, 8), "teal").save(source / "a.png")
    Image.new("L", (8, 8), "white").save(source / "a_mask.PNG")
    assert here(tmp_path / "data", *command).code == 0
    assert outputs(source) == ["a.png"]
    with Image.open(tmp_path / "out/a.png") as made:
        assert made.getpixel((0, 0)) == (255, 126, 126)

    Image.new("RGB", (8, 8), "teal").save(source / "z.png")
    refused = here(tmp_path / "data", *command)
    assert refused.code == 2
    assert "Mask for z.png is missing: put a picture named z_mask beside it" in refused.err
