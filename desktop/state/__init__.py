"""What the window shows, as observable models, and the bridge to the core."""
