# Two commands: `make run` builds and starts Kymo on this machine, `make test` runs everything.
.DEFAULT_GOAL := help
.PHONY: help run ui build test test-tools check-web check-rust test-rust fuzz clean

help:
	@echo "make run    build the UI and the release binary, start Kymo on http://localhost:9090 (data in ./data)"
	@echo "make test   install what the tests need, then run every check and test"
	@echo "make fuzz   run every fuzz target for a minute (needs a nightly toolchain or RUSTC_BOOTSTRAP=1)"

run: build
	exec target/release/kymo serve --data ./data

build: ui
	cargo build --release --package kymo

# The UI is embedded in the binary. Without Node the binary still builds, and a page says how to get the UI.
ui:
	scripts/build-ui.sh

test: test-tools check-web check-rust test-rust

test-tools:
	scripts/install-test-tools.sh

check-web: ui
	cd web && npm run --silent lint && npm run --silent typecheck && npm run --silent test

check-rust: ui
	cargo fmt --all --check
	cargo xtask tidy
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --package kymo-client --all-features --all-targets -- --deny warnings
	cargo deny --log-level error check licenses bans sources

test-rust: ui
	scripts/test-rust.sh

fuzz:
	fuzz/run-all.sh 60

clean:
	cargo clean
	rm -rf web/dist web/node_modules
