"""Sites with certificates of their own authority, and a network in which names stand for them."""

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpcore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud.clients.safe_http import SafeHttp

__all__ = ["PUBLIC", "Request", "Site", "SmallInternet", "answer", "small_internet"]

PUBLIC = "93.184.215.14"
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of an answer; `retry_after` is the header Retry-After."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Site:
    """Answers what it was told, in order; the last one again and again. Records what it was asked."""

    answers: list[bytes | Handler] = field(default_factory=lambda: [answer()])
    asked: list[Request] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    async def until(self, count: int, within_s: float = 60) -> list[Request]:
        async with asyncio.timeout(within_s):
            while len(self.asked) < count:
                self.heard.clear()
                await self.heard.wait()
        return self.asked

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            request = await _read(reader)
            reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self.asked.append(request)
            self.heard.set()
            if isinstance(reply, bytes):
                writer.write(reply)
            else:
                await reply(request, writer)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@dataclass
class SmallInternet(httpcore.AsyncNetworkBackend):
    """`addresses` are what a name stands for, from one asking to the next; `PUBLIC` is where the sites
    are. `dialled` are the addresses that somebody connected to."""

    authority: "_Authority"
    stack: contextlib.AsyncExitStack
    addresses: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    last: str = ""

    async def site(self, host: str, *, certified: str | None = None, tls: bool = True) -> Site:
        """At `https://host/`, or as plain HTTP; `certified` is the name that its certificate has."""
        site = self.sites[host] = Site()
        context = self.authority.server_context(certified or host) if tls else None
        server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=context)
        self.stack.push_async_callback(_closed, server)
        site.port = server.sockets[0].getsockname()[1]
        return site

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        self.resolved.append(host)
        self.last = host
        given = self.addresses.get(host, [[PUBLIC]])
        return given.pop(0) if len(given) > 1 else given[0]

    def http(self, *allowed: str) -> SafeHttp:
        return SafeHttp(
            allowed_hosts=allowed, resolve=self.resolve, dial=self, tls=self.authority.client_context()
        )

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        site = self.sites.get(self.last)
        if host != PUBLIC or site is None:
            raise httpcore.ConnectError("no such host")
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", site.port, timeout)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def small_internet(folder: Path) -> AsyncIterator[SmallInternet]:
    async with contextlib.AsyncExitStack() as stack:
        yield SmallInternet(_Authority(folder), stack)


async def _closed(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = first.split(" ")
    return Request(method, target, headers, body)


class _Authority:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        key_use = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_use, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def bundle(self) -> Path:
        path = self._folder / "authority.pem"
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.bundle)

    def server_context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(subject, key)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
        )
