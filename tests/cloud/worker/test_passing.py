import asyncio
from datetime import UTC, datetime

from cloud.worker.passing import thinned
from shared.jobs.events import Preview, Progress

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
        await asyncio.wait_for(first.wait(), 1)
        for step in range(1, 100):
            events.put(_progress(step / 100))
            events.put(_preview(str(step).encode()))
        assert published == [_progress(0.0)]
        await events.flush()
    assert published == [_progress(0.0), _progress(0.99), _preview(b"99")]


async def test_no_more_than_the_rate() -> None:
    published: list[float] = []
    clock = asyncio.get_running_loop().time

    async def publish(event: Progress | Preview) -> None:
        published.append(clock())

    async with thinned(publish, interval_s=0.05) as events:
        until = clock() + 0.5
        while clock() < until:
            events.put(_progress(0.5))
            await asyncio.sleep(0)
    assert 3 <= len(published) <= 11
