"""What `preset.json` declares, as values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Gt, MinLen

from shared.jobs.events import OutputKind
from shared.presets.binding import Binding, NodeRef, Target
from shared.presets.fit import Crop, Fit
from shared.presets.parameter import Parameter
from shared.presets.plain import PlainValue
from shared.presets.requires import Requirements

__all__ = [
    "SCHEMA_VERSION",
    "AlphaPolicy",
    "Expectation",
    "InputKind",
    "InputLimits",
    "InputRole",
    "Licence",
    "Look",
    "Looks",
    "Manifest",
    "MetadataPolicy",
    "NodeBypass",
    "OrientationPolicy",
    "PresetInput",
    "PresetOutput",
    "Sample",
    "ValueSet",
]

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """The bundle's own licence, and the strictest one among the models it needs (SPDX, or a name)."""

    spdx: str
    commercial_use: bool
    strictest_model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A picture in the bundle and what it shows, in words."""

    file: str
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    cover: Look
    before: Look
    after: Look


class InputKind(StrEnum):
    IMAGE = "image"
    MASK = "mask"
    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"


class InputRole(StrEnum):
    SOURCE = "source"
    MASK = "mask"
    START_FRAME = "start_frame"
    END_FRAME = "end_frame"
    REFERENCE = "reference"
    CONTROL = "control"
    AUDIO = "audio"


class AlphaPolicy(StrEnum):
    KEEP = "keep"  # the graph carries it through
    DROP = "drop"  # the colours under it show


class OrientationPolicy(StrEnum):
    APPLY = "apply"
    IGNORE = "ignore"


class MetadataPolicy(StrEnum):
    KEEP = "keep"
    DROP_LOCATION = "drop_location"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLimits:
    max_bytes: int | None = None
    max_pixels: int | None = None
    min_side: int | None = None
    max_side: int | None = None
    max_frames: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBypass:
    """A node taken out: readers of its output i read what goes into its input `through[i]` instead.

    Where it depends on the picture's size, `below` is the shorter side in pixels that it needs.
    """

    node: NodeRef
    through: tuple[str, ...]
    below: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetInput:
    """Files to work on. One file goes to every target, several go to one target each.

    `pair_by` finds companions of the primary file by name, such as "*_mask". The nodes of
    `absent_bypass` are taken out when no file is given, those of `opaque_bypass` for a picture
    without transparency, those of `small_bypass` for one whose shorter side is below their limit.
    """

    id: str
    label: str
    targets: Annotated[tuple[Target, ...], MinLen(1)]
    kind: InputKind = InputKind.IMAGE
    role: InputRole = InputRole.SOURCE
    primary: bool = False
    help: str = ""
    min_count: Annotated[int, Ge(0)] = 1
    max_count: Annotated[int, Ge(1)] = 1
    accepts: tuple[str, ...] = ()
    limits: InputLimits = field(default_factory=InputLimits)
    alpha: AlphaPolicy = AlphaPolicy.DROP
    orientation: OrientationPolicy = OrientationPolicy.APPLY
    pair_by: str | None = None
    absent_bypass: tuple[NodeBypass, ...] = ()
    opaque_bypass: tuple[NodeBypass, ...] = ()
    small_bypass: tuple[NodeBypass, ...] = ()

    @property
    def field(self) -> str:
        """How errors name its files, in requests as in the command line and the window."""
        return f"inputs.{self.id}"

    @property
    def count_text(self) -> str:
        """How many files it takes, in words."""
        if self.min_count != self.max_count:
            return f"{self.min_count} to {self.max_count} files"
        return "1 file" if self.max_count == 1 else f"{self.max_count} files"

    @property
    def bypasses(self) -> tuple[NodeBypass, ...]:
        return self.absent_bypass + self.opaque_bypass + self.small_bypass


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetOutput:
    """Files that come out of `node`. `format` "source" means the format of the primary input."""

    id: str
    label: str
    node: NodeRef
    kind: OutputKind = OutputKind.IMAGE
    primary: bool = False
    format: str = "source"
    quality: int | None = None
    metadata: MetadataPolicy = MetadataPolicy.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSet:
    """Values under one name, offered as a starting point."""

    id: str
    label: str
    values: Mapping[str, PlainValue]
    help: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a sample's output must be. Differences are in levels of 255 against the file `reference`."""

    width: int
    height: int
    reference: str | None = None
    max_mean_difference: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A run that shows the preset and tests it: files by input, values, and facts by output."""

    id: str
    inputs: Mapping[str, str]
    expect: Mapping[str, Expectation]
    values: Mapping[str, PlainValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`translations` hold texts by language tag and field path, such as "parameters.glow.label"."""

    schema_version: str
    id: str
    version: str
    name: str
    summary: str
    author: str
    category: str
    licence: Licence
    looks: Looks
    inputs: tuple[PresetInput, ...]
    outputs: Annotated[tuple[PresetOutput, ...], MinLen(1)]
    tags: tuple[str, ...] = ()
    translations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    requires: Requirements = field(default_factory=Requirements)
    parameters: tuple[Parameter, ...] = ()
    bindings: tuple[Binding, ...] = ()
    fits: tuple[Fit, ...] = ()
    crops: tuple[Crop, ...] = ()
    value_sets: tuple[ValueSet, ...] = ()
    price: Annotated[int, Ge(0)] = 0
    timeout_s: Annotated[float, Gt(0)] = 600.0
    samples: tuple[Sample, ...] = ()

    def instant(self, builtin_classes: Collection[str]) -> bool:
        """Whether the built-in engine has every node class this preset uses."""
        return all(need.class_type in builtin_classes for need in self.requires.nodes)

    @property
    def primary_input(self) -> PresetInput | None:
        """The input a batch walks over."""
        return next((declared for declared in self.inputs if declared.primary), None)

    @property
    def primary_output(self) -> PresetOutput:
        return next((declared for declared in self.outputs if declared.primary), self.outputs[0])
