"""The commands that end, on the database of one box."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud.cli.program import app, main
from cloud.migrations.upgrade import newest_version
from cloud.services.key_text import looks_right


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
