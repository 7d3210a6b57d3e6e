# SPDX-License-Identifier: Apache-2.0
# A thin front of Meson and the scripts. `make help` lists what there is.
BUILD ?= build

.PHONY: all demo check guest interop interop-versions fuzz bench format clean help

all: ## build build/ferry
	@scripts/setup build
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) >/dev/null
	@ninja -C $(BUILD) ferry

demo: ## boot a Linux guest, replace the VMM under it 20 times, move it over TCP, under load
	@scripts/setup demo
	@$(MAKE) --no-print-directory all guest
	@scripts/demo

check: ## run every test (what CI runs)
	@scripts/setup test
	@scripts/check

guest: ## build the Debian test guest into build/guest
	@scripts/setup guest
	@guest/build

bench: ## run the benchmarks: pauses of a live update, speed of the CPU and of a migration, answers
	@scripts/setup test
	@$(MAKE) --no-print-directory all guest
	bench/update
	bench/cpu
	bench/migrate
	bench/answers

interop: ## move a running guest to QEMU 10.0.2 and back (fetches that QEMU, installs nothing)
	@scripts/setup test
	@$(MAKE) --no-print-directory all guest
	/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/interop

interop-versions: ## the same with QEMU 10.0.13 and 11.1, in short
	@scripts/setup test
	@$(MAKE) --no-print-directory all guest
	for version in 10.0.13 11.1; do \
	    /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/interop --qemu $$version \
	        -k "there_and_back or through_a_file or refusal" || exit 1; \
	done

fuzz: ## fuzz decoders, both ends of moves, and devices: 20 minutes in all
	@scripts/setup test
	@scripts/fuzz

format: ## rewrite the C files as .clang-format says
	@scripts/check-format --fix

clean: ## remove what was built
	rm -rf $(BUILD) build-*

help:
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 20
