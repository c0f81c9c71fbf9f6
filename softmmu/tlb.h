/*
 * tlb.h - stop 2: have we translated this page already?  And `struct mmu`, one CPU's view of memory.
 *
 * Three banks, because the same page means different things to different callers:
 *
 *     BANK_SUPERVISOR     CPL 0..2, and implicit supervisor accesses at any CPL; SMAP applies
 *     BANK_SUPERVISOR_AC  CPL 0..2 with RFLAGS.AC set: SMAP does not
 *     BANK_USER           CPL 3
 *
 * An entry has a tag for each intent.  A tag equal to the page's linear address says that the page is plain memory
 * at gva + addend; with TLB_SLOW set, that the translation is good but something must be done first: a device, a
 * hole, ROM, a page with translated code or a data breakpoint.  A plain WRITE tag implies a plain READ tag, so that
 * a read-modify-write looks at one of them.
 *
 * Each bank keeps two logs of the entries in use, so that what concerns all entries walks only those: of those that are
 * global (they hold whatever CR3 is) and of the others.  A log has an entry at most once; one that has been both is in both.
 * An entry that was dropped by itself (INVLPG) has no tags but stays there.
 */
#ifndef SOFTMMU_TLB_H
#define SOFTMMU_TLB_H

#include "dispatch.h"
#include "types.h"

enum { TLB_BITS = 12, TLB_ENTRIES = 1 << TLB_BITS };
enum mmu_bank { BANK_SUPERVISOR, BANK_SUPERVISOR_AC, BANK_USER, BANKS };
enum tlb_intent { TLB_READ, TLB_WRITE, TLB_EXECUTE, TLB_INTENTS };
/* What all levels of a walk say of a page. */
enum page_rights { RIGHTS_WRITABLE = 1, RIGHTS_USER = 2, RIGHTS_EXECUTABLE = 4, RIGHTS = 8 };

#define CR0_PG (UINT64_C(1) << 31)

#define TLB_SLOW UINT64_C(1)
#define TLB_NONE UINT64_C(2) /* never matches */

/* tlb_entry.page, below the address: log2 of the size of the guest's page it is part of; it is global; it is in that log. */
#define TLB_SHIFT UINT64_C(0xff)
#define TLB_GLOBAL UINT64_C(0x100)
#define TLB_LOGGED(global) (UINT64_C(0x200) << (global))

/*
 * Generated code knows this layout.  `region` is set where one region covers all of the page and no data breakpoint
 * is on it: its tags are slow, and an access the region takes as it is may go there without a search.
 */
struct tlb_entry {
    uint64_t tag[TLB_INTENTS];
    intptr_t addend;        /* host address = gva + addend where a tag is not slow */
    uint64_t gpa;           /* of the page */
    uint64_t page;          /* its linear address, and TLB_SHIFT, ... */
    struct region *region;  /* see above, or NULL */
    uint64_t region_offset; /* of the page within it */
};

_Static_assert(sizeof(struct tlb_entry) == 64, "generated code multiplies by a shift");
_Static_assert(offsetof(struct tlb_entry, addend) == 24 && offsetof(struct tlb_entry, gpa) == 32, "and adds these");
_Static_assert(offsetof(struct tlb_entry, region) == 48 && offsetof(struct tlb_entry, region_offset) == 56, "and these");

/* The entries of a bank that are in use, global or not. */
struct tlb_log {
    unsigned n;
    uint16_t entry[TLB_ENTRIES];
};

static inline unsigned tlb_shift(const struct tlb_entry *e) { return e->page & TLB_SHIFT; }

/* A fault of the memory path; the engine turns it into an exception. */
struct mmu_fault {
    uint8_t vector;   /* 14, 13 (non-canonical, misaligned vector), 12 (the same through SS), 17 */
    uint32_t error;
    uint64_t address;
};

struct code;

/* A data breakpoint: linear addresses [gva, gva + size). */
struct watch {
    uint64_t gva;
    uint8_t size;      /* 0: off */
    bool writes_only, reads_only;
};

/* The guest's, by DR0 to DR3, and behind them a debugger's. */
enum { WATCHES = 4, WATCHES_ALL = 8, LARGE_RUNS = 8, FLUSHED_PAGES = 8 };

/* Linear addresses. */
struct tlb_run {
    uint64_t first, last;
};

/* What the control registers say of the entries of a level; 1 is the last. */
struct walk_level {
    uint64_t leaf;           /* one of these set in a present entry: it maps a page */
    uint64_t reserved[2];    /* bits that must be zero in one that points on, that maps a page */
    unsigned shift;          /* log2 of what an entry covers */
};

enum { KEYS_USER = 1, KEYS_SUPERVISOR = 2 };

/* And of a walk. */
struct walk_mode {
    uint8_t levels;          /* tables to go through; 0: not known yet */
    uint8_t unused_bits;     /* of a linear address: copies of the one below them, in IA-32e mode */
    uint8_t entry_log;       /* log2 of an entry's bytes */
    bool pdptes;             /* PAE: the PDPTE registers stand above */
    uint8_t keys;            /* KEYS_*: these pages have protection keys */
    uint16_t index;          /* (address >> (shift - entry_log)) & index: where in a table */
    uint64_t table;          /* of CR3 or an entry: where the next table is */
    uint64_t xd;             /* the bit that forbids execution, or 0 */
    uint64_t global;         /* the bit of a page that holds in every address space, or 0 */
    struct walk_level level[6];
    uint8_t allowed[BANKS][RIGHTS]; /* intents, by rights gathered from all levels */
};

/* Memory of which all is readable, in the host's at gpa + delta, while the map is of that generation. */
struct walk_memory {
    uint64_t base, size;
    uintptr_t delta;
    uint64_t generation;
};

struct mmu {
    enum mmu_bank bank; /* of explicit accesses now */
    struct mmu *next;   /* in the ring of all CPUs'; NULL: there is one */
    struct bus *bus;
    struct code *code;

    /* Copies of what the walk depends on; mmu_set_registers() keeps them true. */
    uint64_t cr0, cr3, cr4, efer;
    uint32_t pkru, pkrs;
    uint64_t pdpte[4];  /* PAE: loaded with CR3 */
    struct walk_mode mode;
    bool align_check;   /* CR0.AM, RFLAGS.AC, CPL 3 */
    uint8_t physical_bits;
    bool no_gigabyte_pages; /* PS is reserved in a PDPTE */

    struct walk_memory tables; /* where paging structures were read last */

    struct watch watch[WATCHES_ALL];
    unsigned watch_hits; /* one bit each; the engine clears them */

    struct mmu_fault fault;
    unsigned large;                      /* so many: */
    struct tlb_run large_run[LARGE_RUNS]; /* all pages of more than 4 KiB that some entry belongs to lie in these */
    bool ready;           /* all tags have been TLB_NONE once; tlb_flush() sees to it */
    uint64_t walks, flushes, protects;
    uint64_t flushed_all;                  /* `flushes` after the last that was not of one 4 KiB page, ... */
    uint64_t flushed_local;                /* ... and after the last that left nothing but global pages */
    uint64_t flushed_page[FLUSHED_PAGES];  /* flush n dropped page [n % FLUSHED_PAGES]; TLB_NONE: it is none of one page */

    struct tlb_log log[BANKS][2]; /* [1]: global */
    struct tlb_entry tlb[BANKS][TLB_ENTRIES] __attribute__((aligned(64)));
};

static inline bool mmu_watches(const struct mmu *mmu)
{
    return mmu->watch[0].size | mmu->watch[1].size | mmu->watch[2].size | mmu->watch[3].size |
           mmu->watch[4].size | mmu->watch[5].size | mmu->watch[6].size | mmu->watch[7].size;
}

/* A walk through the entries in use, from { 0 } on; some come twice, some have no tags. */
struct tlb_place {
    struct tlb_entry *entry;
    unsigned log, i; /* which: 2 * bank + global */
};

bool tlb_next(struct mmu *mmu, struct tlb_place *at);

static inline unsigned tlb_index(uint64_t gva) { return gva >> 12 & (TLB_ENTRIES - 1); }

/* Everything, or all that is not global, or one page in all banks.  A new mmu is flushed before its first use. */
void tlb_flush(struct mmu *mmu);
void tlb_flush_local(struct mmu *mmu);
void tlb_flush_page(struct mmu *mmu, uint64_t gva);

/* Two CPUs that share memory, or a new one and those that do. */
void mmu_join(struct mmu *mmu, struct mmu *new);
/* The next in the ring, from the first on; NULL after the last. */
static inline struct mmu *mmu_after(const struct mmu *first, const struct mmu *m) { return m->next == first ? NULL : m->next; }

/* Has any CPU translated code of this page; of the 2 MiB around it? */
bool mmu_has_code(const struct mmu *mmu, uint64_t gpa);
bool mmu_has_code_near(const struct mmu *mmu, uint64_t gpa);
/* Memory at [gpa, gpa + width) has been written, by whomever: translations of it go on all CPUs (code_written). */
void mmu_written(struct mmu *mmu, uint64_t gpa, unsigned width);

/*
 * This CPU has translated [gpa, gpa + size), which lies in one page.  True if the page had nothing of it before: writes to it
 * are slow from now on, in every entry of every CPU that maps it, and what is known beside the TLB (`protects`) no longer holds.
 */
bool mmu_mark_code(struct mmu *mmu, uint64_t gpa, uint64_t size);
/* A page has none of this CPU's translated code any more: takes its mark away, and writes to it may be fast again. */
void tlb_release(struct mmu *mmu, uint64_t gpa);

/*
 * tlb_translate - stop 2, then 3 on a miss: where is this page, and may we?
 *
 * intent   ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE or READ | WRITE
 * Returns NULL with mmu->fault set.  No guest byte but accessed and dirty bits is touched.
 */
const struct tlb_entry *tlb_translate(struct mmu *mmu, uint64_t gva, unsigned intent, enum mmu_bank bank);

/* Host address of `width` bytes if they hit plain memory within one page, else NULL: the fast path. */
static inline uint8_t *tlb_hit(struct mmu *mmu, uint64_t gva, unsigned width, enum tlb_intent intent)
{
    const struct tlb_entry *e = &mmu->tlb[mmu->bank][tlb_index(gva)];

    if (likely((gva & ~(uint64_t)PAGE_OFFSET) == e->tag[intent] && (gva & PAGE_OFFSET) <= PAGE_BYTES - width))
        return (uint8_t *)(gva + (uint64_t)e->addend);
    return NULL;
}

#endif
