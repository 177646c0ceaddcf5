PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: try report notebook readme lock test lint bench clean

report: $(VENV)/run.done
	@$(BIN)/snakemake --cores all
	@$(BIN)/python -c 'import yaml; print("Open", yaml.safe_load(open("config/config.yaml"))["results"] + "/report.html")'

try: $(VENV)/run.done
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all --configfile config/studies/smoke.yaml

# in a container one is root; without a browser the address to open is printed
notebook: $(VENV)/notebook.done
	@PATH="$(CURDIR)/$(BIN):$$PATH" jupyter lab --allow-root \
		--ServerApp.root_dir=workflow/notebooks --LabApp.default_url=/lab/tree/walkthrough.ipynb

# the answer and the figure of README.md, from the results of the default study
readme: $(VENV)/run.done
	@PATH="$(CURDIR)/$(BIN):$$PATH" python docs/refresh.py

lock: $(VENV)/run.done
	@$(BIN)/python tests/lock.py > requirements.lock.new && mv requirements.lock.new requirements.lock

test: $(VENV)/test.done
	@PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/test.done
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakefmt --check Snakefile workflow
	@PATH="$(CURDIR)/$(BIN):$$PATH" ruff check
	@PATH="$(CURDIR)/$(BIN):$$PATH" ruff format --check
	@PATH="$(CURDIR)/$(BIN):$$PATH" mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" python tests/house.py
	@PATH="$(CURDIR)/$(BIN):$$PATH" python tests/lint_script.py

bench: $(VENV)/test.done
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/benchmark_training.py
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/benchmark_freezing.py
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/benchmark_networks.py
	@PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks/benchmark_peers.py

clean:
	rm -rf $(VENV)

# an environment counts as made only when its last step succeeded
$(VENV)/run.done: requirements.txt requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=... names it")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/test.done: $(VENV)/run.done requirements-test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

$(VENV)/notebook.done: $(VENV)/run.done requirements-notebook.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-notebook.txt -c requirements.lock
	touch $@
