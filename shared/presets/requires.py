"""What a preset declares that it needs: node classes, model files, memory."""

from dataclasses import dataclass

__all__ = ["ModelRequirement", "NodeRequirement", "Requirements"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRequirement:
    """A node class, the package that brings it ("comfyui" for the core), the version it was made with."""

    class_type: str
    package: str = "comfyui"
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequirement:
    """A model file in ComfyUI's folder `folder`.

    With `parameter`, the file is the one this parameter names and `filename` the one suggested.
    Facts that are not known for certain stay out.
    """

    folder: str
    filename: str | None = None
    parameter: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    url: str | None = None
    licence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    nodes: tuple[NodeRequirement, ...] = ()
    models: tuple[ModelRequirement, ...] = ()
    memory_bytes: int | None = None
