"""The engine that runs work on a ComfyUI server."""

from shared.engines.comfy.engine import ComfyEngine

__all__ = ["ComfyEngine"]
