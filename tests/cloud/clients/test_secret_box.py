import pytest
from cryptography.fernet import Fernet

from cloud.clients.secret_box import SecretBox, SecretUnreadable
from cloud.errors import BadSettings

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def test_what_was_sealed_is_opened_and_not_readable_in_between() -> None:
    box = SecretBox([NEW])
    sealed = box.seal("Bearer ü")
    assert box.open(sealed) == "Bearer ü"
    assert "Bearer" not in sealed


def test_an_older_key_still_opens_and_the_newest_seals() -> None:
    sealed = SecretBox([OLD]).seal("x")
    both = SecretBox([NEW, OLD])
    assert both.open(sealed) == "x"
    assert SecretBox([NEW]).open(both.reseal(sealed)) == "x"


def test_a_stranger_opens_nothing() -> None:
    with pytest.raises(SecretUnreadable):
        SecretBox([NEW]).open(SecretBox([OLD]).seal("x"))


def test_a_key_that_is_none_is_a_bad_setting() -> None:
    with pytest.raises(BadSettings, match="SAFELIGHT_ENCRYPTION_KEYS"):
        SecretBox(["short"])
