"""`safelight-cloud servers`."""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from cloud.cli.opening import configure, with_context
from cloud.errors import InvalidRequest
from cloud.factory import Factory
from cloud.services.callers import COMMAND_LINE
from shared.api.servers import Server, ServerRequest, ServerState

__all__ = ["register"]

_T = TypeVar("_T")
_GB = 1024**3

_servers = typer.Typer(no_args_is_help=True, help="The GPU servers (ComfyUI) that run jobs.")
_Name = Annotated[str, typer.Argument(help="The server's name, as `servers list` shows it")]


def register(app: typer.Typer) -> None:
    app.add_typer(_servers, name="servers")


@_servers.command()
def add(
    url: Annotated[str, typer.Argument(help="Its address, like http://10.0.0.7:8188")],
    name: Annotated[str | None, typer.Option(help="How it is called; else after its address")] = None,
    pool: Annotated[str, typer.Option(help="Servers of one pool share jobs")] = "comfy",
    capacity: Annotated[int, typer.Option(min=1, max=16, help="Prompts that run at once")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="name=value; may be repeated")] = None,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="Read its token from stdin")] = False,
) -> None:
    """Register a server. Its token, if it wants one, is read from stdin and never an argument."""
    given = {
        "url": url,
        "name": name,
        "pool": pool,
        "capacity": capacity,
        "labels": dict(_label(text) for text in label or ()),
        "token": sys.stdin.readline().strip() if token_stdin else None,
    }
    try:
        request = ServerRequest.model_validate(given)
    except ValidationError as error:
        problem = error.errors()[0]
        raise InvalidRequest(
            f"{problem['loc'][0]}: {problem['msg']}", field=str(problem["loc"][0])
        ) from error
    added = _with_servers(lambda factory: factory.servers().add(COMMAND_LINE, request))
    typer.echo(f"{added.name} is registered in the pool {added.pool}")


@_servers.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
) -> None:
    """Show the servers and how they fare."""
    for server in _with_servers(lambda factory: factory.servers().all(COMMAND_LINE)).servers:
        typer.echo(server.model_dump_json() if as_json else _line(server))


@_servers.command()
def show(name: _Name) -> None:
    """All that is known of one, as JSON."""
    server = _with_servers(lambda factory: factory.servers().show(COMMAND_LINE, name))
    typer.echo(json.dumps(server.model_dump(mode="json"), indent=2))


@_servers.command()
def why(name: _Name) -> None:
    """Say why it has nothing to do, or not more than it has."""
    answer = _with_servers(lambda factory: factory.why().server(COMMAND_LINE, name))
    for reason in answer.reasons:
        typer.echo(reason.message)
    if not answer.reasons:
        typer.echo(f"nothing keeps {name} from working")


@_servers.command()
def enable(name: _Name) -> None:
    """Give it work (again)."""
    _set_state(name, ServerState.ACTIVE)


@_servers.command()
def drain(name: _Name) -> None:
    """Let it end what it has, and give it nothing new."""
    _set_state(name, ServerState.DRAINING)


@_servers.command()
def disable(name: _Name) -> None:
    """Take it out at once: what it has is handed to others, without losing an attempt."""
    _set_state(name, ServerState.DISABLED)


@_servers.command()
def remove(name: _Name) -> None:
    """Forget it. It must have no jobs: drain or disable it first."""
    _with_servers(lambda factory: factory.servers().remove(COMMAND_LINE, name))
    typer.echo(f"{name} is removed")


def _set_state(name: str, state: ServerState) -> None:
    server = _with_servers(lambda factory: factory.servers().set_state(COMMAND_LINE, name, state))
    typer.echo(_line(server))


def _with_servers(work: Callable[[Factory], Awaitable[_T]]) -> _T:
    return with_context(configure(), lambda context: work(Factory(context)))


def _label(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise InvalidRequest(f"--label {text}: write it as name=value", field="label")
    return name.strip(), value.strip()


def _line(server: Server) -> str:
    seen = "never seen" if server.seen_at is None else f"seen {server.seen_at:%Y-%m-%d %H:%M:%S}"
    memory = "" if server.memory_bytes is None else f"  {server.memory_bytes / _GB:.0f} GB"
    return (
        f"{server.name}  {server.state}  breaker {server.breaker.state}  pool {server.pool}  {seen}  "
        f"{server.device or 'unknown device'}{memory}  {server.url}"
    )
