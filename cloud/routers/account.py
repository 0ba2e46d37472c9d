"""The caller's account, and its credits."""

from fastapi import APIRouter

from cloud.routers.answers import errors
from cloud.routers.callers import Called, Made
from cloud.routers.parameters import Cursor, PageLimit
from shared.api.accounts import Account
from shared.api.credits import CreditBalance, CreditEntryPage

__all__ = ["router"]

router = APIRouter(tags=["account"])


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
    cursor: Cursor = None,
    limit: PageLimit = 50,
) -> CreditEntryPage:
    """Every change of the balance, newest first."""
    return await factory.credits().entries(caller, cursor=cursor, limit=limit)
