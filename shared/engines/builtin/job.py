"""One run, performed: from the folder's request to its terminal event. Runs in a child process."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from shared.engines.builtin.executor import NodeProgress, RunFailed, Surroundings, execute
from shared.engines.builtin.node_run import SavedFile
from shared.engines.builtin.run_folder import Request, RunFolder
from shared.engines.builtin.validation import checked_graph
from shared.engines.outputs import verify_output
from shared.errors import SafelightError
from shared.jobs.events import (
    Cancelled,
    Completed,
    Failed,
    JobEvent,
    Output,
    Progress,
    Started,
    TerminalEvent,
)
from shared.media import MediaLimits

__all__ = ["ENGINE_NAME", "perform"]

ENGINE_NAME = "builtin"
_CANCEL_CHECK_S = 0.02
_PROGRESS_S = 0.05
_WORTH_ANOTHER_TRY = frozenset({"disk_full"})


class _RunCancelled(Exception):
    """Raised between nodes, and within long ones, once the run was cancelled."""


def perform(folder: RunFolder, tell: Callable[[], None], limits: MediaLimits) -> None:
    """Run what the folder asks for; `tell` is called after each event that was written."""
    job = _Job(folder, folder.read_request(), tell, limits)
    job.started()
    job.write(job.ended())


class _Job:
    def __init__(
        self, folder: RunFolder, request: Request, tell: Callable[[], None], limits: MediaLimits
    ) -> None:
        self._folder = folder
        self._request = request
        self._tell = tell
        self._limits = limits
        self._looked_s = 0.0
        self._told_s = 0.0

    def write(self, event: JobEvent) -> None:
        self._folder.append(event)
        self._tell()

    def started(self) -> None:
        self.write(
            Started(
                job_id=self._request.job_id,
                attempt=self._request.attempt,
                at=datetime.now(UTC),
                engine=ENGINE_NAME,
            )
        )

    def ended(self) -> TerminalEvent:
        job_id, attempt = self._request.job_id, self._request.attempt
        try:
            outputs = self._outputs()
            return Completed(job_id=job_id, attempt=attempt, at=datetime.now(UTC), outputs=outputs)
        except _RunCancelled:
            return Cancelled(job_id=job_id, attempt=attempt, at=datetime.now(UTC))
        except SafelightError as error:
            code = error.cause if isinstance(error, RunFailed) else error.code
            return Failed(
                job_id=job_id,
                attempt=attempt,
                at=datetime.now(UTC),
                code=code,
                message=error.message,
                retryable=code in _WORTH_ANOTHER_TRY,
            )

    def _outputs(self) -> tuple[Output, ...]:
        self._folder.outputs.mkdir(exist_ok=True)
        files = self._request.files
        graph = checked_graph(self._request.graph, files.keys())
        around = Surroundings(
            files={place: self._folder.path / name for place, name in files.items()},
            folder=self._folder.outputs,
            now=datetime.now().astimezone(),
            on_progress=self._on_progress,
            on_text=lambda _node, _text: None,
            pause=self._pause,
        )
        saved = execute(graph, around)
        wanted = self._request.wanted
        indices: Counter[str] = Counter()
        outputs: list[Output] = []
        for file in saved:
            if wanted is None or file.node in wanted:
                self._pause()
                outputs.append(self._output(file, indices[file.node]))
                indices[file.node] += 1
        return tuple(outputs)

    def _output(self, file: SavedFile, index: int) -> Output:
        facts = verify_output(file.path, name=file.name, kind=file.kind, limits=self._limits)
        output = Output(
            node=file.node,
            index=index,
            kind=facts.kind,
            name=file.name,
            media_type=facts.media_type,
            bytes=facts.bytes,
            digest=facts.digest,
            width=facts.width,
            height=facts.height,
        )
        file.path.replace(self._folder.output_path(output))
        return output

    def _on_progress(self, progress: NodeProgress) -> None:
        now = time.monotonic()
        if now - self._told_s < _PROGRESS_S and progress.node is not None:
            return
        self._told_s = now
        self.write(
            Progress(
                job_id=self._request.job_id,
                attempt=self._request.attempt,
                at=datetime.now(UTC),
                fraction=progress.done / progress.total,
                node=progress.node,
            )
        )

    def _pause(self) -> None:
        now = time.monotonic()
        if now - self._looked_s >= _CANCEL_CHECK_S:
            self._looked_s = now
            if self._folder.is_cancel_asked():
                raise _RunCancelled
