"""The wire models of the cloud API, used by the server and by every client."""
