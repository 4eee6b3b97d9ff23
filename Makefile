# `make` lists the targets. Everything is installed into .venv, nothing outside it.
SHELL       := /bin/bash
PYTHON      ?= python3
UV_VERSION  := 0.13.9
LAB_OPTIONS ?=

bin   := .venv/bin
stamp := .venv/.stamp
uv    := $(bin)/uv --quiet
to_venv := --python $(bin)/python

# Programs and kernels of .venv come first, whatever the user has installed elsewhere.
export PATH := $(CURDIR)/$(bin):$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
unexport JUPYTER_PATH PYTHONPATH PYTHONHOME VIRTUAL_ENV
unexport PYTHONDONTWRITEBYTECODE # every kernel and every sandbox would compile the library anew: seconds each

# What is checked or stored never reaches a real provider, nor a learner's own attempts.
offline := env -u WORKBENCH_PROVIDER -u WORKBENCH_CASSETTES -u WORKBENCH_TOKENIZER \
  -u OPENAI_API_KEY -u ANTHROPIC_API_KEY WORKBENCH_PRACTICE_DIR='$(CURDIR)/.practice'

# Notebooks run with this key in their environment: in an output it would be a difference, in a file a secret
# (which is why this file does not hold it either).
canary  := $(subst +,-,no+notebook+shows+this+key)
planted := env OPENAI_API_KEY=$(canary) ANTHROPIC_API_KEY=$(canary)-either

# $(call step,heading,command): run it, and say how long it took.
define step
@printf '\n== %s\n' '$(1)'; TIMEFORMAT='   %1R s'; time $(offline) $(2)
endef

# The make of macOS can't keep the outputs of two jobs apart.
abreast := $(if $(filter output-sync,$(.FEATURES)),--jobs=2 --output-sync=target)

.PHONY: help lab test lint tests stored browser notebooks bench conformance lock clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

lab: $(stamp) ## JupyterLab on the notebooks, for this machine only
	jupyter-lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir='$(CURDIR)' \
	  --KernelManager.transport_encryption=auto --LabApp.default_url=/lab/tree/notebooks/index.ipynb \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_OPTIONS)

test: $(stamp) ## everything: lint, types, tests, notebooks, browser
	@$(MAKE) --no-print-directory tests # alone: some of them meet real clocks and sockets
	@echo 'Two checks at a time now, each shown when it is over: three minutes.'
	@$(MAKE) --no-print-directory --keep-going $(abreast) lint browser stored

tests: $(stamp) ## the tests alone
	$(call step,tests,pytest --numprocesses=2 --dist=loadfile)

stored: $(stamp) ## the notebooks against their stored outputs
	$(call step,notebooks against their stored outputs,\
	  $(planted) pytest --nbval --nbval-current-env --nbval-cell-timeout=120 --numprocesses=2 --dist=loadfile notebooks)
	$(call step,no file has the key that was planted,$(planted) python -m tools.secret_scan)

browser: $(stamp) ## the tests in a real JupyterLab and a real browser
	$(call step,browser,pytest -rs tests/browser)

lint: $(stamp) ## ruff, mypy, pyright on the public API, notebooks as stored, secrets
	$(call step,ruff check,ruff check)
	$(call step,ruff format,ruff format --check)
	$(call step,mypy,mypy)
	$(call step,basedpyright,basedpyright)
	$(call step,notebooks as stored,python -m tools.notebooks --check)
	$(call step,secrets,python -m tools.secret_scan)

notebooks: $(stamp) ## run all notebooks and store their outputs
	@$(offline) python -m tools.notebooks

bench: $(stamp) ## the measurements that the documentation quotes
	@$(offline) python bench/run.py

conformance: $(stamp) ## the official SDKs' own tests, as they are, against the simulated provider
	@$(offline) python -m tools.conformance

lock: $(bin)/uv ## renew requirements.lock with the newest releases
	$(uv) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock
	@! grep -nE '[a-z+]+://' requirements.lock || { echo 'requirements.lock must hold no addresses.'; exit 1; }

clean: ## remove .venv and all caches
	rm -rf .venv .conformance .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -prune -exec rm -rf {} +

$(bin)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'This needs Python 3.11 or newer, and $(PYTHON) is' "$$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo 'Setting up .venv: once, about a minute.'
	@$(PYTHON) -m venv .venv || { \
	  echo "Python's venv module does not work here. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(bin)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(stamp): requirements.lock pyproject.toml | $(bin)/uv
	$(uv) pip sync $(to_venv) --require-hashes requirements.lock
	$(uv) pip install $(to_venv) --no-deps --no-build-isolation --editable .
	@$(bin)/jupyter labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements # no news prompt
	@touch $@
