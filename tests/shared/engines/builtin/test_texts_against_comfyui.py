"""Numbers and texts beside a real server."""

from pathlib import Path
from typing import Any

import pytest

from shared.engines.builtin.executor import RunFailed
from tests.support.beside_comfyui import BESIDE_COMFYUI, GraphJson, Server, node, saved_by_us

pytestmark = BESIDE_COMFYUI

EMPTY = node("EmptyImage", width=8, height=8, batch_size=1, color=0)
TEXT = "One Two\n\ttwo three  3.5, two-ONE éÉß  "
TEXT_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"extract {mode} {pattern} {group}": (
            "RegexExtract",
            {
                "string": TEXT, "regex_pattern": pattern, "mode": mode, "case_insensitive": True,
                "multiline": True, "dotall": False, "group_index": group,
            },
        )
        for mode in ("First Match", "All Matches", "First Group", "All Groups")
        for pattern in (r"two", r"(t\w+)\s(\w+)", r"(x)?two", r"(broken", r"nothing")
        for group in (0, 1, 2)
    },
    **{
        f"match {pattern}": (
            "RegexMatch",
            {
                "string": TEXT, "regex_pattern": pattern, "case_insensitive": False, "multiline": False,
                "dotall": True,
            },
        )
        for pattern in ("one", "One.*ONE", "(", "^\\ttwo")
    },
    **{
        f"replace {pattern} {count}": (
            "RegexReplace",
            {"string": TEXT, "regex_pattern": pattern, "replace": r"<\g<0>>", "count": count},
        )
        for pattern in ("two", r"\b", "$")
        for count in (0, 1)
    },
    **{f"case {mode}": ("CaseConverter", {"string": TEXT, "mode": mode})
       for mode in ("UPPERCASE", "lowercase", "Capitalize", "Title Case", "none such")},
    **{f"trim {mode}": ("StringTrim", {"string": f" {TEXT}", "mode": mode})
       for mode in ("Both", "Left", "Right")},
    "trim otherwise": ("StringTrim", {"string": TEXT, "mode": "none such"}),
    "substring": ("StringSubstring", {"string": TEXT, "start": -9, "end": 99}),
    "replace empty": ("StringReplace", {"string": "abc", "find": "", "replace": "-"}),
    "length": ("StringLength", {"string": TEXT}),
    "join": ("StringConcatenate", {"string_a": "", "string_b": "b", "delimiter": " + "}),
    "float": ("PrimitiveFloat", {"value": 1e17}),
    "small float": ("PrimitiveFloat", {"value": 0.1}),
    "large number": ("PrimitiveInt", {"value": 9007199254740993}),
    "truth": ("PrimitiveBoolean", {"value": "false"}),
    "size": ("GetImageSize", {"image": ["picture", 0]}),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXT_NODES)
def test_texts_and_numbers(name: str, server: Server, tmp_path: Path) -> None:
    class_type, inputs = TEXT_NODES[name]
    if "none such" in inputs.values() and not server.is_as_recorded:
        pytest.skip("this server refuses unknown choices, which older ones let pass")
    graph = {"picture": EMPTY, "1": node(class_type, **inputs), "2": node("PreviewAny", source=["1", 0])}

    faulty = server.faulty_nodes(graph)

    if faulty:
        with pytest.raises(RunFailed) as caught:
            texts(graph, tmp_path)
        assert [caught.value.details["node"]] == faulty
    else:
        result = server.result(server.submit(graph).json()["prompt_id"])
        assert texts(graph, tmp_path) == result["outputs"]["2"]["text"]


def texts(graph: GraphJson, folder: Path) -> list[str]:
    return [file.path.read_text(encoding="utf-8") for file in saved_by_us(graph, {}, folder)]
