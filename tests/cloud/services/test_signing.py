from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from cloud.errors import LinkExpired
from cloud.services.signing import Download, LinkSigner, Upload

UPLOAD = Upload("account", "d" * 64, 17)


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(clock: Clock) -> LinkSigner:
    return LinkSigner(secret=b"s" * 32, valid_for=timedelta(minutes=15), utcnow=clock)


def test_permission_is_read_back_until_it_ends(signer: LinkSigner, clock: Clock) -> None:
    token, until = signer.sign(UPLOAD)
    assert until == clock.now + timedelta(minutes=15)
    assert signer.read(token, Upload) == UPLOAD
    clock.now = until + timedelta(seconds=1)
    with pytest.raises(LinkExpired):
        signer.read(token, Upload)


def test_permission_of_one_kind_is_none_of_the_other(signer: LinkSigner) -> None:
    token, _ = signer.sign(UPLOAD)
    with pytest.raises(LinkExpired):
        signer.read(token, Download)


@pytest.mark.parametrize("change", ["", ".", "é.é", "{token}x", "x{token}", "{payload}", "{payload}."])
def test_nothing_else_is_ours(signer: LinkSigner, change: str) -> None:
    token, _ = signer.sign(UPLOAD)
    with pytest.raises(LinkExpired):
        signer.read(change.format(token=token, payload=token.partition(".")[0]), Upload)


def test_other_secret_other_seal(signer: LinkSigner, clock: Clock) -> None:
    other = LinkSigner(secret=b"t" * 32, valid_for=timedelta(minutes=15), utcnow=clock)
    with pytest.raises(LinkExpired):
        other.read(signer.sign(UPLOAD)[0], Upload)
