"""The rules of the house that no linter knows. Each test lists the places that break its rule."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, Module, product_modules

MODULES = product_modules()
MAX_LINES = 500
MAX_FUNCTION_LINES = 70
NAMELESS = {"utils", "helpers", "common", "misc", "manager", "core"}

# Composition roots, which may load a heavy part when it is first needed.
MAY_IMPORT_LATE = (
    "desktop/__main__.py",
    "desktop/app/",
    "desktop/runtime/",
    "desktop/cli/",
    "cloud/cli/",
    "cloud/context.py",
)

# The process entries, the task wrapper, the async-to-Qt bridge, the job runner, and the two writer
# threads that hand whatever a transaction raised to the coroutine that waits for it.
MAY_CATCH_EVERYTHING = (
    "desktop/__main__.py",
    "desktop/app/",
    "desktop/state/bridge.py",
    "desktop/jobs/runner.py",
    "desktop/store/database.py",
    "cloud/cli/",
    "cloud/repositories/sqlite.py",
    "cloud/services/leases.py",
    "cloud/tasks/",
    "cloud/worker/",
    "shared/engines/builtin/child.py",
)

# What is public here is found by registration, and imported by nobody.
REGISTERED = ("cloud/routers/", "cloud/cli/", "cloud/tables/")

# Who may import a vendor's SDK.
VENDORS = {
    "botocore": ("cloud/clients/",),
    "arq": ("cloud/clients/", "cloud/tasks/"),
    "googleapiclient": ("shared/drive/",),
    "google_auth_oauthlib": ("shared/drive/",),
    "keyring": ("desktop/secrets.py",),
    "obstore": ("cloud/clients/",),
    "python_multipart": ("cloud/clients/multipart.py",),
    "redis": ("cloud/clients/",),
    "stripe": ("cloud/clients/",),
    "watchdog": ("desktop/watching/",),
}


def test_every_module_declares_what_it_offers() -> None:
    silent = [
        module.name
        for module in MODULES
        if module.path.name not in {"__init__.py", "env.py"}
        and "/versions/" not in module.name
        and "__all__" not in _assigned(module)
    ]
    assert not silent


def test_what_is_public_is_offered() -> None:
    """A leading underscore or a place in `__all__`, and nothing between."""
    undecided = [
        f"{module.name}: {name}"
        for module in MODULES
        if module.path.name != "env.py"
        and "/versions/" not in module.name
        and not module.name.startswith(REGISTERED)
        for name in sorted(_defined(module) - _offered(module))
        if not name.startswith("_")
    ]
    assert not undecided


def test_modules_are_short() -> None:
    assert not [module.name for module in MODULES if module.text.count("\n") > MAX_LINES]


def test_modules_are_named_after_their_noun() -> None:
    assert not [module.name for module in MODULES if module.path.stem in NAMELESS]


def test_types_live_low_enough() -> None:
    assert not [module.name for module in MODULES if "TYPE_CHECKING" in module.text]


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{module.name}: {node.name}"
        for module in MODULES
        for node in _functions(module)
        if node.end_lineno is not None and node.end_lineno - node.lineno > MAX_FUNCTION_LINES
    ]
    assert not long


def test_imports_stand_at_the_top() -> None:
    late = {
        f"{module.name}:{node.lineno}"
        for module in MODULES
        if not module.name.startswith(MAY_IMPORT_LATE)
        for function in _functions(module)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not late


def test_nothing_catches_everything() -> None:
    broad = [
        f"{module.name}:{node.lineno}"
        for module in MODULES
        if not module.name.startswith(MAY_CATCH_EVERYTHING)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node)
    ]
    assert not broad


@pytest.mark.parametrize("vendor", VENDORS)
def test_vendor_sdk_has_its_place(vendor: str) -> None:
    strangers = [
        module.name
        for module in MODULES
        if any(name.split(".")[0] == vendor for name in module.imports())
        and not module.name.startswith(VENDORS[vendor])
    ]
    assert not strangers


def test_data_folders_are_no_packages() -> None:
    assert not [*(ROOT / "packaging").rglob("__init__.py"), *(ROOT / "presets").rglob("__init__.py")]


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_lock_is_hashed_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text


def _assigned(module: Module) -> set[str]:
    return {
        target.id
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _defined(module: Module) -> set[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return _assigned(module) | {node.name for node in module.tree.body if isinstance(node, kinds)}


def _offered(module: Module) -> set[str]:
    """Its `__all__`."""
    return {
        text
        for node in module.tree.body
        if isinstance(node, ast.Assign) and any(getattr(to, "id", None) == "__all__" for to in node.targets)
        for text in ast.literal_eval(node.value)
    }


def _functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _is_broad(handler: ast.ExceptHandler) -> bool:
    """Catches everything and does not raise it again."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & {"Exception", "BaseException"})
