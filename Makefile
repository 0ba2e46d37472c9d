PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: setup demo test fuzz test-comfyui chaos chaos-sweep mutants lint format bench looks schema screenshots lock clean

setup: $(READY)

$(READY): requirements/dev.txt pyproject.toml packaging/debian-packages.txt packaging/install-debian-packages
	packaging/install-debian-packages
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/python packaging/demo.py

test: setup
	$(BIN)/pytest -n 2 --dist loadfile

test-comfyui: setup
	@test -n "$(COMFYUI_URL)" || { echo "set COMFYUI_URL to a running ComfyUI, for example http://127.0.0.1:8188" >&2; exit 2; }
	COMFYUI_URL=$(COMFYUI_URL) $(BIN)/pytest -m real_comfyui tests

SEED ?= 1
JOBS ?= 120
FAULTS ?= 25

chaos: setup
	$(BIN)/python -m tests.chaos.soak --seed $(SEED) --jobs $(JOBS) --faults $(FAULTS)

chaos-sweep: setup
	SWEEP=all $(BIN)/pytest tests/chaos tests/cloud/services/test_credits.py::test_fifty_at_once_spend_the_last_credit_once \
		tests/desktop/cli/test_watch.py::test_kills_lose_no_input_and_repeat_no_output \
		tests/desktop/watching/test_watch.py::test_a_folder_of_many_moved_in_and_renamed_is_taken_once

mutants: setup
	$(BIN)/python -m tests.chaos.mutants

fuzz: setup
	$(BIN)/python -m tests.fuzz

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m tests.bench

looks: setup
	$(BIN)/python packaging/render_looks.py

schema: setup
	$(BIN)/python packaging/write_schema.py

screenshots: setup
	$(BIN)/python packaging/screenshots.py

lock:
	uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		--all-extras --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		--extra desktop --extra google -c requirements/dev.txt pyproject.toml -o requirements/desktop.txt
	uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		--extra cloud -c requirements/dev.txt pyproject.toml -o requirements/cloud.txt
	grep '^hatchling==' requirements/dev.txt | tr -d '\\' | \
		uv pip compile --universal --generate-hashes --no-header --no-annotate --python-version 3.11 --quiet \
		- -o requirements/build.txt

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
