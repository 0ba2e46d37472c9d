"""Builds the services, per unit of work, from what the process holds."""

from datetime import timedelta

from cloud.context import ProcessContext
from cloud.services.accepting import Accepting
from cloud.services.accounts import Accounts
from cloud.services.admission import Admission
from cloud.services.arrivals import Arrivals
from cloud.services.artifacts import Artifacts
from cloud.services.attempt_ends import AttemptEnds
from cloud.services.attempt_rules import AttemptRules
from cloud.services.attempts import Attempts
from cloud.services.batches import Batches
from cloud.services.breaker import BreakerRules
from cloud.services.checkup import Checkup
from cloud.services.claiming import Claiming
from cloud.services.collection import Collection, CollectionRules
from cloud.services.credit_audit import CreditAudit
from cloud.services.credits import Credits
from cloud.services.deliveries import Deliveries
from cloud.services.drafts import Drafts
from cloud.services.endings import Endings
from cloud.services.event_streams import EventStreams
from cloud.services.file_submissions import FileSubmissions
from cloud.services.graph_drafts import GraphDrafts
from cloud.services.graph_policy import DEFAULT_CLASSES, GraphLimits
from cloud.services.health import Health
from cloud.services.input_fetcher import InputFetcher
from cloud.services.jobs import Jobs
from cloud.services.keys import Keys
from cloud.services.leading import Leading
from cloud.services.links import Links
from cloud.services.observing import Observing
from cloud.services.placing import Placing
from cloud.services.presets import Presets
from cloud.services.publisher import EventPublisher
from cloud.services.quotes import Quotes
from cloud.services.reaping import Reaping
from cloud.services.recipes import Recipes
from cloud.services.retention import Retention
from cloud.services.run_files import RunFiles
from cloud.services.secrets import Secrets
from cloud.services.servers import Servers
from cloud.services.shares import Shares
from cloud.services.sign_in_audit import SignInAudit
from cloud.services.stream_tickets import StreamTickets
from cloud.services.users import Users
from cloud.services.waiting import Waiting
from cloud.services.webhook_sender import WebhookSender
from cloud.services.webhooks import Webhooks
from cloud.services.why import Why
from shared.engines.builtin.classes import NODE_CLASSES

__all__ = ["Factory"]


class Factory:
    def __init__(self, context: ProcessContext) -> None:
        self._context = context

    def accounts(self) -> Accounts:
        return Accounts(database=self._context.database, credits=self.credits(), utcnow=self._context.utcnow)

    def admission(self) -> Admission:
        settings = self._context.settings
        return Admission(
            keys=self.keys(),
            tickets=self.stream_tickets(),
            audit=SignInAudit(database=self._context.database, counter=self._context.counter),
            counter=self._context.counter if settings.rate_limits else None,
            metrics=self._context.metrics,
            failed_per_minute=settings.failed_sign_ins_per_minute,
        )

    def artifacts(self) -> Artifacts:
        settings = self._context.settings
        return Artifacts(
            database=self._context.database,
            blobs=self._context.blobs,
            inspector=self._context.inspector,
            arrivals=Arrivals(
                database=self._context.database, blobs=self._context.blobs, inspector=self._context.inspector
            ),
            links=self._links(),
            signer=self._context.signer,
            max_bytes=settings.max_upload_bytes,
            link_valid_for=timedelta(seconds=settings.link_valid_s),
        )

    def attempts(self) -> Attempts:
        return Attempts(
            database=self._context.database,
            queue=self._context.queue,
            ends=self._attempt_ends(),
            lease=self.attempt_rules().lease,
            utcnow=self._context.utcnow,
        )

    def attempt_rules(self) -> AttemptRules:
        return AttemptRules(lease=timedelta(seconds=self._context.settings.lease_s))

    def batches(self) -> Batches:
        return Batches(
            database=self._context.database,
            queue=self._context.queue,
            endings=self._endings(),
            accepting=self._accepting(),
            drafts=self._drafts(),
            links=self._links(),
            utcnow=self._context.utcnow,
        )

    def checkup(self) -> Checkup:
        settings = self._context.settings
        return Checkup(
            database=self._context.database,
            health=self.health(),
            audit=self.credit_audit(),
            folder=settings.data_dir,
            storage=settings.storage_place,
            schema_version=self._context.schema_version,
            has_redis=self._context.redis is not None,
            utcnow=self._context.utcnow,
        )

    def claiming(self) -> Claiming:
        return Claiming(
            database=self._context.database, queue=self._context.queue, lease=self.attempt_rules().lease
        )

    def credits(self) -> Credits:
        return Credits(
            database=self._context.database,
            link=self._context.settings.credits_link,
            utcnow=self._context.utcnow,
        )

    def credit_audit(self) -> CreditAudit:
        return CreditAudit(database=self._context.database)

    def collection(self) -> Collection:
        settings = self._context.settings
        rules = CollectionRules(
            grace=timedelta(seconds=settings.collect_grace_s),
            unfinished=timedelta(seconds=settings.unfinished_kept_s),
            stray=timedelta(seconds=settings.strays_kept_s),
        )
        return Collection(
            database=self._context.database,
            blobs=self._context.blobs,
            rules=rules,
            utcnow=self._context.utcnow,
        )

    def deliveries(self) -> Deliveries:
        return Deliveries(database=self._context.database, queue=self._context.queue)

    def event_streams(self) -> EventStreams:
        return EventStreams(
            database=self._context.database, broadcast=self._context.broadcast, door=self._context.streams
        )

    def file_submissions(self) -> FileSubmissions:
        return FileSubmissions(artifacts=self.artifacts(), jobs=self.jobs())

    def health(self) -> Health:
        return Health(
            database=self._context.database,
            blobs=self._context.blobs,
            redis=self._context.redis,
            schema_version=self._context.schema_version,
            stopping=self._context.streams.is_closing,
        )

    def input_fetcher(self) -> InputFetcher:
        return InputFetcher(
            database=self._context.database,
            queue=self._context.queue,
            blobs=self._context.blobs,
            inspector=self._context.inspector,
            http=self._context.user_http,
            endings=self._endings(),
            presets=self._context.presets,
            max_bytes=self._context.settings.max_upload_bytes,
            lease=self.attempt_rules().lease,
            try_s=self._context.settings.fetch_try_s,
            utcnow=self._context.utcnow,
        )

    def jobs(self) -> Jobs:
        return Jobs(
            database=self._context.database,
            queue=self._context.queue,
            endings=self._endings(),
            accepting=self._accepting(),
            drafts=self._drafts(),
            graphs=self._graph_drafts(),
            links=self._links(),
            utcnow=self._context.utcnow,
        )

    def keys(self) -> Keys:
        return Keys(database=self._context.database)

    def leading(self) -> Leading:
        return Leading(
            database=self._context.database,
            queue=self._context.queue,
            box=self._context.box,
            rules=self.attempt_rules(),
            breaker_rules=BreakerRules(first=timedelta(seconds=self._context.settings.breaker_first_s)),
        )

    def metrics_token(self) -> str | None:
        token = self._context.settings.metrics_token
        return None if token is None else token.get_secret_value()

    def observing(self) -> Observing:
        return Observing(
            database=self._context.database,
            metrics=self._context.metrics,
            inspector=self._context.inspector,
            streams=self._context.streams,
        )

    def origins(self) -> tuple[str, ...]:
        """Of the web pages that may call us, our own among them."""
        return (*self._context.settings.cors_origins, self._context.settings.base_url)

    def presets(self) -> Presets:
        return Presets(presets=self._context.presets, builtin_classes=NODE_CLASSES)

    def publisher(self) -> EventPublisher:
        return EventPublisher(
            database=self._context.database,
            broadcast=self._context.broadcast,
            queue=self._context.queue,
        )

    def reaping(self) -> Reaping:
        return Reaping(database=self._context.database, queue=self._context.queue, ends=self._attempt_ends())

    def recipes(self) -> Recipes:
        return Recipes(database=self._context.database)

    def quotes(self) -> Quotes:
        return Quotes(database=self._context.database, presets=self.presets(), drafts=self._drafts())

    def retention(self) -> Retention:
        return Retention(database=self._context.database)

    def secrets(self) -> Secrets:
        return Secrets(database=self._context.database, box=self._context.box)

    def servers(self) -> Servers:
        return Servers(database=self._context.database, queue=self._context.queue, box=self._context.box)

    def run_files(self) -> RunFiles:
        return RunFiles(database=self._context.database, folder=self._context.settings.data_dir / "engines")

    def shares(self) -> Shares:
        return Shares(
            database=self._context.database,
            blobs=self._context.blobs,
            inspector=self._context.inspector,
            links=self._links(),
        )

    def stream_tickets(self) -> StreamTickets:
        return StreamTickets(database=self._context.database, utcnow=self._context.utcnow)

    def users(self) -> Users:
        return Users(database=self._context.database)

    def waiting(self) -> Waiting:
        return Waiting(
            database=self._context.database,
            queue=self._context.queue,
            endings=self._endings(),
            presets=self._context.presets,
            longest=timedelta(seconds=self._context.settings.queue_time_s),
            utcnow=self._context.utcnow,
        )

    def webhook_sender(self) -> WebhookSender:
        return WebhookSender(
            database=self._context.database,
            queue=self._context.queue,
            http=self._context.user_http,
            box=self._context.box,
            lease=self.attempt_rules().lease,
        )

    def webhooks(self) -> Webhooks:
        return Webhooks(
            database=self._context.database,
            queue=self._context.queue,
            http=self._context.user_http,
            box=self._context.box,
            utcnow=self._context.utcnow,
        )

    def why(self) -> Why:
        return Why(database=self._context.database, presets=self._context.presets)

    def _accepting(self) -> Accepting:
        return Accepting(
            database=self._context.database,
            queue=self._context.queue,
            credits=self.credits(),
            utcnow=self._context.utcnow,
        )

    def _attempt_ends(self) -> AttemptEnds:
        return AttemptEnds(
            endings=self._endings(),
            rules=self.attempt_rules(),
            presets=self._context.presets,
            utcnow=self._context.utcnow,
        )

    def _drafts(self) -> Drafts:
        return Drafts(
            presets=self.presets(),
            placing=self._placing(),
            pricing=self._context.pricing,
            longest=timedelta(seconds=self._context.settings.queue_time_s),
            link=self._context.settings.credits_link,
            check_url=self._context.user_http.check,
        )

    def _placing(self) -> Placing:
        return Placing(directions=self._context.directions, link=self._context.settings.credits_link)

    def _graph_drafts(self) -> GraphDrafts:
        settings = self._context.settings
        return GraphDrafts(
            limits=GraphLimits(
                classes=DEFAULT_CLASSES | frozenset(settings.graph_classes),
                bytes=settings.graph_max_bytes,
                nodes=settings.graph_max_nodes,
                depth=settings.graph_max_depth,
            ),
            placing=self._placing(),
            pricing=self._context.pricing,
            price=settings.graph_price,
            link=settings.credits_link,
            check_url=self._context.user_http.check,
        )

    def _endings(self) -> Endings:
        return Endings(metrics=self._context.metrics)

    def _links(self) -> Links:
        return Links(base_url=self._context.settings.base_url, signer=self._context.signer)
