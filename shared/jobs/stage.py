"""What a job is doing while it is processed."""

from enum import StrEnum

__all__ = ["StageName"]


class StageName(StrEnum):
    PREPARING = "preparing"
    UPLOADING = "uploading"
    LOADING_MODEL = "loading_model"
    RUNNING = "running"
