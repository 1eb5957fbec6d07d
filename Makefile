# make setup   everything needed, into .venv      make run    the main example, to its end
# make test    all checks and tests               make bench  measure; figures go to stdout
# make test ONLY=tests/cli    a file, folder or node id, with what it needs        make unit  the quick ones
# make soak    30 minutes of hostile tenants and faults on simulated nodes (SECONDS, STUDIES, TENANTS, SEED, HOSTILE)
# make images  operator and trainer               make cluster, make cluster-down  a Kubernetes cluster here
# make docs    the pages of docs/ as a site                   make audit  known vulnerabilities of what is installed
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
UV := $(BIN)/uv
PYTEST_ARGS ?=

# Compiled modules are kept, whatever this variable of the machine says: without them every process compiles Optuna anew.
unexport PYTHONDONTWRITEBYTECODE

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REGISTRY ?= ghcr.io/kubestudy
# docker or buildah, whichever is there. BASE: the base image, for a release by digest: NAME@sha256:...
BUILDER ?= $(shell docker info >/dev/null 2>&1 && echo docker build || echo buildah bud)
BUILD_ARGS ?=
BASE ?=
LABELS = $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null)

.PHONY: help setup run test unit kubeconfig coverage lint bench soak browser postgres chart docs cluster cluster-down images base image-cpu lock audit clean

help:
	@sed -n '/^#/!q;s/^# //p' Makefile

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml trainer-image/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv || \
	  { echo "The venv module is needed (Debian, Ubuntu: apt-get install python3-venv)"; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . -e trainer-image
	@touch $@

run: setup
	$(BIN)/kubestudy run examples/digits-mlp.yaml

cluster: setup
	cd tests && ../$(BIN)/python -m support.cluster up

cluster-down: setup
	cd tests && ../$(BIN)/python -m support.cluster down

images: base
	$(BUILDER) $(LABELS) $(BUILD_ARGS) -f operator/Dockerfile -t $(REGISTRY)/operator:$(VERSION) .
	$(BUILDER) $(LABELS) $(BUILD_ARGS) -f trainer-image/Dockerfile -t $(REGISTRY)/trainer:$(VERSION) .

base:
	@case "$(BASE)" in *@sha256:*) ;; *) echo "the base image goes by its tag, and what a tag names changes: for a release, BASE=NAME@sha256:..." >&2;; esac

# The trainer without CUDA: make image-cpu TORCH_INDEX=... names PyTorch's index of CPU builds (pytorch.org, "Get started"),
# TORCH_SHA256=... the file there that is wanted: its hash stands behind its name in the index (#sha256=).
image-cpu: base
	@[ -n "$(TORCH_INDEX)" ] || { echo "TORCH_INDEX is needed: the index of PyTorch's CPU builds, see pytorch.org"; exit 1; }
	@[ -n "$(TORCH_SHA256)" ] || { echo "TORCH_SHA256 is needed: the hash of PyTorch's wheel, as the index has it (#sha256=)"; exit 1; }
	$(BUILDER) $(LABELS) $(BUILD_ARGS) --build-arg TORCH_INDEX=$(TORCH_INDEX) --build-arg TORCH_SHA256=$(TORCH_SHA256) --build-arg VARIANT=cpu \
	  -f trainer-image/Dockerfile -t $(REGISTRY)/trainer:$(VERSION)-cpu .

NEEDS = $(if $(filter tests tests/ tests/report%,$(ONLY)),browser) $(if $(filter tests tests/ tests/postgres%,$(ONLY)),postgres)

# ONLY: a file, folder or node id; it is run with what it needs, and nothing else is.
test: setup $(if $(ONLY),$(NEEDS),kubeconfig browser postgres lint)
	$(BIN)/python tests/support/run.py $(if $(ONLY),--only '$(ONLY)') $(PYTEST_ARGS)

# No cluster, no browser, no PyTorch: a minute at most.
unit: setup
	$(BIN)/python tests/support/run.py --unit $(PYTEST_ARGS)

# If KUBECONFIG names a cluster, it must be there: that is told before anything starts.
kubeconfig: setup
	@[ -z "$$KUBECONFIG" ] || PYTHONPATH=tests $(BIN)/python -m support.cluster.access

coverage: setup kubeconfig browser postgres
	KUBESTUDY_COVERAGE=1 $(BIN)/python tests/support/run.py $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/src trainer-image/src
	$(BIN)/mypy -p support -p bench -p soak
	$(BIN)/lint-imports --no-logo

# The report is tested in a real browser. As root on Debian and Ubuntu it is installed; elsewhere it must be there.
browser:
	@[ -n "$$CHROMIUM" ] || command -v chromium chromium-browser google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium >/dev/null; } || \
	  { echo "Chromium is needed for the tests (Debian: apt-get install chromium), or CHROMIUM=/path/to/it"; exit 1; }

# A storage is tested on a real server, which each run of the tests starts for itself; installed as the browser is.
postgres:
	@[ -n "$$POSTGRES_BIN" ] || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -q >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql >/dev/null; } || \
	  { echo "PostgreSQL is needed for the tests (Debian: apt-get install postgresql), or POSTGRES_BIN=/path/to/its/bin"; exit 1; }

bench: setup
	cd tests && ../$(BIN)/python -m bench $(BENCH)

# SECONDS: half of it without hostile tenants, half with them. HOSTILE: attacks by name, or none. SOAK: any other flags.
soak: setup
	cd tests && ../$(BIN)/python -m soak $(foreach name,SECONDS STUDIES TENANTS SEED HOSTILE,$(if $($(name)),\
	  --$(shell echo $(name) | tr A-Z a-z) $($(name)))) $(SOAK)

LOCK = $(UV) pip compile --quiet --index-strategy first-index --universal --generate-hashes --python-version 3.11 \
  --custom-compile-command "make lock"

# Looks each locked package up among the advisories of the package index (its JSON interface): known vulnerabilities are an
# error, and so is a package that cannot be looked up, as behind a mirror that has no advisories. No part of `make test`.
audit: setup
	$(UV) tool run --quiet --from 'pip-audit==2.10.*' pip-audit --strict --require-hashes --disable-pip \
	  $(foreach lock,operator/requirements.lock trainer-image/requirements.lock build-requirements.lock requirements.lock,-r $(lock))

# After a change of dependencies: what setup, the images, and what builds them are made of. other-torch.lock is what
# PyTorch needs beside itself and CUDA. No package index is named in the file, so it serves behind a mirror too.
lock:
	$(LOCK) --no-emit-package kubestudy-trainer --extra local --group dev pyproject.toml -o requirements.lock
	$(LOCK) --extra dashboard --extra postgresql pyproject.toml -o operator/requirements.lock
	$(LOCK) build-requirements.in -o build-requirements.lock
	$(LOCK) --extra torch trainer-image/pyproject.toml -o trainer-image/requirements.lock
	$(LOCK) trainer-image/pyproject.toml -o trainer-image/core.lock
	$(LOCK) --extra torch trainer-image/pyproject.toml -o trainer-image/other-torch.lock \
	  $$(sed -nE 's/^((torch|triton|nvidia-|cuda-)[a-z0-9-]*)==.*/--no-emit-package \1/p' trainer-image/requirements.lock)

# After a change of the chart's values, and of charts/make_dashboards.py.
chart: setup
	$(BIN)/python charts/make_dashboards.py
	cd tests && ../$(BIN)/python -m support.cluster.chart_readme

# The pages of docs/, as a site in site/; the reference is generated from the models, the settings and the chart.
docs: setup
	$(BIN)/python docs/make_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv .kubestudy .mypy_cache .ruff_cache .pytest_cache .coverage*
