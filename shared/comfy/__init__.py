"""Speaking to a ComfyUI server and reading its graphs."""
