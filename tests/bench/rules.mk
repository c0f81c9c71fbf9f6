# rules.mk - the benchmark's guests and native programs; Makefile.in reads it.
#
#   bench/64, bench/32   objects of rows/ and runner.c, the same for guest and native program
#   guest.elf            multiboot, long mode: rows/ and machine/ (ELF32 by name, as QEMU wants it)
#   maze.elf             the same machine with tests/lockstep/guest instead of rows
#   guest32.elf          multiboot, protected mode      native, native32   Linux programs without a library

BENCH := $(OBJ)/bench
BENCH_DIR := $(srcdir)/tests/bench
BENCH_CFLAGS = -std=gnu11 -O2 $(WARNINGS) -I$(BENCH_DIR) -ffreestanding -fno-builtin -fno-pic -fno-pie \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fno-tree-loop-distribute-patterns
# Rows of vectors have flags of their own.
BENCH_SSE = -mno-mmx -msse2 -mfpmath=sse -fno-math-errno -ffp-contract=off
$(BENCH)/64/nbody.o $(BENCH)/64/spectral.o $(BENCH)/64/packed16.o: BENCH_MORE = $(BENCH_SSE)
$(BENCH)/64/mandelbrot.o $(BENCH)/64/packed32.o: BENCH_MORE = $(BENCH_SSE) -mavx2
$(BENCH)/64/packed64.o: BENCH_MORE = $(BENCH_SSE) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512
$(BENCH)/64/aes.o: BENCH_MORE = $(BENCH_SSE) -maes -mssse3
$(BENCH)/64/shani.o: BENCH_MORE = $(BENCH_SSE) -msha -mssse3
$(BENCH)/64/mandelbrot87.o $(BENCH)/64/nbody87.o: BENCH_MORE = -mno-mmx -mno-sse -mfpmath=387 -fno-math-errno
BENCH_PROGRAMS := $(addprefix $(BENCH)/,guest.elf maze.elf guest32.elf native native32)
bench_names = $(basename $(notdir $(wildcard $(BENCH_DIR)/$(1)/*.c)))
BENCH_LINK = ld -m $(1) -static -nostdlib --build-id=none -z noexecstack

BENCH_OBJ64 := $(patsubst %,$(BENCH)/64/%.o,runner $(filter-out protected32,$(call bench_names,rows)))
BENCH_OBJ32 := $(patsubst %,$(BENCH)/32/%.o,runner protected32 sieve crc quicksort bytecode)
BENCH_MACHINE := $(patsubst %,$(BENCH)/64/%.o,start guest $(call bench_names,machine))

define bench_objects
$(BENCH)/$(1)/%.o: $(BENCH_DIR)/$(2)/%.$(3) Makefile $(BENCH_DIR)/rules.mk
	$$(call say,CC,tests/bench/$(2)/$$*.$(3))
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) -m$(1) $$(filter-out $$(if $$(BENCH_MORE),-mgeneral-regs-only),$$(BENCH_CFLAGS)) $$(BENCH_MORE) -MMD -MP -c -o $$@ $$<
endef
$(foreach bits,64 32,$(foreach dir,. rows machine,$(eval $(call bench_objects,$(bits),$(dir),c))))
$(foreach bits,64 32,$(eval $(call bench_objects,$(bits),.,S)))
$(eval $(call bench_objects,64,../lockstep/guest,c))

$(BENCH)/guest.elf: $(BENCH_MACHINE) $(BENCH_OBJ64)
$(BENCH)/maze.elf: $(patsubst %,$(BENCH)/64/%.o,start guest runner maze delay smp)
$(BENCH)/guest.elf $(BENCH)/maze.elf:
	$(call say,LINK,$@)
	$(Q)$(call BENCH_LINK,elf_x86_64) -n -Ttext=0x100000 -e start -o $@.64 $^
	$(Q)objcopy -O elf32-i386 $@.64 $@

$(BENCH)/guest32.elf: $(BENCH)/32/start32.o $(BENCH)/32/guest.o $(BENCH_OBJ32)
	$(call say,LINK,$@)
	$(Q)$(call BENCH_LINK,elf_i386) -n -Ttext=0x100000 -e start -o $@ $^

$(BENCH)/native: $(BENCH)/64/native.o $(BENCH_OBJ64)
	$(call say,LINK,$@)
	$(Q)$(call BENCH_LINK,elf_x86_64) -o $@ $^

$(BENCH)/native32: $(BENCH)/32/native.o $(BENCH_OBJ32)
	$(call say,LINK,$@)
	$(Q)$(call BENCH_LINK,elf_i386) -o $@ $^

-include $(wildcard $(BENCH)/*/*.d)
