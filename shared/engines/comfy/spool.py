"""Outputs on our disk between the server and the caller: received, checked, then named."""

import asyncio
import shutil
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from uuid import UUID

from shared.comfy.client import ComfyClient
from shared.comfy.errors import FileTooLarge
from shared.comfy.records import ServerFile, ServerText
from shared.engines.base import OutputRejected
from shared.engines.outputs import OutputFacts, verify_output
from shared.files import digest_bytes, digest_file, staged_file
from shared.ids import derived_key
from shared.jobs.events import Output, OutputKind
from shared.media import MediaLimits, media_type_for
from shared.naming import safe_name

__all__ = ["Spool"]

_GROUPS = {
    "images": OutputKind.IMAGE,
    "gifs": OutputKind.VIDEO,
    "video": OutputKind.VIDEO,
    "videos": OutputKind.VIDEO,
    "audio": OutputKind.AUDIO,
    "text": OutputKind.TEXT,
}
_CANCELLED = "cancelled"


class Spool:
    """One folder for each run. File names in it are our own; the server's are only suggestions."""

    def __init__(self, *, folder: Path, client: ComfyClient, limits: MediaLimits) -> None:
        self._folder = folder
        self._client = client
        self._limits = limits

    async def receive(self, run_id: str, found: ServerFile | ServerText) -> Output:
        """Fetch, check and keep one output. Raises FileGone, OutputRejected and what downloads raise."""
        name, facts = await self._received(run_id, found)
        return Output(
            node=found.node,
            index=found.index,
            kind=facts.kind,
            name=name,
            media_type=facts.media_type,
            bytes=facts.bytes,
            digest=facts.digest,
            width=facts.width,
            height=facts.height,
        )

    def has(self, run_id: str, output: Output) -> bool:
        return self._path(run_id, output.node, output.index).exists()

    async def copy(self, run_id: str, output: Output, sink: BinaryIO) -> None:
        """Raises OutputRejected when the kept bytes are not those that were checked."""
        await asyncio.to_thread(_copy, self._path(run_id, output.node, output.index), output, sink)

    def mark_cancelled(self, run_id: str) -> None:
        """A prompt taken out of the queue leaves no trace on the server, so we leave one here."""
        folder = self._run_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CANCELLED).touch()

    def is_cancelled(self, run_id: str) -> bool:
        return (self._run_folder(run_id) / _CANCELLED).exists()

    async def forget(self, run_id: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._run_folder(run_id), ignore_errors=True)

    async def _received(self, run_id: str, found: ServerFile | ServerText) -> tuple[str, OutputFacts]:
        target = self._path(run_id, found.node, found.index)
        with staged_file(target.parent) as (file, path):
            if isinstance(found, ServerText):
                data = found.text.encode("utf-8", "replace")
                file.write(data)
                name, facts = f"{safe_name(found.node)}_{found.index}.txt", _text_facts(data)
                file.close()
            else:
                name = safe_name(found.filename)
                await self._download(found, file, name)
                file.close()
                facts = await asyncio.to_thread(
                    verify_output, path, name=name, kind=_kind(found), limits=self._limits
                )
            path.replace(target)
        return name, facts

    async def _download(self, found: ServerFile, file: BinaryIO, name: str) -> None:
        try:
            await self._client.download(found, file, max_bytes=self._limits.max_bytes)
        except FileTooLarge as error:
            most = f"{self._limits.max_bytes / 1e6:.0f} MB"
            raise OutputRejected(
                f"the engine delivered a bad file: {name} has more than {most}", file=name
            ) from error

    def _path(self, run_id: str, node: str, index: int) -> Path:
        return self._run_folder(run_id) / derived_key(node, str(index))[:32]

    def _run_folder(self, run_id: str) -> Path:
        return self._folder / str(UUID(run_id))


def _kind(found: ServerFile) -> OutputKind:
    if found.is_temporary:
        return OutputKind.PREVIEW
    kind = _GROUPS.get(found.group, OutputKind.FILE)
    claimed = media_type_for(PurePosixPath(found.filename).suffix)
    is_unreadable = kind is OutputKind.IMAGE and not (claimed or "").startswith("image/")
    return OutputKind.FILE if is_unreadable else kind


def _text_facts(data: bytes) -> OutputFacts:
    return OutputFacts(
        kind=OutputKind.TEXT, media_type="text/plain", bytes=len(data), digest=digest_bytes(data)
    )


def _copy(path: Path, output: Output, sink: BinaryIO) -> None:
    if digest_file(path) != output.digest:
        raise OutputRejected(f"{output.name} is no longer what was checked", file=output.name)
    with path.open("rb") as file:
        shutil.copyfileobj(file, sink)
