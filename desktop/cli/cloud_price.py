"""The price that a command tells before it sends anything to the cloud."""

import json
import sys
from dataclasses import asdict

from desktop.engines.cloud import CloudEngine
from shared.engines.base import Engine

__all__ = ["tell_price"]


async def tell_price(engine: Engine, preset_id: str, *, as_json: bool) -> None:
    """One line on stderr: stdout is for the events of jobs. Nothing of a preset that the cloud does not have,
    which the job's failure will name. Raises EngineUnavailable where no job could be paid."""
    quote = await engine.quote(preset_id) if isinstance(engine, CloudEngine) else None
    if quote is None:
        return
    notice = {"notice": "quote", "message": quote.sentence, **asdict(quote)}
    sys.stderr.write(f"{json.dumps(notice) if as_json else f'safelight: {quote.sentence}'}\n")
    quote.require_credits()
