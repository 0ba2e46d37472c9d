"""The Safelight cloud: API, workers and the `safelight-cloud` command."""
