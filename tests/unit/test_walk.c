/*
 * test_walk.c - paging: translation, accessed and dirty bits, faults and their error codes, protection, the TLB.
 *
 * Most tests run once for each row of `shapes`: a paging mode and a page size.  A linear address is mapped by one chain
 * of entries, all of them present, writable and for the user, and a test spoils one of them.  Everything expected is
 * from SDM 3A chapter 5 (paging; chapter 4 in older editions): 5.3 32-bit, 5.4 PAE, 5.5 4- and 5-level, 5.6 rights,
 * 5.7 error codes, 5.8 accessed and dirty, 5.10 caching.
 */
#include "access.h"
#include "cpu.h"
#include "lib/box.h"
#include "lib/which_engine.h"
#include "walk.h"

#include <check.h>
#include <string.h>

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };                          /* entries (table 5-20) */
enum { ERR_P = 1, ERR_W = 2, ERR_U = 4, ERR_RSVD = 8, ERR_ID = 16, ERR_PK = 32 };      /* figure 5-12 */
#define XD BIT(63)

enum paging { PAGING_32, PAGING_PAE, PAGING_4, PAGING_5 };

/*
 * level 1: PTE, 2: PDE, 3: PDPTE, 4: PML4E, 5: PML5E.  `gva` has a different index at every level; `page` needs more
 * than 32 bits where the mode has them; `offset` of the byte asked for.
 */
struct shape {
    const char *name;
    enum paging paging;
    unsigned leaf, top;
    uint64_t gva, page;
};

static const struct shape shapes[] = {
    { "32-bit 4K", PAGING_32, 1, 2, 0xc0a05678, 0x87654000 },
    { "32-bit 4M", PAGING_32, 2, 2, 0xc0a05678, 0xab87400000 },          /* PSE-36: bits 39:32 */
    { "PAE 4K", PAGING_PAE, 1, 2, 0xc0a05678, 0xab87654000 },            /* tables below the PDPTE registers */
    { "PAE 2M", PAGING_PAE, 2, 2, 0xc0a05678, 0xab87600000 },
    { "4-level 4K", PAGING_4, 1, 4, 0x0000123456789abc, 0xab87654000 },
    { "4-level 2M", PAGING_4, 2, 4, 0x0000123456789abc, 0xab87600000 },
    { "4-level 1G", PAGING_4, 3, 4, 0xffff923456789abc, 0xabc0000000 },
    { "5-level 4K", PAGING_5, 1, 5, 0x0081923456789abc, 0xab87654000 },
    { "5-level 2M", PAGING_5, 2, 5, 0xff81923456789abc, 0xab87600000 },
    { "5-level 1G", PAGING_5, 3, 5, 0x0081923456789abc, 0xabc0000000 },
};

enum { SHAPES = ARRAY_LEN(shapes), RAM = 0x40000, TABLES = 0x1000 /* one page a level */ };

static uint8_t ram[RAM] __attribute__((aligned(4096)));
static struct phys phys;
static struct phys_memory memory;
static struct bus bus;
static struct mmu mmu;
static const struct shape *shape;

static unsigned entry_bytes(void) { return shape->paging == PAGING_32 ? 4 : 8; }

/* Where the entry of `gva` at a level is (5.3: indices of 10 bits, else 9). */
static uint64_t entry_at(unsigned level, uint64_t gva)
{
    unsigned bits = shape->paging == PAGING_32 ? 10 : 9, shift = 12 + bits * (level - 1);

    return level * TABLES + (gva >> shift & ((1u << bits) - 1)) * entry_bytes();
}

static uint64_t entry_get(unsigned level)
{
    uint64_t value = 0;

    memcpy(&value, ram + entry_at(level, shape->gva), entry_bytes());
    return value;
}

static void entry_put(unsigned level, uint64_t value) { memcpy(ram + entry_at(level, shape->gva), &value, entry_bytes()); }

/* The entry that maps `page`: 4-MiB pages have address bits 39:32 in bits 20:13 (table 5-4). */
static uint64_t leaf_entry(uint64_t page)
{
    if (shape->paging == PAGING_32 && shape->leaf == 2)
        return (page & 0xffc00000) | (page >> 32) << 13 | P | W | U | PS;
    return page | P | W | U | (shape->leaf > 1 ? PS : 0);
}

static unsigned page_shift(void)
{
    return shape->leaf == 1 ? 12 : shape->leaf == 3 ? 30 : shape->paging == PAGING_32 ? 22 : 21;
}

static void set_registers(uint64_t cr0, uint64_t cr4, uint64_t efer, uint64_t keys)
{
    static const uint64_t cr4_of[] = { CR4_PSE, CR4_PAE, CR4_PAE, CR4_PAE | CR4_LA57 };
    bool pae = shape->paging == PAGING_PAE;
    uint64_t pdptes = 7 * TABLES + 0x20; /* 32-byte aligned is enough (5.4) */

    if (pae) {
        uint64_t pdpte = 2 * TABLES | P;

        memcpy(ram + pdptes + 8 * (shape->gva >> 30 & 3), &pdpte, 8);
    }
    mmu_set_registers(&mmu, CR0_PE | CR0_PG | cr0, pae ? pdptes : shape->top * TABLES, cr4_of[shape->paging] | cr4,
                      (shape->paging >= PAGING_4 ? EFER_LME | EFER_LMA : 0) | efer, keys);
    if (pae)
        ck_assert(mmu_load_pdptes(&mmu, pdptes));
}

static void map(int i)
{
    shape = &shapes[i];
    for (unsigned level = shape->top; level > shape->leaf; level--)
        entry_put(level, (level - 1) * TABLES | P | W | U);
    entry_put(shape->leaf, leaf_entry(shape->page));
    set_registers(CR0_WP, 0, EFER_NXE, 0);
}

static void setup(void)
{
    memset(ram, 0, sizeof(ram));
    memset(&mmu, 0, sizeof(mmu));
    phys_init(&phys);
    memory = (struct phys_memory){ .name = "ram", .size = RAM, .read = ram, .write = ram, .enabled = true };
    phys_add_memory(&phys, &memory);
    bus = (struct bus){ .phys = &phys, .policy = &split_whole };
    mmu.bus = &bus;
    mmu.physical_bits = 40;
    mmu.bank = BANK_SUPERVISOR;
    tlb_flush(&mmu);
}

static void teardown(void) { phys_free(&phys); }

static struct walk_result result;

static bool walk(unsigned intent, enum mmu_bank bank) { return walk_page(&mmu, shape->gva, intent, bank, &result); }

#define ASSERT_WALKS(intent, bank)                                                                                     \
    do {                                                                                                               \
        ck_assert_msg(walk(intent, bank), "%s: faults with %x", shape->name, mmu.fault.error);                         \
        ck_assert_uint_eq(result.gpa, shape->page | (shape->gva & bits_mask(page_shift())));                           \
    } while (0)

#define ASSERT_FAULTS(intent, bank, wanted)                                                                            \
    do {                                                                                                               \
        ck_assert_msg(!walk(intent, bank), "%s: does not fault", shape->name);                                         \
        ck_assert_uint_eq(mmu.fault.vector, 14);                                                                       \
        ck_assert_msg(mmu.fault.error == (wanted), "%s: error %x, not %x", shape->name, mmu.fault.error, (wanted));    \
        ck_assert_uint_eq(mmu.fault.address, shape->gva);                                                              \
    } while (0)

/* -- translation and the accessed and dirty bits --------------------------------------------------------------------- */

START_TEST(walk_page_in_each_mode_and_size_gives_frame_and_offset)
{
    map(_i);
    for (unsigned bank = 0; bank < BANKS; bank++) {
        ASSERT_WALKS(ACCESS_READ, bank);
        ASSERT_WALKS(ACCESS_WRITE, bank);
        ASSERT_WALKS(ACCESS_EXECUTE, bank);
    }
}
END_TEST

/* 5.8: the accessed bit in every entry used, the dirty bit in the one that maps the page and for a write only. */
START_TEST(walk_read_or_fetch_sets_accessed_at_every_level_and_no_dirty)
{
    for (unsigned intent = ACCESS_READ; intent <= ACCESS_EXECUTE; intent += 3) {
        map(_i);
        ASSERT_WALKS(intent, BANK_USER);
        for (unsigned level = shape->leaf; level <= shape->top; level++)
            ck_assert_uint_eq(entry_get(level) & (A | D), A);
    }
}
END_TEST

START_TEST(walk_write_sets_dirty_in_the_last_entry_only)
{
    map(_i);
    ASSERT_WALKS(ACCESS_WRITE, BANK_USER);
    ck_assert_uint_eq(entry_get(shape->leaf) & (A | D), A | D);
    for (unsigned level = shape->leaf + 1; level <= shape->top; level++)
        ck_assert_uint_eq(entry_get(level) & (A | D), A);
}
END_TEST

START_TEST(walk_changes_nothing_but_accessed_and_dirty)
{
    uint64_t ignored = UINT64_C(0xe00), before[6]; /* bits 11:9 are for software in every format */

    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++)
        entry_put(level, before[level] = entry_get(level) | ignored);
    ASSERT_WALKS(ACCESS_WRITE, BANK_SUPERVISOR);
    for (unsigned level = shape->leaf; level <= shape->top; level++)
        ck_assert_uint_eq(entry_get(level), before[level] | A | (level == shape->leaf ? D : 0));
}
END_TEST

START_TEST(walk_write_after_a_cached_read_still_sets_dirty)
{
    uint32_t data = 0;

    map(_i);
    ck_assert(access_load(&mmu, shape->gva, &data, 4, FORM_PLAIN, 0));
    ck_assert_uint_eq(entry_get(shape->leaf) & D, 0);
    ck_assert(access_store(&mmu, shape->gva, &data, 4, FORM_PLAIN, 0));
    ck_assert_uint_eq(entry_get(shape->leaf) & D, D);
}
END_TEST

START_TEST(walk_forbidden_write_leaves_the_dirty_bit_clear)
{
    map(_i);
    entry_put(shape->leaf, entry_get(shape->leaf) & ~(uint64_t)W);
    ASSERT_FAULTS(ACCESS_WRITE, BANK_USER, (unsigned)(ERR_P | ERR_W | ERR_U));
    ck_assert_uint_eq(entry_get(shape->leaf) & D, 0);
}
END_TEST

/* -- not present, reserved ---------------------------------------------------------------------------------------------- */

/* 5.7: P is clear; W, U and ID describe the access. */
START_TEST(walk_not_present_at_any_level_reports_access_without_p)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++) {
        map(_i);
        entry_put(level, entry_get(level) & ~(uint64_t)P);
        ASSERT_FAULTS(ACCESS_READ, BANK_SUPERVISOR, 0u);
        ASSERT_FAULTS(ACCESS_READ, BANK_USER, (unsigned)ERR_U);
        ASSERT_FAULTS(ACCESS_WRITE, BANK_SUPERVISOR, (unsigned)ERR_W);
        ASSERT_FAULTS(ACCESS_READ | ACCESS_WRITE, BANK_USER, (unsigned)(ERR_W | ERR_U));
        ASSERT_FAULTS(ACCESS_EXECUTE, BANK_USER, shape->paging == PAGING_32 ? (unsigned)ERR_U : (unsigned)(ERR_ID | ERR_U));
        ck_assert_uint_eq(entry_get(level) & (A | D), 0);
    }
}
END_TEST

/* An entry that is not present has no reserved bits. */
START_TEST(walk_not_present_entry_with_everything_else_set_is_not_reserved)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++) {
        map(_i);
        entry_put(level, ~UINT64_C(1));
        ASSERT_FAULTS(ACCESS_READ, BANK_SUPERVISOR, 0u);
    }
}
END_TEST

/*
 * Tables 5-3 to 5-6 (32-bit), 5-8 to 5-11 (PAE), 5-14 to 5-20: bits 51:40 (MAXPHYADDR 40); PAE: 62:52; below the frame
 * of a large page: 20:13, 29:13, 4 MiB: bit 21; PS of PML4E and PML5E.
 */
static uint64_t reserved_bits(unsigned level)
{
    bool leaf = level == shape->leaf;
    uint64_t bits;

    if (shape->paging == PAGING_32)
        return leaf && level == 2 ? BIT(21) : 0;
    bits = bits_mask(12) << 40;
    if (shape->paging == PAGING_PAE)
        bits |= bits_mask(11) << 52;
    if (level >= 4)
        bits |= PS;
    if (leaf && level == 2)
        bits |= bits_mask(8) << 13;
    if (leaf && level == 3)
        bits |= bits_mask(17) << 13;
    return bits;
}

START_TEST(walk_each_reserved_bit_at_any_level_reports_p_and_rsvd)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++)
        for (unsigned bit = 0; bit < 63; bit++) {
            if (!(reserved_bits(level) >> bit & 1))
                continue;
            map(_i);
            entry_put(level, entry_get(level) | BIT(bit));
            ASSERT_FAULTS(ACCESS_READ, BANK_USER, (unsigned)(ERR_P | ERR_RSVD | ERR_U));
            ASSERT_FAULTS(ACCESS_WRITE, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_RSVD | ERR_W));
        }
}
END_TEST

/* Bit 12 of a large page is PAT, bits 62:52 are ignored or a protection key in long mode, G is ignored above the leaf. */
START_TEST(walk_bits_that_are_not_reserved_do_not_fault)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++) {
        uint64_t free = BIT(3) | BIT(4) | BIT(8) | BIT(9) | BIT(10) | BIT(11);

        if (level == shape->leaf && level > 1)
            free |= BIT(12);
        if (shape->paging >= PAGING_4)
            free |= bits_mask(11) << 52;
        map(_i);
        entry_put(level, entry_get(level) | free);
        ASSERT_WALKS(ACCESS_READ, BANK_USER);
    }
}
END_TEST

/* 5.7: the walk stops at the first entry that is wrong, from the top. */
START_TEST(walk_reserved_above_counts_before_not_present_below)
{
    map(_i);
    if (shape->paging == PAGING_32 || shape->leaf == shape->top)
        return;
    entry_put(shape->top, entry_get(shape->top) | BIT(51));
    entry_put(shape->leaf, 0);
    ASSERT_FAULTS(ACCESS_READ, BANK_USER, (unsigned)(ERR_P | ERR_RSVD | ERR_U));
}
END_TEST

/* -- rights (5.6) --------------------------------------------------------------------------------------------------------- */

START_TEST(walk_read_only_at_any_level_stops_user_writes_and_supervisor_writes_under_wp)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++) {
        map(_i);
        entry_put(level, entry_get(level) & ~(uint64_t)W);
        ASSERT_WALKS(ACCESS_READ, BANK_USER);
        ASSERT_WALKS(ACCESS_EXECUTE, BANK_USER);
        ASSERT_FAULTS(ACCESS_WRITE, BANK_USER, (unsigned)(ERR_P | ERR_W | ERR_U));
        ASSERT_FAULTS(ACCESS_WRITE, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_W));
        ASSERT_FAULTS(ACCESS_READ | ACCESS_WRITE, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_W));
        set_registers(0, 0, EFER_NXE, 0);
        ASSERT_FAULTS(ACCESS_WRITE, BANK_USER, (unsigned)(ERR_P | ERR_W | ERR_U));
        ASSERT_WALKS(ACCESS_WRITE, BANK_SUPERVISOR);
        ck_assert_uint_eq(entry_get(shape->leaf) & D, D);
    }
}
END_TEST

START_TEST(walk_supervisor_page_at_any_level_stops_every_user_access)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top; level++) {
        map(_i);
        entry_put(level, entry_get(level) & ~(uint64_t)U);
        ASSERT_FAULTS(ACCESS_READ, BANK_USER, (unsigned)(ERR_P | ERR_U));
        ASSERT_FAULTS(ACCESS_WRITE, BANK_USER, (unsigned)(ERR_P | ERR_U | ERR_W));
        ASSERT_FAULTS(ACCESS_EXECUTE, BANK_USER,
                      shape->paging == PAGING_32 ? (unsigned)(ERR_P | ERR_U) : (unsigned)(ERR_P | ERR_U | ERR_ID));
        ASSERT_WALKS(ACCESS_WRITE, BANK_SUPERVISOR);
    }
}
END_TEST

/* XD at any level; 32-bit paging has no such bit. */
START_TEST(walk_xd_at_any_level_stops_fetches_when_nxe_is_set)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top && shape->paging != PAGING_32; level++) {
        map(_i);
        entry_put(level, entry_get(level) | XD);
        ASSERT_WALKS(ACCESS_WRITE, BANK_USER);
        ASSERT_FAULTS(ACCESS_EXECUTE, BANK_USER, (unsigned)(ERR_P | ERR_U | ERR_ID));
        ASSERT_FAULTS(ACCESS_EXECUTE, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_ID));
        ASSERT_FAULTS(ACCESS_EXECUTE, BANK_SUPERVISOR_AC, (unsigned)(ERR_P | ERR_ID));
    }
}
END_TEST

/* 5.7: ID needs NXE with PAE, or SMEP. */
START_TEST(walk_xd_without_nxe_is_reserved_and_id_is_not_reported)
{
    map(_i);
    for (unsigned level = shape->leaf; level <= shape->top && shape->paging != PAGING_32; level++) {
        map(_i);
        set_registers(CR0_WP, 0, 0, 0);
        entry_put(level, entry_get(level) | XD);
        ASSERT_FAULTS(ACCESS_READ, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_RSVD));
        ASSERT_FAULTS(ACCESS_EXECUTE, BANK_USER, (unsigned)(ERR_P | ERR_RSVD | ERR_U));
    }
}
END_TEST

START_TEST(walk_smep_stops_supervisor_fetches_from_user_pages)
{
    map(_i);
    set_registers(CR0_WP, CR4_SMEP, 0, 0);
    ASSERT_FAULTS(ACCESS_EXECUTE, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_ID));
    ASSERT_FAULTS(ACCESS_EXECUTE, BANK_SUPERVISOR_AC, (unsigned)(ERR_P | ERR_ID));
    ASSERT_WALKS(ACCESS_EXECUTE, BANK_USER);
    ASSERT_WALKS(ACCESS_WRITE, BANK_SUPERVISOR);
    entry_put(shape->top, entry_get(shape->top) & ~(uint64_t)U); /* one supervisor entry makes a supervisor page */
    ASSERT_WALKS(ACCESS_EXECUTE, BANK_SUPERVISOR);
    ASSERT_FAULTS(ACCESS_EXECUTE, BANK_USER, (unsigned)(ERR_P | ERR_ID | ERR_U));
}
END_TEST

START_TEST(walk_smap_stops_supervisor_data_on_user_pages_unless_ac)
{
    map(_i);
    set_registers(0, CR4_SMAP, EFER_NXE, 0); /* WP or not */
    ASSERT_FAULTS(ACCESS_READ, BANK_SUPERVISOR, (unsigned)ERR_P);
    ASSERT_FAULTS(ACCESS_WRITE, BANK_SUPERVISOR, (unsigned)(ERR_P | ERR_W));
    ASSERT_WALKS(ACCESS_READ, BANK_SUPERVISOR_AC);
    ASSERT_WALKS(ACCESS_WRITE, BANK_SUPERVISOR_AC);
    ASSERT_WALKS(ACCESS_EXECUTE, BANK_SUPERVISOR);
    ASSERT_WALKS(ACCESS_WRITE, BANK_USER);
    entry_put(shape->top, entry_get(shape->top) & ~(uint64_t)U);
    ASSERT_WALKS(ACCESS_WRITE, BANK_SUPERVISOR);
}
END_TEST

/* 5.6.1: AC does not help an implicit supervisor access; at CPL 3 it is one all the same, and U is clear (5.7). */
START_TEST(walk_smap_stops_implicit_accesses_whatever_ac_and_cpl)
{
    uint64_t data;

    for (unsigned bank = 0; bank < BANKS; bank++) {
        map(_i);
        set_registers(CR0_WP, CR4_SMAP, EFER_NXE, 0);
        mmu.bank = bank;
        ck_assert(!access_load(&mmu, shape->gva, &data, 4, FORM_DESCRIPTOR, ACCESS_IMPLICIT));
        ck_assert_uint_eq(mmu.fault.error, ERR_P);
        entry_put(shape->leaf, entry_get(shape->leaf) & ~(uint64_t)U);
        ck_assert(access_load(&mmu, shape->gva, &data, 4, FORM_DESCRIPTOR, ACCESS_IMPLICIT));
    }
}
END_TEST

/* 5.6.2: key 5 has bits 10 (access) and 11 (write) in PKRU, for user pages, and PKRS; long mode and data accesses only. */
struct key_row {
    uint64_t cr0, cr4;
    uint32_t keys; /* PKRU; with CR4.PKS PKRS, and PKRU is all ones */
    unsigned intent;
    enum mmu_bank bank;
    bool user_page;
    int error; /* -1: none */
};

static const struct key_row key_rows[] = {
    { CR0_WP, CR4_PKE, 1 << 10, ACCESS_READ, BANK_USER, true, ERR_P | ERR_U | ERR_PK },
    { CR0_WP, CR4_PKE, 1 << 10, ACCESS_WRITE, BANK_USER, true, ERR_P | ERR_U | ERR_W | ERR_PK },
    { CR0_WP, CR4_PKE, 1 << 10, ACCESS_EXECUTE, BANK_USER, true, -1 },
    { CR0_WP, CR4_PKE, 1 << 10, ACCESS_READ, BANK_SUPERVISOR, true, ERR_P | ERR_PK },
    { 0, CR4_PKE, 1 << 10, ACCESS_READ, BANK_SUPERVISOR, true, ERR_P | ERR_PK },
    { CR0_WP, CR4_PKE, 1 << 10, ACCESS_READ, BANK_SUPERVISOR, false, -1 },
    { CR0_WP, 0, 3 << 10, ACCESS_WRITE, BANK_USER, true, -1 },
    { CR0_WP, CR4_PKE, 1 << 11, ACCESS_READ, BANK_USER, true, -1 },
    { CR0_WP, CR4_PKE, 1 << 11, ACCESS_WRITE, BANK_USER, true, ERR_P | ERR_U | ERR_W | ERR_PK },
    { CR0_WP, CR4_PKE, 1 << 11, ACCESS_WRITE, BANK_SUPERVISOR, true, ERR_P | ERR_W | ERR_PK },
    { 0, CR4_PKE, 1 << 11, ACCESS_WRITE, BANK_USER, true, ERR_P | ERR_U | ERR_W | ERR_PK },
    { 0, CR4_PKE, 1 << 11, ACCESS_WRITE, BANK_SUPERVISOR, true, -1 },
    { CR0_WP, CR4_PKE, ~(3u << 10), ACCESS_WRITE, BANK_USER, true, -1 },
    { CR0_WP, CR4_PKE | CR4_SMAP, 1 << 10, ACCESS_READ, BANK_SUPERVISOR_AC, true, ERR_P | ERR_PK },
    { CR0_WP, CR4_PKE, 1 << 10, ACCESS_READ, BANK_USER, false, ERR_P | ERR_U },
    { CR0_WP, CR4_PKS, 1 << 10, ACCESS_READ, BANK_SUPERVISOR, false, ERR_P | ERR_PK },
    { CR0_WP, CR4_PKS, 1 << 10, ACCESS_READ, BANK_SUPERVISOR, true, -1 },
    { CR0_WP, CR4_PKS, 1 << 10, ACCESS_EXECUTE, BANK_SUPERVISOR, false, -1 },
    { CR0_WP, CR4_PKS, 1 << 11, ACCESS_WRITE, BANK_SUPERVISOR, false, ERR_P | ERR_W | ERR_PK },
    { CR0_WP, CR4_PKS, 1 << 11, ACCESS_READ, BANK_SUPERVISOR, false, -1 },
    { 0, CR4_PKS, 1 << 11, ACCESS_WRITE, BANK_SUPERVISOR, false, -1 },
    { CR0_WP, CR4_PKE | CR4_PKS, 3 << 10, ACCESS_READ, BANK_USER, false, ERR_P | ERR_U },
};

START_TEST(walk_protection_key_stops_data_accesses)
{
    for (unsigned n = 0; n < ARRAY_LEN(key_rows); n++) {
        const struct key_row *row = &key_rows[n];

        map(_i);
        set_registers(row->cr0, row->cr4, EFER_NXE, row->cr4 & CR4_PKS ? (uint64_t)row->keys << 32 | UINT32_MAX : row->keys);
        if (shape->paging >= PAGING_4)
            entry_put(shape->leaf, entry_get(shape->leaf) | UINT64_C(5) << 59);
        if (!row->user_page)
            entry_put(shape->leaf, entry_get(shape->leaf) & ~(uint64_t)U);
        if (row->error < 0 || (shape->paging < PAGING_4 && row->error & ERR_PK))
            ASSERT_WALKS(row->intent, row->bank);
        else
            ASSERT_FAULTS(row->intent, row->bank, (unsigned)row->error);
    }
}
END_TEST

/* -- modes' own rules --------------------------------------------------------------------------------------------------------- */

START_TEST(walk_ps_without_cr4_pse_is_ignored_in_32_bit_paging)
{
    map(0);
    entry_put(2, entry_get(2) | PS);
    mmu_set_registers(&mmu, CR0_PE | CR0_PG, 2 * TABLES, 0, 0, 0);
    ASSERT_WALKS(ACCESS_READ, BANK_USER);
}
END_TEST

/* 5.4.1: PDPTEs are registers, loaded with CR3; bits 2:1, 8:5 and 63:40 are reserved in one that is present. */
START_TEST(walk_pdptes_are_checked_when_loaded_and_not_read_again)
{
    uint64_t cr3, pdpte, at;

    map(2);
    cr3 = mmu.cr3;
    at = cr3 + 8 * (shape->gva >> 30 & 3);
    for (unsigned bit = 1; bit < 64; bit++) {
        bool reserved = (bit >= 1 && bit <= 2) || (bit >= 5 && bit <= 8) || bit >= 40;

        if (bit >= 12 && bit < 40)
            continue;
        pdpte = 2 * TABLES | P | BIT(bit);
        memcpy(ram + at, &pdpte, 8);
        ck_assert_msg(mmu_load_pdptes(&mmu, cr3) != reserved, "bit %u", bit);
        pdpte = BIT(bit);
        memcpy(ram + at, &pdpte, 8);
        ck_assert_msg(mmu_load_pdptes(&mmu, cr3), "not present, bit %u", bit);
    }
    pdpte = 2 * TABLES | P;
    memcpy(ram + at, &pdpte, 8);
    ck_assert(mmu_load_pdptes(&mmu, cr3));
    memset(ram + at, 0, 8);
    tlb_flush(&mmu);
    ASSERT_WALKS(ACCESS_WRITE, BANK_USER);
    ck_assert(mmu_load_pdptes(&mmu, cr3));
    ASSERT_FAULTS(ACCESS_WRITE, BANK_USER, (unsigned)(ERR_W | ERR_U));
}
END_TEST

START_TEST(walk_without_paging_is_one_to_one_and_drops_upper_bits)
{
    shape = &shapes[0];
    mmu_set_registers(&mmu, CR0_PE, 0, 0, 0, 0);
    ck_assert(walk(ACCESS_WRITE, BANK_USER));
    ck_assert_uint_eq(result.gpa, shape->gva);
}
END_TEST

/* SDM 1 3.3.7.1: bits 63:47 (4 levels) or 63:56 (5 levels) are equal; #GP(0), through SS #SS(0). */
START_TEST(access_non_canonical_is_gp_or_ss_before_any_walk)
{
    static const struct { int shape; uint64_t gva; bool canonical; } rows[] = {
        { 4, UINT64_C(0x00007fffffffffff), true }, { 4, UINT64_C(0x0000800000000000), false },
        { 4, UINT64_C(0xffff7fffffffffff), false }, { 4, UINT64_C(0xffff800000000000), true },
        { 4, UINT64_C(0x0100000000000000), false }, { 7, UINT64_C(0x0000800000000000), true },
        { 7, UINT64_C(0x00ffffffffffffff), true }, { 7, UINT64_C(0x0100000000000000), false },
        { 7, UINT64_C(0xfeffffffffffffff), false }, { 7, UINT64_C(0xff00000000000000), true },
    };
    uint8_t byte;

    for (unsigned n = 0; n < ARRAY_LEN(rows); n++) {
        map(rows[n].shape);
        ck_assert_int_eq(walk_canonical(&mmu, rows[n].gva), rows[n].canonical);
        if (rows[n].canonical)
            continue;
        ck_assert(!access_load(&mmu, rows[n].gva, &byte, 1, FORM_PLAIN, 0));
        ck_assert_uint_eq(mmu.fault.vector, 13);
        ck_assert_uint_eq(mmu.fault.error, 0);
        ck_assert(!access_store(&mmu, rows[n].gva, &byte, 1, FORM_STACK, ACCESS_STACK));
        ck_assert_uint_eq(mmu.fault.vector, 12);
        ck_assert_uint_eq(mmu.fault.error, 0);
    }
}
END_TEST

/* -- accesses over two pages ---------------------------------------------------------------------------------------------------- */

enum { TWO = 0x400000, FRAME_1 = 0x20000, FRAME_2 = 0x30000 };

/* Linear TWO and the page after it, 4-level; their PTEs are next to each other. */
static uint64_t *two_pages(void)
{
    shape = &shapes[4];
    for (unsigned level = 4; level > 1; level--)
        *(uint64_t *)(void *)(ram + entry_at(level, TWO)) = (level - 1) * TABLES | P | W | U;
    set_registers(CR0_WP, 0, EFER_NXE, 0);
    mmu.bank = BANK_USER;
    {
        uint64_t *pte = (uint64_t *)(void *)(ram + entry_at(1, TWO));

        pte[0] = FRAME_1 | P | W | U;
        pte[1] = FRAME_2 | P | W | U;
        return pte;
    }
}

/* SDM 3A 7.5: a fault leaves the program restartable, so a store in two parts happens whole or not at all. */
START_TEST(access_store_whose_second_page_faults_writes_nothing)
{
    static const uint8_t data[64] = { 1, 2, 3, 4, 5, 6, 7, 8 }, zero[64];

    for (unsigned width = 2; width <= 64; width *= 2)
        for (unsigned first = 1; first < width; first++) {
            uint64_t *pte = two_pages();

            pte[1] = FRAME_2 | P | U;
            tlb_flush(&mmu);
            ck_assert(!access_store(&mmu, TWO + 4096 - first, data, width, FORM_PLAIN, 0));
            ck_assert_uint_eq(mmu.fault.error, ERR_P | ERR_W | ERR_U);
            ck_assert_uint_eq(mmu.fault.address, TWO + 4096);
            ck_assert_mem_eq(ram + FRAME_1 + 4096 - first, zero, first);
            ck_assert_mem_eq(ram + FRAME_2, zero, width);
        }
}
END_TEST

START_TEST(access_over_two_bad_pages_reports_the_lower)
{
    uint64_t *pte = two_pages(), data = 0;

    pte[0] = 0;
    pte[1] = FRAME_2 | P | U;
    ck_assert(!access_store(&mmu, TWO + 4092, &data, 8, FORM_PLAIN, 0));
    ck_assert_uint_eq(mmu.fault.error, ERR_W | ERR_U);
    ck_assert_uint_eq(mmu.fault.address, TWO + 4092);
}
END_TEST

START_TEST(access_over_two_pages_takes_bytes_from_both_frames)
{
    uint64_t data = 0;

    two_pages();
    memcpy(ram + FRAME_1 + 4093, "\x11\x22\x33", 3);
    memcpy(ram + FRAME_2, "\x44\x55\x66\x77\x88", 5);
    ck_assert(access_load(&mmu, TWO + 4093, &data, 8, FORM_PLAIN, 0));
    ck_assert_uint_eq(data, UINT64_C(0x8877665544332211));
}
END_TEST

START_TEST(access_masked_bytes_of_a_bad_second_page_do_not_fault)
{
    struct access a = { .type = TRANSACTION_STORE, .form = FORM_MASKED, .element = 4, .width = 16, .gva = TWO + 4088,
                        .enables = 0x00ff };
    uint64_t *pte = two_pages();

    pte[1] = 0;
    ck_assert(access_prepare(&mmu, &a, ACCESS_WRITE));
    a.enables = 0x0f0f;
    ck_assert(!access_prepare(&mmu, &a, ACCESS_WRITE));
    ck_assert_uint_eq(mmu.fault.address, TWO + 4096);
}
END_TEST

/* The last byte of the 4-GiB space and the first (SDM 1 3.3.5: linear addresses are truncated to 32 bits). */
START_TEST(access_over_the_end_of_4_gib_wraps_outside_long_mode)
{
    uint16_t data = 0xbbaa;
    uint32_t *pde = (uint32_t *)(void *)(ram + 2 * TABLES), *pte = (uint32_t *)(void *)(ram + TABLES);

    shape = &shapes[0];
    pde[0] = pde[1023] = TABLES | P | W | U;
    pte[0] = FRAME_2 | P | W | U;
    pte[1023] = FRAME_1 | P | W | U;
    set_registers(CR0_WP, 0, 0, 0);
    ck_assert(access_store(&mmu, 0xffffffff, &data, 2, FORM_PLAIN, 0));
    ck_assert_uint_eq(ram[FRAME_1 + 4095], 0xaa);
    ck_assert_uint_eq(ram[FRAME_2], 0xbb);
}
END_TEST

/* -- the TLB ----------------------------------------------------------------------------------------------------------------------- */

static uint8_t load_byte(uint64_t gva)
{
    uint8_t byte = 0;

    ck_assert(access_load(&mmu, gva, &byte, 1, FORM_PLAIN, 0));
    return byte;
}

/* 5.10.4.1: INVLPG; MOV to CR3 and a change of CR4.PGE come as mmu_set_registers() or tlb_flush(). */
START_TEST(tlb_translation_may_be_stale_until_its_page_is_flushed)
{
    uint64_t *pte = two_pages();

    ram[FRAME_1] = 1;
    ram[FRAME_2] = 2;
    ck_assert_uint_eq(load_byte(TWO), 1);
    pte[0] = FRAME_2 | P | W | U;
    tlb_flush_page(&mmu, TWO + 0x123);
    ck_assert_uint_eq(load_byte(TWO), 2);
}
END_TEST

/* 5.10.4.1: INVLPG invalidates all entries of a large page that is cached in smaller pieces. */
START_TEST(tlb_flush_page_of_a_large_page_drops_all_of_it)
{
    uint64_t *pte = two_pages(), *pde = (uint64_t *)(void *)(ram + entry_at(2, TWO));

    *pde = 0 | P | W | U | PS;
    ram[0x20000] = 1;
    ram[0x23000] = 3;
    tlb_flush(&mmu);
    ck_assert_uint_eq(load_byte(TWO + 0x20000), 1);
    ck_assert_uint_eq(load_byte(TWO + 0x23000), 3);
    *pde = TABLES | P | W | U;
    pte[0x20] = 0x23000 | P | W | U;
    pte[0x23] = 0x20000 | P | W | U;
    tlb_flush_page(&mmu, TWO);
    ck_assert_uint_eq(load_byte(TWO + 0x20000), 3);
    ck_assert_uint_eq(load_byte(TWO + 0x23000), 1);
}
END_TEST

/* However many large pages are in use, INVLPG of a small one is that of one page, and of a large one drops all of that. */
START_TEST(tlb_flush_page_tells_small_pages_from_many_large_ones)
{
    enum { LARGE = 12, APART = 3 };
    uint64_t flushed, *pde = NULL, large = TWO;

    two_pages();
    tlb_flush(&mmu);
    ram[0x20000] = 1;
    ram[0x23000] = 3;
    for (unsigned i = 1; i <= LARGE; i++) {
        large = TWO + i * APART * MIB(2);
        pde = (uint64_t *)(void *)(ram + entry_at(2, large));
        *pde = 0 | P | W | U | PS;
        ck_assert_uint_eq(load_byte(large + 0x20000), 1);
        ck_assert_uint_eq(load_byte(large + 0x23000), 3);
    }
    load_byte(TWO);
    flushed = mmu.flushed_all;
    tlb_flush_page(&mmu, TWO);
    ck_assert_uint_eq(mmu.flushed_all, flushed);
    *pde = 0; /* of the last, which shares a run */
    tlb_flush_page(&mmu, large + 0x100000);
    ck_assert(!access_probe(&mmu, large + 0x20000, 1, ACCESS_READ) && !access_probe(&mmu, large + 0x23000, 1, ACCESS_READ));
    ck_assert_uint_eq(load_byte(TWO + APART * MIB(2) + 0x20000), 1);
}
END_TEST

START_TEST(tlb_user_and_supervisor_do_not_share_rights)
{
    uint64_t *pte = two_pages();
    uint8_t byte;

    pte[0] = FRAME_1 | P | W;
    mmu.bank = BANK_SUPERVISOR;
    load_byte(TWO);
    mmu.bank = BANK_USER;
    ck_assert(!access_load(&mmu, TWO, &byte, 1, FORM_PLAIN, 0));
    ck_assert_uint_eq(mmu.fault.error, ERR_P | ERR_U);
}
END_TEST

/* -- the same, by instructions --------------------------------------------------------------------------------------------------------- */

static struct box box;

static void box_setup(void)
{
    box_create(&box);
    box.ram[BOX_FREE] = 1;
    box.ram[BOX_FREE + 0x1000] = 2;
    box.vcpu.cpu.slot[RBX] = BOX_FREE;
    box.vcpu.cpu.slot[RDI] = box_pte(&box, BOX_FREE);
    box.vcpu.cpu.slot[RSI] = (BOX_FREE + 0x1000) | P | W | U;
}

static void box_teardown(void) { box_destroy(&box); }

#define LOAD_AL_CHANGE_PTE 0x8a, 0x03 /* mov al, [rbx] */, 0x48, 0x89, 0x37 /* mov [rdi], rsi */
#define LOAD_CL_HALT 0x8a, 0x0b /* mov cl, [rbx] */, 0xf4 /* hlt */

static void assert_second_load_is_new(void)
{
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_int_eq(box.stop, STOP_HALT);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX] & 0xff, 1);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RCX] & 0xff, 2);
}

START_TEST(tlb_invlpg_makes_a_new_translation_visible)
{
    BOX_CODE_BYTES(&box, LOAD_AL_CHANGE_PTE, 0x0f, 0x01, 0x3b /* invlpg [rbx] */, LOAD_CL_HALT);
    assert_second_load_is_new();
}
END_TEST

START_TEST(tlb_mov_cr3_makes_a_new_translation_visible)
{
    BOX_CODE_BYTES(&box, LOAD_AL_CHANGE_PTE, 0x0f, 0x20, 0xda /* mov rdx, cr3 */, 0x0f, 0x22, 0xda /* mov cr3, rdx */,
                   LOAD_CL_HALT);
    assert_second_load_is_new();
}
END_TEST

/* A global page outlives MOV CR3 on hardware or not, as it likes; after CR4.PGE has changed it does not (5.10.4.1). */
START_TEST(tlb_cr4_pge_change_makes_a_new_global_translation_visible)
{
    box.vcpu.cpu.cr4 |= CR4_PGE;
    box.ram[box_pte(&box, BOX_FREE) + 1] |= 1; /* G */
    box.vcpu.cpu.slot[RSI] |= 0x100;
    BOX_CODE_BYTES(&box, LOAD_AL_CHANGE_PTE, 0x0f, 0x20, 0xe2 /* mov rdx, cr4 */, 0x48, 0x0f, 0xba, 0xf2, 7 /* btr rdx, 7 */,
                   0x0f, 0x22, 0xe2 /* mov cr4, rdx */, LOAD_CL_HALT);
    assert_second_load_is_new();
}
END_TEST

START_TEST(tlb_invpcid_of_everything_makes_a_new_translation_visible)
{
    box.vcpu.cpu.slot[RDX] = 2;
    box.vcpu.cpu.slot[RBP] = BOX_DATA;
    BOX_CODE_BYTES(&box, LOAD_AL_CHANGE_PTE, 0x66, 0x0f, 0x38, 0x82, 0x55, 0 /* invpcid rdx, [rbp] */, LOAD_CL_HALT);
    assert_second_load_is_new();
}
END_TEST

/* A fault clears the way for a page that was not there before: not-present entries are never cached (5.10.2.3). */
START_TEST(tlb_page_made_present_needs_no_flush)
{
    box_put(&box, box_pte(&box, BOX_FREE), 8, 0);
    box_idt_gate(&box, 14, 14, 0, BOX_CODE64, BOX_CODE + 0x100, 0);
    BOX_CODE_BYTES(&box, 0x8a, 0x0b /* mov cl, [rbx] */, 0xf4 /* hlt */);
    /* mov [rdi], rsi; add rsp, 8; iretq */
    memcpy(box.ram + BOX_CODE + 0x100, "\x48\x89\x37\x48\x83\xc4\x08\x48\xcf", 9);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RCX] & 0xff, 2);
}
END_TEST

/* -- self-modifying code (SDM 3A 10.1.3, 14.6: on the same linear address no flush is needed) ---------------------------------------------- */

START_TEST(code_written_by_the_instruction_before_it_runs_as_written)
{
    /* mov byte [rip + 1], 0x42 writes over the `inc eax`'s... second operand byte: mov al, 1 becomes mov al, 42 */
    BOX_CODE_BYTES(&box, 0xc6, 0x05, 0x01, 0, 0, 0, 0x42 /* mov byte [rip + 1], 42 */, 0xb0, 0x01 /* mov al, 1 */, 0xf4);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX], 0x42);
}
END_TEST

START_TEST(code_that_overwrites_its_own_loop_runs_the_new_bytes_each_time)
{
    /*
     *     xor eax, eax; mov ecx, 5
     *  l: add al, 1          ; the 1 counts up: 1 + 2 + 3 + 4 + 5
     *     inc byte [rip - 8]
     *     dec ecx; jnz l; hlt
     */
    BOX_CODE_BYTES(&box, 0x31, 0xc0, 0xb9, 5, 0, 0, 0, 0x04, 0x01, 0xfe, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x75, 0xf4,
                   0xf4);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX] & 0xff, 15);
}
END_TEST

START_TEST(code_written_through_another_linear_address_runs_as_written)
{
    /* call f; mov byte [rbx + f + 1], 42; call f; hlt; f: mov al, 1; ret   with rbx's page mapped to the code page */
    box_put(&box, box_pte(&box, BOX_FREE), 8, BOX_CODE | P | W | U);
    BOX_CODE_BYTES(&box, 0xe8, 0x0a, 0, 0, 0, 0xc6, 0x43, 0x10, 0x42, 0xe8, 0x01, 0, 0, 0, 0xf4, 0xb0, 0x01, 0xc3);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX], 0x42);
}
END_TEST

START_TEST(code_written_by_rep_movs_runs_as_written)
{
    /* call f; rep movsb; call f; hlt; f: mov al, 1; ret */
    BOX_CODE_BYTES(&box, 0xe8, 0x08, 0, 0, 0, 0xf3, 0xa4, 0xe8, 0x01, 0, 0, 0, 0xf4, 0xb0, 0x01, 0xc3);
    box.vcpu.cpu.slot[RSI] = BOX_DATA;
    box.vcpu.cpu.slot[RDI] = BOX_CODE + 13;
    box.vcpu.cpu.slot[RCX] = 2;
    memcpy(box.ram + BOX_DATA, "\xb0\x42", 2);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX], 0x42);
}
END_TEST

START_TEST(code_over_two_pages_written_on_the_second_runs_as_written)
{
    /* at ...fff: mov al, imm8, whose operand is on the next page */
    uint64_t at = BOX_FREE + 0xfff;

    box.vcpu.cpu.rip = BOX_CODE;
    box.vcpu.cpu.slot[RBX] = at;
    memcpy(box.ram + at, "\xb0\x01\xc3", 3);
    /* call rbx; mov byte [rbx + 1], 42; call rbx; hlt */
    BOX_CODE_BYTES(&box, 0xff, 0xd3, 0xc6, 0x43, 0x01, 0x42, 0xff, 0xd3, 0xf4);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX], 0x42);
}
END_TEST

START_TEST(code_over_two_pages_whose_second_is_remapped_runs_from_the_new_frame)
{
    uint64_t at = BOX_FREE + 0xfff, pte = box_pte(&box, BOX_FREE + 0x1000);

    box.vcpu.cpu.slot[RBX] = at;
    box.vcpu.cpu.slot[RDI] = pte;
    box.vcpu.cpu.slot[RSI] = (BOX_FREE + 0x5000) | P | W | U;
    memcpy(box.ram + at, "\xb0\x01\xc3", 3);
    memcpy(box.ram + BOX_FREE + 0x5000, "\x42\xc3", 2);
    /* call rbx; mov [rdi], rsi; invlpg [rbx + 1]; call rbx; hlt */
    BOX_CODE_BYTES(&box, 0xff, 0xd3, 0x48, 0x89, 0x37, 0x0f, 0x01, 0x7b, 0x01, 0xff, 0xd3, 0xf4);
    ck_assert_int_eq(box_run(&box, 100), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX], 0x42);
}
END_TEST

/* The same byte beside code, in its line, again and again; then it is code itself, which runs often; then it is written again. */
START_TEST(code_where_data_was_written_beside_code_runs_as_written)
{
    /* mov ecx, 50; l: call f; mov byte [d + 1], 1; dec ecx; jnz l; mov ecx, 50; m: call d; dec ecx; jnz m; mov byte [d + 1], 42; call d; hlt */
    BOX_CODE_BYTES(&box, 0xb9, 50, 0, 0, 0, 0xe8, 0x36, 0, 0, 0, 0xc6, 0x05, 0x38, 0, 0, 0, 0x01, 0xff, 0xc9, 0x75, 0xf0, 0xb9, 50, 0, 0, 0,
                   0xe8, 0x29, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf7, 0xc6, 0x05, 0x1f, 0, 0, 0, 0x42, 0xe8, 0x19, 0, 0, 0, 0xf4);
    memcpy(box.ram + BOX_CODE + 0x40, "\xff\xc2\xc3", 3); /* f: inc edx; ret */
    memcpy(box.ram + BOX_CODE + 0x48, "\xb0\x01\xc3", 3); /* d: mov al, 1; ret */
    ck_assert_int_eq(box_run(&box, 2000), BOX_NOTHING);
    ck_assert_uint_eq(box.vcpu.cpu.slot[RAX] & 0xff, 0x42);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("walk");
    TCase *each = tcase_create("each shape"), *walks = tcase_create("walk"), *engine = tcase_create("engine");
    SRunner *runner = srunner_create(suite);
    int failed;

    if (test_engine_skips())
        return 0;
    tcase_add_checked_fixture(each, setup, teardown);
    tcase_add_loop_test(each, walk_page_in_each_mode_and_size_gives_frame_and_offset, 0, SHAPES);
    tcase_add_loop_test(each, walk_read_or_fetch_sets_accessed_at_every_level_and_no_dirty, 0, SHAPES);
    tcase_add_loop_test(each, walk_write_sets_dirty_in_the_last_entry_only, 0, SHAPES);
    tcase_add_loop_test(each, walk_changes_nothing_but_accessed_and_dirty, 0, SHAPES);
    tcase_add_loop_test(each, walk_write_after_a_cached_read_still_sets_dirty, 0, SHAPES);
    tcase_add_loop_test(each, walk_forbidden_write_leaves_the_dirty_bit_clear, 0, SHAPES);
    tcase_add_loop_test(each, walk_not_present_at_any_level_reports_access_without_p, 0, SHAPES);
    tcase_add_loop_test(each, walk_not_present_entry_with_everything_else_set_is_not_reserved, 0, SHAPES);
    tcase_add_loop_test(each, walk_each_reserved_bit_at_any_level_reports_p_and_rsvd, 0, SHAPES);
    tcase_add_loop_test(each, walk_bits_that_are_not_reserved_do_not_fault, 0, SHAPES);
    tcase_add_loop_test(each, walk_reserved_above_counts_before_not_present_below, 0, SHAPES);
    tcase_add_loop_test(each, walk_read_only_at_any_level_stops_user_writes_and_supervisor_writes_under_wp, 0, SHAPES);
    tcase_add_loop_test(each, walk_supervisor_page_at_any_level_stops_every_user_access, 0, SHAPES);
    tcase_add_loop_test(each, walk_xd_at_any_level_stops_fetches_when_nxe_is_set, 0, SHAPES);
    tcase_add_loop_test(each, walk_xd_without_nxe_is_reserved_and_id_is_not_reported, 0, SHAPES);
    tcase_add_loop_test(each, walk_smep_stops_supervisor_fetches_from_user_pages, 0, SHAPES);
    tcase_add_loop_test(each, walk_smap_stops_supervisor_data_on_user_pages_unless_ac, 0, SHAPES);
    tcase_add_loop_test(each, walk_smap_stops_implicit_accesses_whatever_ac_and_cpl, 0, SHAPES);
    tcase_add_loop_test(each, walk_protection_key_stops_data_accesses, 0, SHAPES);
    suite_add_tcase(suite, each);

    tcase_add_checked_fixture(walks, setup, teardown);
    tcase_add_test(walks, walk_ps_without_cr4_pse_is_ignored_in_32_bit_paging);
    tcase_add_test(walks, walk_pdptes_are_checked_when_loaded_and_not_read_again);
    tcase_add_test(walks, walk_without_paging_is_one_to_one_and_drops_upper_bits);
    tcase_add_test(walks, access_non_canonical_is_gp_or_ss_before_any_walk);
    tcase_add_test(walks, access_store_whose_second_page_faults_writes_nothing);
    tcase_add_test(walks, access_over_two_bad_pages_reports_the_lower);
    tcase_add_test(walks, access_over_two_pages_takes_bytes_from_both_frames);
    tcase_add_test(walks, access_masked_bytes_of_a_bad_second_page_do_not_fault);
    tcase_add_test(walks, access_over_the_end_of_4_gib_wraps_outside_long_mode);
    tcase_add_test(walks, tlb_translation_may_be_stale_until_its_page_is_flushed);
    tcase_add_test(walks, tlb_flush_page_of_a_large_page_drops_all_of_it);
    tcase_add_test(walks, tlb_flush_page_tells_small_pages_from_many_large_ones);
    tcase_add_test(walks, tlb_user_and_supervisor_do_not_share_rights);
    suite_add_tcase(suite, walks);

    tcase_add_checked_fixture(engine, box_setup, box_teardown);
    tcase_add_test(engine, tlb_invlpg_makes_a_new_translation_visible);
    tcase_add_test(engine, tlb_mov_cr3_makes_a_new_translation_visible);
    tcase_add_test(engine, tlb_cr4_pge_change_makes_a_new_global_translation_visible);
    tcase_add_test(engine, tlb_invpcid_of_everything_makes_a_new_translation_visible);
    tcase_add_test(engine, tlb_page_made_present_needs_no_flush);
    tcase_add_test(engine, code_written_by_the_instruction_before_it_runs_as_written);
    tcase_add_test(engine, code_that_overwrites_its_own_loop_runs_the_new_bytes_each_time);
    tcase_add_test(engine, code_written_through_another_linear_address_runs_as_written);
    tcase_add_test(engine, code_written_by_rep_movs_runs_as_written);
    tcase_add_test(engine, code_over_two_pages_written_on_the_second_runs_as_written);
    tcase_add_test(engine, code_where_data_was_written_beside_code_runs_as_written);
    tcase_add_test(engine, code_over_two_pages_whose_second_is_remapped_runs_from_the_new_frame);
    suite_add_tcase(suite, engine);

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
