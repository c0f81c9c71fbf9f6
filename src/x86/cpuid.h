/*
 * cpuid.h - what CPU the guest sees: CPUID leaves, and which control-register bits and MSRs go with them.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include "cpu.h"

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

struct cpuid_row {
    uint32_t leaf, subleaf;
    bool indexed;          /* the subleaf matters */
    struct cpuid_result r;
};

/* All rows, without the bits that follow state (OSXSAVE, OSPKE, sizes). */
enum { CPUID_ROWS = 80 };
struct cpuid_table {
    unsigned n;
    struct cpuid_row row[CPUID_ROWS];
};

/* The CPU model of this program. */
void cpuid_default(struct cpuid_table *table);

/* CPUID(leaf, subleaf) in this state (SDM 2 CPUID). */
struct cpuid_result cpuid(const struct cpuid_table *table, const struct cpu *cpu, uint32_t leaf, uint32_t subleaf);

/* As text, for a trace's header, and back; false for text that is none. */
void cpuid_print(const struct cpuid_table *table, char *text, size_t size);
bool cpuid_parse(const char *text, struct cpuid_table *table);

/* Bits that may be set; others are #GP. */
uint64_t cpuid_cr4_mask(void);
uint64_t cpuid_efer_mask(void);
uint64_t cpuid_xcr0_mask(void);
enum { CPUID_PHYSICAL_BITS = 40 };

/* XSAVE area: offset and size of a component in the standard format (SDM 1 13.4). */
struct xsave_component {
    unsigned offset, size;
};
extern const struct xsave_component xsave_components[10];
/* Bytes of the standard-format area for these components. */
unsigned cpuid_xsave_size(uint64_t components);

#endif
