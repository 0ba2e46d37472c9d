"""Whether the artifacts given for a job are what its preset takes."""

from collections.abc import Callable, Collection, Mapping

from cloud.clients.user_url import AddressRefused, UserUrl
from cloud.errors import InputNotReady, InvalidRequest, TooLarge
from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.jobs import GivenFile, InputName, InputUrl
from cloud.services.plans import Entitlements
from shared.api.artifacts import ArtifactState
from shared.presets.manifest import InputKind, InputLimits, Manifest, PresetInput

__all__ = ["check_inputs", "check_pictures", "check_sizes", "check_urls", "must_fetch"]


def check_inputs(
    manifest: Manifest, given: Mapping[str, Collection[GivenFile]], known: Mapping[str, ArtifactRecord]
) -> None:
    """`known` are the account's artifacts by digest; of files that are still to be fetched nothing is
    said. Raises InvalidRequest or InputNotReady, which name the field and the file."""
    declared = {item.id: item for item in manifest.inputs}
    for name in given:
        if name not in declared:
            raise InvalidRequest(
                f"{manifest.name} has no input {name!r}; it has {', '.join(declared)}", field=f"inputs.{name}"
            )
    for item in manifest.inputs:
        files = given.get(item.id, ())
        _check_count(item, len(files))
        for file in files:
            if isinstance(file, InputName):
                _check_file(item, file, known.get(file.digest))


def check_pictures(given: Mapping[str, Collection[GivenFile]], known: Mapping[str, ArtifactRecord]) -> None:
    """Each place of a raw graph takes one picture. Raises InvalidRequest or InputNotReady."""
    for place, files in given.items():
        field = f"inputs.{place}"
        if len(files) != 1:
            raise InvalidRequest(f"{place} takes 1 file, not {len(files)}", field=field)
        for file in files:
            if isinstance(file, InputUrl):
                continue
            artifact = _ready(field, file, known.get(file.digest))
            if not _is_kind(InputKind.IMAGE, artifact.media_type or ""):
                raise InvalidRequest(
                    f"{place} takes an image, and {file.name} is {artifact.media_type}",
                    field=field,
                    file=file.name,
                )


def check_sizes(
    allowed: Entitlements, given: Mapping[str, Collection[GivenFile]], known: Mapping[str, ArtifactRecord]
) -> None:
    """Raises TooLarge for what the plan has no room for, whenever it was uploaded."""
    for name, files in given.items():
        for file in files:
            if isinstance(file, InputUrl):
                continue
            artifact = known[file.digest]
            pixels = (artifact.width or 0) * (artifact.height or 0)
            if artifact.bytes > allowed.max_upload_bytes:
                raise TooLarge(
                    f"{file.name} has {artifact.bytes} bytes; this plan takes {allowed.max_upload_bytes}",
                    field=f"inputs.{name}",
                    file=file.name,
                    max_bytes=allowed.max_upload_bytes,
                )
            if pixels > allowed.max_pixels:
                raise TooLarge(
                    f"{file.name} has {pixels} pixels; this plan takes {allowed.max_pixels}",
                    field=f"inputs.{name}",
                    file=file.name,
                    max_pixels=allowed.max_pixels,
                )


def check_urls(given: Mapping[str, Collection[GivenFile]], check: Callable[[str], UserUrl]) -> None:
    """Raises InvalidRequest for those that are never asked."""
    for name, files in given.items():
        for file in files:
            if isinstance(file, InputUrl):
                try:
                    check(file.url)
                except AddressRefused as error:
                    raise InvalidRequest(
                        f"{file.name}: {error.message}", field=f"inputs.{name}", file=file.name
                    ) from error


def must_fetch(given: Mapping[str, Collection[GivenFile]]) -> bool:
    return any(isinstance(file, InputUrl) for files in given.values() for file in files)


def _check_count(item: PresetInput, count: int) -> None:
    if not item.min_count <= count <= item.max_count:
        raise InvalidRequest(
            f"{item.label} ({item.id}) takes {item.count_text}, not {count}", field=item.field
        )


def _check_file(item: PresetInput, file: InputName, found: ArtifactRecord | None) -> None:
    artifact = _ready(item.field, file, found)
    if not _is_kind(item.kind, artifact.media_type or ""):
        raise InvalidRequest(
            f"{item.label} ({item.id}) takes a {item.kind}, and {file.name} is {artifact.media_type}",
            field=item.field,
            file=file.name,
        )
    _check_limits(item.limits, item.field, file, artifact)


def _ready(field: str, file: InputName, artifact: ArtifactRecord | None) -> ArtifactRecord:
    if artifact is None or artifact.state is not ArtifactState.READY:
        raise InputNotReady(
            f"{file.name} has not been uploaded, or was refused; POST it to /artifacts first",
            field=field,
            file=file.name,
            digest=file.digest,
        )
    return artifact


def _check_limits(limits: InputLimits, field: str, file: InputName, artifact: ArtifactRecord) -> None:
    width, height = artifact.width or 0, artifact.height or 0
    broken = (
        (limits.max_bytes is not None and artifact.bytes > limits.max_bytes, "has too many bytes"),
        (limits.max_pixels is not None and width * height > limits.max_pixels, "has too many pixels"),
        (limits.max_side is not None and max(width, height) > limits.max_side, "is too large"),
        (limits.min_side is not None and 0 < min(width, height) < limits.min_side, "is too small"),
    )
    for is_broken, what in broken:
        if is_broken:
            raise InvalidRequest(
                f"{file.name} {what} for this preset ({width}×{height}, {artifact.bytes} bytes)",
                field=field,
                file=file.name,
            )


def _is_kind(kind: InputKind, media_type: str) -> bool:
    family = media_type.split("/", maxsplit=1)[0]
    return family == {InputKind.MASK: "image"}.get(kind, kind.value)
