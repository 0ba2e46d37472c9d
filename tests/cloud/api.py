"""The API as a client meets it, without a network: one process context and callers of it."""

import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from cloud.clients.blob import artifact_key
from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.main import asgi_app
from cloud.migrations.upgrade import newest_version
from cloud.repositories.artifacts import ArtifactFacts
from cloud.services.callers import Scope
from cloud.settings import Settings
from shared.api.accounts import Plan
from shared.files import digest_bytes, staged_file

__all__ = ["BASE", "PRESET", "Api", "Client", "open_api", "picture", "settings_for"]

BASE = "http://127.0.0.1:8000"
PRESET = "noir"


def settings_for(database_url: str, folder: Path, **more: Any) -> Settings:
    return Settings(database_url=database_url, data_dir=folder, secret_key="s" * 40, **more)


def picture(color: str = "red", format: str = "PNG") -> bytes:  # noqa: A002 - as Pillow calls it
    file = io.BytesIO()
    Image.new("RGB", (32, 24), color).save(file, format)
    return file.getvalue()


@dataclass
class Client:
    """One key's view of the API."""

    context: ProcessContext
    http: httpx.AsyncClient
    key: str
    key_id: str
    account_id: str

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        return await self.http.request(method, f"{BASE}/api/v1{path}", headers=headers, **more)

    async def announce(self, data: bytes) -> dict[str, Any]:
        body = {"digest": digest_bytes(data), "bytes": len(data)}
        answer = await self.call("POST", "/artifacts", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def upload(self, data: bytes) -> dict[str, Any]:
        """The artifact after its bytes were sent and looked at."""
        link = (await self.announce(data))["upload"]
        sent = await self.http.request(link["method"], link["url"], headers=link["headers"], content=data)
        assert sent.status_code == 204, sent.text
        done = await self.call("POST", f"/artifacts/{hashlib.sha256(data).hexdigest()}/complete")
        assert done.status_code == 200, done.text
        return dict(done.json())

    async def send(self, data: bytes) -> dict[str, Any]:
        """The same in one request."""
        headers = {"Content-Type": "application/octet-stream"}
        sent = await self.call("PUT", f"/artifacts/{digest_bytes(data)}", content=data, headers=headers)
        assert sent.status_code == 200, sent.text
        return dict(sent.json())

    async def known_picture(self) -> str:
        """The digest of a picture that is in the store, put there by a shorter way than a client's."""
        data = picture()
        digest = digest_bytes(data)
        with staged_file(self.context.blobs.staging_folder) as (file, path):
            file.write(data)
            file.flush()
            await self.context.blobs.adopt(artifact_key(self.account_id, digest), path)
        facts = ArtifactFacts("image/png", 32, 24)
        await self.context.database.write(
            lambda unit: unit.artifacts.add_made(self.account_id, digest, len(data), facts)
        )
        return digest

    async def share_id(self) -> str:
        answer = await self.call("POST", f"/artifacts/{await self.known_picture()}/shares", json={})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["share"]["id"])

    async def body(self, **more: Any) -> dict[str, Any]:
        """A job that would be accepted."""
        photo = {"digest": await self.known_picture(), "name": "a.png"}
        return {"preset": PRESET, "inputs": {"photo": [photo]}, **more}

    async def submit(self, body: dict[str, Any] | None = None, *, key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.call("POST", "/jobs", json=body or await self.body(), headers=headers)

    async def job_id(self) -> str:
        answer = await self.submit()
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


@dataclass
class Api:
    context: ProcessContext
    http: httpx.AsyncClient

    @property
    def factory(self) -> Factory:
        return Factory(self.context)

    async def client(
        self,
        email: str = "a@example.com",
        scopes: Collection[Scope] = tuple(Scope),
        plan: Plan = Plan.FREE,
        requests_per_minute: int | None = None,
    ) -> Client:
        users = await self.factory.users().all()
        if email not in {user.email for user in users}:
            await self.factory.users().create(email=email, name=email, plan=plan)
        key = await self.factory.keys().create(
            email=email,
            name="test",
            scopes=scopes,
            valid_for=None,
            requests_per_minute=requests_per_minute,
        )
        return Client(self.context, self.http, key.text, key.id, key.account_id)


@contextlib.asynccontextmanager
async def open_api(settings: Settings, *, price: int | None = None) -> AsyncIterator[Api]:
    """With a price, it is that of the preset of `body`."""
    async with open_context(settings, schema_version=newest_version()) as opened:
        preset = opened.presets[PRESET]
        offered = preset if price is None else replace(preset, manifest=replace(preset.manifest, price=price))
        context = replace(opened, presets={**opened.presets, PRESET: offered})
        transport = httpx.ASGITransport(asgi_app(context), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as http:
            yield Api(context, http)
