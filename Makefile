# Two commands: `make up` starts a cluster, `make test` runs everything that CI runs.
.PHONY: up down uninstall test test-full bench fmt lint

up: ## install what is missing, build, start a one-node cluster and wait until it is ready
	scripts/up.sh

down: ## stop the cluster; its data stays
	target/release/decapod down

uninstall: ## stop the cluster and remove all of it
	target/release/decapod uninstall

test: ## everything that CI runs; long counts in their small form
	tests/run.sh

test-full: ## the same with the long counts
	DECAPOD_TEST_FULL=1 tests/run.sh

bench: ## the store's figures; more to come
	cargo run --release --package decapod-store --example store_bench

fmt: ## format the code
	cargo fmt --all

lint: ## what the compiler and the house rules mind
	cargo clippy --workspace --all-targets
	cargo xtask tidy
