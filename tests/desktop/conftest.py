"""Settings of the desktop's tests: Qt's objects end on the thread that made them."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _garbage_stays_on_this_thread() -> Iterator[None]:
    """As in the product, where the window's thread collects; here it does so at a module's end."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()
