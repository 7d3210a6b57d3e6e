# SPDX-License-Identifier: Apache-2.0
# A thin front of Meson and the scripts. `make help` lists what there is.
BUILD ?= build
prefix ?= /usr/local

.PHONY: all demo check guest interop interop-versions fuzz soak bench install deb packages-test format clean help

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

bench: ## run the benchmarks: pauses of a live update, speed of the CPU and of a migration, sandbox, answers
	@scripts/setup test
	@$(MAKE) --no-print-directory all guest
	bench/update
	bench/cpu
	bench/io
	bench/sandbox
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

soak: ## a thousand updates of one VM, with moves, snapshots and restores in between (ten minutes)
	@scripts/setup test
	@$(MAKE) --no-print-directory all guest
	tests/soak/soak

fuzz: ## fuzz decoders, both ends of moves, and devices: 20 minutes in all
	@scripts/setup test
	@scripts/fuzz

install: ## install program, library, manual pages, completion and service: prefix=/usr/local, DESTDIR=
	@scripts/setup build
	@[ -f build-install/build.ninja ] || meson setup build-install --prefix $(prefix) -Dtests=false >/dev/null
	@meson configure build-install --prefix $(prefix)
	@ninja -C build-install
	@meson install -C build-install --no-rebuild

deb: ## build Debian packages into build/deb, and check them with lintian
	@scripts/setup packages
	@scripts/deb

packages-test: ## install those in a Debian, run a VM under its systemd, update it, remove them
	@scripts/setup packages guest
	@$(MAKE) --no-print-directory deb guest
	/usr/bin/python3 -m pytest -q -p no:cacheprovider tests/packages

format: ## rewrite the C files as .clang-format says
	@scripts/check-format --fix

clean: ## remove what was built
	rm -rf $(BUILD) build-*

help:
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 20
