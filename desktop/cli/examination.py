"""What the doctor looks at."""

import asyncio
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from desktop.runtime import Runtime, open_runtime
from desktop.settings import Settings, load_settings
from shared.errors import SafelightError
from shared.jobs.state import JobState

__all__ = ["Finding", "Verdict", "examine"]

_LITTLE_BYTES = 1 << 30
_OPTIONAL = (("HEIC pictures", "pillow_heif", "heic"), ("camera RAW files", "rawpy", "raw"))


class Verdict(StrEnum):
    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    what: str
    detail: str


async def examine() -> tuple[Finding, ...]:
    findings = [Finding(Verdict.GOOD, "system", f"{platform.platform()}, Python {platform.python_version()}")]
    try:
        settings = load_settings()
    except SafelightError as error:
        return (*findings, Finding(Verdict.PROBLEM, "settings", error.message))
    findings.append(Finding(Verdict.GOOD, "settings", "are in order"))
    findings += [
        await asyncio.to_thread(_folder, "data folder", settings.data_dir),
        await asyncio.to_thread(_folder, "output folder", settings.output_dir),
    ]
    findings += [finding async for finding in _core(settings)]
    return (*findings, *(_optional(*item) for item in _OPTIONAL))


def _folder(what: str, folder: Path) -> Finding:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            free = shutil.disk_usage(nearest).free
    except OSError as error:
        return Finding(Verdict.PROBLEM, what, f"{os.fspath(folder)} cannot be written: {error.strerror}")
    verdict = Verdict.NOTE if free < _LITTLE_BYTES else Verdict.GOOD
    return Finding(verdict, what, f"{folder}, {free / 1e9:.1f} GB free")


async def _core(settings: Settings) -> AsyncIterator[Finding]:
    try:
        async with open_runtime(settings) as runtime:
            yield await _journal(runtime)
            yield await _presets(runtime)
            for engine in await runtime.engines():
                verdict = Verdict.GOOD if engine.reachable else Verdict.NOTE
                yield Finding(verdict, f"engine {engine.name}", engine.detail)
    except SafelightError as error:
        yield Finding(Verdict.PROBLEM, "journal", error.message)


async def _journal(runtime: Runtime) -> Finding:
    aside = runtime.database.set_aside
    if aside is not None:
        return Finding(
            Verdict.NOTE, "journal", f"was damaged; the old one is {aside}, and a new one was begun"
        )
    failed = len(await runtime.queue.latest(10_000, state=JobState.FAILED))
    waiting = len(await runtime.queue.latest(10_000, state=JobState.QUEUED))
    return Finding(
        Verdict.GOOD, "journal", f"{waiting} jobs wait, {failed} failed (safelight jobs list --failed)"
    )


async def _presets(runtime: Runtime) -> Finding:
    presets = await runtime.catalog.all()
    if not presets:
        return Finding(Verdict.PROBLEM, "presets", "none was found: install Safelight again")
    return Finding(Verdict.GOOD, "presets", ", ".join(preset.manifest.id for preset in presets))


def _optional(what: str, module: str, extra: str) -> Finding:
    if importlib.util.find_spec(module) is not None:
        return Finding(Verdict.GOOD, what, "can be read")
    return Finding(Verdict.NOTE, what, f"cannot be read; pip install 'safelight[{extra}]' adds them")
