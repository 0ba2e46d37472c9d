"""Server addresses as people give them, checked before anything is sent there."""

import ipaddress
from urllib.parse import urlsplit

from shared.comfy.address import ServerAddress, parse_address
from shared.errors import UsageError

__all__ = ["InsecureServer", "checked_server"]


class InsecureServer(UsageError):
    code = "insecure_server"


def checked_server(text: str, *, allow_plain_http: bool) -> ServerAddress:
    """Raises InvalidAddress, InsecureServer.

    Plain http is for this machine alone: anyone on the way could read the pictures, and a ComfyUI
    runs whatever it is sent.
    """
    address = parse_address(text)
    parts = urlsplit(address.url)
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or "") and not allow_plain_http:
        raise InsecureServer(
            f"{address.url} is another machine and the connection would not be encrypted: use https, or set "
            "SAFELIGHT_ALLOW_PLAIN_HTTP=true if you trust the network",
            field="server",
        )
    return address


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
