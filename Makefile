# Few verbs; each sets up what it needs, once. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The interpreter to build the environments with: any of Python 3.11 to 3.14.
PYTHON ?= python3
REGION ?= us-east-1

# Commands find the tools of the environment (uv builds the layer) before those of the machine.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export SAM_CLI_TELEMETRY := 0
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

UV := .venv/bin/uv
SYNC = $(UV) pip sync --quiet --require-hashes
VENV := .venv/.ready
# The engine's C; where it is not built Python does the same, slower.
C := layers/engine/hybrid_sync/compiled
COMPILED := $(if $(filter Linux,$(shell uname -s)),$(C)/rows.so)
DEV := $(VENV) $(COMPILED)
SAM := .venv-sam/.ready
CHECKOV := .venv-checkov/.ready
STACK := .venv-stack/.ready
PEERS := .venv-bench/.ready .venv-bench-sling/.ready

.PHONY: help demo test cases faults api-fuzz gate gate-storm rollbacks bottlenecks check check-code check-template bench bench-ondemand drill drills deploy-drill mutants deploy down lock environments browser

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 16

demo: environments  ## a legacy and a Supabase database on this machine, synced by the real template
	@.venv/bin/hybrid-sync demo

test: environments browser  ## every test except those of `make check`
	@.venv/bin/python -m pytest tests --ignore=tests/checks --numprocesses=2 --dist=loadfile $(ARGS)

check: $(DEV) $(SAM) $(CHECKOV)  ## format, lint, types, import contracts, template, state machine, security, locks
	@$(MAKE) --jobs=2 check-code check-template
	@.venv/bin/python -m pytest tests/checks --numprocesses=2 --dist=loadfile $(ARGS)

check-code:
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/bandit --quiet --recursive --configfile pyproject.toml layers cli functions
	@.venv/bin/python requirements/lock.py --check

check-template:
	@.venv/bin/cfn-lint --append-rules cfn_lint_serverless.rules --include-checks I --template template.yaml
	@AWS_DEFAULT_REGION=$(REGION) .venv-sam/bin/sam validate --lint --template template.yaml
	@.venv-checkov/bin/checkov

cases: $(DEV)  ## small worlds on which nothing may pass in silence (ARGS="--only values"; HYBRID_SYNC_PG_BIN=… for another server)
	@.venv/bin/python -m tests.cases $(ARGS)

faults: $(DEV)  ## N randomised schedules of writers, races and crashes (SEED=… replays), judged by an oracle
	@.venv/bin/python -m tests.faults --n $(or $(N),200) $(if $(SEED),--seed $(SEED))

ways: $(DEV)  ## a flood of changes carried directly and by REST at once, the direct port closing in the middle: nothing lost, nothing taken back (minutes; N=300 SEED=…)
	@CHANGES=$(or $(N),300) SEED=$(or $(SEED),1) .venv/bin/python -m pytest -q -s tests/engine/test_by_rest.py -k flood

rollbacks: $(DEV)  ## undo N random runs (SEED=… replays): all is as before the run again, except what people have edited
	@.venv/bin/python -m tests.rollbacks --n $(or $(N),1000) $(if $(SEED),--seed $(SEED))

bench: environments $(PEERS)  ## the engine against raw COPY, postgres_fdw, sling, dlt and a prototype, in ten minutes (ARGS=--long for all of it; ARGS=roundtrips, memory, poison, failing, imports or copy for one of the others, cli for the command against the stack that is up)
	@.venv/bin/python -m bench $(ARGS)

bench-ondemand: environments  ## a critical event from its request to the target, idle and beside a weekly run (minutes; ARGS="--requests 40 --rows 200000", --cold, --webhooks)
	@.venv/bin/python -m bench ondemand $(ARGS)

api-fuzz: $(DEV)  ## N requests (SEED=…) to the API of the stack that is up, by its own OpenAPI document: no 5xx, each answer as documented
	@.venv/bin/python -m tests.fuzz --n $(or $(N),2000) $(if $(SEED),--seed $(SEED))

gate: $(DEV) $(STACK)  ## N seeded schedules of admission (SEED=…), late and killed between any two calls: never a fourth run
	@.venv/bin/python -m tests.gate --n $(or $(N),1000) --seed $(or $(SEED),0)

gate-storm: $(DEV)  ## 50 starts at once on the stack that is up, while executions are stopped and functions killed
	@.venv/bin/python -m tests.gate.storm

erasing: $(DEV)  ## N people erased in a storm of runs, retries, rollbacks, a restored target and a bulk load (SEED=…): nobody comes back
	@.venv/bin/python -m tests.erasing --n $(or $(N),1000) --seed $(or $(SEED),0)

bottlenecks: $(DEV)  ## a healthy world and planted bottlenecks, N of each (SEED=…): each is named with its remedy, and nothing else
	@.venv/bin/python -m tests.bottlenecks --n $(or $(N),1) --seed $(or $(SEED),0)

access: $(DEV)  ## who can read or change what: functions, database roles, people, tokens, as tables in Markdown
	@.venv/bin/python -m tests.checks.access

drill: $(DEV)  ## spoil a synced target in 2,000 known ways: each must be named, and nothing else (ARGS=--seed 7)
	@.venv/bin/python -m tests.drill $(ARGS)

drills: environments  ## an operator's bad nights on a stack as strict as AWS: seen, named, healed, nothing lost, no cell's value outside (many minutes; ARGS="table-locked" for one)
	@.venv/bin/python -m tests.drills $(ARGS)

deploy-drill: environments  ## the README's way to AWS on a stack as strict as AWS: deploy, sync, roll back, redeploy, away again (minutes)
	@.venv/bin/python -m tests.deploy_drill

mutants: $(DEV)  ## take the engine's guards out one by one: for each a test must fail (ARGS="bucket_lock --jobs 4")
	@.venv/bin/python -m tests.mutants $(ARGS)

deploy: $(DEV) $(SAM)  ## build and deploy to AWS; settings come from samconfig.toml and ARGS
	@.venv/bin/python -m hybrid_sync_cli.release $(ARGS)

down: $(DEV)  ## stop everything that `demo` or `hybrid-sync up` started
	@.venv/bin/hybrid-sync down

lock: $(DEV)  ## renew requirements/*.txt from pyproject.toml (ARGS=--upgrade moves the pins)
	@.venv/bin/python requirements/lock.py $(ARGS)

environments: $(DEV) $(SAM) $(STACK)

browser:
	@tests/browser/install.sh

ifneq ($(COMPILED),)
$(COMPILED): $(wildcard $(C)/*.[ch]) layers/engine/Makefile | $(VENV)
	@$(MAKE) --silent -C layers/engine compiled
endif

$(VENV): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null \
	  || { echo "There is no $(PYTHON): install Python 3.11 to 3.14, or name one with make PYTHON=python3.13." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	  || { echo "$(PYTHON) is $$("$(PYTHON)" -V 2>&1): hybrid-sync needs Python 3.11 to 3.14, name one with make PYTHON=python3.13." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) cannot make environments: install its venv module (Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "setting up .venv"
	@.venv/bin/python -c '' 2>/dev/null || "$(PYTHON)" -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --require-hashes --requirement requirements/bootstrap.txt
	@$(SYNC) --python .venv/bin/python requirements/dev.txt
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

$(SAM): requirements/sam.txt | $(DEV)
	@echo "setting up .venv-sam"
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-sam
	@$(SYNC) --python .venv-sam/bin/python requirements/sam.txt
	@touch $@

# What cannot be installed here is missing from the benchmark, which says so.
$(PEERS): .venv-%/.ready: requirements/%.txt | $(DEV)
	@echo "setting up .venv-$*"
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-$*
	@$(SYNC) --python .venv-$*/bin/python requirements/$*.txt && touch $@ \
	  || echo "The peers of requirements/$*.txt cannot be installed here: the benchmark goes on without them."

$(CHECKOV): requirements/checkov.txt | $(DEV)
	@echo "setting up .venv-checkov"
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-checkov
	@$(SYNC) --python .venv-checkov/bin/python requirements/checkov.txt
	@touch $@

$(STACK): requirements/stack.txt | $(DEV)
	@echo "setting up .venv-stack"
	@$(UV) venv --quiet --clear --python .venv/bin/python .venv-stack
	@$(SYNC) --python .venv-stack/bin/python requirements/stack.txt
	@touch $@
