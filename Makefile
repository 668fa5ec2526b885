# make run    set up, build, serve on http://localhost:8080
# make test   set up, lint, run all tests
# Every set-up step looks at what is there and does only what is missing.

export PATH := $(HOME)/.cargo/bin:$(PATH)

# Of the property tests. A failure is repeated with: make test SEED=<the printed number>
ifndef SEED
SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
endif
CONFIG ?= config.yml

.PHONY: setup setup-test run test lint bench

setup:
	scripts/setup-system.sh run build
	scripts/setup-models.sh

setup-test: setup
	scripts/setup-system.sh test
	scripts/setup-tools.sh
	scripts/setup-clients.sh

run: setup
	cargo build --release --locked
	exec target/release/vivavoce serve --config $(CONFIG)

test: setup-test lint
	@echo "seed: $(SEED) (again: make test SEED=$(SEED))"
	PROPTEST_RNG_SEED=$(SEED) cargo nextest run --locked
	cargo test --locked --quiet --doc
	node --test --test-reporter=dot web/tests/*.test.mjs
	npm test --prefix clients/obsidian --silent

lint: setup-test
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
	cargo deny --log-level error check bans licenses sources
	shellcheck scripts/*.sh .ci/run

bench: setup
	cargo bench --locked
