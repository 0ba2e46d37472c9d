"""One unit of work: a transaction and the repositories that act in it."""

from datetime import timedelta

from sqlalchemy import Connection, inspect, text

from cloud.repositories.accounts import AccountRows
from cloud.repositories.artifacts import ArtifactRows
from cloud.repositories.audit import AuditRows
from cloud.repositories.batches import BatchRows
from cloud.repositories.claims import ClaimRows
from cloud.repositories.collection import CollectionRows
from cloud.repositories.credit_audit import CreditAuditRows
from cloud.repositories.credits import CreditRows
from cloud.repositories.deliveries import DeliveryRows
from cloud.repositories.events import EventRows
from cloud.repositories.fetches import FetchRows
from cloud.repositories.gauges import GaugeRows
from cloud.repositories.idempotency import IdempotencyRows
from cloud.repositories.intake import IntakeRows
from cloud.repositories.jobs import JobRows
from cloud.repositories.keys import KeyRows
from cloud.repositories.lanes import LaneRows
from cloud.repositories.leads import LeadRows
from cloud.repositories.now import Clock
from cloud.repositories.places import PlaceRows
from cloud.repositories.run_times import RunTimeRows
from cloud.repositories.sealed import SealedRows
from cloud.repositories.servers import ServerRows
from cloud.repositories.shares import ShareRows
from cloud.repositories.standing import StandingRows
from cloud.repositories.stream_tickets import StreamTicketRows
from cloud.repositories.tickets import TicketRows
from cloud.repositories.waiting import WaitingRows
from cloud.repositories.webhooks import WebhookRows

__all__ = ["Unit"]


class Unit:
    def __init__(self, connection: Connection, clock_offset: timedelta) -> None:
        clock = Clock(clock_offset)
        self.connection = connection
        self.accounts = AccountRows(connection, clock)
        self.artifacts = ArtifactRows(connection, clock)
        self.audit = AuditRows(connection, clock)
        self.batches = BatchRows(connection, clock)
        self.claims = ClaimRows(connection, clock)
        self.collection = CollectionRows(connection, clock)
        self.credit_audit = CreditAuditRows(connection, clock)
        self.credits = CreditRows(connection, clock)
        self.deliveries = DeliveryRows(connection, clock)
        self.events = EventRows(connection, clock)
        self.gauges = GaugeRows(connection, clock)
        self.idempotency = IdempotencyRows(connection, clock)
        self.jobs = JobRows(connection, clock)
        self.keys = KeyRows(connection, clock)
        self.lanes = LaneRows(connection, clock)
        self.fetches = FetchRows(connection, clock, self.lanes)
        self.intake = IntakeRows(connection, clock, self.jobs, self.events, self.lanes)
        self.leads = LeadRows(connection, clock)
        self.run_times = RunTimeRows(connection, clock)
        self.places = PlaceRows(connection)
        self.sealed = SealedRows(connection)
        self.servers = ServerRows(connection, clock)
        self.shares = ShareRows(connection, clock)
        self.standing = StandingRows(connection, clock, self.servers)
        self.stream_tickets = StreamTicketRows(connection, clock, self.keys)
        self.tickets = TicketRows(connection)
        self.waiting = WaitingRows(connection, clock, self.lanes)
        self.webhooks = WebhookRows(connection, clock)

    def schema_version(self) -> str:
        """Which migration was the last; empty if there was none."""
        if not inspect(self.connection).has_table("alembic_version"):
            return ""
        return str(self.connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
