"""The event loop on which the cloud runs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvicorn

__all__ = ["run_quickly"]

_T = TypeVar("_T")


def run_quickly(work: Coroutine[Any, Any, _T]) -> _T:
    loop_factory = uvicorn.Config("cloud", log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)
