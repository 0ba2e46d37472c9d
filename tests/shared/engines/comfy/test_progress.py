"""How far a run is: nodes weighed by what they take, and never a step backwards."""

from datetime import UTC, datetime

from shared.comfy.graph import parse_graph
from shared.comfy.messages import ExecutionCached, ExecutionStarted, NodeStarted, StepProgress
from shared.engines.base import Ticket
from shared.engines.comfy.progress import RunProgress
from shared.jobs.events import Progress

NOW = datetime(2024, 1, 2, tzinfo=UTC)
CLASSES = ["CheckpointLoaderSimple", "LoadImage", "VAEEncode", "CLIPTextEncode", "CLIPTextEncode"]
GRAPH = parse_graph(
    {
        **{str(at): {"class_type": name, "inputs": {}} for at, name in enumerate(CLASSES, start=1)},
        "6": {"class_type": "KSampler", "inputs": {"steps": 3}},
        "7": {"class_type": "VAEDecode", "inputs": {}},
        "8": {"class_type": "SaveImage", "inputs": {}},
    }
)


def _fractions(*news: NodeStarted | StepProgress | ExecutionCached) -> list[float]:
    ticket = Ticket(engine="comfy", run_id="run", job_id="job", attempt=1)
    progress = RunProgress(ticket=ticket, graph=GRAPH, server="here", now=lambda: NOW)
    told = [event for item in (ExecutionStarted("run"), *news) for event in progress.events(item)]
    return [event.fraction for event in told if isinstance(event, Progress)]


def _nodes(*nodes: int) -> list[NodeStarted]:
    return [NodeStarted("run", str(node)) for node in nodes]


def test_the_steps_of_a_sampler_are_most_of_the_bar() -> None:
    steps = [StepProgress("run", "6", step, 3) for step in (1, 2, 3)]
    fractions = _fractions(*_nodes(1, 2, 3, 4, 5, 6), *steps, *_nodes(7, 8))
    before, first, second, third = fractions[5:9]
    assert before < 0.2
    assert [round(after - earlier, 2) for earlier, after in ((before, first), (first, second))] == [0.26] * 2
    assert 0.9 < third < 1
    assert fractions == sorted(fractions)


def test_what_the_server_has_in_its_cache_counts_nothing() -> None:
    cached = ExecutionCached("run", frozenset("12345"))
    fractions = _fractions(cached, *_nodes(6), StepProgress("run", "6", 3, 3), *_nodes(7, 8))
    assert fractions[0] == 0
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1


def test_steps_that_begin_again_do_not_move_the_bar_back() -> None:
    steps = [StepProgress("run", "6", step, 3) for step in (2, 3, 1, 2)]
    fractions = _fractions(*_nodes(6), *steps)
    assert fractions == sorted(fractions)
