import pytest

from shared.sdk.errors import NotTheCloud
from shared.sdk.exchange import Answer, checked

HTML = {"content-type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    "portal",
    [
        Answer(200, HTML, b"<html>sign in</html>"),
        Answer(302, {"location": "http://portal.example/"}, b""),
        Answer(511, HTML, b"<html>"),
    ],
)
def test_a_sign_in_page_of_the_network_is_not_the_cloud(portal: Answer) -> None:
    with pytest.raises(NotTheCloud):
        checked(portal)


def test_a_store_may_call_the_nothing_that_it_answers_a_page() -> None:
    stored = Answer(200, HTML, b"")
    assert checked(stored) is stored
