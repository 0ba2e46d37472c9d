"""URLs that users give lead to the internet, and never to anything nearer."""

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.clients.safe_http import AnswerRefused, SafeHttp, SiteUnreachable
from cloud.clients.user_url import AddressRefused, is_public, read_user_url
from shared.files import digest_bytes
from tests.support.https_server import PUBLIC, Request, SmallInternet, answer, small_internet

HOST = "pictures.example"
URL = f"https://{HOST}/a.png?size=1"


@pytest.fixture
async def internet(tmp_path: Path) -> AsyncIterator[SmallInternet]:
    async with small_internet(tmp_path) as opened:
        yield opened


async def _fetch(http: SafeHttp, url: str = URL, *, most: int = 1000, timeout_s: float = 60) -> bytes:
    file = io.BytesIO()
    fetched = await http.fetch(url, file, max_bytes=most, timeout_s=timeout_s)
    assert (fetched.bytes, fetched.digest) == (len(file.getvalue()), digest_bytes(file.getvalue()))
    return file.getvalue()


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/",
        "ftp://pictures.example/",
        "file:///etc/passwd",
        "gopher://pictures.example/",
        "https://",
        "https:///path",
        "//pictures.example/",
        "pictures.example",
        "https://user@pictures.example/",
        "https://user:pass@pictures.example/",
        "https://pictures.example\\@127.0.0.1/",
        "https://@pictures.example/",
        "https://pictures.example:22/",
        "https://pictures.example:8443/",
        "https://localhost/",
        "https://localhost./",
        "https://intranet/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::1]/",
        "https://[fd00:ec2::254]/",
        "https://[64:ff9b::7f00:1]/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://8.8.8.8/",
        "https://１２７.0.0.1/",
        "https://pictures.example\r\nX: y/",
        "https://pictures.example/\x00",
    ],
)
def test_urls_that_are_not_taken(url: str) -> None:
    with pytest.raises(AddressRefused):
        read_user_url(url)


def test_url_is_read_once_into_parts() -> None:
    url = read_user_url("  https://Bücher.Example./a b?c=d#part ")
    assert (url.host, url.port, url.target) == ("xn--bcher-kva.example", 443, b"/a%20b?c=d")
    assert url.site == "xn--bcher-kva.example"
    assert read_user_url("https://a.example").target == b"/"


def test_operator_allows_hosts_by_name() -> None:
    allowed = ("localhost", "127.0.0.1:9000")
    assert read_user_url("http://localhost:1234/", allowed=allowed).is_allowed
    assert read_user_url("http://127.0.0.1:9000/", allowed=allowed).site == "127.0.0.1:9000"
    for url in ("http://127.0.0.1:9001/", "http://user@localhost/"):
        with pytest.raises(AddressRefused):
            read_user_url(url, allowed=allowed)
    assert not read_user_url("https://a.localhost/", allowed=allowed).is_allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1",
        "2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
        "ff02::1", "localhost", "", "2606:4700::1111%eth0",
    ],
)  # fmt: skip
def test_addresses_that_are_near(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001::200e"])
def test_addresses_on_the_internet(address: str) -> None:
    assert is_public(address)


async def test_name_is_resolved_once_and_its_address_asked_under_its_name(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    site.answers = [answer(200, b"picture")]

    assert await _fetch(internet.http()) == b"picture"

    assert (internet.resolved, internet.dialled) == ([HOST], [(PUBLIC, 443)])
    [asked] = site.asked
    assert (asked.method, asked.target, asked.headers["host"]) == ("GET", "/a.png?size=1", HOST)
    assert asked.headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & asked.headers.keys()


@pytest.mark.parametrize("near", ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "10.0.0.1"])
async def test_name_that_stands_for_something_near_is_not_asked(internet: SmallInternet, near: str) -> None:
    for addresses in ([near], [PUBLIC, near], [near, PUBLIC]):
        internet.addresses[HOST] = [addresses]
        with pytest.raises(AddressRefused, match="not on the public internet"):
            await _fetch(internet.http())
    assert internet.dialled == []


async def test_name_that_changes_what_it_stands_for(internet: SmallInternet) -> None:
    """What was checked is what is asked: a second look never happens."""
    site = await internet.site(HOST)
    site.answers = [answer(200, b"x")]
    internet.addresses[HOST] = [[PUBLIC], ["127.0.0.1"]]
    http = internet.http()

    assert await _fetch(http) == b"x"
    with pytest.raises(AddressRefused):
        await _fetch(http)
    assert internet.dialled == [(PUBLIC, 443)]


async def test_redirects_are_not_followed(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    for location in ("http://localhost/", "https://169.254.169.254/", f"https://{HOST}/other"):
        site.answers = [answer(302, b"", Location=location)]
        with pytest.raises(AnswerRefused, match="redirect"):
            await _fetch(internet.http())
    assert {asked.target for asked in site.asked} == {"/a.png?size=1"}


async def test_certificate_must_be_for_the_name_and_trusted(internet: SmallInternet, tmp_path: Path) -> None:
    await internet.site(HOST, certified="evil.example")
    with pytest.raises(SiteUnreachable, match="certificate"):
        await _fetch(internet.http())
    await internet.site("other.example")
    strangers = SafeHttp(resolve=internet.resolve, dial=internet)
    with pytest.raises(SiteUnreachable, match="certificate"):
        await _fetch(strangers, "https://other.example/")


async def test_size_is_limited_while_it_comes(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    site.answers = [answer(200, b"x" * 1001)]
    with pytest.raises(AnswerRefused, match="more than the 1000 bytes"):
        await _fetch(internet.http())

    async def endless(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")
            await writer.drain()

    site.answers = [endless]
    with pytest.raises(AnswerRefused, match="more than the 1000 bytes"):
        await _fetch(internet.http())


async def test_compressed_bodies_are_refused_unopened(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    site.answers = [answer(200, gzip.compress(bytes(100_000)), Content_Encoding="gzip")]
    with pytest.raises(AnswerRefused, match="compressed"):
        await _fetch(internet.http())


async def test_slow_sites_are_left(internet: SmallInternet) -> None:
    site = await internet.site(HOST)

    async def trickle(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def silent(_request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)

    for answering in (trickle, silent):
        site.answers = [answering]
        with pytest.raises(SiteUnreachable, match="within 0 s"):
            await _fetch(internet.http(), timeout_s=0.3)


async def test_what_may_go_better_another_time(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    site.answers = [answer(503, b"", Retry_After="7")]
    with pytest.raises(SiteUnreachable, match="answered 503") as caught:
        await _fetch(internet.http())
    assert caught.value.retry_after == timedelta(seconds=7)
    site.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"]
    with pytest.raises(SiteUnreachable, match="broke off"):
        await _fetch(internet.http())
    site.answers = [b"garbage\r\n\r\n"]
    with pytest.raises(SiteUnreachable):
        await _fetch(internet.http())
    with pytest.raises(SiteUnreachable, match="cannot be reached"):
        await _fetch(internet.http(), "https://gone.example/")


async def test_what_will_not_go_better(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    for status in (201, 204, 206, 400, 401, 403, 404, 410):
        site.answers = [answer(status)]
        with pytest.raises(AnswerRefused, match=str(status)):
            await _fetch(internet.http())


async def test_posting_answers_with_the_status_alone(internet: SmallInternet) -> None:
    site = await internet.site(HOST)
    site.answers = [answer(503, b"no", Retry_After="120"), answer(302, b"", Location="http://localhost/")]
    posted = await internet.http().post(URL, headers={"X-A": "b"}, body=b"{}", timeout_s=60)
    assert (posted.status, posted.retry_after) == (503, timedelta(seconds=120))
    assert (site.asked[0].body, site.asked[0].headers["x-a"]) == (b"{}", "b")
    assert (await internet.http().post(URL, headers={}, body=b"{}", timeout_s=60)).status == 302


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Fri, 21 Oct 2095 07:28:00 GMT", 86400, 86400),
        ("99999999999999999999", 86400, 86400),
        ("0", 0, 0),
    ],
)
async def test_time_to_come_again_is_a_number_or_a_date(
    internet: SmallInternet, text: str, least: int, most: int
) -> None:
    site = await internet.site(HOST)
    site.answers = [answer(503, b"", Retry_After=text)]
    posted = await internet.http().post(URL, headers={}, body=b"{}", timeout_s=60)
    assert posted.retry_after is not None
    assert least <= posted.retry_after.total_seconds() <= most


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e9", "\xff"])
async def test_nonsense_in_its_place_is_passed_over(internet: SmallInternet, text: str) -> None:
    site = await internet.site(HOST)
    site.answers = [f"HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: {text}\r\n\r\n".encode("latin-1")]
    posted = await internet.http().post(URL, headers={}, body=b"{}", timeout_s=60)
    assert (posted.status, posted.retry_after) == (503, None)


async def test_proxies_of_the_environment_are_not_asked(
    internet: SmallInternet, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await internet.site(HOST)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.answers = [answer(200, b"x")]
    assert await _fetch(internet.http()) == b"x"


async def test_allowed_host_is_asked_where_it_is(internet: SmallInternet) -> None:
    site = await internet.site("localhost", tls=False)
    site.answers = [answer(200, b"x")]
    http = SafeHttp(allowed_hosts=["localhost"])
    assert await _fetch(http, f"http://localhost:{site.port}/") == b"x"
