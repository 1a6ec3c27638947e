# Everything a person does with this repository. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
RUNS := $(VENV)/.installed-to-run
DEVELOPS := $(VENV)/.installed-to-develop
SECRETS = $${SIFANG_SECRETS_DIR:-.local/secrets}

.DEFAULT_GOAL := help
.PHONY: help setup run demo test reference lint format docs bench bench-settle bench-policy bench-reconcile bench-beside simulate token status reset verify-ledger archive dead-letters lock
unexport PYTHONPATH PYTHONHOME

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEVELOPS) ## Make .venv with everything that running, testing and checking need

$(RUNS): requirements.txt deploy/install.py
	@$(PYTHON) deploy/install.py $(VENV) requirements.txt >&2
	@touch $@

$(DEVELOPS): requirements.txt requirements-dev.txt deploy/install.py
	@$(PYTHON) deploy/install.py $(VENV) requirements.txt requirements-dev.txt >&2
	@touch $(RUNS) $@

run: $(RUNS) ## Start the whole cluster on this machine; Ctrl-C stops it
	@$(PY) -m deploy.local run

demo: $(RUNS) ## Play the main job on a cluster of its own; KEEP=1 leaves it up for a look at the traces
	@$(PY) -m deploy.local demo $(if $(KEEP),--keep) -- $(ARGS)

test: $(DEVELOPS) ## Run the tests; ARGS="-k word" for some of them
	@$(PY) -m deploy.local fetch
	@$(PY) -m deploy.testing $(ARGS)

CASES ?= 100000
reference: $(DEVELOPS) ## Hold the policy engine against the slow second implementation on 100,000 made-up bills; CASES=1000000 for more
	@SIFANG_POLICY_CASES=$(CASES) $(PY) -m pytest tests/policy/test_reference.py

lint: $(DEVELOPS) ## Check style, types, imports, generated documents and house rules
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy --strict
	@$(VENV)/bin/lint-imports
	@$(PY) -m shared.docs --check
	@$(PY) -m deploy.checks

format: $(DEVELOPS) ## Bring the code into form
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: $(RUNS) ## Write the documents that are made from the code
	@$(PY) -m shared.docs

bench: $(DEVELOPS) ## Measure everything; ends with one JSON line
	@$(PY) -m tests.bench

bench-settle: $(DEVELOPS) ## Measure settlement alone, within a minute; ends with one JSON line
	@$(PY) -m tests.bench settle

bench-policy: $(DEVELOPS) ## Measure the policy engine alone, within a minute; ends with one JSON line
	@$(PY) -m tests.bench policy

bench-reconcile: $(DEVELOPS) ## Measure match and closing of a month of a million bills, within a minute; ends with one JSON line; ARGS="--bills 6000000"
	@$(PY) -m tests.bench reconcile $(ARGS)

bench-beside: $(DEVELOPS) ## Measure settlement at discharge while a month of a million bills is closed; ends with one JSON line
	@$(PY) -m tests.bench beside $(ARGS)

simulate: $(DEVELOPS) ## Play random months against a model of the books; ARGS="--first 1 --count 2000"
	@$(PY) -m tests.simulation $(ARGS)

token: $(RUNS) ## Print a token: make -s token ROLE=officer PARTY=411603 [SUBJECT=li]
	@test -n "$(ROLE)" -a -n "$(PARTY)" || { echo "say who: make -s token ROLE=officer PARTY=411603" >&2; exit 2; }
	@$(PY) -m shared.keys init "$(SECRETS)"
	@$(PY) -m shared.keys token --role "$(ROLE)" --party "$(PARTY)" $(if $(SUBJECT),--subject "$(SUBJECT)")

status: $(RUNS) ## Show the parts of the running cluster
	@$(PY) -m deploy.local status

reset: $(RUNS) ## Forget the data of `make run`
	@$(PY) -m deploy.local reset

verify-ledger: $(RUNS) ## Verify the ledger of the running cluster against its chain; SINCE=file holds a checkpoint against it, ARCHIVES=folder reads archived years
	@$(PY) -m deploy.local exec -- $(PY) -m services.settlement.verify $(if $(SINCE),--since "$(SINCE)") \
		$(if $(ARCHIVES),--archives "$(ARCHIVES)")

archive: $(RUNS) ## Archive a closed year of bills and ledger, or bring one back; ARGS="make 2020 --by NAME --with NAME"
	@$(PY) -m deploy.local exec -- $(PY) -m services.settlement.archive $(ARGS)

dead-letters: $(RUNS) ## Give a service the events again that it had set aside: SERVICE=settlement
	@test -n "$(SERVICE)" || { echo "say whose: make dead-letters SERVICE=settlement" >&2; exit 2; }
	@$(PY) -m deploy.local exec -- $(PY) -m shared.dead_letters replay --service "$(SERVICE)"

lock: $(DEVELOPS) ## Pin the newest packages and Java archives anew
	@$(PY) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --output-file requirements.txt requirements.in
	@$(PY) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --output-file requirements-dev.txt requirements-dev.in
	@$(PY) -m deploy.local.pinning
