"""Engines run work: built-in, ComfyUI and, in the desktop, the cloud."""
