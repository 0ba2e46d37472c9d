"""Text that somebody else wrote, on its way to an eye.

Control characters forge lines and move the cursor; those that turn the direction of writing make a
name read as another one (https://trojansource.codes). They are written out, or left out of names.
"""

import re

__all__ = ["ACTING", "is_legible", "legible", "plain_name"]

# For a class of a pattern: controls, what separates lines and paragraphs, and the nine that turn.
ACTING = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"
_ACTING = re.compile(rf"[{ACTING}\ud800-\udfff]")  # and bytes of file names that are no text


def legible(text: str) -> str:
    r"""One line, with each character that would act written out, such as `\u202e`."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def is_legible(text: str) -> bool:
    return _ACTING.search(text) is None


def plain_name(name: str) -> str:
    """The name with "_" for each character that would act."""
    return _ACTING.sub("_", name)
