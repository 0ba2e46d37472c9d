"""What a node may ask of the run it belongs to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.engines.builtin.output_names import OutputNames
from shared.jobs.events import OutputKind

__all__ = ["NodeRun", "SavedFile"]


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file that a node wrote: `name` as the server would call it, `path` where it lies."""

    node: str
    kind: OutputKind
    name: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRun:
    """One node's view: where to put files, how to tell texts, and when to stop.

    `pause` is called now and then by what takes long; it raises when the run was cancelled.
    `graph_text` is the graph as JSON, for the metadata of saved pictures.
    """

    node: str
    folder: Path
    names: OutputNames
    graph_text: str
    pause: Callable[[], None]
    say: Callable[[str], None]
    saved: list[SavedFile]

    def new_file(self, name: str, suffix: str, kind: OutputKind) -> Path:
        """A path for one more file of this node; the user's texts never become paths."""
        path = self.folder / f"{len(self.saved):05}{suffix}"
        self.saved.append(SavedFile(self.node, kind, name, path))
        return path
