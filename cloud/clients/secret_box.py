"""Secrets at rest: sealed with the newest key, opened with any."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cloud.errors import BadSettings
from shared.errors import FatalError

__all__ = ["SecretBox", "SecretUnreadable"]


class SecretUnreadable(FatalError):
    """None of the keys opens it."""

    code = "secret_unreadable"


class SecretBox:
    def __init__(self, keys: Sequence[str]) -> None:
        """Fernet keys, the newest first. Raises BadSettings."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise BadSettings(
                "SAFELIGHT_ENCRYPTION_KEYS: each key is 32 bytes in URL-safe base64, the newest first",
                field="encryption_keys",
            ) from error

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, text: str) -> str:
        """Raises SecretUnreadable."""
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken as error:
            raise SecretUnreadable("a stored secret was sealed with a key that is not there") from error

    def reseal(self, text: str) -> str:
        """Under the newest key. Raises SecretUnreadable."""
        return self.seal(self.open(text))
