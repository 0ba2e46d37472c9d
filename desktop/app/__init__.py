"""The window as a program: on screen first, then everything behind it."""

from desktop.app.start import run_app

__all__ = ["run_app"]
