"""A blob store on the S3 server of the tests, with waits of a length for tests."""

from datetime import timedelta
from pathlib import Path

from cloud.clients.blob_s3 import S3BlobStore
from cloud.clients.s3_place import parse_s3_url
from cloud.clients.s3_signing import S3Keys
from shared.ids import new_id
from tests.support.s3_server import KEY_ID, SECRET, S3Server

__all__ = ["open_s3"]


def open_s3(
    server: S3Server,
    folder: Path,
    *,
    prefix: str | None = None,
    secret: str = SECRET,
    deletes_within: timedelta = timedelta(seconds=30),
) -> S3BlobStore:
    """Below a prefix that nobody else uses, if none is given."""
    return S3BlobStore(
        place=parse_s3_url(server.url(prefix or f"test/{new_id()}")),
        keys=S3Keys(access_key_id=KEY_ID, secret_access_key=secret),
        staging_folder=folder / "staging",
        answer_within=timedelta(seconds=1),
        longest_pause_s=0.05,
        deletes_within=deletes_within,
    )
