"""A thousand streams of one key ask about it once."""

import asyncio

import pytest

from cloud.services.stream_door import SharedAnswers


async def test_streams_of_one_key_share_the_answer_for_a_while() -> None:
    answers: SharedAnswers[bool] = SharedAnswers()
    asked = 0
    may_answer = asyncio.Event()

    async def ask() -> bool:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return asked == 1

    questions = [asyncio.create_task(answers.get("key", ask, fresh_s=60)) for _ in range(5)]
    await asyncio.wait(questions, timeout=0)
    questions[0].cancel()
    may_answer.set()
    assert await asyncio.gather(*questions[1:]) == [True] * 4
    assert asked == 1
    assert not await answers.get("key", ask, fresh_s=0)
    assert not await answers.get("other key", ask, fresh_s=60)
    assert asked == 3


async def test_question_that_failed_is_asked_again() -> None:
    answers: SharedAnswers[int] = SharedAnswers()

    async def fail() -> int:
        raise OSError("away")

    async def answer() -> int:
        return 1

    with pytest.raises(OSError, match="away"):
        await answers.get("key", fail, fresh_s=60)
    assert await answers.get("key", answer, fresh_s=60) == 1
