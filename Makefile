# The law and the two commands of this house. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/target/tools/bin:$(PATH)

SCRIPTS := $(shell git ls-files --cached --others --exclude-standard '*.sh' .ci/run)

.PHONY: help demo test fuzz check install

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## send a real message from Alice to Bob with keys that stay on a token, and let OpenSSL check it
	@scripts/install-packages.sh demo
	@cargo build --locked --bins --package chanceryd --package chancery
	@demo/run.sh

test: ## run every test, against SoftHSM and real peers
	@scripts/install-packages.sh test
	@scripts/install-tools.sh cargo-nextest
	cargo build --locked --workspace
	cargo build --locked --manifest-path hsm-tests/modules/kryoptic/Cargo.toml --target-dir target/kryoptic
	cargo test --locked --workspace --doc --quiet
	cargo nextest run --locked --workspace
	FUZZ_SECONDS=4 fuzz/run.sh

fuzz: ## build the fuzz targets and run each for FUZZ_SECONDS (10)
	@scripts/install-packages.sh fuzz
	fuzz/run.sh

check: ## format, lints, dependency rules, contract, documentation, scripts, units: the law
	@scripts/install-packages.sh check
	@scripts/install-tools.sh cargo-deny
	cargo fmt --all --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path hsm-tests/modules/kryoptic/Cargo.toml
	shellcheck $(SCRIPTS)
	cargo deny --locked --log-level error check bans licenses sources
	scripts/lint-proto.sh
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --quiet
	if [ -x systemd/check.sh ]; then systemd/check.sh; fi

bench: ## measure against raw PKCS#11, p11-kit's remoting and OpenSSL, and print one table (BENCH_ARGS=--quick for a look)
	@scripts/install-packages.sh test
	cargo build --locked --release --bins --package chanceryd --package chancery --package hsm-tests
	target/release/bench $(BENCH_ARGS)

install: ## build for release and install: programs, manual pages, completions, units (PREFIX, DESTDIR)
	@scripts/install-packages.sh build
	cargo build --locked --release --bins --package chanceryd --package chancery
	scripts/install.sh
