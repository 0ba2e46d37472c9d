from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cloud.api import Api, Client, open_api, settings_for


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """On both databases."""
    async with open_api(settings_for(database_url, tmp_path)) as opened:
        yield opened


@pytest.fixture
async def client(api: Api) -> Client:
    return await api.client()
