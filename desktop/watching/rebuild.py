"""A ledger lost with its journal, won back from the records in the outputs."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from desktop.jobs.origin import read_origin, recipe_digest
from desktop.store.ledger import LedgerEntry
from desktop.watching.hot_folder import HotFolder
from desktop.watching.identity import identity_path
from desktop.watching.names import is_skipped_folder
from shared.files import TEMPORARY_PREFIX

__all__ = ["handled_before", "match_outputs"]

_NUMBERED = re.compile(r" \(\d+\)$")


def handled_before(folder: HotFolder, sources: Callable[[], Iterable[str]]) -> tuple[LedgerEntry, ...]:
    """Entries for the sources whose output lies there already, made by this recipe. Blocking.

    `sources` is asked only if there are such outputs.
    """
    recipe = recipe_digest(folder.recipe)
    records: list[tuple[str, str]] = []
    for path in _outputs(folder.out):
        origin = read_origin(path)
        if origin is not None and origin.recipe == recipe:
            records.append((path.relative_to(folder.out).as_posix(), origin.source))
    if not records:
        return ()
    return tuple(
        LedgerEntry(folder=folder.id, path=identity_path(source), digest=digest, generation=0)
        for source, digest in match_outputs(sources(), records)
    )


def match_outputs(sources: Iterable[str], records: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Source path and content digest for every output (its path, its source's digest) of that name.

    An output is in its source's subfolder under its source's name, perhaps numbered, perhaps with
    another suffix. Whether the source still holds that content is not asked here.
    """
    digests: defaultdict[str, set[str]] = defaultdict(set)
    for output, digest in records:
        stem = _stem(output)
        digests[stem].add(digest)
        digests[_NUMBERED.sub("", stem)].add(digest)
    return tuple((source, digest) for source in sources for digest in sorted(digests.get(_stem(source), ())))


def _stem(path: str) -> str:
    return identity_path(PurePosixPath(path).with_suffix("").as_posix()).casefold()


def _outputs(out: Path) -> Iterator[Path]:
    waiting = [out]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not is_skipped_folder(entry.name):
                    waiting.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False) and not entry.name.startswith(TEMPORARY_PREFIX):
                yield Path(entry.path)
