from datetime import timedelta

import pytest

from cloud.errors import Conflict, InvalidRequest, NotFound, SignInNeeded
from cloud.repositories.database import Database
from cloud.services.callers import Scope
from cloud.services.keys import Keys
from cloud.services.users import Users


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database=database)


@pytest.fixture
def users(database: Database) -> Users:
    return Users(database=database)


async def test_key_acts_for_the_account_of_its_user(keys: Keys, users: Users) -> None:
    user = await users.create(email="A@Example.com", name="A")
    made = await keys.create(email="a@example.COM", name="x", scopes=[Scope.READ], valid_for=None)

    caller = await keys.authenticate(made.text)

    assert (caller.account_id, caller.key_id, caller.scopes) == (user.account_id, made.id, {"read"})


async def test_use_is_noted_and_the_text_is_not_kept(keys: Keys, users: Users) -> None:
    await users.ensure_one()
    await users.ensure_one()
    made = await keys.create(email=None, name="x", scopes=list(Scope), valid_for=None)
    [before] = await keys.all()
    await keys.authenticate(made.text)
    [after] = await keys.all()

    assert (before.last_used_at, after.last_used_at is None) == (None, False)
    assert made.text not in repr(after)


async def test_expired_key_is_refused(database: Database, keys: Keys, users: Users) -> None:
    await users.ensure_one()
    made = await keys.create(email=None, name="x", scopes=list(Scope), valid_for=timedelta(days=1))
    await keys.authenticate(made.text)
    database.clock_offset = timedelta(days=1, seconds=1)
    with pytest.raises(SignInNeeded):
        await keys.authenticate(made.text)


async def test_revoked_key_is_refused_at_once(keys: Keys, users: Users) -> None:
    await users.ensure_one()
    made = await keys.create(email=None, name="x", scopes=list(Scope), valid_for=None)
    for _ in range(2):
        await keys.revoke(made.id)
    with pytest.raises(SignInNeeded):
        await keys.authenticate(made.text)


async def test_what_is_unknown_is_said(keys: Keys, users: Users) -> None:
    with pytest.raises(NotFound, match="users create"):
        await keys.create(email=None, name="x", scopes=list(Scope), valid_for=None)
    with pytest.raises(NotFound, match="no key"):
        await keys.revoke("nope")
    await users.create(email="a@example.com", name="A")
    await users.create(email="b@example.com", name="B")
    with pytest.raises(InvalidRequest, match="--user"):
        await keys.create(email=None, name="x", scopes=list(Scope), valid_for=None)
    with pytest.raises(InvalidRequest, match="scopes"):
        await keys.create(email="a@example.com", name="x", scopes=["admin"], valid_for=None)
    with pytest.raises(InvalidRequest, match="cannot be seen"):
        await keys.create(email="a@example.com", name="x\u202ey", scopes=[Scope.READ], valid_for=None)
    with pytest.raises(InvalidRequest, match="cannot be seen"):
        await users.create(email="c@example.com", name="C\u202e")
    with pytest.raises(Conflict):
        await users.create(email="A@example.com", name="A")
    with pytest.raises(InvalidRequest):
        await users.create(email="nobody", name="A")
