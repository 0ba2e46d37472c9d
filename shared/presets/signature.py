"""Who made a shared bundle: an Ed25519 signature over the digests of its files."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from shared.errors import JsonValue
from shared.files import digest_bytes, replace_file
from shared.presets.errors import BundleRejected

__all__ = ["SigningKey", "verified_signer"]

_ALGORITHM = "ed25519"


class SigningKey:
    """The key that tells one author's bundles from another's."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def at(cls, path: Path) -> "SigningKey":
        """The key in the file at `path`; made there, for its owner's eyes only, when it is missing."""
        if not path.exists():
            made = Ed25519PrivateKey.generate()
            text = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            replace_file(path, text)
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise BundleRejected(f"{path} holds another kind of key; move it away", file=path.name)
        return cls(key)

    @property
    def fingerprint(self) -> str:
        return _fingerprint(_raw(self._key.public_key()))

    def sign(self, files: Mapping[str, bytes]) -> bytes:
        """The signature document for these files."""
        document = {
            "algorithm": _ALGORITHM,
            "key": base64.b64encode(_raw(self._key.public_key())).decode(),
            "files": _digests(files),
            "signature": base64.b64encode(self._key.sign(_message(_digests(files)))).decode(),
        }
        return json.dumps(document, indent=2, sort_keys=True).encode()


def verified_signer(document: JsonValue, files: Mapping[str, bytes]) -> str:
    """The fingerprint of whoever signed exactly these files. Raises BundleRejected."""
    if not isinstance(document, Mapping) or document.get("algorithm") != _ALGORITHM:
        raise BundleRejected("the signature is of a kind that this Safelight does not know")
    digests = _digests(files)
    if document.get("files") != digests:
        raise BundleRejected("the files are not those that were signed: they were changed on the way")
    try:
        key = base64.b64decode(str(document.get("key")), validate=True)
        signature = base64.b64decode(str(document.get("signature")), validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _message(digests))
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise BundleRejected("the signature does not belong to these files") from error
    return _fingerprint(key)


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: digest_bytes(files[name]) for name in sorted(files)}


def _message(digests: Mapping[str, str]) -> bytes:
    return b"safelight preset bundle 1\n" + json.dumps(digests, sort_keys=True).encode()


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _fingerprint(key: bytes) -> str:
    return f"SHA256:{hashlib.sha256(key).hexdigest()[:32]}"
