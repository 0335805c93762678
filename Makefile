# One makefile for the whole tree: sources are found, objects mirror it under $(BUILD).
# `make help` lists the targets.

BUILD   ?= build
CC      ?= cc
AR      ?= ar
CFLAGS  ?= -O2 -g
LDFLAGS ?=
PREFIX  ?= /usr/local
DESTDIR ?=

VERSION := 0.1.0
STRICT  := -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Werror
DEFINES := -D_XOPEN_SOURCE=700 -DNN_VERSION='"$(VERSION)"'
LIBS    := -lm -pthread
# -ffp-contract=off: a*b+c is two roundings in every build, so scalar code gives the same bits
# whatever the compiler may fuse; kernels ask for fused multiply-adds by name.
COMPILE  = $(CC) $(STRICT) $(DEFINES) -I. -I$(BUILD)/generated -MMD -MP -pthread \
           -ffp-contract=off $(CFLAGS) $(ISA) -c -o $@ $<

# ---- sources ------------------------------------------------------------------------------
OPS      := $(sort $(wildcard nn/op/*.c))
SIMD     := $(sort $(wildcard nn/kernels/*_simd.c))
NN       := $(sort $(wildcard nn/*.c nn/model/*.c nn/format/*.c)) $(OPS) \
            $(filter-out $(SIMD),$(sort $(wildcard nn/kernels/*.c)))
VISION   := $(sort $(wildcard vision/*.c vision/*/*.c))
DATASETS := $(sort $(wildcard datasets/*.c datasets/*/*.c))
APPS     := $(sort $(wildcard apps/*.c))
TESTS    := $(sort $(wildcard tests/test_*.c tests/check_*.c))
SCRIPTS  := $(sort $(wildcard tests/test_*.sh))
BENCHES  := $(sort $(wildcard bench/*.c))

# Each instruction set compiles the same *_simd.c with its own flags and nothing else does.
MACHINE := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
ifneq ($(filter x86_64 amd64,$(MACHINE)),)
LEVELS := sse avx2 avx512
endif
ifneq ($(filter aarch64 arm64,$(MACHINE)),)
LEVELS := neon
endif
ISA_sse    := -msse2
ISA_avx2   := -mavx2 -mfma
ISA_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512
ISA_neon   :=

object  = $(patsubst %.c,$(BUILD)/%.o,$(1))
NN_OBJECTS := $(call object,$(NN)) \
  $(foreach level,$(LEVELS),$(patsubst %_simd.c,$(BUILD)/%_$(level).o,$(SIMD)))
VISION_OBJECTS   := $(call object,$(VISION))
DATASETS_OBJECTS := $(call object,$(DATASETS))
APP_OBJECTS      := $(call object,$(APPS))
LIBRARIES := $(BUILD)/libdatasets.a $(BUILD)/libvision.a $(BUILD)/libnn.a
TEST_PROGRAMS  := $(patsubst %.c,$(BUILD)/%,$(TESTS))
BENCH_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(BENCHES))

# ---- program ------------------------------------------------------------------------------
.PHONY: all
all: $(BUILD)/liveness

$(BUILD)/liveness: $(APP_OBJECTS) $(LIBRARIES)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(APP_OBJECTS) $(LIBRARIES) $(LIBS)

$(BUILD)/libnn.a:       $(NN_OBJECTS)
$(BUILD)/libvision.a:   $(VISION_OBJECTS)
$(BUILD)/libdatasets.a: $(DATASETS_OBJECTS)
$(BUILD)/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE)

define level_rule
$(BUILD)/nn/kernels/%_$(1).o: ISA = $(ISA_$(1)) -O3 -DNN_LEVEL_$(1)
$(BUILD)/nn/kernels/%_$(1).o: nn/kernels/%_simd.c
	@mkdir -p $$(@D)
	$$(COMPILE)
endef
$(foreach level,$(LEVELS),$(eval $(call level_rule,$(level))))

# ---- the list of ops: one line per file in nn/op, rewritten only when it changes ------------
$(BUILD)/nn/registry.o: $(BUILD)/generated/ops.inc
$(BUILD)/generated/ops.inc: FORCE
	@mkdir -p $(@D)
	@for op in $(basename $(notdir $(OPS))); do echo "NN_OP($$op)"; done > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

# ---- the picture codecs' headers: stb_image and stb_image_write, from the system ------------
$(BUILD)/vision/codec/stb.o: | stb
.PHONY: stb
stb:
	@CC="$(CC)" sh tests/setup/stb.sh

# ---- tests and benchmarks -------------------------------------------------------------------
.PHONY: tests test bench
tests: all $(TEST_PROGRAMS)
test: tests
	@BUILD="$(BUILD)" CC="$(CC)" sh tests/run.sh $(TEST_PROGRAMS) $(SCRIPTS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(filter-out $(BUILD)/apps/main.o,$(APP_OBJECTS)) $(LIBRARIES)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
$(BUILD)/bench/%: $(BUILD)/bench/%.o $(LIBRARIES)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
