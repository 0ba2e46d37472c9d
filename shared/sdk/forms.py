"""A job and its files as one form: the files first, and the job, which names them by their digests, last."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.api.jobs import JobRequest
from shared.ids import new_id

__all__ = ["JobForm", "SentFile"]


@dataclass(frozen=True, slots=True)
class SentFile:
    """Bytes that the job will name by their digest; `input` is what they are for in the preset."""

    input: str
    data: bytes


@dataclass(frozen=True, slots=True)
class JobForm:
    """As multipart/form-data. The job may be known later than the files."""

    files: Sequence[SentFile]
    boundary: str = field(default_factory=new_id)

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def file_part(self, file: SentFile) -> bytes:
        name = _escaped(file.input)
        return self._head(f'name="{name}"; filename="{name}"') + file.data + b"\r\n"

    def job_part(self, request: JobRequest) -> bytes:
        """And the end of the form."""
        job = request.model_dump_json(exclude_defaults=True).encode()
        return self._head('name="job"') + job + f"\r\n--{self.boundary}--\r\n".encode()

    def _head(self, names: str) -> bytes:
        return f"--{self.boundary}\r\nContent-Disposition: form-data; {names}\r\n\r\n".encode()


def _escaped(name: str) -> str:
    """As browsers write it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
