"""Prompts with comments and alternatives, which the editor resolves before it sends them."""

import re
from collections.abc import Callable, Sequence

__all__ = ["Chooser", "resolve_prompt"]

Chooser = Callable[[Sequence[str]], str]

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_ESCAPED = re.compile(r"\\([{}|])")
_MAX_DEPTH = 50


def resolve_prompt(text: str, choose: Chooser) -> str:
    """ "a {red|{dark|light} blue} hat // or so" becomes "a dark blue hat ": a backslash protects signs."""
    return _ESCAPED.sub(r"\1", _resolved(text, choose, 0))


def _resolved(text: str, choose: Chooser, depth: int) -> str:
    text = _COMMENT.sub("", text)
    result, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            result, at = result + text[at : at + 2], at + 2
        elif text[at] == "{" and depth < _MAX_DEPTH:
            options, at = _alternatives(text, at + 1)
            result += _resolved(choose(options), choose, depth + 1)
        else:
            result, at = result + text[at], at + 1
    return result


def _alternatives(text: str, at: int) -> tuple[list[str], int]:
    """The options up to the closing brace, and where the text goes on; inner braces stay as they are."""
    options, option, depth = [], "", 0
    while at < len(text):
        piece = text[at : at + 2] if text[at] == "\\" else text[at]
        at += len(piece)
        if piece == "}" and not depth:
            break
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if piece == "|" and not depth:
            options.append(option)
            option = ""
        else:
            option += piece
    return [*options, option], at
