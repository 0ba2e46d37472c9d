"""The Safelight application and the `safelight` command."""
