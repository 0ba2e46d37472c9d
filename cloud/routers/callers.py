"""What handlers need of a request: who calls, and the services for this unit of work."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Header
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from cloud.clients.rate_counter import Taken
from cloud.errors import SignInNeeded
from cloud.factory import Factory
from cloud.middleware.rate_limits import ALLOWANCE
from cloud.services.callers import Caller

__all__ = ["Called", "IdempotencyKey", "Made", "address_of", "admitted", "bearer_key", "factory_of"]

_bearer = HTTPBearer(auto_error=False, description="An API key, made by `safelight-cloud keys create`")


def factory_of(connection: HTTPConnection) -> Factory:
    return Factory(connection.app.state.context)


Made = Annotated[Factory, Depends(factory_of)]


async def _caller(
    connection: HTTPConnection,
    factory: Made,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if credentials is None:
        raise _no_key()
    return await admitted(connection, factory.admission().by_key, credentials.credentials)


async def admitted(
    connection: HTTPConnection, admit: Callable[..., Awaitable[tuple[Caller, Taken | None]]], text: str
) -> Caller:
    """Whoever has this key or ticket; the answer's headers will say what is left to them."""
    caller, left = await admit(text, address=address_of(connection))
    if left is not None:
        setattr(connection.state, ALLOWANCE, left)
    return caller


def address_of(connection: HTTPConnection) -> str:
    return "" if connection.client is None else connection.client.host


Called = Annotated[Caller, Depends(_caller)]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key and body give the same answer and do nothing more, however often they come",
    ),
]


def bearer_key(connection: HTTPConnection) -> str:
    """The key of a connection that dependencies do not serve. Raises SignInNeeded."""
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise _no_key()
    return key.strip()


def _no_key() -> SignInNeeded:
    return SignInNeeded("send an API key: Authorization: Bearer sl_live_…")
