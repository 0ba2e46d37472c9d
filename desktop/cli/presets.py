"""`safelight presets`: what presets there are, and making, checking and sharing them."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from desktop.cli.exit_code import ExitCode
from desktop.cli.options import JsonOption

__all__ = ["register"]

_PresetId = Annotated[str, typer.Argument(metavar="ID", help="As in `safelight presets list`.")]


def register(app: typer.Typer) -> None:
    commands = typer.Typer(help="List, show, check and share presets.", no_args_is_help=True)
    commands.command("list")(_list)
    commands.command("show")(_show)
    commands.command("check")(_check)
    commands.command("import")(_import)
    commands.command("pack")(_pack)
    commands.command("install")(_install)
    app.add_typer(commands, name="presets")


def _list(as_json: JsonOption = False) -> int:
    """List the presets on this machine."""
    from desktop.cli.preset_report import print_preset_line, print_preset_table
    from desktop.cli.preset_shelf import presets_here

    presets = presets_here()
    if as_json:
        for preset in presets:
            print_preset_line(preset)
    else:
        print_preset_table(presets)
    return ExitCode.DONE


def _show(preset_id: _PresetId, as_json: JsonOption = False) -> int:
    """Show what a preset offers and needs."""
    from desktop.cli.preset_report import print_preset_line, print_preset_sheet
    from desktop.cli.preset_shelf import preset_here

    preset = preset_here(preset_id)
    (print_preset_line if as_json else print_preset_sheet)(preset)
    return ExitCode.DONE


def _check(
    bundles: Annotated[list[str] | None, typer.Argument(metavar="[FOLDER|ID]...")] = None,
    run: Annotated[bool, typer.Option("--run/--no-run", help="Run the samples of instant presets.")] = True,
    as_json: JsonOption = False,
) -> int:
    """Check bundles; without names, all presets on this machine. Exit code 1 if one has a flaw."""
    from desktop.cli.preset_report import print_flaws
    from desktop.cli.preset_shelf import all_flaws, bundles_named

    sound = True
    for folder, flaws in asyncio.run(all_flaws(bundles_named(bundles or []), run=run)):
        print_flaws(folder, flaws, as_json=as_json)
        sound &= all(flaw.note for flaw in flaws)
    return ExitCode.DONE if sound else ExitCode.SOME_FAILED


def _import(
    graph: Annotated[Path, typer.Argument(help="A ComfyUI workflow in API format.")],
    *,
    preset_id: Annotated[str, typer.Option("--id", help="Lower-case words joined by hyphens.")],
    name: Annotated[str | None, typer.Option("--name", help="As people read it.")] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder to make the bundle in.")] = Path(),
) -> int:
    """Make the draft of a preset from a ComfyUI workflow; `check` then says what it still lacks."""
    from desktop.cli.preset_exchange import import_graph

    folder = import_graph(graph, preset_id=preset_id, name=name, out=out)
    typer.echo(f"{folder} · next: `safelight presets check {folder}`")
    return ExitCode.DONE


def _pack(
    bundle: Annotated[str, typer.Argument(metavar="FOLDER|ID")],
    out: Annotated[Path | None, typer.Option("--out", help="The file to write.")] = None,
) -> int:
    """Pack a bundle into one signed file that others can install."""
    from desktop.cli.preset_exchange import pack

    path, fingerprint = pack(bundle, out)
    typer.echo(f"{path} · signed {fingerprint}")
    return ExitCode.DONE


def _install(
    file: Annotated[Path, typer.Argument(help="A bundle file made by `safelight presets pack`.")],
    *,
    new_signer: Annotated[
        bool, typer.Option("--new-signer", help="Accept another author than that of the installed version.")
    ] = False,
) -> int:
    """Install a preset from a bundle file."""
    from desktop.cli.preset_exchange import install_file

    preset, fingerprint = install_file(file, new_signer=new_signer)
    typer.echo(f"{preset.manifest.id} {preset.manifest.version} is installed · signed {fingerprint}")
    return ExitCode.DONE
