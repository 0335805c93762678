# One makefile for the whole tree: sources are found, objects mirror it under $(BUILD).
# `make help` lists the targets.

BUILD   ?= build
CC      ?= cc
AR      ?= ar
CFLAGS  ?= -g
LDFLAGS ?=
PREFIX  ?= /usr/local
DESTDIR ?=
OUT     ?= out

VERSION := 0.1.0
# WERROR=-Werror is for .ci/run: a compiler newer than this code may warn of things not known today.
STRICT  := -std=c99 -Wall -Wextra -Wpedantic -Wshadow $(WERROR)
DEFINES := -D_XOPEN_SOURCE=700 -DNN_VERSION='"$(VERSION)"'
LIBS    := -lm -pthread
# Small programs: what is never called is left out at the end, and so are the tables that C++
# exceptions would need (debuggers have their own).
LEAN    := -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
LDLEAN  := -Wl,--gc-sections
# Files compile with $(OPTIMIZE), unless CFLAGS has an -O of its own: -O2, or -Os where a
# microsecond more is never seen (see "small" below).
OPTIMIZE := -O2
# -ffp-contract=off: a*b+c is two roundings in every build, so scalar code gives the same bits
# whatever the compiler may fuse; kernels ask for fused multiply-adds by name.
COMPILE  = $(CC) $(STRICT) $(DEFINES) -I. -I$(BUILD)/generated -MMD -MP -pthread \
           -ffp-contract=off $(LEAN) $(OPTIMIZE) $(CFLAGS) $(ISA) -c -o $@ $<
LINK     = $(CC) $(CFLAGS) $(LDLEAN) $(LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

# All cores build, unless -j says how many.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
endif
# Short lines; `make V=1` shows the commands.
ifndef V
say = @echo "  $(1)";
endif

# ---- sources ------------------------------------------------------------------------------
OPS      := $(sort $(wildcard nn/op/*.c))
SIMD     := $(sort $(wildcard nn/kernels/*_simd.c))
NN       := $(sort $(wildcard nn/*.c nn/model/*.c nn/format/*.c)) $(OPS) \
            $(filter-out $(SIMD),$(sort $(wildcard nn/kernels/*.c)))
VISION   := $(sort $(wildcard vision/*.c vision/*/*.c))
DATASETS := $(sort $(wildcard datasets/*.c datasets/*/*.c))
APPS     := $(sort $(wildcard apps/*.c))
TESTS    := $(sort $(wildcard tests/test_*.c tests/check_*.c))
LESSONS  := $(sort $(wildcard docs/learn/*.c))
SCRIPTS  := $(sort $(wildcard tests/test_*.sh))
BENCHES  := $(sort $(wildcard bench/*.c))
FUZZERS  := $(sort $(wildcard tests/fuzz/*.c))

# Each instruction set compiles the same *_simd.c with its own flags and nothing else does. They
# stand behind CFLAGS, so that `make CFLAGS=...` keeps them. SSE is what every x86-64 has and few
# still need: it is kept small.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ifneq ($(filter x86_64 amd64,$(MACHINE)),)
LEVELS := sse avx2 avx512
endif
ifneq ($(filter aarch64 arm64,$(MACHINE)),)
LEVELS := neon
# Tiles are written in the order in which they shall run: gcc's first scheduling, which knows no
# registers yet, moves loads to the front until they spill.
UNSCHEDULED := $(if $(findstring clang,$(shell $(CC) --version)),,-fno-schedule-insns)
endif
ISA_sse    := -msse2 -Os
ISA_avx2   := -mavx2 -mfma -O3
ISA_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512 -O3
ISA_neon   := -O3 $(UNSCHEDULED)
SCRIPTS    += $(if $(filter neon,$(LEVELS)),tests/check_neon_mix.sh)
# Instruction sets with one family of their own: bf16_avx512bf16.c, bf16_amx.c.
ISA_avx512bf16 := $(ISA_avx512) -mavx512bf16
ISA_amx        := $(ISA_avx512) -mamx-tile -mamx-bf16

object  = $(patsubst %.c,$(BUILD)/%.o,$(1))
program = $(patsubst %.c,$(BUILD)/%,$(1))
NN_OBJECTS := $(call object,$(NN)) \
  $(foreach level,$(LEVELS),$(patsubst %_simd.c,$(BUILD)/%_$(level).o,$(SIMD)))
VISION_OBJECTS   := $(call object,$(VISION))
DATASETS_OBJECTS := $(call object,$(DATASETS))
APP_OBJECTS      := $(call object,$(APPS))
LIBRARIES := $(BUILD)/libdatasets.a $(BUILD)/libvision.a $(BUILD)/libnn.a

# small: parsing, planning, reports, drawing, and what people are made of (not what shades them,
# nor what touches every pixel of a frame)
BUSY  := stb jpeg_encode deflate frame scale record/y4m landmarks landmarks_file texture spectrum
SMALL := $(APPS) $(filter-out nn/winograd.c nn/conv_gradient.c,$(wildcard nn/*.c)) \
         $(wildcard nn/format/*.c vision/plot*.c vision/draw.c vision/font.c vision/text.c) \
         $(filter-out $(foreach name,$(BUSY),%/$(name).c),$(wildcard vision/*/*.c)) \
         $(filter-out %_attack.c %_camera.c %_mesh.c %_raster.c %_shade.c,$(DATASETS))
$(call object,$(SMALL)): OPTIMIZE := -Os

# ---- program ------------------------------------------------------------------------------
.PHONY: all
all: $(BUILD)/liveness  ## the program (also what `make` alone does)

$(BUILD)/liveness: $(APP_OBJECTS) $(LIBRARIES)
	$(call say,link $@)$(LINK)

$(BUILD)/libnn.a:       $(NN_OBJECTS)
$(BUILD)/libvision.a:   $(VISION_OBJECTS)
$(BUILD)/libdatasets.a: $(DATASETS_OBJECTS)
$(BUILD)/%.a: $(BUILD)/generated/sources
	@rm -f $@
	$(call say,ar $@)$(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/%.o: %.c $(BUILD)/generated/flags
	@mkdir -p $(@D)
	$(call say,cc $<)$(COMPILE)

define level_rule
$(BUILD)/nn/kernels/%_$(1).o: ISA = $(ISA_$(1)) -DNN_LEVEL_$(1) $(KERNEL_FLAGS)
$(BUILD)/nn/kernels/%_$(1).o: nn/kernels/%_simd.c $(BUILD)/generated/flags
	@mkdir -p $$(@D)
	$$(call say,cc $$< for $(1))$$(COMPILE)
endef
$(foreach level,$(LEVELS),$(eval $(call level_rule,$(level))))

ifneq ($(filter avx512,$(LEVELS)),)
$(BUILD)/nn/kernels/bf16_avx512bf16.o: ISA = $(ISA_avx512bf16)
$(BUILD)/nn/kernels/bf16_amx.o: ISA = $(ISA_amx)
endif

# ---- generated, and only written when they change: the list of ops (a line per file in nn/op),
# ---- the sources of the libraries (one less, and they are packed anew), the compiler's flags ---
$(BUILD)/generated/ops.inc: WORDS = $(patsubst %,'NN_OP(%)',$(basename $(notdir $(OPS))))
$(BUILD)/generated/sources: WORDS = $(NN) $(VISION) $(DATASETS) $(APPS)
$(BUILD)/generated/flags:   WORDS = $(CC) $(STRICT) $(VERSION) $(LEAN) $(CFLAGS) $(LDFLAGS)
$(BUILD)/generated/%: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(WORDS) > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(BUILD)/nn/registry.o: $(BUILD)/generated/ops.inc
.PHONY: FORCE
FORCE:
.SECONDARY:

# ---- the picture codecs' headers: stb_image and stb_image_write, from the system ------------
$(BUILD)/vision/codec/stb.o $(BUILD)/tests/test_jpeg_encode.o: | stb
# stb_image_write shifts signed numbers to the left, on purpose.
$(BUILD)/vision/codec/stb.o $(BUILD)/tests/test_jpeg_encode.o: ISA = -fno-sanitize=shift
.PHONY: stb
stb:
	@CC="$(CC)" sh tests/setup/stb.sh

# ---- demo -----------------------------------------------------------------------------------
LIVENESS = $(BUILD)/liveness
.PHONY: demo
demo: all  ## draw a sample data set, train on it, evaluate, predict; results in out/
	@rm -rf $(OUT)/sample $(OUT)/test $(OUT)/liveness.safetensors $(OUT)/liveness.best.safetensors
	@echo "== 1/4  drawing faces, and recaptures of them as prints and on screens"
	$(LIVENESS) synth $(OUT)/sample --count 1200 --seed 1
	$(LIVENESS) synth $(OUT)/test --count 200 --seed 2
	@echo "== 2/4  training LivenessNet, a quarter held out"
	$(LIVENESS) train -d $(OUT)/sample -m $(OUT)/liveness.safetensors -p $(OUT)/plot.png \
	    -e 12 -r 1e-3 --schedule cosine --no-augment --seed 1
	@echo "== 3/4  evaluating on faces it has never seen"
	$(LIVENESS) eval -m $(OUT)/liveness.safetensors -d $(OUT)/test -o $(OUT)
	@echo "== 4/4  predicting"
	$(LIVENESS) predict -m $(OUT)/liveness.safetensors --sheet $(OUT)/predictions.png --quiet \
	    $(OUT)/test > $(OUT)/predictions.txt
	@head -n 3 $(OUT)/predictions.txt
	@echo
	@echo "made   $(OUT)/liveness.safetensors   the network"
	@echo "       $(OUT)/plot.png               how training went"
	@echo "       $(OUT)/report.txt             how good it is; roc.png, det.png, confusion.png"
	@echo "       $(OUT)/predictions.png        pictures with the network's answers"
	@echo "try    $(LIVENESS) summary $(OUT)/liveness.safetensors"
	@echo "       $(LIVENESS) train -d YOURS -m $(OUT)/yours.safetensors -p $(OUT)/yours.png"
	@echo "       where YOURS has a folder per class: YOURS/real/*.jpg, YOURS/fake/*.jpg"

# ---- tests and benchmarks -------------------------------------------------------------------
PROGRAMS = $(call program,$(TESTS) $(LESSONS))
.PHONY: tests test bench fuzz
tests: all $(PROGRAMS) $(BUILD)/bench/convolution
test: tests  ## build and run all tests; the last line is "N passed, N failed"
	@BUILD="$(BUILD)" CC="$(CC)" CFLAGS="$(CFLAGS)" LDFLAGS="$(LDFLAGS)" RUNNER="$(RUNNER)" \
	    sh tests/run.sh $(PROGRAMS) $(if $(RUNNER),$(filter tests/check_%,$(SCRIPTS)),$(SCRIPTS))

NOT_MAIN = $(filter-out $(BUILD)/apps/main.o,$(APP_OBJECTS)) $(LIBRARIES)
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(NOT_MAIN)
	$(call say,link $@)$(LINK)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIBRARIES)
	$(call say,link $@)$(LINK)
$(BUILD)/docs/%: $(BUILD)/docs/%.o $(LIBRARIES)
	$(call say,link $@)$(LINK)

# bench/convolution's steps are compiled once per level, as kernels are. They have no word for a
# fused multiply-add: where the CPU has one, the compiler may take it.
STEPS  := $(patsubst %,$(BUILD)/bench/ladder/steps_%.o,scalar $(LEVELS))
LADDER := $(call object,$(filter-out %/steps.c,$(wildcard bench/ladder/*.c))) $(STEPS)
ISA_scalar := -fno-tree-vectorize -fno-tree-slp-vectorize
FUSED_scalar := off
$(STEPS): ISA = $(ISA_$*) -O3 -DNN_LEVEL_$* -ffp-contract=$(or $(FUSED_$*),fast)
$(STEPS): $(BUILD)/bench/ladder/steps_%.o: bench/ladder/steps.c $(BUILD)/generated/flags
	@mkdir -p $(@D)
	$(call say,cc $< for $*)$(COMPILE)
$(BUILD)/bench/convolution: $(BUILD)/bench/convolution.o $(LADDER) $(LIBRARIES)
	$(call say,link $@)$(LINK)

bench: $(call program,$(BENCHES))  ## measure the training step (peers: bench/peers/run.py)
	@for batch in 1 8 32; do $(BUILD)/bench/training --batch $$batch || exit 1; done

FUZZ_SECONDS ?= 60
FUZZ_OPTIONS = -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=1024 -verbosity=0
# Kernels read no files: unrolled tiles under a fuzzer's eyes take clang minutes. Sanitizers below
# have a look at them, but without -O3, which would take gcc minutes.
fuzz:  ## let clang's libFuzzer loose on the readers, FUZZ_SECONDS each, two at a time
	@$(MAKE) BUILD=build-fuzz WERROR= CC=clang KERNEL_FLAGS='-O1 -fno-sanitize=all' \
	    LDFLAGS=-fsanitize=fuzzer,address,undefined \
	    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
	    $(patsubst %.c,build-fuzz/%,$(FUZZERS))
	@printf '%s\n' $(patsubst tests/fuzz/%.c,%,$(FUZZERS)) | xargs -P 2 -n 1 sh -c ' \
	    echo "fuzzing $$0"; mkdir -p build-fuzz/corpus/$$0; seeds=tests/fuzz/corpus/$$0; \
	    [ -d $$seeds ] || seeds=; build-fuzz/tests/fuzz/$$0 $(FUZZ_OPTIONS) \
	        -artifact_prefix=build-fuzz/$$0- build-fuzz/corpus/$$0 $$seeds || exit 255'

# ---- the same tests, watched ------------------------------------------------------------------
# What sanitizers add to the code makes gcc see dangers that are not there: no -Werror here.
SAN := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
.PHONY: asan ubsan tsan cross
asan:  ## tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) BUILD=build-asan WERROR= CFLAGS='$(SAN) -fsanitize=address,undefined' \
	    KERNEL_FLAGS=-O1 LDFLAGS=-fsanitize=address,undefined test
ubsan:  ## tests under UndefinedBehaviorSanitizer alone
	@$(MAKE) BUILD=build-ubsan WERROR= CFLAGS='$(SAN) -fsanitize=undefined' \
	    LDFLAGS=-fsanitize=undefined test
tsan:  ## threads, and a whole training run, under ThreadSanitizer
	@$(MAKE) BUILD=build-tsan WERROR= CFLAGS='$(SAN) -fsanitize=thread' KERNEL_FLAGS=-O1 \
	    LDFLAGS=-fsanitize=thread all build-tsan/tests/test_thread
	@BUILD=build-tsan sh tests/run.sh build-tsan/tests/test_thread .ci/tsan.sh
cross:  ## build for 64-bit ARM, run the test programs under qemu (scripts try the program's manners)
	@$(MAKE) BUILD=build-aarch64 CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar \
	    RUNNER='qemu-aarch64-static -L /usr/aarch64-linux-gnu' test

# ---- looking at the source ----------------------------------------------------------------------
.PHONY: lint format
lint: $(BUILD)/generated/ops.inc  ## clang-format, cppcheck, clang-tidy, shellcheck
	@BUILD="$(BUILD)" sh .ci/lint.sh
format:  ## lay out the source as .clang-format says
	clang-format -i $$(git ls-files '*.c' '*.h')

# ---- installing -------------------------------------------------------------------------------
BIN = $(DESTDIR)$(PREFIX)/bin
LIB = $(DESTDIR)$(PREFIX)/lib
INC = $(DESTDIR)$(PREFIX)/include
MAN = $(DESTDIR)$(PREFIX)/share/man/man1
.PHONY: install uninstall
install: all  ## program, libraries, headers, pkg-config file, man page, below PREFIX
	install -d $(BIN) $(LIB)/pkgconfig $(INC)/nn $(INC)/vision $(MAN)
	install -m 755 $(BUILD)/liveness $(BIN)/liveness
	install -m 644 $(BUILD)/libnn.a $(BUILD)/libvision.a $(LIB)
	install -m 644 nn/nn.h nn/measure.h $(INC)/nn
	install -m 644 vision/vision.h $(INC)/vision/vision.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' docs/liveness.pc.in \
	    > $(LIB)/pkgconfig/liveness.pc
	install -m 644 docs/liveness.1 $(MAN)/liveness.1
uninstall:  ## remove what install put there
	rm -f $(BIN)/liveness $(LIB)/libnn.a $(LIB)/libvision.a $(LIB)/pkgconfig/liveness.pc \
	    $(INC)/nn/nn.h $(INC)/nn/measure.h $(INC)/vision/vision.h \
	    $(MAN)/liveness.1
	-rmdir $(INC)/nn $(INC)/vision 2>/dev/null

# ---- the rest -----------------------------------------------------------------------------------
.PHONY: clean help
clean:  ## remove what was built; out/ stays
	rm -rf build build-asan build-ubsan build-tsan build-fuzz build-aarch64 build-clang
help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
