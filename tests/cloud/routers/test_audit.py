"""What is kept of operators' deeds, and of keys that were refused."""

from cloud.repositories.audit import AuditEntry
from cloud.services.callers import COMMAND_LINE
from cloud.services.key_text import new_key
from shared.api.accounts import Plan
from tests.cloud.api import BASE, Api


async def _entries(api: Api) -> list[AuditEntry]:
    """The oldest first."""
    return list(reversed(await api.context.database.read(lambda unit: unit.audit.newest(100))))


async def _sent(api: Api, key: str, request_id: str = "one") -> int:
    headers = {"Authorization": f"Bearer {key}", "X-Request-ID": request_id}
    return (await api.http.get(f"{BASE}/api/v1/jobs", headers=headers)).status_code


async def test_changes_by_command_are_kept_with_what_was_before(api: Api) -> None:
    client = await api.client()
    accounts, user = api.factory.accounts(), await api.factory.users().find("a@example.com")
    await accounts.set_plan(COMMAND_LINE, user, Plan.STUDIO)
    await accounts.set_pool(COMMAND_LINE, user, "own")
    await accounts.allow_graphs(COMMAND_LINE, user, allowed=True)
    told = [
        (entry.action, entry.subject, entry.details)
        for entry in await _entries(api)
        if entry.action.startswith("account.")
    ]
    assert told == [
        ("account.plan", client.account_id, {"from": "free", "to": "studio"}),
        ("account.pool", client.account_id, {"from": None, "to": "own"}),
        ("account.allow_graphs", client.account_id, {"allowed": True}),
    ]
    assert "user.create" in {entry.action for entry in await _entries(api)}


async def test_refused_keys_are_kept_once_a_minute_and_without_the_key(api: Api) -> None:
    guessed = new_key()
    assert [await _sent(api, key) for key in (guessed, new_key(), "nonsense")] == [401] * 3
    [entry] = [entry for entry in await _entries(api) if entry.action == "sign_in.refused"]
    assert (entry.actor, entry.subject, entry.request_id) == ("address 127.0.0.1", "", "one")
    assert guessed not in str(entry)


async def test_a_revoked_key_is_kept_by_its_id(api: Api) -> None:
    client = await api.client()
    await api.factory.keys().revoke(client.key_id)
    assert await _sent(api, client.key) == 401
    [entry] = [entry for entry in await _entries(api) if entry.action == "sign_in.refused"]
    assert (entry.subject, entry.details) == (client.key_id, {"account": client.account_id})
    assert client.key not in str(entry)
