"""Servers as operators see them."""

from cloud.repositories.servers import ServerRecord
from shared.api.servers import Server, ServerBreaker, ServerSwitch
from shared.engines.base import Capabilities

__all__ = ["server_view"]


def server_view(server: ServerRecord, capabilities: Capabilities | None) -> Server:
    """`capabilities` are what it said it can run, if it said so."""
    classes = None if capabilities is None else capabilities.node_classes
    return Server(
        name=server.name,
        url=server.url,
        pool=server.pool,
        capacity=server.capacity,
        labels=dict(server.labels),
        state=server.state,
        created_at=server.created_at,
        version=server.facts.version,
        device=server.facts.device,
        memory_bytes=server.facts.memory_bytes,
        memory_free_bytes=server.facts.memory_free_bytes,
        queue_length=server.facts.queue_length,
        seen_at=server.seen_at,
        breaker=ServerBreaker(
            state=server.breaker.state,
            failures=server.breaker.failures,
            opened_at=server.breaker.opened_at,
            retry_at=server.breaker.retry_at,
            trouble=server.breaker.trouble,
        ),
        led_by=server.led_by if server.is_led else None,
        preset=server.preset,
        preset_since=server.preset_since,
        switches=[
            ServerSwitch(preset=preset, cold_s=switch.cold_s, warm_s=switch.warm_s)
            for preset, switch in sorted(server.switches.items())
        ],
        models=None
        if capabilities is None
        else {folder: list(names) for folder, names in capabilities.models.items()},
        node_classes=None if classes is None else len(classes),
    )
