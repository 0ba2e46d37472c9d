"""Plans and credits by command, on the database of one box."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from cloud.cli.program import app, main
from cloud.services.plans import entitlements_of
from shared.api.accounts import Plan

CREATOR = entitlements_of(Plan.CREATOR).credits_per_month


@pytest.fixture
def runner(tmp_path: Path) -> CliRunner:
    runner = CliRunner(env={"SAFELIGHT_DATA_DIR": str(tmp_path), "SAFELIGHT_LOG_LEVEL": "error"})
    assert runner.invoke(app, ["users", "create", "ann@example.com"]).exit_code == 0
    return runner


def _said(runner: CliRunner, *words: str) -> str:
    done = runner.invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_plan_is_given_and_shown(runner: CliRunner) -> None:
    assert "plan free" in _said(runner, "users", "list")
    _said(runner, "users", "plan", "ann@example.com", "creator")
    assert "plan creator" in _said(runner, "users", "list")
    assert _said(runner, "credits", "show", "ann@example.com").startswith(
        f"{CREATOR} credits: {CREATOR} granted"
    )


def test_credits_are_topped_up_and_adjusted(runner: CliRunner) -> None:
    assert "50 granted" in _said(runner, "credits", "show", "ann@example.com")
    assert "30 topped up" in _said(
        runner, "credits", "grant", "ann@example.com", "30", "--reason", "invoice 7"
    )
    said = _said(runner, "credits", "adjust", "ann@example.com", "-79", "--reason", "a test")
    assert said.startswith("1 credits: 1 granted")
    assert "adds up" in _said(runner, "credits", "audit")


def test_audit_that_finds_something_ends_with_one(runner: CliRunner, tmp_path: Path) -> None:
    _said(runner, "credits", "show", "ann@example.com")
    engine = create_engine(f"sqlite:///{tmp_path / 'cloud.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE credit_balances SET topped_up = 9"))
    engine.dispose()
    done = runner.invoke(app, ["credits", "audit"])
    assert (done.exit_code, "do not add up to the balance" in done.stdout) == (1, True)


def test_graphs_are_allowed_by_name(runner: CliRunner) -> None:
    assert "may send graphs" in _said(runner, "users", "allow-graphs", "ann@example.com")
    assert "may not send graphs" in _said(runner, "users", "allow-graphs", "ann@example.com", "--no")


def test_unknown_person_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["safelight-cloud", "users", "plan", "nobody@example.com", "studio"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "there is no user nobody@example.com" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["grant", "ann@example.com", str(2**63)], "at most 1000000000 credits change at once"),
        (["adjust", "ann@example.com", str(-(10**20)), "--reason", "x"], "credits change at once"),
        (["grant", "ann@example.com", "1", "--reason", "x" * 501], "longer than 500 characters"),
        (
            ["grant", "ann@example.com", "1", "--reason", "\x1b[31m"],
            r"'\x1b[31m' holds what cannot be printed",
        ),
        (["show", "ann\udcff@example.com"], r"'ann\udcff@example.com' holds what cannot be printed"),
    ],
)
def test_what_no_account_can_have_is_refused(
    runner: CliRunner,
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in runner.env.items():
        monkeypatch.setenv(name, value or "")
    monkeypatch.setattr("sys.argv", ["safelight-cloud", "credits", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert "50 granted" in _said(runner, "credits", "show", "ann@example.com")
