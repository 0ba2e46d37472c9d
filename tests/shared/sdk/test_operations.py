"""What the operations of the core do with the answers that they get, without a network."""

import io
from datetime import UTC, datetime

import pytest

from shared.api.artifacts import Link
from shared.files import digest_bytes
from shared.sdk.errors import DownloadBroken
from shared.sdk.exchange import Answer, Request
from shared.sdk.operations import Download, download

WHOLE, DAMAGED = b"the whole file", b"the hole file, and more"
LINK = Link(
    url="https://store.example/a", method="GET", headers={}, expires_at=datetime(2030, 1, 1, tzinfo=UTC)
)


def _downloaded(*bodies: bytes) -> tuple[io.BytesIO, int]:
    """The sink, which had something before, and how often the link was asked."""
    sink = io.BytesIO()
    sink.write(b"before ")
    steps = download(Download(LINK, digest_bytes(WHOLE), "photo.png"), sink)
    asked: Request = next(steps)
    for count, body in enumerate(bodies, 1):
        assert asked.sink is sink
        sink.write(body)
        try:
            asked = steps.send(Answer(200, {}, b"", digest_bytes(body)))
        except StopIteration:
            return sink, count
    raise AssertionError("more was asked for")


def test_damaged_bytes_are_fetched_again_in_their_place() -> None:
    sink, count = _downloaded(DAMAGED, WHOLE)
    assert (sink.getvalue(), count) == (b"before " + WHOLE, 2)


def test_bytes_that_stay_damaged_are_no_download() -> None:
    with pytest.raises(DownloadBroken, match=r"photo\.png arrived damaged 3 times"):
        _downloaded(DAMAGED, DAMAGED, DAMAGED)
