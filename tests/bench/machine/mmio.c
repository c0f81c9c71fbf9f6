/*
 * mmio.c - a store to and a load from a device at each width from 1 to 64 bytes, 32 bytes by AVX, 64 by AVX-512.
 *
 * In wideload it is widereg's window that takes every width.  QEMU has nothing the same; there it is whoever does least:
 * its edu device (widths 4 and 8, an offset where nothing is) and, as that refuses 1 and 2, the local APIC's ID register,
 * which ignores narrow accesses.  QEMU cuts 16 and 32 bytes into eights.
 */
#include "guest.h"

#define PAIRS 500
#define WIDEREG 0x00407764
#define WIDEREG_ANY 0x9000
#define EDU 0x11e81234
#define EDU_NOTHING 0x200
#define LOCAL_APIC 0xfee00020

static volatile u8 *target;
static int remembers; /* widereg reads back what was stored */
static u8 stored[64] __attribute__((aligned(64))), loaded[64] __attribute__((aligned(64)));

/* -- finding the device ----------------------------------------------------------------------------------------------- */

static u32 pci_read(u32 slot, u32 offset)
{
    outl(0xcf8, 0x80000000 | slot << 11 | offset);
    return inl(0xcfc);
}

static volatile u8 *find_device(u32 id)
{
    for (u32 slot = 0; slot < 32; slot++)
        if (pci_read(slot, 0) == id)
            return (volatile u8 *)(u64)(pci_read(slot, 0x10) & ~15u);
    return 0;
}

static int mmio_find(u32 width)
{
    for (u32 i = 0; i < 64; i++)
        stored[i] = (u8)(i * 5 + 1);
    target = find_device(WIDEREG);
    remembers = target != 0;
    if (remembers)
        target += WIDEREG_ANY;
    else if (width <= 2)
        target = (volatile u8 *)LOCAL_APIC;
    else if ((target = find_device(EDU)))
        target += EDU_NOTHING;
    return target != 0;
}

/* -- the rows --------------------------------------------------------------------------------------------------------- */

static u32 mmio_sum(u32 width)
{
    u32 wrong = 0;

    for (u32 i = 0; i < width; i++)
        wrong += remembers && loaded[i] != stored[i];
    return 2 * PAIRS + wrong;
}

/* `get` puts `stored` into a register, `put` the register into `loaded`; `reg` is its name. */
#define MMIO_ROW(width, move, reg)                                                                                     \
    static int mmio##width##_setup(void) { return mmio_find(width) && enable_vectors(width); }                         \
    static u32 mmio##width##_round(void)                                                                               \
    {                                                                                                                  \
        u32 pairs = PAIRS;                                                                                             \
                                                                                                                       \
        __asm__ volatile(move " (%2), %%" reg "\n"                                                                     \
                         "1: " move " %%" reg ", (%1)\n"                                                               \
                         move " (%1), %%" reg "\n"                                                                     \
                         "dec %0\n"                                                                                    \
                         "jnz 1b\n" move " %%" reg ", (%3)"                                                            \
                         : "+r"(pairs)                                                                                 \
                         : "r"(target), "r"(stored), "r"(loaded)                                                       \
                         : "rax", "memory");                                                                           \
        return mmio_sum(width);                                                                                        \
    }                                                                                                                  \
    ROW(mmio##width, .group = "io", .unit = "access", .units = 2 * PAIRS, .setup = mmio##width##_setup,                \
        .round = mmio##width##_round)

MMIO_ROW(1, "mov", "al");
MMIO_ROW(2, "mov", "ax");
MMIO_ROW(4, "mov", "eax");
MMIO_ROW(8, "mov", "rax");
MMIO_ROW(16, "movdqu", "xmm0");
MMIO_ROW(32, "vmovdqu", "ymm0");
MMIO_ROW(64, "vmovdqu64", "zmm0");
