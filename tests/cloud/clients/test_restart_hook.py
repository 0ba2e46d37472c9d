import sys
from pathlib import Path

from cloud.clients.restart_hook import RestartHook

_WRITES = "import os, sys; open(sys.argv[1], 'w').write(os.environ['SAFELIGHT_SERVER_NAME'])"


async def test_the_command_learns_which_server_it_is(tmp_path: Path) -> None:
    await RestartHook(f'{sys.executable} -c "{_WRITES}" {tmp_path / "said"}').restart("big", "http://big")
    assert (tmp_path / "said").read_text() == "big"


async def test_no_command_and_one_that_is_not_there_are_no_errors() -> None:
    await RestartHook(None).restart("big", "http://big")
    await RestartHook("/nowhere/restart").restart("big", "http://big")
