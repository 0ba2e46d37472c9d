"""The API's addresses: body in, service call, body out."""
