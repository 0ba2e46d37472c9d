"""Raw graphs as new jobs, from accounts that may send them."""

import json
from collections.abc import Callable, Mapping

from cloud.clients.user_url import UserUrl
from cloud.errors import NotAllowed, PlanLimit
from cloud.repositories.artifacts import ArtifactRecord
from cloud.repositories.jobs import NewJob
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller
from cloud.services.drafts import Item, JobContent, Terms, Wanted, new_job
from cloud.services.graph_policy import AdmittedGraph, GraphLimits, admitted
from cloud.services.inputs import check_pictures, check_sizes, check_urls
from cloud.services.lane_needs import GRAPH, graph_needs
from cloud.services.placing import Place, Placing
from cloud.services.plans import entitlements_of
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
        content = JobContent(
            preset=GRAPH,
            needs=graph_needs(graph),
            version=graph.digest[:_VERSION_LENGTH],
            digest=graph.digest,
            values={},
            graph=json.dumps(graph.graph.to_json(), separators=(",", ":")),
        )
        return new_job(caller, content, terms, item, key=key)
