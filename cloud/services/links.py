"""The URLs that answers carry; absolute ones, from the settings and never from a request."""

from datetime import timedelta
from urllib.parse import quote

from cloud.services.signing import Download, LinkSigner, Upload
from shared.api.artifacts import Link
from shared.media import extension_for

__all__ = ["API", "REDIRECT_VALID_FOR", "Links"]

API = "/api/v1"
REDIRECT_VALID_FOR = timedelta(seconds=60)  # where the store itself serves the bytes


class Links:
    def __init__(self, *, base_url: str, signer: LinkSigner) -> None:
        self._base = base_url.rstrip("/") + API
        self._signer = signer

    def job(self, job_id: str) -> str:
        return f"{self._base}/jobs/{quote(job_id, safe='')}"

    def batch(self, batch_id: str) -> str:
        return f"{self._base}/batches/{quote(batch_id, safe='')}"

    def batch_jobs(self, batch_id: str) -> str:
        return f"{self._base}/jobs?batch={quote(batch_id, safe='')}"

    def events(self, job_id: str) -> str:
        return f"{self.job(job_id)}/events"

    def recipe(self, job_id: str, position: int) -> str:
        return f"{self.job(job_id)}/outputs/{position}/recipe"

    def shared(self, token: str) -> str:
        return f"{self._base}/shared/{token}"

    def upload(self, account_id: str, digest: str, size: int) -> Link:
        token, until = self._signer.sign(Upload(account_id, digest, size))
        headers = {"Content-Type": "application/octet-stream"}
        return Link(url=f"{self._base}/uploads/{token}", method="PUT", headers=headers, expires_at=until)

    def download(
        self, account_id: str, digest: str, size: int, media_type: str, name: str | None = None
    ) -> Link:
        """`name` is what a browser saves it as."""
        name = name or digest[:16] + extension_for(media_type)
        token, until = self._signer.sign(Download(account_id, digest, size, media_type, name))
        return Link(url=f"{self._base}/downloads/{token}", method="GET", headers={}, expires_at=until)
