"""Nodes that work on numbers and text."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from shared.engines.builtin.pixels import NodeFailed

__all__ = ["NODES"]

_T = TypeVar("_T")


def _same(*, value: _T) -> _T:
    return value


def _concatenate(*, string_a: str, string_b: str, delimiter: str) -> str:
    return delimiter.join((string_a, string_b))


def _length(*, string: str) -> int:
    return len(string)


def _replace(*, string: str, find: str, replace: str) -> str:
    return string.replace(find, replace)


def _substring(*, string: str, start: int, end: int) -> str:
    return string[start:end]


def _trim(*, string: str, mode: str) -> str:
    trims = {"Both": string.strip, "Left": string.lstrip, "Right": string.rstrip}
    return trims[mode]() if mode in trims else string


def _case(*, string: str, mode: str) -> str:
    cases = {
        "UPPERCASE": string.upper,
        "lowercase": string.lower,
        "Capitalize": string.capitalize,
        "Title Case": string.title,
    }
    return cases[mode]() if mode in cases else string


def _flags(*, case_insensitive: bool, multiline: bool, dotall: bool) -> re.RegexFlag:
    flags = re.RegexFlag(0)
    flags |= re.IGNORECASE if case_insensitive else flags
    flags |= re.MULTILINE if multiline else flags
    flags |= re.DOTALL if dotall else flags
    return flags


def _regex_replace(
    *,
    string: str,
    regex_pattern: str,
    replace: str,
    case_insensitive: bool = True,
    multiline: bool = False,
    dotall: bool = False,
    count: int = 0,
) -> str:
    flags = _flags(case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)
    try:
        return re.sub(regex_pattern, replace, string, count=count, flags=flags)
    except (re.error, IndexError) as error:
        raise NodeFailed(f"the pattern {regex_pattern!r} cannot be used: {error}") from error


def _regex_match(
    *, string: str, regex_pattern: str, case_insensitive: bool, multiline: bool, dotall: bool
) -> bool:
    flags = _flags(case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)
    try:
        return re.search(regex_pattern, string, flags) is not None
    except re.error:
        return False


def _regex_extract(
    *,
    string: str,
    regex_pattern: str,
    mode: str,
    case_insensitive: bool,
    multiline: bool,
    dotall: bool,
    group_index: int,
) -> str | None:
    """A group that took no part is None, which nothing but a preview can take; so on the server."""
    flags = _flags(case_insensitive=case_insensitive, multiline=multiline, dotall=dotall)
    try:
        matches = list(re.finditer(regex_pattern, string, flags))
    except re.error:
        matches = []
    groups = len(matches[0].groups()) if matches else -1
    match mode:
        case "First Match" if matches:
            return matches[0].group(0)
        case "All Matches":
            return "\n".join(_as_findall(found) for found in matches)
        case "First Group" if groups >= group_index:
            return matches[0].group(group_index)
        case "All Groups" if groups and groups >= group_index:
            return "\n".join(found.group(group_index) for found in matches)
        case _:
            return ""


def _as_findall(found: "re.Match[str]") -> str:
    """The server joins what re.findall gives first: the first group where there are groups."""
    return (found.group(1) or "") if found.groups() else found.group(0)


NODES: Mapping[str, Callable[..., object]] = {
    "PrimitiveInt": _same,
    "PrimitiveFloat": _same,
    "PrimitiveBoolean": _same,
    "PrimitiveString": _same,
    "PrimitiveStringMultiline": _same,
    "StringConcatenate": _concatenate,
    "StringLength": _length,
    "StringReplace": _replace,
    "StringSubstring": _substring,
    "StringTrim": _trim,
    "CaseConverter": _case,
    "RegexReplace": _regex_replace,
    "RegexMatch": _regex_match,
    "RegexExtract": _regex_extract,
}
