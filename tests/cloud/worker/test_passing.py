import asyncio
from datetime import UTC, datetime

import pytest

from cloud.worker.passing import thinned
from shared.jobs.events import Preview, Progress
from tests.support.jumping_loop import run_without_waiting

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _progress(fraction: float) -> Progress:
    return Progress(job_id="job", attempt=1, at=NOON, fraction=fraction)


def _preview(data: bytes) -> Preview:
    return Preview(job_id="job", attempt=1, at=NOON, media_type="image/jpeg", data=data)


async def test_the_first_goes_on_at_once_and_then_the_newest_of_each_kind() -> None:
    published: list[Progress | Preview] = []
    first = asyncio.Event()

    async def publish(event: Progress | Preview) -> None:
        published.append(event)
        first.set()

    async with thinned(publish, interval_s=60) as events:
        events.put(_progress(0.0))
        await first.wait()
        for step in range(1, 100):
            events.put(_progress(step / 100))
            events.put(_preview(str(step).encode()))
        assert published == [_progress(0.0)]
        await events.flush()
    assert published == [_progress(0.0), _progress(0.99), _preview(b"99")]


def test_no_more_than_the_rate() -> None:
    published: list[float] = []

    async def publish(event: Progress | Preview) -> None:
        published.append(asyncio.get_running_loop().time())

    async def put_for_half_a_second() -> None:
        async with thinned(publish, interval_s=0.05) as events:
            for _ in range(490):
                events.put(_progress(0.5))
                await asyncio.sleep(0.001)

    run_without_waiting(put_for_half_a_second())
    assert published == [pytest.approx(0.05 * number, abs=0.002) for number in range(10)]
