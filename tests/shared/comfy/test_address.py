import pytest

from shared.comfy.address import InvalidAddress, ServerAddress, parse_address


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("127.0.0.1:8188", "http://127.0.0.1:8188"),
        ("localhost:8188", "http://127.0.0.1:8188"),
        ("http://LOCALHOST:8188/", "http://127.0.0.1:8188"),
        ("https://gpu.example/comfy/", "https://gpu.example/comfy"),
        ("http://[::1]:8188", "http://[::1]:8188"),
    ],
)
def test_equal_servers_have_equal_addresses(written: str, url: str) -> None:
    assert parse_address(written) == ServerAddress(url)


def test_credentials_are_kept_apart() -> None:
    address = parse_address("https://me:p%40ss@gpu.example")

    assert (address.url, address.headers) == ("https://gpu.example", {"Authorization": "Basic bWU6cEBzcw=="})
    assert "p@ss" not in repr(address)


def test_the_socket_has_the_same_security() -> None:
    assert parse_address("https://gpu.example").socket_url("a b") == "wss://gpu.example/ws?clientId=a%20b"
    assert parse_address("gpu:8188").socket_url("x") == "ws://gpu:8188/ws?clientId=x"


@pytest.mark.parametrize(
    "written",
    [
        "", "ftp://x", "http://", "http://x:port", "http://x:99999", "file:///etc/passwd", "http://[::1",
        "http://a b", "http://\x01", "http://x/\na", "http://\ud800", "http://me\ud800:pw@x",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(InvalidAddress, match=r"write it like http://127\.0\.0\.1:8188") as refused:
        parse_address(written)
    assert "pw" not in refused.value.message
    assert refused.value.message.isascii()
