/*
 * test_memory.c - the TLB's bookkeeping, and the short ways of guest memory, each held against the general way.
 *
 * One CPU in protected mode without paging: linear is physical.  A short way is barred by an observer on the bus
 * (accesses to devices) or by a data breakpoint on the page (strings), and what is left must come to the same.
 */
#include "walk.h"
#include "x86/helpers.h"
#include "x86/memory.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { RAM = 0x2000000, STRINGS = 0x10000, STRINGS_BYTES = 0x4000 };
enum { WIDE, REGISTERS, REFUSES, DEAF, HALF, PORTS, REGIONS };

static struct vcpu v;
static struct phys phys;
static struct phys_memory memory, write_only;
static struct region region[REGIONS];
static struct phys_listener listener;
static uint8_t *ram, behind[PAGE_BYTES];

/* -- devices that remember ------------------------------------------------------------------------------------------ */

struct record {
    unsigned n;
    struct transaction last;
    struct origin origin;
    uint64_t read_offset, written;
    unsigned width;
};

static struct record record;
static uint8_t device[2 * PAGE_BYTES];

static void device_record(const struct transaction *t)
{
    record.n++;
    record.last.type = t->type; /* field by field: padding is nobody's */
    record.last.width = t->width;
    record.last.flags = t->flags;
    record.last.offset = t->offset;
    record.last.enables = t->enables;
    record.last.data = t->data;
    record.last.compare = t->compare;
    record.origin = *t->origin;
}

static enum transaction_result device_transact(void *state, struct transaction *t)
{
    uint8_t *at = device + t->offset;
    uint64_t old = 0, new;

    (void)state;
    device_record(t);
    memcpy(&old, at, t->width < 8 ? t->width : 8);
    new = t->data.q[0] + (t->type == TRANSACTION_FETCH_ADD ? old : 0);
    switch (t->type) {
    case TRANSACTION_LOAD: memcpy(&t->data, at, t->width); break;
    case TRANSACTION_STORE: case TRANSACTION_DIRECT_STORE: memcpy(at, &t->data, t->width); break;
    default:
        if (t->type != TRANSACTION_COMPARE_SWAP || old == t->compare.q[0])
            memcpy(at, &new, t->width);
        t->data.q[0] = old;
    }
    return TRANSACTION_OK;
}

static enum transaction_result device_refuse(void *state, struct transaction *t)
{
    (void)state;
    device_record(t);
    return TRANSACTION_ERROR;
}

static uint64_t device_read(void *state, uint64_t offset, unsigned width)
{
    (void)state;
    record.n++;
    record.read_offset = offset;
    record.width = width;
    return UINT64_C(0x8877665544332211) + offset; /* more than was asked for */
}

static void device_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state;
    record.n++;
    record.read_offset = offset;
    record.width = width;
    record.written = value;
}

static const struct region_ops ops[REGIONS] = {
    [WIDE] = { .transact = device_transact, .limits = { W_ALL, REGION_UNALIGNED | REGION_ODD, 0x3c, W_REGISTERS } },
    [REGISTERS] = { .read = device_read, .write = device_write, .limits = { W_REGISTERS, 0, 0, 0 } },
    [REFUSES] = { .transact = device_refuse, .limits = { W_ALL, REGION_UNALIGNED, 0x3c, W_REGISTERS } },
    [DEAF] = { .limits = { W1 | W4, 0, 0, 0 } },
    [HALF] = { .transact = device_transact, .limits = { W_ALL, REGION_UNALIGNED, 0, 0 } },
    [PORTS] = { .read = device_read, .write = device_write, .limits = { W1 | W4, 0, 0, 0 } },
};

static const struct { enum region_space space; uint64_t base, size; } places[REGIONS] = {
    [WIDE] = { REGION_MMIO, 0xf0000000, 2 * PAGE_BYTES }, [REGISTERS] = { REGION_MMIO, 0xf0002000, PAGE_BYTES },
    [REFUSES] = { REGION_MMIO, 0xf0003000, PAGE_BYTES }, [DEAF] = { REGION_MMIO, 0xf0004000, PAGE_BYTES },
    [HALF] = { REGION_MMIO, 0xf0005000, PAGE_BYTES / 2 }, [PORTS] = { REGION_PIO, 0x100, 6 },
};

/* -- the machine ------------------------------------------------------------------------------------------------------ */

static void flush_on_change(struct phys_listener *l)
{
    (void)l;
    tlb_flush(&v.mmu);
}

static void setup(void)
{
    ram = calloc(1, RAM);
    memset(&record, 0, sizeof(record));
    phys_init(&phys);
    memory = (struct phys_memory){ .name = "ram", .size = RAM, .read = ram, .write = ram, .enabled = true };
    write_only = (struct phys_memory){ .name = "behind", .base = 0xe0000000, .size = PAGE_BYTES, .write = behind,
                                       .enabled = true };
    phys_add_memory(&phys, &memory);
    phys_add_memory(&phys, &write_only);
    for (unsigned i = 0; i < REGIONS; i++) {
        region[i] = (struct region){ .name = "r", .space = places[i].space, .base = places[i].base, .size = places[i].size,
                                     .enabled = true, .ops = &ops[i] };
        phys.map.add(&phys.map, &region[i]);
    }
    vcpu_init(&v, &phys);
    v.cpu.cr0 |= CR0_PE;
    for (unsigned i = 0; i < SEG_LDTR; i++)
        v.cpu.seg[i] = (struct segment){ .ar = AR_P | AR_S | AR_WRITABLE | AR_ACCESSED, .limit = UINT32_MAX };
    vcpu_sync(&v);
    listener.changed = flush_on_change;
    phys_listen(&phys, &listener);
}

static void teardown(void)
{
    vcpu_free(&v);
    phys_free(&phys);
    free(ram);
}

static const struct tlb_entry *fill(uint64_t gva, unsigned intent)
{
    const struct tlb_entry *e = tlb_translate(&v.mmu, gva, intent, v.mmu.bank);

    ck_assert_ptr_nonnull(e);
    return e;
}

/* Did this take a walk? */
static bool walks(uint64_t gva)
{
    uint64_t before = v.mmu.walks;

    fill(gva, ACCESS_READ);
    return v.mmu.walks != before;
}

/* -- the TLB ---------------------------------------------------------------------------------------------------------- */

START_TEST(tlb_page_0_is_not_there_before_it_is_filled)
{
    ck_assert(walks(0));
    ck_assert(!walks(0));
}
END_TEST

START_TEST(tlb_pages_of_one_index_replace_each_other)
{
    uint64_t other = (uint64_t)TLB_ENTRIES * PAGE_BYTES;

    ck_assert(walks(0x5000) && walks(other + 0x5000) && !walks(other + 0x5000));
    ck_assert(!tlb_hit(&v.mmu, 0x5000, 1, TLB_READ));
    ck_assert_ptr_eq(tlb_hit(&v.mmu, other + 0x5010, 1, TLB_READ), ram + other + 0x5010);
    ck_assert(walks(0x5000));
    ck_assert_uint_eq(v.mmu.log[v.mmu.bank][false].n, 1);
}
END_TEST

/* However often entries are dropped one by one and filled again. */
START_TEST(tlb_log_holds_each_entry_once_and_all_of_them_when_full)
{
    const struct tlb_log *log = &v.mmu.log[v.mmu.bank][false];

    for (unsigned round = 0; round < 3; round++)
        for (uint64_t page = 0; page < TLB_ENTRIES; page++) {
            ck_assert(walks(page * PAGE_BYTES));
            tlb_flush_page(&v.mmu, page * PAGE_BYTES);
            ck_assert(walks(page * PAGE_BYTES));
            if (round < 2)
                tlb_flush_page(&v.mmu, page * PAGE_BYTES);
        }
    ck_assert_uint_eq(log->n, TLB_ENTRIES);
    tlb_flush(&v.mmu);
    ck_assert_uint_eq(log->n, 0);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t page = 0; page < TLB_ENTRIES; page++)
            ck_assert(walks(page * PAGE_BYTES));
        ck_assert_uint_eq(log->n, TLB_ENTRIES);
        tlb_flush(&v.mmu);
    }
}
END_TEST

START_TEST(tlb_flush_empties_all_banks_and_counts_one)
{
    uint64_t flushes = v.mmu.flushes;

    for (unsigned bank = 0; bank < BANKS; bank++)
        tlb_translate(&v.mmu, 0x7000, ACCESS_READ, (enum mmu_bank)bank);
    tlb_flush(&v.mmu);
    ck_assert_uint_eq(v.mmu.flushes, flushes + 1);
    for (unsigned bank = 0; bank < BANKS; bank++) {
        v.mmu.bank = (enum mmu_bank)bank;
        ck_assert(walks(0x7000));
    }
}
END_TEST

START_TEST(tlb_flush_page_leaves_its_neighbours)
{
    fill(0x5000, ACCESS_READ);
    fill(0x6000, ACCESS_READ);
    tlb_flush_page(&v.mmu, 0x5fff);
    ck_assert(walks(0x5000) && !walks(0x6000));
}
END_TEST

/* 32-bit paging, one table at 1 MiB whose page n maps frame n; pages 16 to 31 are global. */
static void page(void)
{
    uint32_t *directory = (uint32_t *)(void *)(ram + 0x200000), *table = (uint32_t *)(void *)(ram + 0x100000);

    directory[0] = 0x100007;
    for (uint32_t i = 0; i < 32; i++)
        table[i] = i * PAGE_BYTES | 0x67 | (i & 16) << 4;
    v.cpu.cr0 |= CR0_PG;
    v.cpu.cr3 = 0x200000;
    v.cpu.cr4 |= CR4_PGE;
    vcpu_sync(&v);
}

static void switch_space(void)
{
    v.cpu.cr3 ^= 8; /* PWT: the same tables */
    vcpu_update(&v);
}

START_TEST(tlb_keeps_global_pages_and_no_others_when_cr3_is_loaded)
{
    page();
    ck_assert(walks(0x5000) && walks(0x15000));
    switch_space();
    ck_assert(!walks(0x15000) && walks(0x5000));
    tlb_flush_page(&v.mmu, 0x15000);
    ck_assert(walks(0x15000));
    tlb_flush(&v.mmu);
    ck_assert(walks(0x15000));
}
END_TEST

START_TEST(tlb_knows_no_global_pages_without_PGE)
{
    page();
    v.cpu.cr4 &= ~(uint64_t)CR4_PGE;
    vcpu_update(&v);
    ck_assert(walks(0x15000));
    switch_space();
    ck_assert(walks(0x15000));
    v.cpu.cr4 |= CR4_PGE;
    vcpu_update(&v);
    ck_assert(walks(0x15000));
    v.cpu.cr4 &= ~(uint64_t)CR4_PGE;
    vcpu_update(&v); /* all of it goes (SDM 3A 5.10.4.1) */
    ck_assert(walks(0x15000));
}
END_TEST

/* The bit may come and go with INVLPG, however often; other pages share the entry. */
START_TEST(tlb_page_is_as_global_as_its_last_walk_says)
{
    uint32_t *table = (uint32_t *)(void *)(ram + 0x100000);

    page();
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 32; i++) {
            table[i] ^= 0x100;
            tlb_flush_page(&v.mmu, i * PAGE_BYTES);
            fill(i * PAGE_BYTES, ACCESS_READ);
        }
        switch_space();
        for (unsigned i = 0; i < 32; i++)
            ck_assert_int_eq(walks(i * PAGE_BYTES), !(table[i] & 0x100));
    }
    ck_assert_uint_le(v.mmu.log[v.mmu.bank][false].n, 32);
    ck_assert_uint_le(v.mmu.log[v.mmu.bank][true].n, 32);
    mmu_mark_code(&v.mmu, 0x7000, 1);
    ck_assert(!tlb_hit(&v.mmu, 0x7000, 1, TLB_WRITE));
}
END_TEST

START_TEST(mark_code_makes_writes_slow_in_every_entry_of_the_frame)
{
    for (unsigned bank = 0; bank < BANKS; bank++)
        tlb_translate(&v.mmu, 0x7000, ACCESS_WRITE, (enum mmu_bank)bank);
    fill(0x8000, ACCESS_WRITE);
    mmu_mark_code(&v.mmu, 0x7123, 1);
    for (unsigned bank = 0; bank < BANKS; bank++) {
        v.mmu.bank = (enum mmu_bank)bank;
        ck_assert(tlb_hit(&v.mmu, 0x7000, 8, TLB_READ) && !tlb_hit(&v.mmu, 0x7000, 8, TLB_WRITE));
        ck_assert(!walks(0x7000));
    }
    v.mmu.bank = BANK_SUPERVISOR;
    ck_assert(tlb_hit(&v.mmu, 0x8000, 8, TLB_WRITE));
}
END_TEST

START_TEST(mark_code_brings_no_dropped_entry_back)
{
    const struct tlb_entry *e = fill(0x7000, ACCESS_WRITE);

    tlb_flush_page(&v.mmu, 0x7000);
    mmu_mark_code(&v.mmu, 0x7000, 1);
    ck_assert_uint_eq(e->tag[TLB_WRITE], TLB_NONE);
}
END_TEST

START_TEST(tlb_entry_names_the_region_that_covers_its_page)
{
    const struct tlb_entry *e = fill(0xf0001008, ACCESS_WRITE);

    ck_assert_ptr_eq(e->region, &region[WIDE]);
    ck_assert_uint_eq(e->region_offset, PAGE_BYTES);
    ck_assert_uint_eq(e->tag[TLB_WRITE], 0xf0001000 | TLB_SLOW);
    ck_assert_uint_eq(e->tag[TLB_READ], 0xf0001000 | TLB_SLOW);
    ck_assert_ptr_null(fill(0xf0005000, ACCESS_READ)->region); /* half of the page */
    ck_assert_ptr_null(fill(0xf0006000, ACCESS_READ)->region); /* nobody's */
    ck_assert_ptr_null(fill(0x5000, ACCESS_READ)->region);     /* memory */
}
END_TEST

START_TEST(tlb_entry_of_a_watched_page_names_no_region_and_is_slow)
{
    const struct tlb_entry *e;

    v.mmu.watch[0] = (struct watch){ .gva = 0xf0000ff0, .size = 1 };
    v.mmu.watch[1] = (struct watch){ .gva = 0x5ff0, .size = 1, .writes_only = true };
    ck_assert_ptr_null(fill(0xf0000000, ACCESS_READ)->region);
    e = fill(0x5000, ACCESS_READ);
    ck_assert_uint_eq(e->tag[TLB_READ], 0x5000 | TLB_SLOW);
    ck_assert_uint_eq(e->tag[TLB_WRITE], 0x5000 | TLB_SLOW);
    ck_assert_uint_eq(e->tag[TLB_EXECUTE], 0x5000);
}
END_TEST

START_TEST(tlb_a20_off_folds_pages_as_the_map_does)
{
    uint64_t value;

    ram[0x200010] = 2;
    ram[0x300010] = 3;
    phys_set_a20(&phys, false);
    fill(0x300000, ACCESS_READ);
    ck_assert(guest_load(&v, 0x300010, (struct memory_shape){ .width = 1 }, &value));
    ck_assert_uint_eq(value, 2);
    phys_set_a20(&phys, true);
    ck_assert(guest_load(&v, 0x300010, (struct memory_shape){ .width = 1 }, &value));
    ck_assert_uint_eq(value, 3);
}
END_TEST

/* Also for a load that looks at the WRITE tag. */
START_TEST(memory_that_does_not_read_gives_all_ones_and_takes_stores)
{
    struct memory_shape shape = { .width = 4, .to_write = true };
    uint64_t value;

    for (unsigned i = 0; i < 2; i++) {
        ck_assert(guest_load(&v, 0xe0000010, shape, &value));
        ck_assert_uint_eq(value, UINT32_MAX);
        ck_assert(guest_store(&v, 0xe0000010, shape, 0x01020304 + i));
        ck_assert_uint_eq(behind[0x10], 4 + i);
    }
}
END_TEST

/* -- the short way to a device, and the general one ------------------------------------------------------------------- */

static void ignore(void *opaque, const struct dispatch_report *report) { (void)opaque, (void)report; }

enum act { LOADS, LOADS_TO_WRITE, STORES, LOADS_WIDE, STORES_WIDE, ADDS, SUBTRACTS, SWAPS, COMPARES, ANDS, ACTS };

struct outcome {
    bool ok, touched;
    uint64_t value;
    union wide wide;
    struct record record;
    uint8_t device[sizeof(device)];
};

static void act(enum act what, uint64_t gva, unsigned width, struct outcome *out)
{
    static const uint8_t kinds[ACTS] = { [ADDS] = ATOMIC_ADD, [SUBTRACTS] = ATOMIC_SUB, [SWAPS] = ATOMIC_XCHG,
                                         [COMPARES] = ATOMIC_CMPXCHG, [ANDS] = ATOMIC_AND };
    struct memory_shape shape = { .width = (uint8_t)width, .form = FORM_PLAIN, .kind = kinds[what],
                                  .flags = what == STORES_WIDE ? LDX_NON_TEMPORAL : 0, .to_write = what == LOADS_TO_WRITE };
    union wide data;

    for (unsigned i = 0; i < sizeof(device); i++)
        device[i] = (uint8_t)(i * 7 + 1);
    for (unsigned i = 0; i < 64; i++)
        data.b[i] = (uint8_t)(0xa0 + i);
    memset(out, 0, sizeof(*out));
    memset(&record, 0, sizeof(record));
    v.bus.touched = false;
    switch (what) {
    case LOADS: case LOADS_TO_WRITE: out->ok = guest_load(&v, gva, shape, &out->value); break;
    case STORES: out->ok = guest_store(&v, gva, shape, data.q[0]); break;
    case LOADS_WIDE: out->ok = guest_load_wide(&v, gva, shape, &out->wide); break;
    case STORES_WIDE: out->ok = guest_store_wide(&v, gva, shape, &data); break;
    default: out->ok = guest_atomic(&v, gva, shape, data.q[0], 0x1d160f08, &out->value); break;
    }
    out->touched = v.bus.touched;
    out->record = record;
    memcpy(out->device, device, sizeof(device));
}

static bool is_word(enum act what) { return what != LOADS_WIDE && what != STORES_WIDE; }

static void compare_ways(enum act what, uint64_t gva, unsigned width)
{
    static struct outcome shorter, general;

    v.bus.origin.rip = gva ^ width;
    v.bus.observe = ignore;
    act(what, gva, width, &general);
    v.bus.observe = NULL;
    act(what, gva, width, &shorter); /* the entry is there now */
    ck_assert(shorter.ok && general.ok);
    ck_assert_msg(shorter.value == general.value, "act %u at %llx:%u: %llx, not %llx", what, (unsigned long long)gva, width,
                  (unsigned long long)shorter.value, (unsigned long long)general.value);
    ck_assert_mem_eq(&shorter.wide, &general.wide, 64);
    ck_assert_uint_eq(shorter.touched, general.touched);
    ck_assert_mem_eq(shorter.device, general.device, sizeof(device));
    ck_assert_msg(shorter.record.n == general.record.n, "act %u at %llx:%u", what, (unsigned long long)gva, width);
    ck_assert_mem_eq(&shorter.record.last, &general.record.last, sizeof(struct transaction));
    ck_assert_mem_eq(&shorter.record.origin, &general.record.origin, sizeof(struct origin));
    ck_assert_uint_eq(shorter.record.read_offset, general.record.read_offset);
    ck_assert_uint_eq(shorter.record.width, general.record.width);
    ck_assert_uint_eq(shorter.record.written, general.record.written);
}

/* Every region, every width, offsets aligned and not, also over the page's end. */
START_TEST(memory_to_a_device_is_the_same_the_short_way)
{
    static const uint16_t offsets[] = { 0, 1, 2, 4, 8, 24, 64, 0x7fe, 0x7ff, 0x800, 0xfc0, 0xff8, 0xffc, 0xffe, 0xfff };
    unsigned what = (unsigned)_i;

    for (unsigned n = 0; n < ARRAY_LEN(offsets); n++)
        for (unsigned r = 0; r < PORTS; r++)
            for (unsigned width = 1; width <= (is_word(what) ? 8 : 64); width++)
                if (!is_word(what) || bits_is_pow2(width))
                    compare_ways((enum act)what, places[r].base + offsets[n], width);
}
END_TEST

START_TEST(memory_data_of_a_transaction_is_zero_beyond_its_width)
{
    static const union wide zero;
    struct memory_shape shape = { .width = 4 };
    uint64_t value;

    fill(0xf0000000, ACCESS_WRITE);
    ck_assert(guest_store(&v, 0xf0000000, shape, UINT64_MAX));
    ck_assert_uint_eq(record.last.data.q[0], UINT32_MAX);
    ck_assert_mem_eq(&record.last.data.q[1], &zero, 56);
    ck_assert_mem_eq(&record.last.compare, &zero, 64);
    ck_assert(guest_load(&v, 0xf0000000, shape, &value));
    ck_assert_mem_eq(&record.last.data, &zero, 64);
    ck_assert_uint_eq(record.last.enables, 15);
    ck_assert_uint_eq(value, UINT32_MAX);
}
END_TEST

/* A device that moves away while it answers. */
static uint64_t moves_read(void *state, uint64_t offset, unsigned width)
{
    (void)state, (void)offset, (void)width;
    region_move(&region[REGISTERS], 0xf0008000, true);
    return 5;
}

START_TEST(memory_map_that_changes_in_a_callback_holds_from_the_next_access)
{
    static const struct region_ops moves = { .read = moves_read, .limits = { W_REGISTERS, 0, 0, 0 } };
    struct memory_shape shape = { .width = 4 };
    uint64_t value;

    region[REGISTERS].ops = &moves;
    fill(0xf0002000, ACCESS_READ);
    ck_assert(guest_load(&v, 0xf0002000, shape, &value));
    ck_assert_uint_eq(value, 5);
    ck_assert(guest_load(&v, 0xf0002000, shape, &value));
    ck_assert_uint_eq(value, UINT32_MAX);
    ck_assert(guest_load(&v, 0xf0008000, shape, &value));
    ck_assert_uint_eq(value, 5);
}
END_TEST

START_TEST(memory_watched_device_is_noticed)
{
    struct memory_shape shape = { .width = 4 };
    uint64_t value;

    v.mmu.watch[0] = (struct watch){ .gva = 0xf0000010, .size = 4 };
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(guest_load(&v, 0xf0000010, shape, &value));
        ck_assert_uint_eq(v.mmu.watch_hits, 1);
        v.mmu.watch_hits = 0;
    }
}
END_TEST

START_TEST(memory_misaligned_where_that_is_checked_faults_on_device_and_memory)
{
    static const uint64_t places_to[] = { 0x5001, 0xf0000001 };
    union wide data = { .q = { 0 } };
    uint64_t value = 99;

    for (unsigned i = 0; i < ARRAY_LEN(places_to); i++) {
        fill(places_to[i], ACCESS_WRITE);
        ck_assert(!guest_load_wide(&v, places_to[i], (struct memory_shape){ .width = 16, .flags = LDX_ALIGNED }, &data));
        ck_assert_int_eq(v.fault.vector, 13);
        v.mmu.align_check = true;
        ck_assert(!guest_load(&v, places_to[i], (struct memory_shape){ .width = 4 }, &value));
        ck_assert_int_eq(v.fault.vector, 17);
        ck_assert(!guest_atomic(&v, places_to[i], (struct memory_shape){ .width = 4 }, 1, 0, &value));
        ck_assert_uint_eq(value, 99);
        v.mmu.align_check = false;
    }
    ck_assert_uint_eq(record.n, 0);
}
END_TEST

/* As an AMD EPYC does at CPL 3 (wideload fuzz --system on KVM): #GP or #SS, then #AC, then #PF. */
START_TEST(memory_misaligned_and_not_canonical_is_gp_or_ss)
{
    const uint64_t outside = UINT64_C(0x0000800000000001);
    uint64_t value = 99, unused = v.mmu.mode.unused_bits;

    v.mmu.mode.unused_bits = 16;
    v.mmu.align_check = true;
    ck_assert(!guest_load(&v, outside, (struct memory_shape){ .width = 4 }, &value));
    ck_assert_int_eq(v.fault.vector, EXCEPTION_GP);
    ck_assert(!guest_load(&v, outside, (struct memory_shape){ .width = 4, .flags = LDX_STACK }, &value));
    ck_assert_int_eq(v.fault.vector, EXCEPTION_SS);
    ck_assert(!guest_load(&v, UINT64_C(0x00007ffffffff001), (struct memory_shape){ .width = 4 }, &value));
    ck_assert_int_eq(v.fault.vector, EXCEPTION_AC);
    v.mmu.align_check = false;
    v.mmu.mode.unused_bits = (uint8_t)unused;
}
END_TEST

/* Ports of one region (width 1 and 4, aligned), its neighbours and its end, which cuts one of them, and beyond 64 KiB. */
START_TEST(memory_ports_are_the_same_the_short_way)
{
    for (unsigned port = 0xfc; port < 0x10c; port++)
        for (unsigned width = 1; width <= 4; width *= 2) {
            struct record general;
            uint64_t value;

            memset(&record, 0, sizeof(record));
            v.bus.observe = ignore;
            value = help_in(&v, port, width);
            help_out(&v, port, UINT64_MAX, width);
            general = record;
            memset(&record, 0, sizeof(record));
            v.bus.observe = NULL;
            ck_assert_uint_eq(help_in(&v, port, width), value);
            help_out(&v, port, UINT64_MAX, width);
            ck_assert_mem_eq(&record, &general, sizeof(record));
        }
    ck_assert_uint_eq(help_in(&v, 0xffff, 4), UINT32_MAX);
}
END_TEST

START_TEST(memory_ports_that_move_are_found_where_they_are)
{
    ck_assert_uint_ne(help_in(&v, 0x100, 4), UINT32_MAX);
    region_move(&region[PORTS], 0x200, true);
    ck_assert_uint_eq(help_in(&v, 0x100, 4), UINT32_MAX);
    ck_assert_uint_ne(help_in(&v, 0x200, 4), UINT32_MAX);
    region_move(&region[PORTS], 0x200, false);
    ck_assert_uint_eq(help_in(&v, 0x200, 4), UINT32_MAX);
}
END_TEST

/* -- atomics on memory ------------------------------------------------------------------------------------------------ */

START_TEST(memory_atomic_does_what_its_kind_says_at_any_alignment)
{
    static const struct { uint8_t kind; uint64_t operand, compare, after; } rows[] = {
        { ATOMIC_ADD, 3, 0, UINT64_C(0x8000000080008083) }, { ATOMIC_SUB, 1, 0, UINT64_C(0x800000008000807f) },
        { ATOMIC_AND, 0x80, 0, 0x80 }, { ATOMIC_OR, 1, 0, UINT64_C(0x8000000080008081) },
        { ATOMIC_XOR, 0x81, 0, UINT64_C(0x8000000080008001) }, { ATOMIC_XCHG, 7, 0, 7 },
        { ATOMIC_CMPXCHG, 9, UINT64_C(0x8000000080008080), 9 }, { ATOMIC_CMPXCHG, 9, 1, UINT64_C(0x8000000080008080) },
        { ATOMIC_NEG, 0, 0, -UINT64_C(0x8000000080008080) },
    };
    const uint64_t before = UINT64_C(0x8000000080008080);

    for (unsigned n = 0; n < ARRAY_LEN(rows); n++)
        for (unsigned width = 1; width <= 8; width *= 2)
            for (unsigned at = 0x5ff0; at <= 0x5ff0 + 8; at++) {
                struct memory_shape shape = { .width = (uint8_t)width, .kind = rows[n].kind };
                uint64_t old, after = 0, beyond = 0;

                memset(ram + at, 0, 16);
                memcpy(ram + at, &before, width);
                ck_assert(guest_atomic(&v, at, shape, rows[n].operand, rows[n].compare, &old));
                ck_assert_uint_eq(old, bits_trunc(before, width));
                memcpy(&after, ram + at, width);
                memcpy(&beyond, ram + at + width, 8);
                ck_assert_uint_eq(after, bits_trunc(rows[n].after, width));
                ck_assert_uint_eq(beyond, 0);
            }
}
END_TEST

/* -- strings: a page at once, and element by element ------------------------------------------------------------------- */

typedef uint64_t string_helper(struct vcpu *, uint64_t, uint64_t, uint64_t);

static string_helper *const helpers_of[] = { help_movs, help_stos, help_lods, help_scas, help_cmps };
static const char *const names[] = { "movs", "stos", "lods", "scas", "cmps" };

struct string_case {
    unsigned what, width, address_size, rep; /* rep: 0 none, 1 REP, 2 REPNE */
    bool down;
    uint64_t rax, rcx, rsi, rdi;
    uint32_t limit;
};

struct string_outcome {
    struct cpu cpu;
    struct fault fault;
    uint8_t bytes[STRINGS_BYTES];
};

static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % n;
}

static struct string_case random_case(void)
{
    static const uint64_t patterns[] = { 0, 1, UINT64_C(0x0100010001000100), UINT64_C(0x0102030405060708) };
    struct string_case c = {
        .what = (unsigned)random_below(5), .width = 1u << random_below(4), .rep = (unsigned)random_below(3),
        .address_size = 4u << random_below(2), .down = !random_below(4), .rax = patterns[random_below(4)],
        .rcx = random_below(3) ? random_below(40) : random_below(5000),
        .limit = random_below(4) ? UINT32_MAX : STRINGS + 0x2345,
    };

    c.rsi = STRINGS + random_below(STRINGS_BYTES);
    c.rdi = random_below(2) ? STRINGS + random_below(STRINGS_BYTES) : c.rsi + random_below(40) - 20;
    c.rcx = bits_min(c.rcx, (STRINGS_BYTES - 64) / c.width);
    if (c.down)
        c.rcx = bits_min(c.rcx, 64); /* long ones are no different, and slow */
    return c;
}

/* Mostly zeroes, so that comparisons go on for a while. */
static void string_fill(uint64_t from)
{
    seed = from;
    for (unsigned i = 0; i < 3 * STRINGS_BYTES; i++)
        ram[STRINGS - STRINGS_BYTES + i] = random_below(200) ? 0 : (uint8_t)random_below(3);
}

static void string_run(const struct string_case *c, struct string_outcome *out)
{
    uint64_t shape = c->width | c->address_size << 8 | SEG_DS << 16 | (c->rep == 1) << 24 | (c->rep == 2) << 25;

    v.cpu.slot[RAX] = c->rax, v.cpu.slot[RCX] = c->rcx, v.cpu.slot[RSI] = c->rsi, v.cpu.slot[RDI] = c->rdi;
    v.cpu.rflags = FLAG_ONE | (c->down ? FLAG_DF : 0);
    v.cpu.flag_z = v.cpu.flag_s = v.cpu.flag_c = 1;
    v.cpu.seg[SEG_DS].limit = v.cpu.seg[SEG_ES].limit = c->limit;
    v.fault.vector = -1;
    do {
        v.again = false;
        v.mmu.watch_hits = 0;
        helpers_of[c->what](&v, 0, 0, shape);
    } while (v.again);
    out->cpu = v.cpu;
    out->fault = v.fault;
    memcpy(out->bytes, ram + STRINGS, STRINGS_BYTES);
}

static void string_watch(bool on)
{
    for (unsigned i = 0; i < WATCHES; i++)
        v.mmu.watch[i] = (struct watch){ .gva = STRINGS + i * PAGE_BYTES, .size = on };
    tlb_flush(&v.mmu);
}

START_TEST(memory_strings_at_once_are_the_same_as_element_by_element)
{
    static struct string_outcome once, each;

    for (unsigned n = 0; n < 400; n++) {
        uint64_t from = (uint64_t)_i * 1000 + n;
        struct string_case c;

        string_fill(from);
        c = random_case();
        string_watch(false);
        string_run(&c, &once);
        string_fill(from);
        string_watch(true);
        string_run(&c, &each);
        ck_assert_msg(!memcmp(&once.cpu.slot, &each.cpu.slot, GPRS * 8) && once.cpu.flag_z == each.cpu.flag_z &&
                          once.cpu.flag_s == each.cpu.flag_s && once.cpu.flag_c == each.cpu.flag_c &&
                          once.fault.vector == each.fault.vector && !memcmp(once.bytes, each.bytes, STRINGS_BYTES),
                      "%s of %u, rep %u, %s, rcx %llx rsi %llx rdi %llx rax %llx", names[c.what], c.width, c.rep,
                      c.down ? "down" : "up", (unsigned long long)c.rcx, (unsigned long long)c.rsi, (unsigned long long)c.rdi,
                      (unsigned long long)c.rax);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tlb = tcase_create("tlb"), *devices = tcase_create("devices"), *strings = tcase_create("strings");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tlb, setup, teardown);
    tcase_add_test(tlb, tlb_page_0_is_not_there_before_it_is_filled);
    tcase_add_test(tlb, tlb_pages_of_one_index_replace_each_other);
    tcase_add_test(tlb, tlb_log_holds_each_entry_once_and_all_of_them_when_full);
    tcase_add_test(tlb, tlb_flush_empties_all_banks_and_counts_one);
    tcase_add_test(tlb, tlb_flush_page_leaves_its_neighbours);
    tcase_add_test(tlb, tlb_keeps_global_pages_and_no_others_when_cr3_is_loaded);
    tcase_add_test(tlb, tlb_knows_no_global_pages_without_PGE);
    tcase_add_test(tlb, tlb_page_is_as_global_as_its_last_walk_says);
    tcase_add_test(tlb, mark_code_makes_writes_slow_in_every_entry_of_the_frame);
    tcase_add_test(tlb, mark_code_brings_no_dropped_entry_back);
    tcase_add_test(tlb, tlb_entry_names_the_region_that_covers_its_page);
    tcase_add_test(tlb, tlb_entry_of_a_watched_page_names_no_region_and_is_slow);
    tcase_add_test(tlb, tlb_a20_off_folds_pages_as_the_map_does);
    suite_add_tcase(suite, tlb);

    tcase_add_checked_fixture(devices, setup, teardown);
    tcase_add_test(devices, memory_that_does_not_read_gives_all_ones_and_takes_stores);
    tcase_add_loop_test(devices, memory_to_a_device_is_the_same_the_short_way, 0, ACTS);
    tcase_add_test(devices, memory_data_of_a_transaction_is_zero_beyond_its_width);
    tcase_add_test(devices, memory_map_that_changes_in_a_callback_holds_from_the_next_access);
    tcase_add_test(devices, memory_watched_device_is_noticed);
    tcase_add_test(devices, memory_misaligned_where_that_is_checked_faults_on_device_and_memory);
    tcase_add_test(devices, memory_misaligned_and_not_canonical_is_gp_or_ss);
    tcase_add_test(devices, memory_ports_are_the_same_the_short_way);
    tcase_add_test(devices, memory_ports_that_move_are_found_where_they_are);
    tcase_add_test(devices, memory_atomic_does_what_its_kind_says_at_any_alignment);
    suite_add_tcase(suite, devices);

    tcase_add_checked_fixture(strings, setup, teardown);
    tcase_set_timeout(strings, 60);
    tcase_add_loop_test(strings, memory_strings_at_once_are_the_same_as_element_by_element, 0, 8);
    suite_add_tcase(suite, strings);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
