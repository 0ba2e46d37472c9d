from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Commands send logs to the standard error of their test, which ends with it."""
    yield
    structlog.reset_defaults()
