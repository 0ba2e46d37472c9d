"""The caller's account, and its credits."""

from typing import Annotated

from fastapi import APIRouter, Query

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from shared.api.accounts import Account
from shared.api.credits import CreditBalance, CreditEntryPage

__all__ = ["router"]

router = APIRouter(tags=["account"])

_PRINTABLE = r"^[\x21-\x7e]+$"


@router.get("/account", responses=errors(401, 403))
async def show_account(caller: Called, factory: Made) -> Account:
    """The plan, what it allows, and what was used of it."""
    return await factory.accounts().show(caller)


@router.get("/credits", responses=errors(401, 403))
async def show_credits(caller: Called, factory: Made) -> CreditBalance:
    return await factory.credits().show(caller)


@router.get("/credits/entries", responses=errors(401, 403, 422))
async def list_credit_entries(
    caller: Called,
    factory: Made,
    cursor: Annotated[str | None, Query(max_length=100, pattern=_PRINTABLE)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CreditEntryPage:
    """Every change of the balance, newest first."""
    return await factory.credits().entries(caller, cursor=cursor, limit=limit)
