"""Secrets of the person at this computer: from the environment, else from the system's keyring."""

import os

import keyring
from keyring.errors import KeyringError, NoKeyringError

from shared.errors import UsageError

__all__ = ["API_KEY_VARIABLE", "NoKeyring", "delete_api_key", "find_api_key", "save_api_key"]

API_KEY_VARIABLE = "SAFELIGHT_API_KEY"
_SERVICE = "safelight"


class NoKeyring(UsageError):
    """This computer has no keyring, and we put no secret into a plain file unasked."""

    code = "no_keyring"


def find_api_key(server_url: str) -> str | None:
    """The key for this server, or None if there is none; a missing keyring holds no key.

    Raises NoKeyring when a keyring is there but refuses.
    """
    if given := os.environ.get(API_KEY_VARIABLE, "").strip():
        return given
    try:
        return keyring.get_password(_SERVICE, server_url)
    except NoKeyringError:
        return None
    except KeyringError as error:
        raise NoKeyring(
            f"the system's keyring did not open; unlock it, or set {API_KEY_VARIABLE}", server=server_url
        ) from error


def save_api_key(server_url: str, key: str) -> None:
    """Raises NoKeyring if there is no place to keep it."""
    try:
        keyring.set_password(_SERVICE, server_url, key)
    except KeyringError as error:
        raise NoKeyring(
            f"this computer offers no keyring to keep the key in; set {API_KEY_VARIABLE} instead",
            server=server_url,
        ) from error


def delete_api_key(server_url: str) -> None:
    """Forget the key; having none is fine."""
    if _keyring_holds(server_url):
        keyring.delete_password(_SERVICE, server_url)


def _keyring_holds(server_url: str) -> bool:
    try:
        return keyring.get_password(_SERVICE, server_url) is not None
    except NoKeyringError:
        return False
