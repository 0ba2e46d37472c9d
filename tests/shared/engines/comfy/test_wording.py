import pytest

from shared.comfy.records import NodeFailure
from shared.engines.comfy.wording import failure_message


@pytest.mark.parametrize(
    ("exception", "message", "told"),
    [
        ("ValueError", "bad shape\n", ": bad shape"),
        ("KeyError", "", ": KeyError"),
        ("", "", ""),
        ("E", "no '/srv/a b/models/x.pt' here", ": no 'x.pt' here"),
        ("E", r"cannot read C:\Users\me\ComfyUI\input\x.png", ": cannot read x.png"),
        ("E", "see https://example.org", ": see https://example.org"),
        ("E", "first\nsecond", ": first"),
    ],
)
def test_a_failure_is_one_plain_sentence(exception: str, message: str, told: str) -> None:
    failure = NodeFailure(node="3", class_type="KSampler", exception=exception, message=message)

    assert failure_message(failure) == f"node 3 (KSampler) failed on the server{told}"


def test_long_reasons_are_cut() -> None:
    failure = NodeFailure(node=None, class_type=None, exception="E", message="word " * 1000)

    assert failure_message(failure).startswith("the workflow failed on the server: word")
    assert len(failure_message(failure)) < 250
