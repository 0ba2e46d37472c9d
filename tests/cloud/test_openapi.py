"""The API's document is part of the product: the one in docs is the one that is served."""

import json
from pathlib import Path

from cloud.main import openapi_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_document_in_docs_is_current() -> None:
    """Write it anew with `safelight-cloud openapi > docs/openapi.json`."""
    assert DOCUMENT.read_text("utf-8") == openapi_text()


def test_every_answer_that_is_an_error_has_the_envelope() -> None:
    envelope = {"$ref": "#/components/schemas/ErrorEnvelope"}
    for path, methods in json.loads(openapi_text())["paths"].items():
        for method, operation in methods.items():
            if not path.startswith("/api/"):
                continue
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert answer["content"]["application/json"]["schema"] == envelope, (method, path, status)
