"""Names in requests: those of files are taken in a form that stays in its place, others are refused."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from shared.api.jobs import JobInput
from shared.api.servers import ServerRequest
from shared.api.shares import ShareRequest
from shared.api.webhooks import WebhookRequest

DIGEST = "0" * 64


def test_a_file_is_taken_whatever_it_is_called() -> None:
    assert JobInput(digest=DIGEST, name="holiday\u202egnp.exe").name == "holiday_gnp.exe"
    assert JobInput(digest=DIGEST, name="שלום\u200f.png").name == "שלום\u200f.png"


@pytest.mark.parametrize("turned", ["\u202e", "\u2066", "\u2028", "\x9b", "\n"])
@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (ShareRequest, {"name": "holiday{}"}),
        (ServerRequest, {"url": "http://gpu:8188", "labels": {"gpu": "h{}200"}}),
        (ServerRequest, {"url": "http://gpu:8188", "labels": {"g{}pu": "h200"}}),
        (WebhookRequest, {"url": "https://studio.example/hook", "description": "for {}us"}),
    ],
)
def test_what_people_call_things_is_refused(
    model: type[BaseModel], fields: dict[str, Any], turned: str
) -> None:
    def filled(value: Any, by: str) -> Any:
        if isinstance(value, dict):
            return {filled(key, by): filled(item, by) for key, item in value.items()}
        return value.replace("{}", by)

    model.model_validate(filled(fields, ""))
    with pytest.raises(ValidationError):
        model.model_validate(filled(fields, turned))
