"""The two forms of a job: a row of the journal, and a value."""

import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePath

from pydantic import TypeAdapter

from desktop.store.job import (
    DeliveredOutput,
    Delivery,
    EngineChoice,
    GraphRecipe,
    Job,
    JobError,
    JobInput,
    NewJob,
    OutputPolicy,
    PresetRecipe,
    Recipe,
)
from shared.comfy.graph import parse_graph
from shared.engines.base import Ticket
from shared.jobs.state import JobState

__all__ = ["job_from_row", "new_job_columns", "outputs_to_json"]

_INPUTS = TypeAdapter(tuple[JobInput, ...])
_OUTPUTS = TypeAdapter(tuple[DeliveredOutput, ...])
_POLICY = TypeAdapter(OutputPolicy)

_Column = str | bytes | int | None


def new_job_columns(new: NewJob) -> dict[str, _Column]:
    """Paths are kept as the system's own bytes, so that names that are no text survive."""
    return {
        "key": new.key,
        "batch": new.batch,
        "ledger_key": new.ledger_key,
        "source": os.fsencode(new.source),
        "source_name": _text(new.source_name),
        "source_digest": new.source_digest,
        "inputs": json.dumps([{**asdict(item), "path": str(item.path)} for item in new.inputs]),
        "out_folder": os.fsencode(new.out_folder),
        "relative_path": os.fsencode(new.relative_path),
        "output_policy": json.dumps(asdict(new.output_policy)),
        "engine_choice": new.engine,
        "server": new.server,
        "lineage": json.dumps(new.lineage),
        "retry_of": new.retry_of,
        **_recipe_columns(new.recipe),
    }


def _text(name: str) -> str:
    """`name` with any undecodable bytes made visible: SQLite takes no lone surrogates."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _recipe_columns(recipe: Recipe) -> dict[str, _Column]:
    match recipe:
        case PresetRecipe():
            return {
                "preset_id": recipe.preset_id,
                "preset_version": recipe.version,
                "preset_digest": recipe.digest,
                "preset_values": json.dumps(dict(recipe.values)),
                "graph": None,
            }
        case GraphRecipe():
            return {
                "preset_id": None,
                "preset_version": None,
                "preset_digest": None,
                "preset_values": None,
                "graph": json.dumps(recipe.graph.to_json()),
            }


def outputs_to_json(outputs: tuple[DeliveredOutput, ...]) -> str:
    return json.dumps(
        [{**asdict(item), "path": None if item.path is None else str(item.path)} for item in outputs]
    )


def job_from_row(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        seq=row["seq"],
        order=_order(row),
        state=JobState(row["state"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        attempt=row["attempt"],
        engine=row["engine"],
        ticket=None if row["ticket"] is None else Ticket.from_json(row["ticket"]),
        delivery=Delivery(row["delivery"]),
        delivery_reason=row["delivery_reason"],
        outputs=_OUTPUTS.validate_python([_with_path(item) for item in json.loads(row["outputs"])]),
        error=_error(row),
        holder=row["holder"],
        cancel_requested=bool(row["cancel_requested"]),
        started_at=_time(row["started_at"]),
        finished_at=_time(row["finished_at"]),
    )


def _order(row: sqlite3.Row) -> NewJob:
    return NewJob(
        key=row["key"],
        batch=row["batch"],
        recipe=_recipe(row),
        inputs=_INPUTS.validate_python([_with_path(item) for item in json.loads(row["inputs"])]),
        out_folder=Path(os.fsdecode(row["out_folder"])),
        relative_path=PurePath(os.fsdecode(row["relative_path"])),
        source=Path(os.fsdecode(row["source"])),
        source_name=row["source_name"],
        source_digest=row["source_digest"],
        output_policy=_POLICY.validate_json(row["output_policy"]),
        engine=EngineChoice(row["engine_choice"]),
        server=row["server"],
        ledger_key=row["ledger_key"],
        lineage=tuple(json.loads(row["lineage"])),
        retry_of=row["retry_of"],
    )


def _with_path(item: Mapping[str, object]) -> dict[str, object]:
    """Made a Path here: pydantic refuses strings that hold undecodable bytes."""
    path = item["path"]
    return {**item, "path": Path(path) if isinstance(path, str) else None}


def _recipe(row: sqlite3.Row) -> Recipe:
    if row["graph"] is not None:
        return GraphRecipe(parse_graph(json.loads(row["graph"])))
    return PresetRecipe(
        preset_id=row["preset_id"],
        version=row["preset_version"],
        digest=row["preset_digest"],
        values=json.loads(row["preset_values"]),
    )


def _error(row: sqlite3.Row) -> JobError | None:
    if row["error_code"] is None:
        return None
    return JobError(row["error_code"], row["error_message"], bool(row["error_retryable"]))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
