"""The rules of the house that no linter knows."""

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
    "desktop/app.py",
    "desktop/runtime",
    "desktop/cli/",
    "cloud/cli",
    "cloud/factory.py",
)

# The process entries, the task wrapper, the async-to-Qt bridge and the job runner.
MAY_CATCH_EVERYTHING = (
    "desktop/__main__.py",
    "desktop/app.py",
    "desktop/state/bridge.py",
    "desktop/jobs/runner.py",
    "desktop/store/database.py",  # hands what a write raised to the task that awaits it
    "cloud/repositories/sqlite.py",  # likewise
    "cloud/cli",
    "cloud/tasks/",
    "cloud/worker/",
    "shared/engines/builtin/child.py",
)

# One importer for each vendor's SDK.
VENDORS = {
    "arq": ("cloud/clients/", "cloud/tasks/"),
    "redis": ("cloud/clients/",),
    "obstore": ("cloud/clients/",),
    "stripe": ("cloud/clients/",),
    "aiosmtplib": ("cloud/clients/",),
    "watchdog": ("desktop/watching/",),
    "keyring": ("desktop/secrets.py",),
    "googleapiclient": ("shared/drive/",),
    "google_auth_oauthlib": ("shared/drive/",),
    "send2trash": ("desktop/",),
    "tenacity": ("shared/", "cloud/", "desktop/"),
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_module_declares_what_it_offers(module: Module) -> None:
    if module.path.name in {"__init__.py", "env.py"} or "/versions/" in module.name:
        return
    declared = [
        target.id
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert "__all__" in declared, f"{module.name} does not say what it offers"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_module_is_about_one_thing(module: Module) -> None:
    assert module.text.count("\n") <= MAX_LINES, "split the module"
    assert module.path.stem not in NAMELESS, "name the module after its noun"
    assert "TYPE_CHECKING" not in module.text, "a type lives too high: move it down"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_functions_fit_on_a_screen(module: Module) -> None:
    long = [
        f"{node.name} ({node.end_lineno - node.lineno} lines)"
        for node in _functions(module)
        if node.end_lineno is not None and node.end_lineno - node.lineno > MAX_FUNCTION_LINES
    ]
    assert not long


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_imports_stand_at_the_top(module: Module) -> None:
    if module.name.startswith(MAY_IMPORT_LATE):
        return
    late = [
        f"{function.name}, line {node.lineno}"
        for function in _functions(module)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not late


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_nothing_catches_everything(module: Module) -> None:
    if module.name.startswith(MAY_CATCH_EVERYTHING):
        return
    broad = [
        f"line {node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and (node.type is None or _is_broad(node.type))
    ]
    assert not broad


@pytest.mark.parametrize("vendor", VENDORS)
def test_vendor_sdk_has_its_place(vendor: str) -> None:
    strangers = [
        module.name
        for module in MODULES
        if any(name == vendor or name.startswith(f"{vendor}.") for name in module.imports())
        and not module.name.startswith(VENDORS[vendor])
    ]
    assert not strangers


def test_data_folders_are_no_packages() -> None:
    assert not list((ROOT / "packaging").rglob("__init__.py"))
    assert not list((ROOT / "presets").rglob("__init__.py"))


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_lock_is_hashed_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text


def _functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _is_broad(caught: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"} for node in ast.walk(caught)
    )
