"""What a job would cost, before it is submitted."""

from cloud.errors import NotFound
from cloud.repositories.database import Database
from cloud.services.callers import Caller, Scope
from cloud.services.drafts import Drafts
from cloud.services.presets import Presets
from shared.api.credits import Quote

__all__ = ["Quotes"]


class Quotes:
    def __init__(self, *, database: Database, presets: Presets, drafts: Drafts) -> None:
        self._database = database
        self._presets = presets
        self._drafts = drafts

    async def show(self, caller: Caller, preset_id: str) -> Quote:
        """Raises NotFound."""
        caller.require(Scope.READ)
        preset = self._presets.find(preset_id)
        if preset is None:
            raise NotFound(f"there is no preset {preset_id!r}", preset=preset_id)
        price = await self._database.read(lambda unit: self._drafts.price(unit, preset))
        return Quote(
            preset=preset.manifest.id,
            preset_version=preset.manifest.version,
            price=price.credits,
            basis=price.basis,
            expected_s=price.expected_s,
        )
