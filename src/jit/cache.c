/*
 * cache.c - translated blocks: their memory, how they are found, chained, and dropped when their code is written.
 *
 * The cache is one memory with two views: blocks are written through one and run through the other, which is never
 * writable.  It fills from bottom to top; when it is full, everything goes.
 */
#define _GNU_SOURCE
#include "jit/jit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* -- memory --------------------------------------------------------------------------------------------------------------- */

static bool cache_map(struct jit *j, struct err *err)
{
    j->fd = memfd_create("wideload-jit", MFD_CLOEXEC);
    if (j->fd < 0 || ftruncate(j->fd, (off_t)j->size))
        return err_set(err, "no memory for translated code: %s", strerror(errno));
    j->write = mmap(NULL, j->size, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
    j->run = mmap(NULL, j->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_32BIT, j->fd, 0);
    if (j->write == MAP_FAILED || j->run == MAP_FAILED)
        return err_set(err, "this host gives no executable memory below 2 GiB: %s", strerror(errno));
    return true;
}

bool jit_cache_create(struct jit *j, struct err *err)
{
    j->size = bits_max(j->options.cache_bytes / j->v->cpus, MIB(1));
    j->write = j->run = MAP_FAILED;
    if (!cache_map(j, err))
        return false;
    j->e = (struct emit){ .start = j->write, .at = j->write, .end = j->write + j->size, .run = j->run - j->write };
    if (!jit_make_stubs(j))
        return err_set(err, "a code cache of %zu bytes is too small", j->size);
    j->stubs = (size_t)(j->e.at - j->write);
    return true;
}

void jit_cache_destroy(struct jit *j)
{
    if (j->write && j->write != MAP_FAILED)
        munmap(j->write, j->size);
    if (j->run && j->run != MAP_FAILED)
        munmap(j->run, j->size);
    if (j->fd >= 0)
        close(j->fd);
}

/* -- finding ---------------------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(uint64_t gpa, uint64_t rip) { return (gpa ^ rip << 7) * UINT64_C(0x9e3779b97f4a7c15); }

static struct jit_block **hash_bucket(struct jit *j, uint64_t gpa, uint64_t rip) { return &j->hash[hash_of(gpa, rip) >> (64 - JIT_HASH_BITS)]; }

/* A bit for every block there has been, so that most look-ups in vain touch nothing else. */
static uint64_t known_bit(uint64_t gpa, uint64_t rip) { return BIT(hash_of(gpa, rip) >> (64 - JIT_KNOWN_BITS) & 63); }
static uint64_t *known_word(struct jit *j, uint64_t gpa, uint64_t rip) { return &j->known[hash_of(gpa, rip) >> (64 - JIT_KNOWN_BITS + 6)]; }

static struct jit_block **page_bucket(struct jit *j, uint64_t gpa) { return &j->page[gpa / PAGE_BYTES % JIT_PAGE_HASH]; }

static uint64_t code_base(const struct vcpu *v) { return v->cpu.mode & MODE_CODE64 ? 0 : v->cpu.seg[SEG_CS].base; }

static uint64_t code_linear(const struct vcpu *v, uint64_t rip)
{
    return v->cpu.mode & MODE_CODE64 ? rip : (uint32_t)(v->cpu.seg[SEG_CS].base + rip);
}

/* The second page may have been remapped since the block was made. */
static bool second_page_holds(const struct jit_block *b, struct vcpu *v)
{
    const struct tlb_entry *e;
    uint64_t last = 0;

    if (b->gpa[1] == b->gpa[0])
        return true;
    for (unsigned i = 0; i < b->insns; i++)
        last = bits_max(last, jit_insn_rip(b, i) + b->insn[i].length - 1);
    e = tlb_translate(&v->mmu, code_linear(v, last), ACCESS_EXECUTE, v->mmu.bank);
    return e && e->gpa == b->gpa[1];
}

static struct jit_block *find(struct jit *j, uint64_t gpa, bool careful)
{
    struct vcpu *v = j->v;
    struct jit_block *b;

    if (!(*known_word(j, gpa, v->cpu.rip) & known_bit(gpa, v->cpu.rip)))
        return NULL;
    for (b = *hash_bucket(j, gpa, v->cpu.rip); b; b = b->next)
        if (b->rip == v->cpu.rip && b->mode == v->cpu.mode && b->cs_base == code_base(v) && b->gpa[0] == gpa &&
            b->careful == careful && second_page_holds(b, v))
            return b;
    return NULL;
}

/* Their code stays, which says that they are in `filled`. */
static void table_clear_local(struct jump_table *t)
{
    for (unsigned i = 0; i < t->local_count; i++) {
        t->entry[t->local[i]].rip = jit_jump_none(t->local[i]);
        t->is_local[t->local[i]] = false;
    }
    t->local_count = 0;
}

static void table_clear(struct jump_table *t)
{
    for (unsigned i = 0; i < t->filled_count; i++)
        t->entry[t->filled[i]] = (struct jump_entry){ .rip = jit_jump_none(t->filled[i]) };
    t->filled_count = 0;
    table_clear_local(t);
}

void jit_clear_jumps(struct jit *j)
{
    for (unsigned i = 0; i < JUMP_TABLES && j->jumps[i].used; i++)
        table_clear(&j->jumps[i]);
    memset(j->jump_pages, 0, sizeof(j->jump_pages));
}

void jit_clear_local_jumps(struct jit *j)
{
    for (unsigned i = 0; i < JUMP_TABLES && j->jumps[i].used; i++)
        table_clear_local(&j->jumps[i]);
}

/* Code that begins in the page, or in the one before it and goes on here. */
static void table_clear_page(struct jump_table *t, uint64_t page)
{
    for (unsigned i = 0; i < t->filled_count; i++) {
        struct jump_entry *e = &t->entry[t->filled[i]];

        if (!(t->mode & MODE_CODE64) || page - (e->rip & ~(uint64_t)PAGE_OFFSET) <= PAGE_BYTES)
            e->rip = jit_jump_none(t->filled[i]);
    }
}

void jit_clear_page_jumps(struct jit *j, uint64_t page)
{
    for (unsigned i = 0; i < JUMP_TABLES && j->jumps[i].used; i++)
        table_clear_page(&j->jumps[i], page);
}

/* The table of this mode, a new one if need be; when all are taken, everything goes. */
static struct jump_table *jumps_of(struct jit *j, uint32_t mode)
{
    struct jump_table *t;

    for (t = j->jumps; t < j->jumps + JUMP_TABLES && t->used && t->mode != mode; t++)
        continue;
    if (t == j->jumps + JUMP_TABLES) {
        jit_drop_all(j);
        t = j->jumps;
    }
    if (!t->used) {
        t->used = true;
        t->mode = mode;
        t->entry[0].rip = jit_jump_none(0);
    }
    return j->by_mode[jit_mode_hash(mode)] = t;
}

/* Is the page of global code, as far as the TLB knows? */
static bool is_global(const struct jit *j, uint64_t gva)
{
    const struct tlb_entry *e = &j->v->mmu.tlb[j->v->mmu.bank][tlb_index(gva)];

    return e->page & TLB_GLOBAL && e->tag[TLB_EXECUTE] == (gva & ~(uint64_t)PAGE_OFFSET);
}

void jit_fill_jump(struct jit *j, const struct jit_block *b)
{
    uint64_t gva = b->cs_base + b->rip;
    unsigned index = jit_jump_index(b->rip);
    struct jump_table *t = b->jumps;

    if (!t->entry[index].code)
        t->filled[t->filled_count++] = (uint16_t)index;
    t->entry[index] = (struct jump_entry){ b->rip, b->checked };
    if (!t->is_local[index] && !(is_global(j, gva) && (b->gpa[1] == b->gpa[0] || is_global(j, gva + PAGE_BYTES)))) {
        t->is_local[index] = true;
        t->local[t->local_count++] = (uint16_t)index;
    }
    j->jump_pages[jit_page_hash(gva)] = true;
    if (b->gpa[1] != b->gpa[0])
        j->jump_pages[jit_page_hash(gva + PAGE_BYTES)] = true;
}

/* -- making ------------------------------------------------------------------------------------------------------------------- */

static bool op_has_site(const struct ir_op *o)
{
    if (o->cover == COVER_FOLLOWS)
        return false;
    switch (o->op) {
    case IR_LD: case IR_LDW: case IR_ST: case IR_LDX: case IR_STX: case IR_ATOMIC: case IR_SEGCHECK: case IR_DIV: case IR_IDIV:
    case IR_HELPER: case IR_HELPER_END: return true;
    default: return false;
    }
}

/* BLOCK_BRIEF: first_kind(); BLOCK_CAREFUL: see struct jit_block. */
enum block_kind { BLOCK_FULL, BLOCK_BRIEF, BLOCK_CAREFUL };

static struct jit_block *block_allocate(struct jit *j, const struct ir_block *ir, const struct fetched *f, enum block_kind kind)
{
    unsigned sites = 0, edges = 0;
    struct jit_block *b;
    char *p;

    for (unsigned i = 0; i < ir->ops; i++) {
        sites += op_has_site(&ir->op[i]);
        edges += ir_leaves(&ir->op[i]) + (ir->op[i].cover == COVER_LEADS ? 2 : 0); /* no window; it is not aligned */
    }
    b = calloc(1, sizeof(*b) + sites * sizeof(*b->site) + edges * sizeof(*b->edge) + ir->consts * sizeof(*b->konst) + ir->insns * sizeof(*b->insn));
    if (!b)
        abort();
    p = (char *)(b + 1);
    *b = (struct jit_block){ .jit = j, .rip = ir->rip, .mode = ir->mode, .insns = (uint16_t)ir->insns,
                             .cs_base = code_base(j->v), .jumps = jumps_of(j, ir->mode), .careful = kind == BLOCK_CAREFUL,
                             .gpa = { f->gpa[0], f->gpa[1] } };
    if (kind == BLOCK_BRIEF) {
        b->patience = &j->patience[j->patiences];
        *b->patience = (int32_t)j->options.patience;
    }
    b->site = (void *)p, p += sites * sizeof(*b->site);
    b->edge = (void *)p, p += edges * sizeof(*b->edge);
    b->konst = (void *)p, p += ir->consts * sizeof(*b->konst);
    b->insn = (void *)p;
    memcpy(b->konst, ir->konst, ir->consts * sizeof(*b->konst));
    for (unsigned i = 0; i < ir->insns; i++)
        b->insn[i] = (struct jit_insn){ .from = (uint32_t)(ir->insn[i].rip - ir->rip), .length = ir->insn[i].length };
    return b;
}

static void block_free(struct jit_block *b)
{
    for (unsigned i = 0; i < b->sites; i++)
        free(b->site[i].spot);
    free(b->ahead);
    free(b);
}

static void protect(struct jit *j, uint64_t gpa, uint64_t size)
{
    if (mmu_mark_code(&j->v->mmu, gpa, size))
        jit_follow_protects(j);
}

/* Where the instruction is: in the block's first page, or behind it. */
static uint64_t insn_gpa(const struct jit_block *b, unsigned insn)
{
    uint64_t linear = b->cs_base + jit_insn_rip(b, insn);

    return b->gpa[((linear ^ (b->cs_base + b->rip)) & ~(uint64_t)PAGE_OFFSET) != 0] + (linear & PAGE_OFFSET);
}

static void block_protect(struct jit *j, const struct jit_block *b)
{
    for (unsigned i = 0; i < b->insns; i++) {
        uint64_t at = insn_gpa(b, i), first = bits_min(b->insn[i].length, PAGE_BYTES - (at & PAGE_OFFSET));

        protect(j, at, first);
        if (b->insn[i].length > first)
            protect(j, b->gpa[1], b->insn[i].length - first);
    }
}

static void block_insert(struct jit *j, struct jit_block *b)
{
    struct jit_block **bucket = hash_bucket(j, b->gpa[0], b->rip);

    *known_word(j, b->gpa[0], b->rip) |= known_bit(b->gpa[0], b->rip);
    b->next = *bucket;
    *bucket = b;
    for (unsigned i = 0; i < (page_bucket(j, b->gpa[0]) == page_bucket(j, b->gpa[1]) ? 1u : 2u); i++) {
        bucket = page_bucket(j, b->gpa[i]);
        b->page_next[i] = *bucket;
        *bucket = b;
    }
    block_protect(j, b);
    memset(j->beside, 0, sizeof(j->beside));
}

static uint8_t *refused_level(struct jit *j, uint64_t rip, uint64_t gpa) { return &j->refused[(rip ^ gpa >> 12) % HOT_ENTRIES]; }

static void block_plan(struct jit *j, struct window_plan *plan, struct ir_block *ir, const struct fetched *f, enum block_kind kind)
{
    static const unsigned bytes[REFUSED_LEVELS] = { WINDOW_BYTES, 64, 0 };
    bool none = kind == BLOCK_CAREFUL || !j->options.windows || !j->options.tlb || !j->options.pages;

    if (j->x87)
        x87_plan(ir, j->x87_agrees);
    window_plan(plan, ir, none ? 0 : bytes[*refused_level(j, ir->rip, f->gpa[0])], j->options.fold);
}

/* Code for as much of the block as can be; the cache is emptied once if it is full. */
static bool block_generate(struct jit *j, struct ir_block *ir, struct jit_block **out, const struct fetched *f, enum block_kind kind)
{
    static _Thread_local struct window_plan plan; /* large */

    for (unsigned attempt = 0; attempt < 3; attempt++) {
        uint8_t *start = j->e.at;
        unsigned caches = j->caches;
        struct jit_block *b;

        block_plan(j, &plan, ir, f, kind);
        *out = b = block_allocate(j, ir, f, kind);
        j->e.full = false;
        j->declined_at = 0;
        if (jit_generate(j, b, ir, &plan)) {
            b->bytes = (uint32_t)(j->e.at - start);
            return true;
        }
        j->e.at = start;
        j->caches = caches;
        if (j->e.full) {
            jit_drop_all(j);
        } else if (j->declined_at) {
            ir_truncate(ir, j->declined_at);
        } else {
            j->e.full = false;
            return false;
        }
        block_free(b);
    }
    *out = block_allocate(j, ir, f, kind);
    return false;
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint8_t *written_count(struct jit *j, uint64_t gpa) { return &j->written[gpa / PAGE_BYTES % HOT_ENTRIES]; }

static void block_drop(struct jit *j, struct jit_block *b);

static struct jit_block *translate(struct jit *j, enum block_kind kind)
{
    static _Thread_local struct ir_block ir; /* large, and rebuilt every time */
    uint64_t start = now_ns();
    struct fetched f;
    struct jit_block *b;

    jumps_of(j, j->v->cpu.mode); /* it may empty the cache: first */
    if (!fetch_block(j->v, &ir, BLOCK_INSNS, j->options.extend && kind == BLOCK_FULL ? &j->history : NULL, &f) || f.uncached)
        return NULL;
    j->stats.insns += ir.insns;
    if (!block_generate(j, &ir, &b, &f, kind)) {
        b->declined = true;
        j->stats.declined++;
    }
    block_insert(j, b);
    if (!b->dead && !fetch_holds(j->v, &ir, &f))
        block_drop(j, b);
    j->stats.blocks++;
    j->stats.careful += kind == BLOCK_CAREFUL;
    j->stats.brief += kind == BLOCK_BRIEF;
    j->patiences += kind == BLOCK_BRIEF;
    j->stats.bytes += b->bytes;
    j->stats.translate_ns += now_ns() - start;
    if (!b->declined)
        jit_inspect_block(j, b);
    return b->dead ? NULL : b;
}

/* Has the code here run often enough, half of it in the interpreter's chains?  Where code is written to again and again, more often. */
static bool is_hot(struct jit *j, uint64_t gpa)
{
    uint8_t *hot = &j->hot[(j->v->cpu.rip ^ gpa >> 12) % HOT_ENTRIES], *writes = written_count(j, gpa);

    if (*hot >= bits_min((j->options.hot - j->interp->patience) * (1u + *writes), UINT8_MAX)) {
        *hot = 0;
        *writes -= *writes > 0;
        return true;
    }
    ++*hot;
    j->stats.misses++;
    return false;
}

/*
 * Most code does not run often.  A block is brief first, up to the next jump: quickly made; one that goes on running is made again,
 * along the way that it takes.
 */
static enum block_kind first_kind(const struct jit *j)
{
    return j->options.extend && j->options.patience && j->patiences < BRIEF_BLOCKS ? BLOCK_BRIEF : BLOCK_FULL;
}

struct jit_block *jit_lookup(struct jit *j, bool careful)
{
    struct vcpu *v = j->v;
    const struct tlb_entry *e;
    struct jit_block *b;

    if (jit_is_flushed(j))
        jit_follow_flushes(j);
    if (v->cpu.mode & (MODE_ALIGN | MODE_STEP))
        return NULL;
    e = tlb_translate(&v->mmu, code_linear(v, v->cpu.rip), ACCESS_EXECUTE, v->mmu.bank);
    if (!e)
        return NULL; /* the interpreter finds the same fault */
    j->stats.lookups++;
    b = find(j, e->gpa, careful);
    if (!b && !careful && !is_hot(j, e->gpa))
        return NULL;
    if (b && b->patience && *b->patience < 0) {
        block_drop(j, b);
        b = translate(j, BLOCK_FULL);
    } else if (!b) {
        b = translate(j, careful ? BLOCK_CAREFUL : first_kind(j));
    }
    return b && !b->declined ? b : NULL;
}

/* -- chaining ------------------------------------------------------------------------------------------------------------------- */

static uint8_t *writable(const struct jit *j, const uint8_t *code) { return j->write + (code - j->run); }

/* NULL: to what comes after the jump. */
static void edge_point(const struct jit *j, const struct jit_edge *e, const uint8_t *to)
{
    const uint8_t *displacement = e->from->checked + e->jump;

    emit_point(writable(j, displacement), j->e.run, to ? to : displacement + 4);
}

void jit_link(struct jit *j, struct jit_edge *edge, struct jit_block *to)
{
    if (edge->to || edge->from->dead || to->dead || to->gpa[1] != to->gpa[0] || to->gpa[0] != edge->from->gpa[0])
        return;
    edge->to = to;
    edge->next = to->incoming;
    to->incoming = edge;
    edge_point(j, edge, to->entry);
    j->stats.links++;
}

static void unlink_incoming(struct jit *j, struct jit_block *b)
{
    for (struct jit_edge *e = b->incoming, *next; e; e = next) {
        next = e->next;
        edge_point(j, e, NULL);
        e->to = NULL;
        e->next = NULL;
    }
    b->incoming = NULL;
}

static void unlink_outgoing(struct jit_block *b)
{
    for (unsigned i = 0; i < b->edges; i++) {
        struct jit_edge *e = &b->edge[i], **at;

        if (!e->to)
            continue;
        for (at = &e->to->incoming; *at != e; at = &(*at)->next)
            ;
        *at = e->next;
        e->to = NULL;
    }
}

/* -- dropping --------------------------------------------------------------------------------------------------------------------- */

static void page_unlink(struct jit *j, struct jit_block *b)
{
    for (unsigned i = 0; i < (page_bucket(j, b->gpa[0]) == page_bucket(j, b->gpa[1]) ? 1u : 2u); i++) {
        struct jit_block **bucket = page_bucket(j, b->gpa[i]), **at = bucket;

        while (*at != b)
            at = &(*at)->page_next[page_bucket(j, (*at)->gpa[0]) == bucket ? 0 : 1];
        *at = b->page_next[i];
    }
}

/* Nothing but what is running may still know it. */
static void block_bury(struct jit *j, struct jit_block *b)
{
    b->dead = true;
    b->next = j->dead;
    j->dead = b;
    j->stats.drops++;
}

static void block_drop(struct jit *j, struct jit_block *b)
{
    struct jit_block **at = hash_bucket(j, b->gpa[0], b->rip);
    struct jump_entry *jump = &b->jumps->entry[jit_jump_index(b->rip)];

    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    page_unlink(j, b);
    unlink_incoming(j, b);
    unlink_outgoing(b);
    if (jump->code && jump->code == b->checked)
        jump->rip = jit_jump_none(jit_jump_index(b->rip));
    block_bury(j, b);
}

void jit_refuse_windows(struct jit *j, struct jit_block *b)
{
    uint8_t *level = refused_level(j, b->rip, b->gpa[0]);

    if (*level < REFUSED_LEVELS - 1)
        ++*level;
    if (!b->dead)
        block_drop(j, b);
}

/* All at once: the links between them are left as they are. */
void jit_drop_all(struct jit *j)
{
    for (unsigned i = 0; i < ARRAY_LEN(j->hash); i++) {
        for (struct jit_block *b = j->hash[i], *next; b; b = next) {
            next = b->next;
            block_bury(j, b);
        }
        j->hash[i] = NULL;
    }
    memset(j->page, 0, sizeof(j->page));
    memset(j->known, 0, sizeof(j->known));
    jit_clear_jumps(j);
    for (unsigned i = 0; i < JUMP_TABLES; i++)
        j->jumps[i].used = false;
    memset(j->by_mode, 0, sizeof(j->by_mode));
    jit_clear_caches(j);
    memset(j->refused, 0, sizeof(j->refused));
    j->caches = j->patiences = 0;
    j->e.at = j->write + j->stubs;
    j->e.full = false;
    j->stats.flushes++;
}

void jit_free_dead(struct jit *j)
{
    while (j->dead) {
        struct jit_block *b = j->dead;

        j->dead = b->next;
        block_free(b);
    }
}

/* Does any instruction of the block have a byte in [gpa, gpa + width)? */
static bool block_overlaps(const struct jit_block *b, uint64_t gpa, uint64_t width)
{
    for (unsigned i = 0; i < b->insns; i++) {
        uint64_t at = insn_gpa(b, i), first = bits_min(b->insn[i].length, PAGE_BYTES - (at & PAGE_OFFSET));

        if (at < gpa + width && gpa < at + first)
            return true;
        if (b->insn[i].length > first && b->gpa[1] < gpa + width && gpa < b->gpa[1] + b->insn[i].length - first)
            return true;
    }
    return false;
}

/* True when the page has no block left. */
static bool drop_in_page(struct jit *j, uint64_t page, uint64_t gpa, uint64_t width)
{
    struct jit_block **bucket = page_bucket(j, page), *next;
    bool empty = true;

    for (struct jit_block *b = *bucket; b; b = next) {
        next = b->page_next[page_bucket(j, b->gpa[0]) == bucket ? 0 : 1];
        if (b->gpa[0] != page && b->gpa[1] != page)
            continue;
        if (block_overlaps(b, gpa, width)) {
            block_drop(j, b);
            *written_count(j, page) = (uint8_t)bits_min(*written_count(j, page) + 4u, WRITTEN_MOST);
        } else
            empty = false;
    }
    return empty;
}

/* Data beside code, in its line, may be written all the time: the page's blocks are looked through once. */
void jit_drop_written(struct jit *j, uint64_t gpa, unsigned width)
{
    uint64_t first = gpa & ~(uint64_t)PAGE_OFFSET, last = (gpa + width - 1) & ~(uint64_t)PAGE_OFFSET;
    unsigned n = (unsigned)(gpa >> 1) % BESIDE;

    if (j->beside[n].gpa == gpa && j->beside[n].width == width)
        return;
    if (drop_in_page(j, first, gpa, width))
        tlb_release(&j->v->mmu, first);
    else if (last == first)
        j->beside[n].gpa = gpa, j->beside[n].width = width;
    if (last != first && drop_in_page(j, last, gpa, width))
        tlb_release(&j->v->mmu, last);
}

/* -- getting out in the middle ------------------------------------------------------------------------------------------------------ */

static uint8_t *insn_code(const struct jit *j, const struct jit_block *b, unsigned insn) { return writable(j, b->checked + b->insn[insn].code); }

void jit_force_out(struct jit *j, struct jit_block *b, unsigned insn)
{
    uint8_t *at;

    if (j->forced)
        return;
    j->forced = true;
    j->left -= FORCE_OUT;
    j->retired_then -= FORCE_OUT;
    if (insn >= b->insns)
        return;
    j->armed = b;
    j->armed_insn = insn;
    at = insn_code(j, b, insn);
    memcpy(j->armed_bytes, at, ARM_BYTES);
    at[0] = 0xe9;
    emit_point(at + 1, j->e.run, j->stub_exit[EXIT_ARMED]);
}

void jit_disarm(struct jit *j)
{
    if (j->armed)
        memcpy(insn_code(j, j->armed, j->armed_insn), j->armed_bytes, ARM_BYTES);
    j->armed = NULL;
}
