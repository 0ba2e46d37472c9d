"""What can be wrong with a preset, its bundle or the values given to it.

UsageError
├── PresetError      the bundle itself is wrong; `details` hold preset, file, field, node
│   ├── NewerPreset  written for a later Safelight
│   └── BundleRejected  an archive that is unsafe, damaged or not signed as it claims
├── InvalidValue     a value breaks its parameter's limits; `details` hold field
└── RequirementsMissing  node classes or model files are not there; `details` hold missing
"""

from shared.errors import UsageError

__all__ = ["BundleRejected", "InvalidValue", "NewerPreset", "PresetError", "RequirementsMissing"]


class PresetError(UsageError):
    code = "invalid_preset"


class NewerPreset(PresetError):
    code = "newer_preset"


class BundleRejected(PresetError):
    code = "bundle_rejected"


class InvalidValue(UsageError):
    code = "invalid_value"


class RequirementsMissing(UsageError):
    code = "requirements_missing"
