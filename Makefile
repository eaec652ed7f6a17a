# The front door. Meson and ninja do the work; `make help` lists what there is.
#
# Every target installs what it needs first (tools/setup), so a fresh machine needs nothing but make and a package manager.

BUILD ?= build
JOBS  ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help build run test check format bench soak fuzz plugins clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build/smg, optimised
	@tools/setup build
	@tools/build $(BUILD)

run: build ## two mock engines and a gateway in front of them, with a curl line to paste
	@tools/setup run
	@tools/run $(BUILD)/smg

test: ## every test: unit tests, then the real binary with real clients
	@tools/setup test
	@tools/build $(BUILD) -Dtests=true
	@tools/test $(BUILD)

check: ## format, layers, generated docs, sanitizers over all tests, a short fuzz run
	@tools/setup check
	@tools/check

format: ## apply .clang-format to all sources
	@tools/setup check
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

bench: ## the tables of bench/README.md (minutes; wants an otherwise idle machine)
	@tools/setup bench
	@tools/build $(BUILD)-bench -Dbench=true -Dtests=false
	@bench/run $(BUILD)-bench

soak: ## the long, full-size runs
	@tools/setup soak
	@tools/build $(BUILD) -Dtests=true
	@tools/soak $(BUILD)

fuzz: ## every fuzz target, FUZZ_SECONDS each (default 60)
	@tools/setup check
	@tools/fuzz $${FUZZ_SECONDS:-60}

plugins: ## the example plugins and the tests' components, from their sources
	@tools/setup plugins
	@plugins/build

clean: ## remove all build folders
	@rm -rf $(BUILD) $(BUILD)-*
