"""What an OTLP collector and Sentry do with what they are sent: they check its form and keep it."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["TelemetryReceiver", "telemetry_receiver"]


@dataclass
class TelemetryReceiver:
    url: str
    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sentry_dsn(self) -> str:
        return self.url.replace("http://", "http://public@") + "/7"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.traces
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def take(self, path: str, content_type: str, body: bytes) -> int:
        if path == "/v1/traces" and content_type == "application/x-protobuf":
            self.traces.append(ExportTraceServiceRequest.FromString(body))
            return 200
        if path == "/api/7/envelope/":
            _header, *items = body.split(b"\n")
            for head, payload in zip(items[::2], items[1::2], strict=False):
                if json.loads(head)["type"] == "event":
                    self.events.append(json.loads(payload))
            return 200
        return 404


@contextmanager
def telemetry_receiver() -> Iterator[TelemetryReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = receiver.take(self.path, self.headers.get("Content-Type", ""), body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = TelemetryReceiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
