"""Which versions of the tables a program can work with."""

__all__ = ["can_serve"]


def can_serve(version: str | None, program: str) -> bool:
    """Whether tables of that version hold all that the program needs: later ones do, since migrations
    only add."""
    return version is not None and version >= program
