"""Server addresses as people give them, checked before anything is sent there."""

import ipaddress
from urllib.parse import urlsplit

from shared.errors import UsageError

__all__ = ["InsecureServer", "checked_server"]


class InsecureServer(UsageError):
    code = "insecure_server"


def checked_server(address: str, *, allow_plain_http: bool) -> str:
    """The address without a trailing slash. Raises InsecureServer, UsageError.

    Plain http is for this machine alone: anyone on the way could read the pictures, and a ComfyUI
    runs whatever it is sent.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            f"{address} is no server address: write http://127.0.0.1:8188, for example", field="server"
        )
    if parts.scheme == "http" and not _is_this_machine(parts.hostname) and not allow_plain_http:
        raise InsecureServer(
            f"{address} is another machine and the connection would not be encrypted: use https, or set "
            "SAFELIGHT_ALLOW_PLAIN_HTTP=true if you trust the network",
            field="server",
        )
    return address.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
