"""A thousand streams of one key ask about it once."""

import asyncio

from cloud.services.stream_door import StreamDoor


async def test_streams_of_one_key_share_the_answer_for_a_while() -> None:
    door, asked = StreamDoor(per_account=10), 0
    may_answer = asyncio.Event()

    async def ask() -> bool:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return asked == 1

    questions = [asyncio.create_task(door.is_usable("key", ask, fresh_s=60)) for _ in range(5)]
    await asyncio.wait(questions, timeout=0)
    questions[0].cancel()
    may_answer.set()
    assert await asyncio.gather(*questions[1:]) == [True] * 4
    assert asked == 1
    assert not await door.is_usable("key", ask, fresh_s=0)
    assert not await door.is_usable("other key", ask, fresh_s=60)
    assert asked == 3
