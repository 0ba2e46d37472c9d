"""Raw graphs as new jobs, from accounts that may send them."""

import json
from collections.abc import Callable, Mapping

from cloud.clients.user_url import UserUrl
from cloud.errors import NotAllowed, PlanLimit
from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.jobs import NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller
from cloud.services.drafts import Item, Terms, Wanted
from cloud.services.graph_policy import AdmittedGraph, GraphLimits, admitted
from cloud.services.inputs import check_pictures, check_sizes, check_urls, must_fetch
from cloud.services.lane_needs import GRAPH, graph_needs, with_labels
from cloud.services.placing import Place, Placing
from cloud.services.plans import entitlements_of
from cloud.services.presets import FETCHING_POOL
from cloud.services.pricing import Offer, Price, Pricing
from shared.engines.builtin.classes import NODE_CLASSES
from shared.errors import JsonValue

__all__ = ["GraphDrafts"]

_VERSION_LENGTH = 16  # of the digest, where a preset's version stands


class GraphDrafts:
    """`price` is what a graph costs until its own runs were measured."""

    def __init__(
        self,
        *,
        limits: GraphLimits,
        placing: Placing,
        pricing: Pricing,
        price: int,
        link: str,
        check_url: Callable[[str], UserUrl],
    ) -> None:
        self._check_url = check_url
        self._limits = limits
        self._placing = placing
        self._pricing = pricing
        self._price = price
        self._link = link

    def graph(self, caller: Caller, data: Mapping[str, JsonValue], item: Item) -> AdmittedGraph:
        """Raises PlanLimit, NotAllowed, GraphError and InvalidRequest, which name the node."""
        if not entitlements_of(caller.plan).raw_graphs:
            raise PlanLimit(
                f"the plan {caller.plan} has no graphs of one's own; choose a preset, or a larger plan",
                limit="raw_graphs",
                field="graph",
                plan=caller.plan.value,
                link=self._link,
            )
        if not caller.graphs_allowed:
            raise NotAllowed(
                "this account may not send graphs of its own; ask the operator to allow it", field="graph"
            )
        return admitted(data, item.inputs, self._limits)

    def price(self, unit: Unit, graph: AdmittedGraph) -> Price:
        return self._pricing.price(unit, Offer(GRAPH, graph.digest[:_VERSION_LENGTH], self._price))

    def place(self, unit: Unit, caller: Caller, graph: AdmittedGraph, wanted: Wanted) -> Place:
        """Raises PlanLimit and InvalidRequest."""
        if graph.classes <= NODE_CLASSES:
            return self._placing.without_server("this graph", wanted.labels)
        return self._placing.at_server(unit, caller, GRAPH, "this graph", wanted.labels, field="graph")

    def job(
        self,
        caller: Caller,
        graph: AdmittedGraph,
        terms: Terms,
        item: Item,
        artifacts: Mapping[str, ArtifactRecord],
        *,
        key: str | None,
    ) -> NewJob:
        """`artifacts` are the account's, by digest. Raises what names the place in the graph."""
        check_pictures(item.inputs, artifacts)
        check_sizes(entitlements_of(caller.plan), item.inputs, artifacts)
        check_urls(item.inputs, self._check_url)
        place, waits = terms.place, must_fetch(item.inputs)
        pool, needs = FETCHING_POOL if waits else place.pool, with_labels(graph_needs(graph), place.labels)
        return NewJob(
            id=item.job_id,
            lane=Lane(pool, terms.priority, caller.account_id, GRAPH, needs),
            preset_version=graph.digest[:_VERSION_LENGTH],
            preset_digest=graph.digest,
            values={},
            inputs=item.inputs,
            enters=place.pool if waits else None,
            idempotency_key=key,
            retry_of=item.retry_of,
            price=terms.price.credits,
            price_basis=terms.price.basis.model_dump_json(),
            expected_s=terms.price.expected_s,
            expires_in=terms.expires_in,
            graph=json.dumps(graph.graph.to_json(), separators=(",", ":")),
        )
