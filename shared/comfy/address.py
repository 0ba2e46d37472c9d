"""Where a ComfyUI server is."""

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from shared.errors import UsageError

__all__ = ["InvalidAddress", "ServerAddress", "parse_address"]

_LONGEST_SHOWN = 100


class InvalidAddress(UsageError):
    code = "invalid_address"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`url` holds no secrets and no trailing slash, so that equal servers have equal texts.

    `authorization` is sent with each call, as the header of that name.
    """

    url: str
    authorization: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.authorization is None else {"Authorization": self.authorization}

    def socket_url(self, client_id: str) -> str:
        return f"ws{self.url.removeprefix('http')}/ws?clientId={quote(client_id, safe='')}"


def parse_address(url: str) -> ServerAddress:
    """Read what a person writes: "127.0.0.1:8188", "http://gpu.lan:8188/", "https://me:pw@host".

    localhost becomes 127.0.0.1: where it resolves to ::1 first, each connection costs two seconds.
    Raises InvalidAddress.
    """
    text = url.strip() if "://" in url else f"http://{url.strip()}"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(text) from error
    if parts.scheme not in {"http", "https"} or not host or not text.isprintable() or " " in host:
        raise _no_address(text)
    name = "127.0.0.1" if host == "localhost" else f"[{host}]" if ":" in host else host
    location = name if port is None else f"{name}:{port}"
    basic = None if parts.username is None else _basic(unquote(parts.username), unquote(parts.password or ""))
    return ServerAddress(f"{parts.scheme}://{location}{parts.path.rstrip('/')}", basic)


def _no_address(text: str) -> InvalidAddress:
    """What stands before an @ is not repeated: it may be a password."""
    scheme, _, rest = text.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}".encode("ascii", "backslashreplace").decode()
    return InvalidAddress(
        f"{shown[:_LONGEST_SHOWN]} is no address of a ComfyUI server; write it like http://127.0.0.1:8188"
    )


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
