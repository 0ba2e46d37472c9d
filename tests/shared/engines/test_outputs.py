"""Nothing that an engine delivers is believed unread."""

from pathlib import Path

import pytest
from PIL import Image

from shared.engines.base import OutputRejected
from shared.engines.outputs import OutputFacts, verify_output
from shared.files import digest_file
from shared.jobs.events import OutputKind


@pytest.mark.parametrize("kind", [OutputKind.IMAGE, OutputKind.PREVIEW])
def test_good_picture_is_described_from_its_bytes(tmp_path: Path, kind: OutputKind) -> None:
    path = tmp_path / "received"
    Image.new("RGB", (7, 5)).save(path, "PNG")

    assert verify_output(path, name="out_00001_.png", kind=kind) == OutputFacts(
        kind=kind,
        media_type="image/png",
        bytes=path.stat().st_size,
        digest=digest_file(path),
        width=7,
        height=5,
    )


def test_clip_that_came_as_image_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "received"
    path.write_bytes(b"\x1aE\xdf\xa3" + b"\0" * 40)

    facts = verify_output(path, name="clip_00001_.webm", kind=OutputKind.IMAGE)

    assert (facts.kind, facts.media_type, facts.width) == (OutputKind.VIDEO, "video/webm", None)


def test_unknown_file_stays_a_file(tmp_path: Path) -> None:
    path = tmp_path / "received"
    path.write_bytes(b"\x10\0\0\0latent")

    facts = verify_output(path, name="x_00001_.latent", kind=OutputKind.FILE)

    assert (facts.kind, facts.media_type) == (OutputKind.FILE, "application/octet-stream")


@pytest.mark.parametrize("content", [b"", b"<html>502</html>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 cut"])
def test_bad_picture_is_rejected_by_the_name_that_the_engine_gave(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "received"
    path.write_bytes(content)

    with pytest.raises(OutputRejected, match=r"out_00001_\.png") as caught:
        verify_output(path, name="out_00001_.png", kind=OutputKind.IMAGE)
    assert caught.value.details == {"file": "out_00001_.png"}


def test_picture_of_another_type_than_its_name_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "received"
    Image.new("RGB", (7, 5)).save(path, "JPEG")

    with pytest.raises(OutputRejected, match="holds image/jpeg"):
        verify_output(path, name="out_00001_.png", kind=OutputKind.IMAGE)


@pytest.mark.parametrize("content", [b"", b"<html>is what a node said</html>"])
def test_text_may_say_anything(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "received"
    path.write_bytes(content)

    facts = verify_output(path, name="said.txt", kind=OutputKind.TEXT)

    assert (facts.kind, facts.media_type, facts.bytes) == (OutputKind.TEXT, "text/plain", len(content))
