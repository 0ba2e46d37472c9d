"""The envelope of every answer that is an error."""

from pydantic import BaseModel, ConfigDict, JsonValue

__all__ = ["ErrorBody", "ErrorEnvelope"]


class ErrorBody(BaseModel):
    """`code` is stable; `message` one sentence that says what to do; `details` name what is concerned."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    details: dict[str, JsonValue]
    request_id: str | None


class ErrorEnvelope(BaseModel):
    model_config = ConfigDict(frozen=True)

    error: ErrorBody
