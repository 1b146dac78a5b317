# Two commands: `make up` starts a cluster, `make test` runs everything that CI runs.
.PHONY: up down uninstall test test-full bench bench-full fmt lint

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

conformance: ## upstream's conformance tests on two nodes; FOCUS=regex for a part of them
	conformance/run.sh $(if $(FOCUS),--focus '$(FOCUS)')

bench: ## the figures of the API server, a node, the scheduler and the service proxy beside upstream's, in minutes; bench-full takes hours
	bench/run.sh
	bench/node.sh
	bench/scheduler.sh
	bench/proxy.sh

bench-full: ## the same with the long counts, and the engines that could stand in the place of our log
	bench/run.sh --full
	bench/node.sh --full
	bench/scheduler.sh --full
	bench/proxy.sh --full
	mkdir -p target/engines && cargo run --release --manifest-path bench/engines/Cargo.toml -- target/engines

fmt: ## format the code
	cargo fmt --all

lint: ## what the compiler and the house rules mind
	cargo clippy --workspace --all-targets
	cargo xtask tidy
