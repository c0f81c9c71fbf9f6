/*
 * cpuid.h - what CPU the guest sees: CPUID leaves, and which control-register bits and MSRs go with them.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include "cpu.h"
#include "x86/feature.h"

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

/* Whose reading of the architecture a CPU follows, where they differ. */
enum cpu_vendor { VENDOR_INTEL, VENDOR_AMD };

/* A CPU to show. */
struct cpu_model {
    uint32_t signature; /* leaf 1, EAX: family, model, stepping */
    struct feature_set features;
    enum cpu_vendor vendor;
};

void cpuid_build(struct cpuid_table *table, const struct cpu_model *model);
/* As leaf 0 names it; others count as Intel. */
enum cpu_vendor cpuid_vendor(const struct cpuid_table *table);
/* CPU `id` of so many in one package, a core each (SDM 2 CPUID, leaves 1, 4, BH).  One alone is what a table says by itself. */
void cpuid_place(struct cpuid_table *table, unsigned id, unsigned cpus);
/* Is the feature's bit set in what its leaf says? */
bool cpuid_has_bit(const struct cpuid_result *r, unsigned feature);
/* Does the table say that this feature is there? */
bool cpuid_offers(const struct cpuid_table *table, unsigned feature);
/* Not any more. */
void cpuid_withdraw(struct cpuid_table *table, unsigned feature);

/* CPUID(leaf, subleaf) in this state (SDM 2 CPUID). */
struct cpuid_result cpuid(const struct cpuid_table *table, const struct cpu *cpu, uint32_t leaf, uint32_t subleaf);

/* As text, for a trace's header, and back; false for text that is none. */
void cpuid_print(const struct cpuid_table *table, char *text, size_t size);
bool cpuid_parse(const char *text, struct cpuid_table *table);

/* Bits that may be set by a CPU with these features; others are #GP. */
uint64_t cpuid_cr4_mask(const struct feature_set *features);
uint64_t cpuid_efer_mask(const struct feature_set *features);
uint64_t cpuid_xcr0_mask(const struct feature_set *features);
enum { CPUID_PHYSICAL_BITS = 40 };

/* XSAVE area: offset and size of a component in the standard format (SDM 1 13.4). */
struct xsave_component {
    unsigned offset, size;
};
extern const struct xsave_component xsave_components[10];
/* Bytes of the standard-format area for these components. */
unsigned cpuid_xsave_size(uint64_t components);

#endif
