"""What leaves this process for others' eyes."""

from cloud.clients.telemetry import report, span, telemetry, traceparent
from tests.support.telemetry_receiver import telemetry_receiver

KEY = "sl_live_0123456789abcdefABCDEFcanary"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_without_settings_nothing_is_sent() -> None:
    with telemetry(otlp_endpoint=None, sentry_dsn=None, environment="test"), span("work", parent=CALLER):
        report(RuntimeError("broken"))
        assert (traceparent() or CALLER).split("-")[1] == CALLER.split("-")[1]


def test_fault_is_reported_without_secrets() -> None:
    with telemetry_receiver() as receiver:
        with telemetry(otlp_endpoint=None, sentry_dsn=receiver.sentry_dsn, environment="test"):
            hidden_in_a_variable = KEY
            try:
                raise RuntimeError(f"cannot use {hidden_in_a_variable} of canary@studio.example")
            except RuntimeError as error:
                report(error)
        [event] = receiver.events
    [exception] = event["exception"]["values"]
    assert exception["type"] == "RuntimeError"
    assert exception["value"] == "cannot use [hidden] of [hidden]"
    assert exception["stacktrace"]["frames"][-1]["function"] == "test_fault_is_reported_without_secrets"
    assert "canary" not in str(event)
