"""Secrets of the person at this computer: from the environment, else from the system's keyring."""

import os

import keyring
from keyring.errors import KeyringError, NoKeyringError

from shared.errors import UsageError

__all__ = ["API_KEY_VARIABLE", "NoKeyring", "find_api_key"]

API_KEY_VARIABLE = "SAFELIGHT_API_KEY"
_SERVICE = "safelight"


class NoKeyring(UsageError):
    """There is a keyring, and it does not open."""

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
