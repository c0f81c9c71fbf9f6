/*
 * jit.h - the JIT: what its files share.
 *
 *   gen*.c    IR of one block -> host code           stubs.c   ways in and out of it, made once
 *   emit.c    host instructions as bytes              cache.c   blocks: found, chained, dropped
 *   slow.c    what the code calls                     engine.c  the engine, around the interpreter's loop
 *   pages.c   what it knows of where memory is
 *   window.c  which accesses share one look at the page
 *   host.c    which vector instructions the host has   x87.c    the guest's x87 in the host's
 *   inspect.c what it made, for people and profilers  show.c   ... for explain
 *
 * Registers while translated code runs:
 *
 *   host  rbx rsi rdi r12 rbp r13 r8  r9  r10 r11 r14    r15                       rax rcx rdx
 *   guest RAX RCX RDX RBX RSP RBP RSI RDI R8  R9  R10    instructions left to run  temporaries, windows
 *
 * R11..R15 stay in the vcpu, which lies below 2 GiB as the code does, so that RIP-relative addresses reach it.
 *
 * Flags: where the guest's arithmetic flags are at a point of the code is known when it is made: in the host's RFLAGS,
 * in memory, or nowhere: then they can be made again (struct lazy).  In memory is either `flags` (AH as LAHF leaves it,
 * AL = OF) or `recipe`: between blocks most flags are never looked at.
 */
#ifndef JIT_JIT_H
#define JIT_JIT_H

#include "interp/interp.h"
#include "jit/emit.h"
#include "jit/options.h"
#include "jit/window.h"
#include "jit/x87.h"
#include "vcpu.h"
#include "x86/fetch.h"
#include "x86/memory.h"

#include <stdio.h>

/* -- flags that are nowhere --------------------------------------------------------------------------------------------- */

enum { LAZY_A = 0x2000, LAZY_B = 0x2001 }; /* operands beside slots and constants: jit->lazy[0], [1] */

/*
 * `op` of IR_CMP (a - b), IR_TEST (result a), IR_ADD (result a, addend b), IR_SUB (result a, subtrahend b), IR_SHL,
 * IR_SHR, IR_SAR (a shifted by the constant b): the flags can be computed from what these operands hold now.
 */
struct lazy {
    uint8_t op, width;
    ir_operand a, b;
};

enum { RECIPE_VCPU = 1 }; /* the flags are the vcpu's words (x86/flags.h) */

/* As a word, when both operands are in jit->lazy. */
static inline uint32_t jit_recipe(const struct lazy *l) { return 1u << 31 | (uint32_t)l->op << 8 | l->width; }

/* FLAGS_RAW: the host's, of the operation `lazy` with result a, undefined ones as the host has them. */
enum flags_place { FLAGS_MEMORY, FLAGS_HOST, FLAGS_RAW, FLAGS_LAZY, FLAGS_DEAD };

struct flags_at {
    uint8_t place; /* enum flags_place */
    struct lazy lazy;
};

/* -- blocks --------------------------------------------------------------------------------------------------------------- */

struct jit_block;

/* A place of a block from which out-of-line work begins. */
struct jit_site {
    struct jit_block *block;
    union {
        struct page_cache *cache; /* of a load, store or window; NULL: none */
        uint64_t (*helper)(struct vcpu *, uint64_t, uint64_t, uint64_t, uint64_t); /* takes fewer arguments, maybe */
    };
    struct memory_spot *spot;  /* of an access that has met a region; else NULL */
    int64_t imm;               /* with op, cc, d and aux: as its operation has them (ir.h) */
    union {
        uint32_t aux;
        uint32_t size;         /* of a window: bytes from its low end */
    };
    uint32_t from;             /* with length: its instruction's, as struct jit_insn has it */
    ir_operand d;
    uint16_t insn;             /* index of its instruction */
    struct flags_at flags;
    struct memory_shape shape; /* of an access, as memory.h wants it */
    uint8_t op, cc, length;
    bool last : 1;             /* nothing of its instruction comes after it */
    bool uses_flags : 1, uses_mxcsr : 1; /* of a helper */
};
_Static_assert(sizeof(struct jit_site) == 64, "there are millions");

/* A jump to another block of the same page, patched when that is known; until then it goes to what comes after it. */
struct jit_edge {
    struct jit_block *from, *to;
    uint64_t rip;
    struct jit_edge *next;    /* among those that lead to the same block */
    uint32_t jump;            /* where its displacement is, from the block's code on */
    bool careful;             /* to a block that is */
};

/*
 * Vector registers in the host's of the same number, by how much: [0] 16 bytes, [1] 32, [2] 64; who has more has less too.
 * What is not there is in the vcpu.
 */
struct vec_state {
    uint32_t valid[3], dirty[3]; /* as in the vcpu, or newer; newer */
};

/* State of the guest that the host's vector and x87 registers have, and the vcpu gets only when somebody asks. */
struct jit_ahead {
    uint32_t dirty[3];        /* of struct vec_state */
    struct x87_note note;
};

/* An instruction of a block, and how things stand before it. */
struct jit_insn {
    uint32_t from;            /* its RIP, less the block's (jit_rip) */
    uint32_t code;            /* of the host, from the block's on; 0: there is none yet */
    int32_t sp;               /* RSP is so much more than its register */
    struct flags_at flags;
    uint16_t ahead;           /* of the block's, from 1; 0: nothing is */
    uint8_t length;
};

struct jit_block {
    uint64_t rip, cs_base;
    uint64_t gpa[2];          /* as struct iblock has it */
    struct jit_block *next;   /* hash bucket, or the dead list */
    uint32_t mode;
    uint16_t insns;
    bool dead, declined;      /* declined: the interpreter's */
    bool careful;             /* without windows; entered where a window did not hold, and left at its end */
    uint8_t refused;          /* windows that met a device, a page with code or the same page's end */
    uint16_t edges, sites;
    struct jit *jit;
    int32_t *patience;        /* of a brief one: executions left until it is made again, longer; NULL: it is final */
    uint64_t refused_page;
    const uint8_t *entry, *checked; /* checked: compares CS base first; the same in 64-bit code */
    struct jump_table *jumps;  /* of its mode */
    struct jit_block *page_next[2]; /* in the chains of its pages */
    struct jit_edge *incoming, *edge;
    struct jit_site *site;
    struct jit_insn *insn;
    struct jit_ahead *ahead;  /* NULL: none */
    uint64_t *konst;
    uint32_t bytes;           /* of code, from `checked` on */
};

static inline uint64_t jit_rip(const struct jit_block *b, uint32_t from)
{
    uint64_t rip = b->rip + (uint64_t)(int64_t)(int32_t)from;

    return b->mode & MODE_CODE64 ? rip : (uint32_t)rip;
}

/* RIP of instruction n. */
static inline uint64_t jit_insn_rip(const struct jit_block *b, unsigned n) { return jit_rip(b, b->insn[n].from); }

/* -- the whole ------------------------------------------------------------------------------------------------------------ */

enum { JUMP_ENTRIES = 1 << 16, JUMP_TABLES = 16, JUMP_PAGES = 8192, JIT_HASH_BITS = 16, JIT_KNOWN_BITS = 19, JIT_PAGE_HASH = 1 << 16,
       HOT_ENTRIES = 4096, ARM_BYTES = 5, PAGE_CACHES = 1 << 18, BRIEF_BLOCKS = 1 << 18, WINDOW_REFUSALS = 8, REFUSED_LEVELS = 3,
       WRITTEN_MOST = 31, BESIDE = 64, CACHED_REGIONS = 4096 };

/* Sizes of accesses and windows, for which a page cache knows where the last one may begin. */
enum { SPANS = 4 };
static const uint16_t jit_span_bytes[SPANS] = { 8, 64, 512, WINDOW_BYTES };

static inline unsigned jit_span(unsigned bytes) { return bytes <= 8 ? 0 : bytes <= 64 ? 1 : bytes <= 512 ? 2 : 3; }

/*
 * Where accesses of one kind went last: memory of the guest from `base` on is at address + delta in the host's.  What is
 * at most jit_span_bytes[i] long may begin at [base, base + span[i]).  Single accesses of up to 8 bytes share one by base
 * register; a window has its own.  Empty: all spans are 0.
 */
struct page_cache {
    uint64_t base, span[SPANS];
    uintptr_t delta;
    struct page_cache *next; /* in the list of those that are not empty */
    uint32_t local; /* it has held a page that is not global: it is in that list */
    uint32_t writes; /* ... written through it: likewise */
};

struct jump_entry {
    uint64_t rip;
    const void *code; /* NULL: empty */
};

/* Where indirect jumps of one mode lead, by RIP.  An empty entry has the RIP of another one, so that no jump finds it. */
struct jump_table {
    uint32_t mode;
    bool used;
    unsigned filled_count, local_count;
    struct jump_entry entry[JUMP_ENTRIES];
    uint16_t filled[JUMP_ENTRIES]; /* entries, so that clearing them costs what filling did */
    uint16_t local[JUMP_ENTRIES];  /* ... that have led to pages that are not global */
    bool is_local[JUMP_ENTRIES];
};

struct jit {
    /* Addressed by translated code. */
    struct jump_table jumps[JUMP_TABLES];
    uint16_t flags, host_flags;
    uint32_t recipe;              /* 0: the flags are in `flags`; RECIPE_VCPU; else jit_recipe(), of lazy[0] and lazy[1] */
    uint64_t lazy[2];
    struct page_cache stack[BANKS][2]; /* of accesses through RSP: read, write */
    struct page_cache cache[PAGE_CACHES];
    uint64_t left;                /* r15 while C runs */
    uint64_t argument[4];         /* of the helper called, or of a slow path */
    uint64_t window[WINDOWS];     /* of the block under way */
    union wide vector[32];        /* EXIT_ARMED: the host's, as far as it has them */
    bool x87_inside;              /* the host's x87 unit has the guest's state */
    struct x87_note x87_note;     /* ... since when this has happened */
    uint64_t x87_operand;         /* that C has loaded */

    struct interp *interp;
    struct vcpu *v;
    struct phys_listener listener;
    struct jit_options options;
    struct jit_stats stats;

    /* The cache: two views of one memory. */
    int fd;
    uint8_t *write, *run;
    size_t size, stubs;           /* bytes; the first `stubs` of them are not blocks */
    struct emit e;
    int (*enter)(const void *code);
    const void *stub_exit[EXIT_STOP + 1]; /* all registers are saved, then out with that reason */
    const void *stub_probe[BANKS][2]; /* rax: address, rdx: of its last byte, rcx: cache; CF: found, rax is the host's */
    const void *stub_load, *stub_store, *stub_load_wide, *stub_store_wide, *stub_window, *stub_atomic, *stub_divide, *stub_segment;
    const void *stub_helper, *stub_helper_pure, *stub_helper_end, *stub_pack; /* pure: registers stay where they are */
    const void *stub_x87_in, *stub_x87_out, *stub_x87_leave, *stub_x87_access; /* leave: out if it is inside; flags stay */
    bool avx, avx512;
    bool vectors;                 /* the host's vector registers are used for the guest's */
    bool x87, x87_agrees;         /* the host's x87 unit is; x87_host_agrees() */
    bool reals, guest_mxcsr;      /* ... and MXCSR by some block; the host's has the guest's now (jit_mxcsr_in) */
    uint32_t mxcsr;               /* C's own */

    struct history history;       /* of branches, by the interpreter */
    struct jit_block *hash[1 << JIT_HASH_BITS];
    uint64_t known[(1 << JIT_KNOWN_BITS) / 64];
    struct jump_table *by_mode[64]; /* by jit_mode_hash() */
    struct jit_block *dead;
    struct jit_block *page[JIT_PAGE_HASH]; /* by guest-physical page, through page_next */
    struct page_cache *filled_caches[4]; /* 2: of global pages alone; 1: to be written through */
    unsigned filled_count;
    bool cached_region[CACHED_REGIONS]; /* 2 MiB, by hash, into which one of them reaches, maybe */
    bool jump_pages[JUMP_PAGES];    /* pages, by hash, with an entry in a table of jumps */
    unsigned caches;                /* of `cache`, given to blocks */
    int32_t patience[BRIEF_BLOCKS];
    unsigned patiences;             /* of these, given to brief blocks */
    uint64_t seen_flushes, seen_protects;
    unsigned declined_at;           /* instruction at which jit_generate() gave up */
    uint8_t hot[HOT_ENTRIES];       /* how often code that is not translated was looked for */
    struct { uint64_t gpa; unsigned width; } beside[BESIDE]; /* writes that hit no block of their page while none is added; width 0: none */
    uint8_t written[HOT_ENTRIES];   /* how often blocks of a page, by hash, were dropped by writes */
    uint8_t refused[HOT_ENTRIES];   /* how small windows must be, or none: blocks whose windows were refused too often */

    uint64_t retired_then;          /* instructions retired when `left` will be 0; beyond 2^60 while out is forced */
    uint64_t retired_before;        /* ... and before this run */
    bool usable;                    /* else the interpreter does everything */
    bool map_changed;               /* to be looked at before the next block ... */
    uint64_t memory;                /* ... against where memory was: phys_memory_generation() */
    bool forced;                  /* `left` was made negative to get out at the end of the block */
    struct jit_block *armed;
    unsigned armed_insn;
    uint8_t armed_bytes[ARM_BYTES];
    const struct jit_site *fault_site; /* whose flags EXIT_FAULT still has to bring out; NULL: none */
    const struct jit_site *after;   /* EXIT_AFTER: the site whose instruction is done but for this value */
    uint64_t after_value;
    struct jit_edge *last_edge;   /* set by a stub on its way to EXIT_LINK */
    uint64_t vain;                /* RIP for which there was no code when the last exit looked; UINT64_MAX: there was */

    FILE *perf_map, *jitdump;
    void *jitdump_page;           /* a mapping of the latter */
};

#define FORCE_OUT (UINT64_C(1) << 60)

static inline unsigned jit_mode_hash(uint32_t mode) { return mode * 0x9e3779b1u >> 26; }

/* The table of a mode; NULL: there is none, or it has to be looked for. */
static inline struct jump_table *jit_jumps(const struct jit *j, uint32_t mode)
{
    struct jump_table *t = j->by_mode[jit_mode_hash(mode)];

    return t && t->mode == mode ? t : NULL;
}

static inline unsigned jit_jump_index(uint64_t rip) { return rip & (JUMP_ENTRIES - 1); }
static inline unsigned jit_page_hash(uint64_t gva) { return gva / PAGE_BYTES % JUMP_PAGES; }
static inline uint64_t jit_jump_none(unsigned index) { return index ? 0 : 1; } /* a new table's entries are zero */

/* Instructions retired when the block under way, with all it has, will have run. */
static inline uint64_t jit_retired(const struct jit *j) { return j->retired_then - j->left; }

/* gen.c: false when the block cannot be translated, or the cache is full (jit->e.full). */
bool jit_generate(struct jit *jit, struct jit_block *block, const struct ir_block *ir, const struct window_plan *plan);
/* stubs.c */
bool jit_make_stubs(struct jit *jit);
/* Host registers of guest registers; H_NONE: in memory. */
extern const uint8_t jit_pin[GPRS];

/* cache.c: false and err when the host gives no executable memory. */
bool jit_cache_create(struct jit *jit, struct err *err);
void jit_cache_destroy(struct jit *jit);
/* The block for where the vcpu is, or NULL: not there (yet), or not to be translated.  A careful one is made at once. */
struct jit_block *jit_lookup(struct jit *jit, bool careful);
void jit_link(struct jit *jit, struct jit_edge *edge, struct jit_block *to);
void jit_drop_written(struct jit *jit, uint64_t gpa, unsigned width);
void jit_drop_all(struct jit *jit);
void jit_free_dead(struct jit *jit);
void jit_clear_jumps(struct jit *jit);
void jit_clear_local_jumps(struct jit *jit);
void jit_clear_page_jumps(struct jit *jit, uint64_t page);
/* The block's windows do not pay. */
void jit_refuse_windows(struct jit *jit, struct jit_block *block);
void jit_fill_jump(struct jit *jit, const struct jit_block *block);
/* Out before instruction `insn` of the block under way, or at its end. */
void jit_force_out(struct jit *jit, struct jit_block *block, unsigned insn);
void jit_disarm(struct jit *jit);

/* pages.c */
void jit_clear_caches(struct jit *jit);
/* A page got code: what page caches say may be wrong. */
void jit_follow_protects(struct jit *jit);
/* What the TLB has dropped since the last time, or made slow, page caches and tables of jumps drop too. */
void jit_follow_flushes(struct jit *jit);
static inline bool jit_is_flushed(const struct jit *j)
{
    return (j->seen_flushes ^ j->v->mmu.flushes) | (j->seen_protects ^ j->v->mmu.protects);
}
/* What the TLB knows of [gva, gva + bytes), if it is plain memory for this intent. */
void jit_fill_cache(struct jit *jit, struct page_cache *cache, uint64_t gva, unsigned bytes, enum tlb_intent intent);

/*
 * The host's MXCSR gets the guest's rounding and flags, with all exceptions masked; what flags it then has go back to the
 * vcpu, and it is C's again.
 */
static inline void jit_mxcsr_in(struct jit *j)
{
    if (!j->reals || j->guest_mxcsr)
        return;
    j->guest_mxcsr = true;
    __builtin_ia32_ldmxcsr(j->v->cpu.mxcsr | MXCSR_MASKS);
}

static inline void jit_mxcsr_out(struct jit *j)
{
    if (!j->guest_mxcsr)
        return;
    j->guest_mxcsr = false;
    j->v->cpu.mxcsr |= __builtin_ia32_stmxcsr() & MXCSR_FLAGS;
    __builtin_ia32_ldmxcsr(j->mxcsr);
}

/* slow.c: called by translated code through stubs.c. */
struct slow_result { uint64_t value, exit; };
struct slow_result jit_slow_load(struct jit_site *site, uint64_t gva);
struct slow_result jit_slow_store(struct jit_site *site, uint64_t gva, uint64_t value);
/* The host's address of a window's low end, or 0: it is not plain memory in one stretch, as far as the TLB knows. */
struct slow_result jit_slow_window(const struct jit_site *site, uint64_t gva);
struct slow_result jit_slow_load_wide(struct jit_site *site, uint64_t gva);
struct slow_result jit_slow_store_wide(struct jit_site *site, uint64_t gva);
/* All of an instruction: x87_plan() has made an access of it. */
struct slow_result jit_slow_x87(const struct jit_site *site, uint64_t gva, uint64_t offset);
struct slow_result jit_slow_atomic(const struct jit_site *site, uint64_t gva);
struct slow_result jit_slow_divide(const struct jit_site *site, uint64_t divisor);
struct slow_result jit_slow_segment(const struct jit_site *site, uint64_t offset);
struct slow_result jit_slow_helper(const struct jit_site *site);
struct slow_result jit_slow_helper_end(const struct jit_site *site);
/* The flags at a point, into the vcpu's words. */
void jit_flags_out(struct jit *jit, const struct jit_block *block, const struct flags_at *at);
void jit_flags_in(struct jit *jit);
void jit_flags_pack(struct jit *jit);

/* inspect.c */
void jit_inspect_block(struct jit *jit, const struct jit_block *block);
bool jit_inspect_open(struct jit *jit, struct err *err);
void jit_inspect_close(struct jit *jit);

#endif
