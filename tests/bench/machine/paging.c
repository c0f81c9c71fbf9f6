/* paging.c - page faults whose handler maps the page, CR3 reloads and INVLPG with some memory touched after each. */
#include "guest.h"

#define FAULTS 256
#define RELOADS 200
#define TOUCHED 8
#define INVALIDATIONS 1000
static u8 frames[FAULTS * 4096] __attribute__((aligned(4096)));
static u32 faults;

static u64 entry_of(u32 page) { return (u64)(frames + page * 4096) | WINDOW_PRESENT; }

/* -- page faults ------------------------------------------------------------------------------------------------------ */

__attribute__((interrupt)) static void pagefault_handler(struct frame *frame, unsigned long error)
{
    u64 cr2;

    (void)frame;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    faults += 1 + (u32)error;
    window_table[cr2 >> 12 & (WINDOW_PAGES - 1)] = entry_of(cr2 >> 12 & (FAULTS - 1));
}

static int pagefault_setup(void)
{
    guest_set_gate(14, pagefault_handler);
    return 1;
}

/* Writes to absent pages: each faults with error code 2. */
static u32 pagefault_round(void)
{
    faults = 0;
    for (u32 i = 0; i < FAULTS; i++)
        *window_page(i) = i;
    for (u32 i = 0; i < FAULTS; i++)
        window_table[i] = 0;
    reload_cr3();
    return faults;
}

ROW(pagefault, .group = "system", .unit = "fault", .units = FAULTS, .setup = pagefault_setup, .round = pagefault_round);

/* -- the TLB ---------------------------------------------------------------------------------------------------------- */

static int tlb_setup(void)
{
    for (u32 i = 0; i < FAULTS; i++) {
        window_table[i] = entry_of(i);
        *window_page(i) = i * 3;
    }
    return 1;
}

static u32 cr3_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < RELOADS; i++) {
        reload_cr3();
        for (u32 n = 0; n < TOUCHED; n++)
            sum += (u32)*window_page(n);
    }
    return sum;
}

ROW(cr3, .group = "system", .unit = "reload", .units = RELOADS, .setup = tlb_setup, .round = cr3_round);

static u32 invlpg_round(void)
{
    u32 sum = 0;

    for (u32 i = 0; i < INVALIDATIONS; i++) {
        volatile u64 *page = window_page(i % 64);

        __asm__ volatile("invlpg %0" ::"m"(*page) : "memory");
        sum += (u32)*page;
    }
    return sum;
}

ROW(invlpg, .group = "system", .unit = "page", .units = INVALIDATIONS, .setup = tlb_setup, .round = invlpg_round);
