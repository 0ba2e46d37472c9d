"""The commands that end, on the database of one box."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.cli.opening import only_process
from cloud.cli.program import app, main
from cloud.errors import InvalidRequest
from cloud.migrations.upgrade import newest_version
from cloud.services.key_text import looks_right
from cloud.settings import load_settings
from tests.support.s3_server import S3Server

LOOKED_AT = [
    "settings",
    "database",
    "tables",
    "storage",
    "queue",
    "disk",
    "clock",
    "outbox",
    "webhooks",
    "servers",
    "credits",
]


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"SAFELIGHT_DATA_DIR": str(tmp_path), "SAFELIGHT_LOG_LEVEL": "error"})


def test_first_key_needs_nothing_else(runner: CliRunner) -> None:
    made = runner.invoke(app, ["keys", "create", "--name", "laptop"])
    assert (made.exit_code, looks_right(made.stdout.strip())) == (0, True)

    listed = runner.invoke(app, ["keys", "list"]).stdout
    assert "laptop" in listed
    assert "never used" in listed
    assert made.stdout.strip() not in listed
    assert "owner@localhost" in runner.invoke(app, ["users", "list"]).stdout


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
def test_a_key_has_a_name_of_some_length(runner: CliRunner, name: str) -> None:
    refused = runner.invoke(app, ["keys", "create", "--name", name])
    assert isinstance(refused.exception, InvalidRequest)
    assert refused.exception.details == {"field": "name"}


def test_key_is_revoked_by_its_id(runner: CliRunner) -> None:
    runner.invoke(app, ["keys", "create", "--scope", "read", "--days", "30"])
    key_id = runner.invoke(app, ["keys", "list"]).stdout.split()[0]

    assert runner.invoke(app, ["keys", "revoke", key_id]).exit_code == 0
    assert "revoked" in runner.invoke(app, ["keys", "list"]).stdout


def test_people_are_added_and_shown(runner: CliRunner) -> None:
    assert runner.invoke(app, ["users", "create", "ann@example.com", "--name", "Ann"]).exit_code == 0
    assert "ann@example.com  Ann" in runner.invoke(app, ["users", "list"]).stdout
    assert runner.invoke(app, ["keys", "create", "--user", "ann@example.com"]).exit_code == 0


def test_migrating_twice_is_no_error(runner: CliRunner) -> None:
    for _ in range(2):
        done = runner.invoke(app, ["migrate"])
        assert (done.exit_code, f"version {newest_version()}" in done.stdout) == (0, True)


def test_doctor_says_what_is_wanting(runner: CliRunner) -> None:
    before = runner.invoke(app, ["doctor"])
    assert before.exit_code == 1
    assert "✗ tables" in before.stdout
    assert "safelight-cloud migrate" in before.stdout
    runner.invoke(app, ["migrate"])
    after = runner.invoke(app, ["doctor"])
    assert (after.exit_code, "✗" in after.stdout) == (0, False)
    found = json.loads(runner.invoke(app, ["doctor", "--json"]).stdout)["findings"]
    assert {finding["name"]: finding["verdict"] for finding in found} == dict.fromkeys(LOOKED_AT, "good")


def test_mistake_is_one_sentence_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["safelight-cloud", "keys", "revoke", "nope"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == "safelight-cloud: there is no key nope"


def test_wrong_settings_stop_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFELIGHT_ENVIRONMENT", "production")
    monkeypatch.setattr("sys.argv", ["safelight-cloud", "serve"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "SAFELIGHT_SECRET_KEY" in capsys.readouterr().err


def test_a_server_is_registered_with_its_token_from_stdin(runner: CliRunner) -> None:
    words = ["servers", "add", "http://10.0.0.7:8188", "--name", "big", "--label", "rack=3", "--token-stdin"]
    added = runner.invoke(app, words, input="s3cret\n")
    assert (added.exit_code, added.stdout) == (0, "big is registered in the pool comfy\n")

    shown = json.loads(runner.invoke(app, ["servers", "show", "big"]).stdout)
    assert (shown["labels"], shown["state"], shown["breaker"]["state"]) == ({"rack": "3"}, "active", "closed")
    assert "s3cret" not in json.dumps(shown)


def test_a_server_is_drained_enabled_disabled_and_removed(runner: CliRunner) -> None:
    runner.invoke(app, ["servers", "add", "http://10.0.0.7:8188", "--name", "big"])
    for verb, state in [("drain", "draining"), ("enable", "active"), ("disable", "disabled")]:
        assert state in runner.invoke(app, ["servers", verb, "big"]).stdout
    assert "never seen" in runner.invoke(app, ["servers", "list"]).stdout
    assert runner.invoke(app, ["servers", "remove", "big"]).exit_code == 0
    assert runner.invoke(app, ["servers", "list"]).stdout == ""


def test_only_who_is_named_an_operator_gets_the_scope(runner: CliRunner) -> None:
    runner.invoke(app, ["keys", "create", "--name", "plain"])
    runner.invoke(app, ["keys", "create", "--name", "boss", "--scope", "operate"])
    lines = {line.split()[-1]: line for line in runner.invoke(app, ["keys", "list"]).stdout.splitlines()}
    assert "operate" not in lines["plain"]
    assert "operate" in lines["boss"]


def test_doctor_tries_the_storage(runner: CliRunner, s3_server: S3Server) -> None:
    more = {"SAFELIGHT_STORAGE_URL": s3_server.url("doctor"), **s3_server.credentials}
    runner.invoke(app, ["migrate"])
    well = runner.invoke(app, ["doctor"], env=more)
    assert (well.exit_code, "✓ storage: s3://safelight-test/doctor" in well.stdout) == (0, True), well.stdout

    s3_server.fail("503", "PUT", times=1000)
    ill = runner.invoke(app, ["doctor"], env=more)
    assert ill.exit_code == 1
    assert "✗ storage: s3://safelight-test/doctor — the artifact store cannot be used" in ill.stdout


def test_artifacts_are_audited_and_swept(runner: CliRunner) -> None:
    swept = runner.invoke(app, ["artifacts", "sweep"])
    assert (swept.exit_code, swept.stdout) == (
        0,
        "0 artifacts were kept long enough, 0 files belonged to none\n",
    )
    audited = runner.invoke(app, ["artifacts", "audit"])
    assert (audited.exit_code, audited.stdout) == (0, "0 artifacts, 0 missing, 0 strays\n")


def test_second_process_on_one_box_is_refused_and_commands_are_not(
    runner: CliRunner, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path))
    with only_process(load_settings()):
        for command in (["serve", "--port", "0"], ["worker"]):
            monkeypatch.setattr("sys.argv", ["safelight-cloud", *command])
            with pytest.raises(SystemExit) as ended:
                main()
            assert ended.value.code == 2
            assert f"another safelight-cloud works with {tmp_path / 'cloud.db'}" in capsys.readouterr().err
        assert runner.invoke(app, ["keys", "create"]).exit_code == 0
    with only_process(load_settings()):
        pass
