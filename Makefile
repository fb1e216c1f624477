# Trestle: builds, proofs and set-up. `make help` lists the targets.
#
# Every variant of a build has a directory of its own under $(BUILD), its own objects and a file
# `flags`, whose change rebuilds them. Shell of more than a line lives in tests/tools.

MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

# --- Knobs ----------------------------------------------------------------------------------------
BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
CROSS_COMPILE ?= aarch64-linux-gnu-
CFLAGS ?= -O2 -g
WERROR ?= -Werror
# The emulator's CPU model: `make run` shows one, `make check-qemu` tries all unless told.
CPU ?=
QEMU ?= qemu-system-aarch64
QEMU_TIMEOUT ?= 120
# make bench: QUICK=1 for fewer rounds, ONLY= for the cases whose names begin so.
QUICK ?=
ONLY ?=
# SETUP=no: `make run` and `make check` install nothing.
SETUP ?= yes
prefix ?= /usr/local
DESTDIR ?=
# TARGET=aarch64: lib, install and uninstall are about the freestanding archive. ROOTS="s2_space_init
# ...": it holds what these functions need. ASSERT_TEXT=yes: core/assert.h tells with words.
TARGET ?=
ROOTS ?=
ASSERT_TEXT ?=
V ?=
Q := $(if $(V),,@)

VERSION := 0.1.0
ALL_CPUS := max cortex-a53 cortex-a55 cortex-a57 cortex-a76 cortex-a710 neoverse-n1 neoverse-n2 \
	neoverse-v1 a64fx
COVERAGE_MIN := 95

# --- Sources --------------------------------------------------------------------------------------
LIB_SRCS := $(wildcard core/*.c stage2/*/*.c)
TEST_SRCS := $(wildcard tests/sim/*.c tests/model/*.c tests/unit/*.c)
HYP_SRCS := $(wildcard hyp/*.c hyp/*/*.c hyp/*/*.S)
# What -I chooses is not a header of the library's.
HEADERS := $(filter-out stage2/el2/%,$(wildcard core/*.h stage2/*.h stage2/*/*.h))
# Not installed: what lies behind the table's contract, and reaches the primitives.
PRIVATE_HEADERS := $(addprefix stage2/,arch/arch.h space/locked.h tlb/regime.h tlb/tlb_flush.h \
	$(patsubst %,table/%.h,budget change dark entries flush frames link map mapcount page pieces recent returns \
	split state store walk))
PUBLIC_HEADERS := $(filter-out $(PRIVATE_HEADERS),$(HEADERS))
C_FILES = $(shell find core stage2 hyp tests -name '*.[ch]' | sort)

# --- Flags ----------------------------------------------------------------------------------------
# Assertions say what is never NULL.
NULL_WARN := $(if $(findstring NDEBUG,$(CFLAGS)),,-Wnull-dereference)
WARN := -Wall -Wextra $(WERROR) -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wcast-align \
	-Wpointer-arith -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Wformat=2 \
	-Wimplicit-fallthrough $(NULL_WARN)
BASE := -std=c11 -pedantic $(WARN) $(if $(filter yes,$(ASSERT_TEXT)),-DMAPPING_ASSERT_TEXT)
# What ships asks nothing of its surroundings, whatever a distribution's compiler adds by default.
FREESTANDING := -ffreestanding -fno-stack-protector -U_FORTIFY_SOURCE -ffunction-sections \
	-fdata-sections -fno-unwind-tables -fno-asynchronous-unwind-tables -fvisibility=hidden
# An embedder may ask for position-independent code; what is hidden needs no table of offsets for that.
NO_PIE := $(if $(filter -fPIC -fpic -fPIE -fpie,$(CFLAGS)),,-fno-pie)
EL2 := $(FREESTANDING) -mgeneral-regs-only -mstrict-align -mno-outline-atomics $(NO_PIE)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CLANG_EL2 = $(CLANG) --target=aarch64-linux-gnu
# Threads of a test may have to share a processor.
YIELD := -include tests/sim/yield.h
# What is measured is compiled as it is written; what measures it may be fast.
COVER_LEVEL = -O0
COVER := -g --coverage -fprofile-update=prefer-atomic -fkeep-inline-functions \
	-fkeep-static-functions

export BUILD CC CLANG CROSS_COMPILE QEMU QEMU_TIMEOUT SETUP VERSION PRIVATE_HEADERS PUBLIC_HEADERS
export ROOTS ASSERT_TEXT
export BASE_FLAGS := $(BASE)
export EL2_FLAGS := $(EL2)

# --- Variants -------------------------------------------------------------------------------------
# $(call variant,name,compiler and flags,home of arch_impl.h): $(BUILD)/name/x.o comes from x.c.
# core compiles with -I. alone; the tests find libcheck through pkg-config.
define variant
VARIANTS += $1
$(BUILD)/$1/%.o: private INCLUDES = -I. -I$3
$(BUILD)/$1/core/%.o: private INCLUDES = -I.
$(BUILD)/$1/tests/%.o: private INCLUDES = -I. -I$3 -pthread $$$$(pkg-config --cflags check)

$(BUILD)/$1/%.o: %.c $(BUILD)/$1/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$2 $$(INCLUDES) -MMD -MP -c -o $$@ $$<

$(BUILD)/$1/%.o: %.S $(BUILD)/$1/flags
	@mkdir -p $$(@D)
	$$(call say,AS,$$@)
	$$(Q)$2 $$(INCLUDES) -MMD -MP -c -o $$@ $$<

$(BUILD)/$1/flags: FORCE
	$$(call remember,$2 -I$3)

$(BUILD)/$1/sources: FORCE
	$$(call remember,$(LIB_SRCS) $(TEST_SRCS) $(HYP_SRCS))

-include $$(wildcard $(BUILD)/$1/*/*.d $(BUILD)/$1/*/*/*.d)
endef

# $(call runner,variant,compiler and link flags): the unit tests of a variant.
define runner
$(BUILD)/$1/tests/run: $(patsubst %.c,$(BUILD)/$1/%.o,$(LIB_SRCS) $(TEST_SRCS)) $(BUILD)/$1/sources
	$$(call say,LD,$$@)
	$$(Q)$2 -pthread -o $$@ $$(filter %.o,$$^) $$$$(pkg-config --libs check)
endef

# $(call archive,variant,prefix of the binary tools,compiler and flags): one object whose only global
# names are public.
define archive
$(BUILD)/$1/libtrestle.a: $(patsubst %.c,$(BUILD)/$1/%.o,$(LIB_SRCS)) $(PUBLIC_HEADERS) \
		$(BUILD)/$1/sources $(BUILD)/$1/roots linker/archive.ld tests/tools/archive.sh \
		tests/tools/public_names.sh
	$$(call say,AR,$$@)
	$$(Q)tests/tools/archive.sh '$3' '$2' $$@ $$(filter %.o,$$^)

$(BUILD)/$1/roots: FORCE
	$$(call remember,$(ROOTS))
endef

say = $(if $(V),,@printf '  %-5s %s\n' '$1' '$2')

# $(call remember,text): the target holds the text, and is touched only when that changes.
define remember
@mkdir -p $(@D)
@printf '%s\n' '$1' | cmp -s - $@ || printf '%s\n' '$1' >$@
endef

$(eval $(call variant,unit,$(CC) $(BASE) $(CFLAGS) $(YIELD),tests/sim))
$(eval $(call variant,clang,$(CLANG) $(BASE) $(CFLAGS) $(YIELD),tests/sim))
$(eval $(call variant,asan,$(CC) $(BASE) -O1 -g $(SANITIZE) $(YIELD),tests/sim))
$(eval $(call variant,coverage,$(CC) $(BASE) $$(COVER_LEVEL) $(COVER) $(YIELD),tests/sim))
$(eval $(call variant,lib,$(CC) $(BASE) $(CFLAGS) $(FREESTANDING),tests/bench))
$(eval $(call variant,bench,$(CC) $(BASE) $(CFLAGS) $$(PEER_FLAGS),tests/bench))
$(eval $(call variant,lib-aarch64,$(CROSS_COMPILE)gcc $(BASE) $(CFLAGS) $(EL2),stage2/el2))
$(eval $(call variant,hyp,$(CROSS_COMPILE)gcc $(BASE) $(CFLAGS) $(EL2),stage2/el2))
$(eval $(call variant,hyp-counted,$(CROSS_COMPILE)gcc $(BASE) $(CFLAGS) $(EL2),tests/bench/counted))
$(eval $(call variant,clang-aarch64,$(CLANG_EL2) $(BASE) $(CFLAGS) $(EL2),stage2/el2))

$(BUILD)/coverage/tests/%.o: private COVER_LEVEL = -O1
# The benches need no libcheck, and what they are compared with may be missing.
$(BUILD)/bench/tests/bench/%.o: private INCLUDES = -I. -Itests/bench
$(addprefix $(BUILD)/,hyp/tests/bench/%.o clang-aarch64/tests/bench/%.o): \
	private INCLUDES = -I. -Istage2/el2
$(BUILD)/hyp-counted/tests/bench/%.o: private INCLUDES = -I. -Itests/bench/counted
PEER_FLAGS = $(shell tests/bench/peers.sh cflags)
PEER_LIBS = $(shell tests/bench/peers.sh libs)

$(eval $(call runner,unit,$(CC) $(CFLAGS)))
$(eval $(call runner,clang,$(CLANG) $(CFLAGS)))
$(eval $(call runner,asan,$(CC) $(SANITIZE)))
$(eval $(call runner,coverage,$(CC) --coverage))

$(eval $(call archive,lib,,$(CC) $(CFLAGS) $(FREESTANDING)))
$(eval $(call archive,lib-aarch64,$(CROSS_COMPILE),$(CROSS_COMPILE)gcc $(CFLAGS) $(EL2)))

# Before the first object, so that a missing tool is named and not merely not found.
$(addprefix $(BUILD)/,unit/flags asan/flags coverage/flags): | need-cc need-check
$(BUILD)/clang/flags: | need-clang need-check
$(BUILD)/clang-aarch64/flags: | need-clang
$(BUILD)/coverage/flags: | need-gcovr
$(addprefix $(BUILD)/,lib/flags bench/flags): | need-cc
$(addprefix $(BUILD)/,lib-aarch64/flags hyp/flags hyp-counted/flags): | need-cross

need-%: FORCE
	@tests/tools/setup.sh need $*

HOST_LIB := $(BUILD)/lib/libtrestle.a
TARGET_LIB := $(BUILD)/lib-aarch64/libtrestle.a
CHOSEN_LIB := $(if $(filter aarch64,$(TARGET)),$(TARGET_LIB),$(HOST_LIB))
IMAGE := $(BUILD)/hyp/trestle.elf

ifneq ($(filter-out aarch64,$(TARGET)),)
$(error TARGET=$(TARGET) is not known: leave it empty for this machine, or say aarch64)
endif

# The loops in string.c are memcpy itself; the compiler must not turn them into a call to it.
$(BUILD)/hyp/hyp/machine/string.o $(BUILD)/hyp-counted/hyp/machine/string.o: \
	private INCLUDES = -I. -Istage2/el2 -fno-tree-loop-distribute-patterns

# $(call link_el2,linker script): an EL2 image of the prerequisites.
define link_el2
$(call say,LD,$@)
$(Q)$(CROSS_COMPILE)gcc -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--fatal-warnings \
	-Wl,-z,max-page-size=4096 -T $1 -Wl,-Map=$(@:.elf=.map) -o $@ $(filter %.o %.a,$^)
endef

# The hypervisor links the archive that ships, as a stranger would.
$(IMAGE): $(patsubst %,$(BUILD)/hyp/%.o,$(basename $(HYP_SRCS))) $(TARGET_LIB) linker/hyp.ld \
		$(BUILD)/hyp/sources
	$(call link_el2,linker/hyp.ld)

# So does what measures the verbs at EL2; its twin counts barriers.
EL2_BENCH_SRCS := $(wildcard hyp/machine/*.c hyp/machine/*.S) hyp/vm/vectors.S hyp/story/checks.c \
	tests/bench/qemu_main.c tests/bench/qemu_counts.c
EL2_BENCH := $(BUILD)/hyp/bench.elf
EL2_BENCH_COUNTED := $(BUILD)/hyp-counted/bench.elf

$(EL2_BENCH): $(patsubst %,$(BUILD)/hyp/%.o,$(basename $(EL2_BENCH_SRCS))) $(TARGET_LIB) linker/bench.ld
	$(call link_el2,linker/bench.ld)

$(EL2_BENCH_COUNTED): $(patsubst %,$(BUILD)/hyp-counted/%.o,$(basename $(EL2_BENCH_SRCS) $(LIB_SRCS))) \
		linker/bench.ld
	$(call link_el2,linker/bench.ld)

# --- What a user wants ----------------------------------------------------------------------------
.PHONY: FORCE all lib hyp run check
FORCE:

all: lib hyp ## Build the host's archive and the EL2 image (default)

lib: $(CHOSEN_LIB) ## Build libtrestle.a for this machine; TARGET=aarch64: freestanding

hyp: $(IMAGE) ## Build the EL2 image

run: ## Boot the EL2 image on QEMU and show what it does (CPU=max)
	@tests/tools/setup.sh install cc cross qemu
	+@$(PARALLEL_MAKE) hyp
	@tests/qemu/run.sh show $(IMAGE) $(or $(CPU),max) $(BUILD)/qemu/$(or $(CPU),max).log

check: ## Everything that must hold: unit tests, layers, installation, README, sanitizers, QEMU
	@tests/tools/setup.sh install cc cross check qemu
	+@tests/tools/steps.sh check '$(PARALLEL_MAKE)' $(CHECK_STEPS)

CHECK_STEPS = check-host check-layers check-install check-embed check-link check-readme \
	$(ASAN_STEP) check-qemu
# A compiler without sanitizers leaves out that step, and steps.sh says so.
ASAN_STEP = $(shell tests/tools/has_asan.sh $(CC) && echo check-asan || echo -check-asan)
# Use all processors, unless the caller chose a number.
PARALLEL_MAKE = $(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc)) -Otarget

# --- Tests ----------------------------------------------------------------------------------------
.PHONY: check-host exhaustive check-clang check-asan check-valgrind check-layers check-install
.PHONY: check-embed check-link check-readme check-distros check-qemu smoke coverage

check-host: $(BUILD)/unit/tests/run ## Unit and model tests on this machine
	$(Q)tests/tools/run_suites.sh $<

exhaustive: $(BUILD)/unit/tests/run ## All programs of 3 calls, and of 4 with few arguments; with faults put back
	$(Q)TRESTLE_SCOPE_ALL=1 TRESTLE_SCOPE_DEPTH=3 $< scope
	$(Q)TRESTLE_SCOPE_DEPTH=4 $< scope
	$(Q)TRESTLE_MODEL_OPS=100000 $< table_model
	$(Q)tests/tools/scope_mutants.sh '$(MAKE)'

check-clang: $(BUILD)/clang/tests/run ## The same under clang, and its view of the EL2 code
check-clang: $(patsubst %.c,$(BUILD)/clang-aarch64/%.o,$(LIB_SRCS) $(filter %.c,$(HYP_SRCS)) \
	$(wildcard tests/bench/qemu_*.c))
check-clang: $(patsubst %.c,$(BUILD)/clang/%.o,$(filter-out tests/bench/qemu_%,$(wildcard tests/bench/*.c)))
	$(Q)tests/tools/run_suites.sh $(BUILD)/clang/tests/run

check-asan: $(BUILD)/asan/tests/run ## Unit tests under AddressSanitizer and UBSan
	$(Q)TRESTLE_MODEL_OPS=$${TRESTLE_MODEL_OPS:-20000} \
		ASAN_OPTIONS=handle_sigill=0:handle_sigtrap=0:detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		CK_TIMEOUT_MULTIPLIER=4 tests/tools/run_suites.sh $<

check-valgrind: need-valgrind $(BUILD)/unit/tests/run ## Unit tests under valgrind
	$(Q)tests/tools/check_valgrind.sh $(BUILD)/unit/tests/run

check-distros: ## run and check-host on Debian trixie and sid, with gcc and clang (mmdebstrap)
	$(Q)tests/tools/check_distros.sh $(BUILD)/distros

check-layers: $(HOST_LIB) $(TARGET_LIB) ## Includes, headers and names are as designed
	$(Q)tests/tools/check_layers.sh $(HOST_LIB) $(TARGET_LIB)
	$(Q)tests/tools/check_layers_test.sh $(HOST_LIB) $(TARGET_LIB)

check-install: need-check $(HOST_LIB) $(TARGET_LIB) ## What gets installed serves a stranger
	$(Q)tests/tools/check_install.sh '$(MAKE)'

check-embed: $(HOST_LIB) ## Hosts in C++ and Rust, and installed headers as C++17
	$(Q)tests/tools/check_embed.sh $(HOST_LIB)

check-link: need-cc need-cross need-qemu ## A stranger's host links the archive, however built, and runs
	$(Q)tests/tools/check_link.sh '$(MAKE)' $(or $(CPU),max)

check-readme: $(HOST_LIB) ## Compile and run the examples of README.md; the porting guide is what runs
	$(Q)tests/tools/check_readme.sh README.md $(HOST_LIB)
	$(Q)tests/tools/check_porting.sh tests/embed/PORTING.md

check-qemu: $(addprefix qemu-,$(or $(CPU),$(ALL_CPUS))) ## Boot it on every CPU model, or CPU=

smoke: qemu-$(or $(CPU),max) ## Boot the EL2 image on one CPU model (CPU=max)

qemu-%: $(IMAGE) need-qemu FORCE
	$(Q)tests/qemu/run.sh $(if $(CPU),quiet,any) $(IMAGE) $* $(BUILD)/qemu/$*.log

GCOV ?= $(if $(findstring gcc,$(CC)),$(subst gcc,gcov,$(firstword $(CC))),gcov)

coverage: $(BUILD)/coverage/tests/run ## Line coverage of core and stage2, at least 95 %
	@find $(BUILD)/coverage -name '*.gcda' -delete
	$(Q)TRESTLE_MODEL_OPS=$${TRESTLE_MODEL_OPS:-10000} CK_TIMEOUT_MULTIPLIER=4 \
		tests/tools/run_suites.sh $(BUILD)/coverage/tests/run
	$(Q)gcovr --root . --object-directory $(BUILD)/coverage --filter core/ --filter stage2/ \
		--gcov-executable $(GCOV) --fail-under-line $(COVERAGE_MIN)

# --- Benchmarks -----------------------------------------------------------------------------------
.PHONY: bench bench.svg bench-qemu bench-scale bench-instr map.svg

BENCH := $(BUILD)/bench/tests/bench/bench
BENCH_PARTS := bench bench_guest floor peer_tree peer_gtree peer_ck peer_index bench_set \
	bench_report
BENCH_CASES := bench_table_page bench_table_range bench_table_dirty bench_table_block bench_space bench_access \
	bench_pool
SCALE := $(BUILD)/bench/tests/bench/scale

# All on the archive that ships.
$(BENCH): $(patsubst %,$(BUILD)/bench/tests/bench/%.o,bench_main bench_bounds $(BENCH_CASES) \
		$(BENCH_PARTS)) $(HOST_LIB)
$(SCALE): $(patsubst %,$(BUILD)/bench/tests/bench/%.o,scale_main scale_scenes $(BENCH_PARTS)) $(HOST_LIB)

$(BENCH) $(SCALE):
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(PEER_LIBS)

bench: $(BENCH) ## Nanoseconds of the verbs, beside a floor and peers, with bounds (QUICK=1)
	@tests/tools/setup.sh need bsd glib ck || true
	$(Q)$< $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(BUILD)/bench.json

bench.svg: ## What make bench measured last, as a picture: build/bench.svg
	$(Q)test -f $(BUILD)/bench.json || $(MAKE) bench
	$(Q)LC_ALL=C awk -f tests/bench/bench_svg.awk $(BUILD)/bench.json >$(BUILD)/bench.svg

map.svg: $(IMAGE) need-qemu ## What two guests of the image have, as a picture: build/map.svg (CPU=max)
	@tests/qemu/run.sh quiet $(IMAGE) $(or $(CPU),max) $(BUILD)/qemu/map.log
	$(Q)LC_ALL=C awk -f tests/tools/map_svg.awk $(BUILD)/qemu/map.log >$(BUILD)/map.svg

bench-qemu: $(EL2_BENCH) $(EL2_BENCH_COUNTED) need-qemu ## Instructions, barriers and TLBIs of the verbs at EL2 (CPU=max)
	$(Q)tests/bench/bench_qemu.sh $(EL2_BENCH) $(EL2_BENCH_COUNTED) $(or $(CPU),max) \
		$(BUILD)/qemu/bench-$(or $(CPU),max).log

bench-scale: $(SCALE) ## Time and memory of large machines; growth of sets: build/bench-scale.svg
	$(Q)$< $(BUILD)/bench-scale.json
	$(Q)LC_ALL=C awk -f tests/bench/scale_svg.awk $(BUILD)/bench-scale.json >$(BUILD)/bench-scale.svg

INSTR_SRCS := $(wildcard tests/bench/*instr*.c)

$(BUILD)/lib/tests/bench/bench_instr: $(INSTR_SRCS) tests/bench/instr.h $(HOST_LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(BASE) $(CFLAGS) -I. -o $@ $(INSTR_SRCS) $(HOST_LIB)

bench-instr: need-valgrind $(BUILD)/lib/tests/bench/bench_instr ## Instructions of the verbs, with bounds; CASES="table.map_page ..."
	$(Q)tests/tools/bench_instr.sh $(BUILD)/lib/tests/bench/bench_instr $(BUILD)/bench-instr.json $(CASES)

# --- Reference ------------------------------------------------------------------------------------
.PHONY: docs

docs: need-doxygen ## Reference pages and porting guide from the headers: build/docs (HTML, man)
	$(Q)tests/tools/docs.sh $(BUILD)/docs

# --- Traces ---------------------------------------------------------------------------------------
.PHONY: trace

TRACER := $(BUILD)/unit/tests/trace
TRACER_SRCS := $(LIB_SRCS) $(addprefix tests/sim/,memory.c sim.c trace.c) tests/tools/trace_main.c
TRACER_FLAGS = $(if $(BATCHES),--batches) $(if $(DROP),--drop $(DROP))

$(TRACER): $(patsubst %.c,$(BUILD)/unit/%.o,$(TRACER_SRCS)) $(BUILD)/unit/sources
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -pthread -o $@ $(filter %.o,$^)

trace: $(TRACER) ## Write build/trace.log for casemate-check (DROP=tlbi|dsb|break; BATCHES=1: for its -R)
	$(Q)$< $(BUILD)/trace.log $(TRACER_FLAGS)

# --- Analysis -------------------------------------------------------------------------------------
.PHONY: analyze format format-check size

analyze: need-clang-tidy need-cppcheck need-pmccabe ## clang-tidy, cppcheck, function sizes
	$(Q)tests/tools/analyze.sh

CLANG_FORMAT ?= $(firstword $(shell command -v clang-format-14) clang-format)

format: need-clang-format ## Format every C file as .clang-format says
	$(Q)$(CLANG_FORMAT) -i $(C_FILES)

format-check: need-clang-format ## Whether every C file is formatted
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

size: $(TARGET_LIB) ## Code sizes on the target, and what a minimal embedder links, with bounds
	$(Q)tests/tools/size.sh '$(MAKE)'

# --- Installation ---------------------------------------------------------------------------------
.PHONY: install uninstall clean help

INSTALL_ENV = DESTDIR='$(DESTDIR)' prefix='$(prefix)'

install: $(CHOSEN_LIB) ## Install below prefix= (DESTDIR=, TARGET=aarch64)
	$(Q)$(INSTALL_ENV) tests/tools/install.sh install $(CHOSEN_LIB) $(PUBLIC_HEADERS)

uninstall: ## Remove exactly what install put there
	$(Q)$(INSTALL_ENV) tests/tools/install.sh uninstall $(CHOSEN_LIB) $(PUBLIC_HEADERS)

# Only what this file made: BUILD may be a directory that holds other things too. The roots of
# check-distros are kept.
clean: ## Remove everything built
	$(Q)rm -rf $(addprefix $(BUILD)/,$(VARIANTS) qemu install readme layers embed link size docs trace.log \
		bench-instr.json bench.json bench.svg bench-scale.json bench-scale.svg map.svg)
	$(Q)rmdir $(BUILD) 2>/dev/null || true

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z][a-z.-]*:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile
	@echo 'Knobs: BUILD CC CLANG CROSS_COMPILE CFLAGS CPU SETUP=no QEMU_TIMEOUT QUICK=1 ONLY= prefix DESTDIR TARGET ROOTS= ASSERT_TEXT=yes V=1'
