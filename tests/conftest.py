"""What every test starts with: no real screen, no settings of the person who runs it, quiet logs."""

import os
import signal
from collections.abc import Iterator

import pytest
import structlog

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores it for what it starts in the background, and the programs under test would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = (
    "tests.support.redis",
    "tests.support.postgres",
    "tests.support.databases",
    "tests.support.s3_server",
)


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SAFELIGHT_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command run within the test's process sends logs to a stream that ends with the test."""
    yield
    structlog.reset_defaults()
