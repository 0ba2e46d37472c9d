from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoBackend
from keyring.errors import KeyringLocked

from desktop.secrets import NoKeyring, find_api_key

SERVER = "https://cloud.example"


class _Memory(KeyringBackend):
    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


class _Locked(_Memory):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("locked")


@pytest.fixture(autouse=True)
def _backend_is_put_back() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


def test_a_key_is_kept_for_its_server_alone() -> None:
    keyring.set_keyring(_Memory())
    keyring.set_password("safelight", SERVER, "sl_live_x")
    assert find_api_key(SERVER) == "sl_live_x"
    assert find_api_key("https://other.example") is None


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring.set_keyring(_Memory())
    keyring.set_password("safelight", SERVER, "kept")
    monkeypatch.setenv("SAFELIGHT_API_KEY", " given ")
    assert find_api_key(SERVER) == "given"


def test_without_a_keyring_nothing_is_found() -> None:
    keyring.set_keyring(NoBackend())
    assert find_api_key(SERVER) is None


def test_a_locked_keyring_is_no_missing_key() -> None:
    keyring.set_keyring(_Locked())
    with pytest.raises(NoKeyring, match="unlock"):
        find_api_key(SERVER)
