/*
 * test_split.c - every policy cuts every access as it promises, and the peers' policies agree with what was measured.
 *
 * The exact policies are tried on all widths, offsets and region limits.  The measured tables (tests/vectors/) are
 * replayed row by row, as far as a row can be told from its instruction's text; set WIDELOAD_SOURCE when not
 * running from the top of the source tree.
 */
#include "phys.h"
#include "split.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct region_ops test_ops;
static struct region test_region = { .name = "test", .base = 0x100000, .size = 0x10000, .ops = &test_ops };
static uint8_t test_memory[2 * PAGE_BYTES];
static const struct phys_range range_region = {
    .base = 0x100000, .size = 0x10000, .kind = PIECE_REGION, .region = &test_region,
};
static const struct phys_range range_memory = {
    .base = 0x200000, .size = sizeof(test_memory), .kind = PIECE_MEMORY, .read = test_memory, .write = test_memory,
};
static const struct phys_range range_hole = { .base = 0x300000, .size = 0x10000, .kind = PIECE_HOLE };

static struct access make_access(enum transaction_type type, enum access_form form, unsigned width, uint64_t offset)
{
    struct access access;

    memset(&access, 0, offsetof(struct access, piece));
    access.type = type;
    access.form = form;
    access.width = width;
    access.gva = 0x100000 + offset;
    access.enables = bits_mask(width);
    access.pieces = 0;
    return access;
}

static void add_piece(struct access *access, unsigned at, unsigned width, unsigned page,
                      const struct phys_range *range, uint64_t offset)
{
    access->piece[access->pieces++] = (struct piece){
        .at = at, .width = width, .page = page, .gpa = range->base + offset, .range = range, .offset = offset,
    };
}

/* One piece in the region; the operand does not cross a page because 128 + 64 bytes fit in one. */
static struct access one_piece(enum transaction_type type, unsigned width, uint64_t offset)
{
    struct access access = make_access(type, FORM_VECTOR, width, offset);

    add_piece(&access, 0, width, 0, &range_region, offset);
    return access;
}

/* -- what every list must satisfy ----------------------------------------------------------------------------- */

static const struct piece *piece_of(const struct access *access, unsigned byte)
{
    for (unsigned i = 0; i < access->pieces; i++)
        if (byte - access->piece[i].at < access->piece[i].width)
            return &access->piece[i];
    return NULL;
}

/* Bytes a device or hole must be asked for. */
static uint64_t wanted_bytes(const struct access *access)
{
    uint64_t wanted = 0;

    for (unsigned i = 0; i < access->width; i++) {
        const struct piece *piece = piece_of(access, i);

        if (piece && piece->range->kind != PIECE_MEMORY && access->enables >> i & 1)
            wanted |= BIT(i);
    }
    return wanted;
}

#define FAIL(what) return what

/* NULL, or what is wrong: exact cover of the wanted bytes, ascending, shapes the region takes, reasons given. */
static const char *check_exact(const struct access *access, enum transaction_type type,
                               const struct split_fragment *f, unsigned n, bool shapes)
{
    uint64_t seen = 0, wanted = wanted_bytes(access);
    int end = 0;

    for (unsigned i = 0; i < n; i++, f++) {
        const struct piece *piece = &access->piece[f->piece];
        bool taken = true;

        if (f->type != type || f->phantom)
            FAIL("another type, or a phantom");
        if (f->at < end || f->at < piece->at || f->at + f->width > piece->at + piece->width)
            FAIL("not ascending within its piece");
        if (f->enables & ~bits_mask(f->width) || f->enables != (access->enables >> f->at & bits_mask(f->width)))
            FAIL("wrong enables");
        if (f->enables != bits_mask(f->width) && !(f->flags & TRANSACTION_MASKED))
            FAIL("gaps without MASKED");
        if ((f->reason == SPLIT_WHOLE) != (n == 1 && f->width == access->width && type == access->type))
            FAIL("reason `whole` misused");
        if (shapes && piece->range->kind == PIECE_REGION &&
            !region_takes(&test_ops.limits, piece->offset + f->at - piece->at, f->width)) {
            split_step(&test_ops.limits, piece->offset + f->at - piece->at, f->width, &taken);
            if (taken)
                FAIL("a shape the region does not take");
        }
        if (f->flags & TRANSACTION_MASKED && shapes && piece->range->kind == PIECE_REGION &&
            !(test_ops.limits.flags & REGION_ENABLES))
            FAIL("enables to a region that has none");
        seen |= f->enables << f->at;
        end = f->at + f->width;
    }
    return seen == wanted ? NULL : "bytes missing";
}

static void expect_exact(const struct split_policy *policy, unsigned arg, const struct access *access, bool shapes)
{
    struct split_list list;
    const char *wrong;

    split(policy, arg, access, &list);
    wrong = check_exact(access, access->type, list.fragment, list.n, shapes);
    if (wrong)
        ck_abort_msg("%s:%u width %u gva %#llx enables %#llx widths %#x flags %#x pieces %u: %s", policy->name, arg,
                     access->width, (unsigned long long)access->gva, (unsigned long long)access->enables,
                     test_ops.limits.widths, test_ops.limits.flags, access->pieces, wrong);
}

/* -- exact policies ------------------------------------------------------------------------------------------- */

struct exact_policy {
    const char *text;
    bool shapes, every_mask; /* obeys region limits; is tried on all 127 width masks */
};

static const struct exact_policy exact_policies[] = {
    { "whole", true, true }, { "natural", true, true }, { "bus:4", true, false }, { "bus:8", true, false },
    { "bus:16", true, false }, { "bus:32", true, false }, { "bus:64", true, false }, { "pcie", true, false },
    { "kvm", false, false },
};

/* Without gaps, as real devices declare: the smallest to the largest. */
static bool is_contiguous(unsigned widths)
{
    widths /= widths & -widths;
    return !(widths & (widths + 1));
}

static void try_all_accesses(const struct split_policy *policy, unsigned arg, bool shapes)
{
    for (unsigned offset = 0; offset < 128; offset++)
        for (unsigned width = 1; width <= 64; width++) {
            struct access access = one_piece(TRANSACTION_STORE, width, offset);

            expect_exact(policy, arg, &access, shapes);
        }
}

START_TEST(split_exact_policies_cover_every_width_offset_and_limit)
{
    const struct exact_policy *exact = &exact_policies[_i];
    unsigned arg;
    const struct split_policy *policy = split_find(exact->text, &arg);

    ck_assert_ptr_nonnull(policy);
    for (unsigned widths = 1; widths < 128; widths++) {
        if (!exact->every_mask && !is_contiguous(widths))
            continue;
        for (unsigned flags = 0; flags < REGION_ENABLES; flags++) { /* ENABLES matters to masked accesses only */
            if (!exact->shapes && flags)
                continue;
            test_ops.limits = (struct region_limits){ .widths = widths, .flags = flags };
            try_all_accesses(policy, arg, exact->shapes);
        }
    }
}
END_TEST

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static uint64_t some_mask(unsigned i, unsigned width, uint64_t *state)
{
    static const uint64_t fixed[] = {
        0, 1, 0x5555555555555555, 0xaaaaaaaaaaaaaaaa, 0x00ff00ff00ff00ff, 0xf00000000000000f, ~UINT64_C(0),
        0xffffffff00000000,
    };

    return (i < ARRAY_LEN(fixed) ? fixed[i] : next_random(state) & next_random(state)) & bits_mask(width);
}

START_TEST(split_exact_policies_cover_exactly_the_enabled_bytes)
{
    const struct exact_policy *exact = &exact_policies[_i];
    unsigned arg;
    const struct split_policy *policy = split_find(exact->text, &arg);
    uint64_t state = 88172645463325252;
    static const uint8_t some_widths[] = { W1, W4, W8, W_REGISTERS, W4 | W8, W64, W16 | W32, W_ALL };

    for (unsigned limits = 0; limits < ARRAY_LEN(some_widths) * 8; limits++)
        for (unsigned width = 1; width <= 64; width++)
            for (unsigned i = 0; i < 64; i++) {
                struct access access = one_piece(TRANSACTION_LOAD, width, next_random(&state) & 127);

                test_ops.limits = (struct region_limits){ .widths = some_widths[limits / 8], .flags = limits % 8 };
                access.form = FORM_MASKED;
                access.flags = TRANSACTION_MASKED;
                access.enables = some_mask(i, width, &state);
                expect_exact(policy, arg, &access, exact->shapes);
            }
}
END_TEST

/* An operand whose first `first` bytes lie on one page and the rest on the next. */
static struct access two_pieces(unsigned width, unsigned first, const struct phys_range *a, const struct phys_range *b)
{
    struct access access = make_access(TRANSACTION_STORE, FORM_VECTOR, width, PAGE_BYTES - first);

    add_piece(&access, 0, first, 0, a, PAGE_BYTES - first);
    add_piece(&access, first, width - first, 1, b, PAGE_BYTES);
    return access;
}

START_TEST(split_exact_policies_cut_at_every_page_edge)
{
    const struct exact_policy *exact = &exact_policies[_i];
    const struct phys_range *const kinds[] = { &range_region, &range_memory, &range_hole };
    unsigned arg;
    const struct split_policy *policy = split_find(exact->text, &arg);

    for (unsigned widths = 1; widths < 128; widths++)
        for (unsigned width = 2; width <= 64; width++)
            for (unsigned first = 1; first < width; first++)
                for (unsigned k = 0; k < 9; k++) {
                    struct access access = two_pieces(width, first, kinds[k / 3], kinds[k % 3]);

                    if (!is_contiguous(widths) && k)
                        continue;
                    test_ops.limits = (struct region_limits){ .widths = widths, .flags = widths & 3 };
                    expect_exact(policy, arg, &access, exact->shapes);
                }
}
END_TEST

START_TEST(split_names_page_and_edge)
{
    struct access access = two_pieces(8, 3, &range_region, &range_region);
    struct split_list list;

    test_ops.limits = (struct region_limits){ .widths = W_ALL, .flags = REGION_UNALIGNED | REGION_ODD };
    split(&split_whole, 0, &access, &list);
    ck_assert_uint_eq(list.n, 2);
    ck_assert_int_eq(list.fragment[0].reason, SPLIT_PAGE);
    ck_assert_int_eq(list.fragment[1].reason, SPLIT_PAGE);
    access.piece[1].page = 0;
    split(&split_whole, 0, &access, &list);
    ck_assert_int_eq(list.fragment[0].reason, SPLIT_EDGE);
    ck_assert_int_eq(list.fragment[1].reason, SPLIT_EDGE);
}
END_TEST

/* -- types ---------------------------------------------------------------------------------------------------- */

START_TEST(split_atomic_goes_typed_where_the_region_takes_it)
{
    struct access access = one_piece(TRANSACTION_FETCH_ADD, 8, 16);
    struct split_list list;

    test_ops.limits = (struct region_limits){
        .widths = W_REGISTERS, .types = 1 << TRANSACTION_FETCH_ADD, .atomic_widths = W4 | W8,
    };
    split(&split_whole, 0, &access, &list);
    ck_assert_uint_eq(list.n, 1);
    ck_assert_int_eq(list.fragment[0].type, TRANSACTION_FETCH_ADD);
    ck_assert_int_eq(list.fragment[0].reason, SPLIT_WHOLE);
}
END_TEST

START_TEST(split_atomic_elsewhere_is_a_locked_load_and_a_locked_store)
{
    struct access access = one_piece(TRANSACTION_COMPARE_SWAP, 8, 16);
    struct split_list list;

    test_ops.limits = (struct region_limits){ .widths = W4 };
    for (unsigned i = 0; exact_policies[i].text; i++) {
        unsigned arg;
        const struct split_policy *policy = split_find(exact_policies[i].text, &arg);

        if (!exact_policies[i].shapes)
            break;
        split(policy, arg, &access, &list);
        ck_assert_uint_eq(list.n, 4);
        ck_assert_ptr_null(check_exact(&access, TRANSACTION_LOAD, list.fragment, 2, true));
        ck_assert_ptr_null(check_exact(&access, TRANSACTION_STORE, list.fragment + 2, 2, true));
        for (unsigned n = 0; n < 4; n++)
            ck_assert(list.fragment[n].flags & TRANSACTION_LOCKED);
    }
}
END_TEST

START_TEST(split_misaligned_atomic_is_never_typed)
{
    struct access access = one_piece(TRANSACTION_SWAP, 8, 12);
    struct split_list list;

    test_ops.limits = (struct region_limits){
        .widths = W_REGISTERS, .flags = REGION_UNALIGNED, .types = 1 << TRANSACTION_SWAP, .atomic_widths = W8,
    };
    split(&split_whole, 0, &access, &list);
    ck_assert_uint_eq(list.n, 2);
    ck_assert_int_eq(list.fragment[0].reason, SPLIT_TYPE);
}
END_TEST

START_TEST(split_enqueue_is_never_cut)
{
    struct access access = one_piece(TRANSACTION_ENQUEUE, 64, 64);
    struct split_list list;

    for (unsigned types = 0; types < 2; types++) {
        test_ops.limits = (struct region_limits){ .widths = W64 | W8, .types = types << TRANSACTION_ENQUEUE };
        split(&split_whole, 0, &access, &list);
        ck_assert_uint_eq(list.n, 1);
        ck_assert_int_eq(list.fragment[0].type, TRANSACTION_ENQUEUE);
        ck_assert_int_eq(list.fragment[0].reason, types ? SPLIT_WHOLE : SPLIT_TYPE);
    }
}
END_TEST

START_TEST(split_direct_store_becomes_stores_where_the_region_has_no_such_type)
{
    struct access access = one_piece(TRANSACTION_DIRECT_STORE, 64, 64);
    struct split_list list;

    test_ops.limits = (struct region_limits){ .widths = W_REGISTERS };
    split(&split_whole, 0, &access, &list);
    ck_assert_uint_eq(list.n, 8);
    ck_assert_ptr_null(check_exact(&access, TRANSACTION_STORE, list.fragment, list.n, true));
}
END_TEST

START_TEST(split_find_knows_its_names)
{
    unsigned arg;

    ck_assert_ptr_eq(split_find("bus:16", &arg), &split_bus);
    ck_assert_uint_eq(arg, 16);
    ck_assert_ptr_eq(split_find("kvm", &arg), &split_kvm);
    ck_assert_ptr_null(split_find("bus", &arg));
    ck_assert_ptr_null(split_find("bus:3", &arg));
    ck_assert_ptr_null(split_find("bus:160", &arg));
    ck_assert_ptr_null(split_find("kvm:8", &arg));
    ck_assert_ptr_null(split_find("", &arg));
    ck_assert_ptr_null(split_find("wholes", &arg));
}
END_TEST

/* -- peers ---------------------------------------------------------------------------------------------------- */

static const struct split_policy *const peers[] = { &split_kvm, &split_qemu, &split_bochs, &split_unicorn };

/*
 * Every wanted byte at least once, by a fragment of the operand's own type that is no phantom; stores exactly once
 * and nothing else.  Exceptions, each a measured habit: MASKMOV on Bochs writes disabled bytes back.
 */
static const char *check_peer(const struct access *access, const struct split_list *list)
{
    uint64_t seen = 0;
    bool rewrites = access->form == FORM_MASKMOV;

    for (unsigned i = 0; i < list->n; i++) {
        const struct split_fragment *f = &list->fragment[i];

        if (f->phantom)
            continue;
        if (f->type != access->type)
            FAIL("another type");
        for (unsigned j = 0; j < f->width; j++) {
            int byte = f->at + (int)j;
            bool enabled = byte >= 0 && byte < access->width && access->enables >> byte & 1;

            if (enabled != (f->enables >> j & 1))
                FAIL("wrong enables");
            if (f->type == TRANSACTION_STORE && !rewrites && (!enabled || seen >> byte & 1))
                FAIL("stores a byte twice, or one that is not enabled");
            if (enabled)
                seen |= BIT(byte);
        }
    }
    return seen == wanted_bytes(access) ? NULL : "bytes missing";
}

static void expect_peer(const struct split_policy *policy, const struct access *access)
{
    struct split_list list;
    const char *wrong;

    split(policy, 0, access, &list);
    wrong = check_peer(access, &list);
    if (wrong)
        ck_abort_msg("%s type %d form %d width %u gva %#llx enables %#llx pieces %u: %s", policy->name, access->type,
                     access->form, access->width, (unsigned long long)access->gva,
                     (unsigned long long)access->enables, access->pieces, wrong);
}

START_TEST(split_peers_cover_every_byte)
{
    const struct split_policy *policy = peers[_i];

    test_ops.limits = (struct region_limits){ .widths = W_ALL };
    for (int type = TRANSACTION_LOAD; type <= TRANSACTION_STORE; type++)
        for (int form = FORM_PLAIN; form < FORM_HINT; form++)
            for (unsigned width = 1; width <= 64; width++) {
                if (form == FORM_MASKED || form == FORM_MASKMOV)
                    continue;
                for (unsigned offset = 0; offset < 128; offset++) {
                    struct access access = one_piece(type, width, offset);

                    access.form = form;
                    expect_peer(policy, &access);
                }
                for (unsigned first = 1; first < width; first++) {
                    struct access access = two_pieces(width, first, &range_region, &range_region);

                    access.form = form;
                    access.type = type;
                    expect_peer(policy, &access);
                    access.piece[form & 1].range = &range_memory;
                    expect_peer(policy, &access);
                }
            }
}
END_TEST

START_TEST(split_peers_cover_every_enabled_lane)
{
    const struct split_policy *policy = peers[_i];
    uint64_t state = 88172645463325252;

    test_ops.limits = (struct region_limits){ .widths = W_ALL };
    for (unsigned element = 1; element <= 8; element *= 2)
        for (unsigned width = 8; width <= 64; width *= 2)
            for (unsigned offset = 0; offset < 128; offset++)
                for (unsigned i = 0; i < 32; i++) {
                    struct access access = one_piece(i & 1, width, offset);
                    uint64_t lanes = next_random(&state);

                    access.form = element == 1 && access.type == TRANSACTION_STORE && i & 2 ? FORM_MASKMOV
                                                                                           : FORM_MASKED;
                    access.flags = TRANSACTION_MASKED;
                    access.element = element;
                    access.enables = 0;
                    for (unsigned at = 0; at < width; at += element)
                        if (lanes >> at & 1)
                            access.enables |= bits_mask(element) << at;
                    expect_peer(policy, &access);
                }
}
END_TEST

/* A mask that leaves a page out: access.c resolves no piece there, and none at all for an empty mask. */
START_TEST(split_every_policy_survives_missing_pieces)
{
    test_ops.limits = (struct region_limits){ .widths = W4, .flags = REGION_ENABLES };
    for (unsigned i = 0; split_policies[i]; i++)
        for (unsigned only = 0; only < 3; only++)
            for (int type = TRANSACTION_LOAD; type < TRANSACTION_TYPES; type++) {
                struct access access = make_access(type, FORM_MASKED, 64, PAGE_BYTES - 24);
                struct split_list list;

                access.flags = TRANSACTION_MASKED;
                access.element = 4;
                access.enables = only == 0 ? 0 : only == 1 ? 0xff : UINT64_C(0xff) << 40;
                if (only == 1)
                    add_piece(&access, 0, 24, 0, &range_region, PAGE_BYTES - 24);
                if (only == 2)
                    add_piece(&access, 24, 40, 1, &range_region, PAGE_BYTES);
                split(split_policies[i], 8, &access, &list);
                ck_assert(only || !list.n);
            }
}
END_TEST

/* -- measured tables ------------------------------------------------------------------------------------------ */

/* One row of a table, as far as it matters here. */
struct row {
    char *category, *insn, *setup, *placement, *outcome, *callbacks;
    unsigned width;
};

/* The accesses an instruction makes, told from its text; 0 if this test cannot tell. */
struct description {
    unsigned n;
    struct { enum transaction_type type; enum access_form form; uint16_t flags; } access[2];
    uint8_t element;
    uint64_t enables;
};

static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }
static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static void describe_one(struct description *d, enum transaction_type type, enum access_form form)
{
    d->n = 1;
    d->access[0].type = type;
    d->access[0].form = form;
}

static void describe_both(struct description *d, enum access_form form)
{
    describe_one(d, TRANSACTION_LOAD, form);
    d->n = 2;
    d->access[1].type = TRANSACTION_STORE;
    d->access[1].form = form;
}

/* Is the memory operand the destination? */
static bool memory_first(const char *insn)
{
    const char *bracket = strchr(insn, '['), *comma = strchr(insn, ',');

    return bracket && (!comma || bracket < comma);
}

static void describe_masked(struct description *d, const struct row *row, enum access_form form, uint64_t enables,
                            unsigned element)
{
    describe_one(d, form == FORM_MASKMOV || memory_first(row->insn) ? TRANSACTION_STORE : TRANSACTION_LOAD, form);
    d->access[0].flags = TRANSACTION_MASKED;
    d->element = element;
    d->enables = enables;
}

static void describe_vector(struct description *d, const struct row *row)
{
    if (strstr(row->insn, "gather") || strstr(row->insn, "scatter") || strstr(row->insn, "mxcsr") ||
        starts(row->insn, "kmov"))
        return;
    if (starts(row->insn, "maskmov"))
        describe_masked(d, row, FORM_MASKMOV, ~UINT64_C(0), 1);
    else if (strstr(row->insn, "maskmov"))
        describe_masked(d, row, FORM_MASKED, ~UINT64_C(0), 4);
    else if (is(row->setup, "k1"))
        describe_masked(d, row, FORM_MASKED, 0x5555555555555555, 1);
    else
        describe_one(d, memory_first(row->insn) ? TRANSACTION_STORE : TRANSACTION_LOAD, FORM_VECTOR);
}

static void describe_string(struct description *d, const struct row *row)
{
    if (strchr(row->insn, ' '))
        return;
    if (starts(row->insn, "ins"))
        describe_one(d, TRANSACTION_STORE, FORM_STRING_IO);
    else if (starts(row->insn, "outs"))
        describe_one(d, TRANSACTION_LOAD, FORM_STRING_IO);
    else if (!strstr(row->setup, "s_mmio d_mmio"))
        describe_one(d, starts(row->insn, "stos") || (starts(row->insn, "movs") && strstr(row->setup, "d_mmio"))
                            ? TRANSACTION_STORE : TRANSACTION_LOAD, FORM_STRING);
}

static void describe_system(struct description *d, const struct row *row)
{
    if (starts(row->insn, "sldt") || starts(row->insn, "str "))
        describe_one(d, TRANSACTION_STORE, FORM_SELECTOR);
    else if (starts(row->insn, "smsw"))
        describe_one(d, TRANSACTION_STORE, FORM_PLAIN);
    else if (starts(row->insn, "lmsw"))
        describe_one(d, TRANSACTION_LOAD, FORM_PLAIN);
    else if (starts(row->insn, "lgdt") || starts(row->insn, "lidt"))
        describe_one(d, TRANSACTION_LOAD, FORM_TABLE);
    else if (starts(row->insn, "sgdt") || starts(row->insn, "sidt"))
        describe_one(d, TRANSACTION_STORE, FORM_TABLE);
}

static void describe_control(struct description *d, const struct row *row)
{
    if (starts(row->insn, "lss") || starts(row->insn, "lfs"))
        describe_one(d, TRANSACTION_LOAD, FORM_FAR_POINTER);
    else if (starts(row->insn, "pop ") || starts(row->insn, "mov ["))
        describe_one(d, TRANSACTION_STORE, FORM_STACK);
    else if (row->width <= 8)
        describe_one(d, TRANSACTION_LOAD, FORM_STACK);
}

static void describe_stack(struct description *d, const struct row *row)
{
    if (starts(row->insn, "push") || starts(row->insn, "call"))
        describe_one(d, TRANSACTION_STORE, FORM_STACK);
    else if (starts(row->insn, "pop") || starts(row->insn, "ret") || starts(row->insn, "leave"))
        describe_one(d, TRANSACTION_LOAD, FORM_STACK);
}

static void describe_x87(struct description *d, const struct row *row)
{
    if (row->width > 10 || starts(row->insn, "fbld"))
        return;
    describe_one(d, strstr(row->insn, "st") && !starts(row->insn, "fild") ? TRANSACTION_STORE : TRANSACTION_LOAD,
                 FORM_X87);
}

static struct description describe(const struct row *row)
{
    struct description d = { 0 };
    const char *c = row->category;

    if (starts(row->insn, "movbe") || starts(row->insn, "verr") || is(row->setup, "bit") || is(row->setup, "bx") ||
        is(row->setup, "sp_after2"))
        return d; /* a PVM artefact; or the operand is not where the placement says on every emulator */
    if (starts(row->insn, "movdiri"))
        describe_one(&d, TRANSACTION_DIRECT_STORE, FORM_DIRECT);
    else if (is(c, "load") || is(c, "aluload") || is(c, "bmi") || (is(c, "bit") && starts(row->insn, "bt ")))
        describe_one(&d, TRANSACTION_LOAD, FORM_PLAIN);
    else if (is(c, "store"))
        describe_one(&d, TRANSACTION_STORE, FORM_PLAIN);
    else if (is(c, "cmpxchg") && row->width == 16)
        describe_one(&d, TRANSACTION_COMPARE_SWAP, FORM_CMPXCHG16B);
    else if (is(c, "rmw") || is(c, "lockrmw") || is(c, "xchg") || is(c, "cmpxchg") || is(c, "bit"))
        describe_both(&d, FORM_RMW);
    else if (is(c, "sse") || is(c, "avx") || is(c, "avx512") || is(c, "mmx"))
        describe_vector(&d, row);
    else if (is(c, "string") || is(c, "stringio"))
        describe_string(&d, row);
    else if (is(c, "sys"))
        describe_system(&d, row);
    else if (is(c, "ctl"))
        describe_control(&d, row);
    else if (is(c, "stack"))
        describe_stack(&d, row);
    else if (is(c, "x87"))
        describe_x87(&d, row);
    else if (is(c, "hint") && starts(row->insn, "clflush"))
        describe_one(&d, TRANSACTION_LOAD, FORM_HINT);
    else if (is(c, "direct") && starts(row->insn, "movdir64b"))
        describe_one(&d, strstr(row->setup, "s_mmio") ? TRANSACTION_LOAD : TRANSACTION_DIRECT_STORE, FORM_DIRECT);
    return d;
}

/* Puts the operand where the placement says; false if the row is about a fault or is ambiguous. */
static bool place(struct access *access, const char *placement)
{
    unsigned width = access->width, first = width < 4 ? 1 : width / 2 - 1;
    bool across = is(placement, "pg") || is(placement, "pd") || is(placement, "rm") || is(placement, "mr");
    uint64_t offset = is(placement, "al") ? 64 : is(placement, "u1") ? 65 : is(placement, "u4") ? 68 :
                      is(placement, "a8") ? 72 : is(placement, "cl") ? 128 - first : 0;

    if (across && width > 1) {
        access->gva = 0x100000 + PAGE_BYTES - first;
        add_piece(access, 0, first, 0, is(placement, "rm") ? &range_memory : &range_region, PAGE_BYTES - first);
        add_piece(access, first, width - first, 1, is(placement, "mr") ? &range_memory : &range_region, PAGE_BYTES);
        return true;
    }
    if (!offset)
        return false;
    access->gva = 0x100000 + offset;
    add_piece(access, 0, width, 0, &range_region, offset);
    return true;
}

/* Appends a list in the tables' notation, without the runs' abbreviation. */
static void print_fragments(char *text, size_t size, const struct split_list *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct split_fragment *f = &list->fragment[i];
        size_t used = strlen(text);

        snprintf(text + used, size - used, "%s%c%+d:%u", used ? " " : "", f->type == TRANSACTION_LOAD ? 'R' : 'W',
                 f->at, f->width);
    }
}

/* The same from a table: "W+0:1x4" becomes four; port accesses are left out. */
static void expand_callbacks(char *text, size_t size, const char *callbacks)
{
    for (const char *p = callbacks; *p && !is(p, "-"); p += strcspn(p, " "), p += *p == ' ') {
        char kind;
        int at;
        unsigned width, count = 1;

        if (sscanf(p, "%c%d:%ux%u", &kind, &at, &width, &count) < 3)
            continue;
        for (unsigned i = 0; i < count; i++) {
            size_t used = strlen(text);

            snprintf(text + used, size - used, "%s%c%+d:%u", used ? " " : "", kind, at + (int)(i * width), width);
        }
    }
}

/* Counts of a replay. */
struct tally { unsigned agreed, skipped, beyond; };

static bool gave_up(const char *outcome)
{
    return starts(outcome, "EMUFAIL") || is(outcome, "#UD") || is(outcome, "UC_ERR_INSN_INVALID") ||
           starts(outcome, "LIVELOCK");
}

static void replay_row(const struct split_policy *policy, const struct row *row, struct tally *tally)
{
    struct description d = describe(row);
    char predicted[4096] = "", measured[4096] = "";
    bool gives_up = false;

    if (row->width > 64 || !d.n || (!is(row->outcome, "ok") && !gave_up(row->outcome))) {
        tally->skipped++;
        return;
    }
    for (unsigned i = 0; i < d.n && !gives_up; i++) {
        struct access access = make_access(d.access[i].type, d.access[i].form, row->width ? row->width : 1, 0);
        struct split_list list;

        access.flags = d.access[i].flags;
        access.element = d.element;
        if (access.flags & TRANSACTION_MASKED)
            access.enables = d.enables & bits_mask(access.width);
        if (!place(&access, row->placement)) {
            tally->skipped++;
            return;
        }
        split(policy, 0, &access, &list);
        gives_up = list.gives_up;
        print_fragments(predicted, sizeof(predicted), &list, list.seen);
    }
    if (gave_up(row->outcome) && !gives_up) { /* an instruction the peer lacks: not a matter of its operand */
        tally->beyond++;
        return;
    }
    expand_callbacks(measured, sizeof(measured), starts(row->callbacks, "R+0:4 xLIVELOCK") ? "R+0:4" : row->callbacks);
    if (gives_up == gave_up(row->outcome) && is(predicted, measured)) {
        tally->agreed++;
        return;
    }
    ck_abort_msg("%s: %s, %s %s: predicted %s%s, measured %s %s", policy->name, row->insn, row->setup, row->placement,
                 gives_up ? "(gives up) " : "", predicted, row->outcome, measured);
}

static FILE *open_source(const char *name)
{
    const char *source = getenv("WIDELOAD_SOURCE");
    char path[1024];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", source ? source : ".", name);
    file = fopen(path, "r");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    return file;
}

/* Cuts a line at its tabs in place. */
static unsigned cut_columns(char *line, char **column, unsigned max)
{
    unsigned n = 0;

    line[strcspn(line, "\n")] = 0;
    for (char *p = line; p && n < max;)
        column[n++] = strsep(&p, "\t");
    return n;
}

/* Which columns of a table hold a row; `kind` is the column that must read `wants`, if any. */
struct table {
    const char *file;
    const struct split_policy *policy;
    const char *wants, *device;
    unsigned kind, placement, outcome, callbacks, least; /* least: rows that must agree */
    uint8_t widths;
};

static const struct table tables[] = {
    { "tests/vectors/kvm-6.18-mmio.tsv", &split_kvm, NULL, NULL, 0, 5, 6, 7, 1400, W_ALL },
    { "tests/vectors/kvm-6.18-mmio.tsv", &split_kvm, NULL, NULL, 0, 5, 8, 9, 1300, W_ALL },
    { "tests/vectors/qemu-10.0.2-mmio.tsv", &split_qemu, "tcg", "pc-testdev", 5, 8, 9, 10, 1500, W1 | W2 | W4 },
    { "tests/vectors/qemu-10.0.2-mmio.tsv", &split_qemu, "tcg", "nvme", 5, 8, 9, 10, 100, W2 | W4 | W8 },
    { "tests/vectors/qemu-10.0.2-mmio.tsv", &split_qemu, "tcg", "e1000", 5, 8, 9, 10, 100, W4 },
    { "tests/vectors/qemu-10.0.2-mmio.tsv", &split_qemu, "tcg", "vga-lowmem", 5, 8, 9, 10, 100, W1 },
    { "tests/vectors/bochs-unicorn-mmio.tsv", &split_bochs, "bochs", NULL, 5, 6, 7, 8, 1500, W_ALL },
    { "tests/vectors/bochs-unicorn-mmio.tsv", &split_unicorn, "unicorn", NULL, 5, 6, 7, 8, 1000, W_ALL },
};

/* Measured, but not the policy's doing. */
static bool is_out_of_scope(const struct table *table, const char *insn, const char *placement)
{
    if (table->device && !is(table->device, "pc-testdev") && is(placement, "pd"))
        return true; /* offsets in these rows are physical */
    if (table->device && is(table->device, "nvme") && is(placement, "mr"))
        return true; /* a widened callback would leave the region: QEMU drops it */
    return table->policy == &split_unicorn && starts(insn, "maskmovq"); /* does nothing there */
}

START_TEST(split_peers_agree_with_measurement)
{
    const struct table *table = &tables[_i];
    FILE *file = open_source(table->file);
    struct tally tally = { 0 };
    char *line = NULL, *column[12];
    size_t size = 0;

    test_ops.limits = (struct region_limits){ .widths = table->widths };
    while (getline(&line, &size, file) > 0) {
        struct row row;

        if (*line == '#' || cut_columns(line, column, 12) < 10 || is(column[1], "category") ||
            is(column[1], "scenario") || (table->wants && !is(column[table->kind], table->wants)) ||
            (table->device && !is(column[6], table->device)))
            continue;
        if (is_out_of_scope(table, column[3], column[table->placement]))
            continue;
        row = (struct row){
            .category = column[1], .width = strtoul(column[2], NULL, 10), .insn = column[3], .setup = column[4],
            .placement = column[table->placement], .outcome = column[table->outcome],
            .callbacks = column[table->callbacks],
        };
        replay_row(table->policy, &row, &tally);
    }
    free(line);
    fclose(file);
    printf("# %s %s: %u rows agree, %u are instructions it lacks, %u not replayed\n", table->policy->name,
           table->device ? table->device : "", tally.agreed, tally.beyond, tally.skipped);
    ck_assert_uint_ge(tally.agreed, table->least);
}
END_TEST

/* -- the table in docs/journey.md ------------------------------------------------------------------------------ */

static const struct region_limits registers = { .widths = W_REGISTERS };
static const struct region_limits dwords = { .widths = W4 };
static const struct region_limits anything = {
    .widths = W_ALL, .flags = REGION_UNALIGNED | REGION_ODD | REGION_ENABLES, .types = 0x7c,
    .atomic_widths = W4 | W8 | W16,
};

struct example {
    const char *name;
    const struct region_limits *limits;
    enum transaction_type type;
    enum access_form form;
    unsigned width, offset, first; /* first: bytes on the first page, 0 = all */
    uint64_t enables;              /* 0: not masked */
};

static const struct example examples[] = {
    { "`mov rax,[m]`, m = 1 mod 8", &registers, TRANSACTION_LOAD, FORM_PLAIN, 8, 65, 0, 0 },
    { "`movdqu [m],xmm0` aligned", &dwords, TRANSACTION_STORE, FORM_VECTOR, 16, 64, 0, 0 },
    { "`movdqu xmm0,[m]`, 7 + 9 across a page", &anything, TRANSACTION_LOAD, FORM_VECTOR, 16, 0, 7, 0 },
    { "`movdqu [m],xmm0`, 7 + 9 across a page", &anything, TRANSACTION_STORE, FORM_VECTOR, 16, 0, 7, 0 },
    { "`vmovdqu [m],ymm0` aligned", &anything, TRANSACTION_STORE, FORM_VECTOR, 32, 64, 0, 0 },
    { "`vpmaskmovd [m],ymm1,ymm0`, lanes 0, 2, 3", &anything, TRANSACTION_STORE, FORM_MASKED, 32, 64, 0, 0xff0f },
    { "`lock xadd [m],rax`", &anything, TRANSACTION_FETCH_ADD, FORM_RMW, 8, 64, 0, 0 },
    { "the same", &registers, TRANSACTION_FETCH_ADD, FORM_RMW, 8, 64, 0, 0 },
    { "`movdir64b`", &anything, TRANSACTION_DIRECT_STORE, FORM_DIRECT, 64, 64, 0, 0 },
    { "`sldt [m]`", &registers, TRANSACTION_STORE, FORM_SELECTOR, 2, 64, 0, 0 },
    { "`insw`, memory side", &registers, TRANSACTION_STORE, FORM_STRING_IO, 2, 64, 0, 0 },
    { "`clflush [m]`", &registers, TRANSACTION_LOAD, FORM_HINT, 1, 64, 0, 0 },
};

/* How many fragments from i on continue each other: same type, width and kind, each behind the one before. */
static unsigned run_of_fragments(const struct split_list *list, unsigned i)
{
    const struct split_fragment *f = &list->fragment[i];
    unsigned n = 1;

    while (i + n < list->n && f[n].type == f->type && f[n].width == f->width && f[n].phantom == f->phantom &&
           f[n].at == f->at + (int)(n * f->width))
        n++;
    return n < 3 ? 1 : n;
}

/* A cell: the tables' notation, A fetch-add, D direct store, phantoms in parentheses. */
static void print_cell(char *text, size_t size, const struct split_policy *policy, unsigned arg,
                       const struct access *access)
{
    struct split_list list;
    unsigned n;

    split(policy, arg, access, &list);
    snprintf(text, size, "%s", list.gives_up ? "gives up" : list.n ? "" : "nothing");
    for (unsigned i = 0; i < list.n && !list.gives_up; i += n) {
        const struct split_fragment *f = &list.fragment[i];
        size_t used = strlen(text);
        char times[16] = "";

        n = run_of_fragments(&list, i);
        if (n > 1)
            snprintf(times, sizeof(times), "x%u", n);
        snprintf(text + used, size - used, "%s%s%c%+d:%u%s%s", used ? " " : "", f->phantom ? "(" : "",
                 "RWAXCDE"[f->type], f->at, f->width, times, f->phantom ? ")" : "");
    }
}

static void print_example(char *line, size_t size, const struct example *e)
{
    static const char *const columns[] = { "whole", "natural", "bus:8", "pcie", "kvm", "qemu", "bochs", "unicorn" };
    struct access access = e->first ? two_pieces(e->width, e->first, &range_region, &range_region)
                                    : one_piece(e->type, e->width, e->offset);

    access.type = e->type;
    access.form = e->form;
    if (e->enables) {
        access.enables = e->enables;
        access.flags = TRANSACTION_MASKED;
        access.element = 4;
    }
    test_ops.limits = *e->limits;
    snprintf(line, size, "| %s | %s |", e->name,
             e->limits == &anything ? "anything" : e->limits == &dwords ? "4" : "1..8");
    for (unsigned i = 0; i < ARRAY_LEN(columns); i++) {
        unsigned arg;
        const struct split_policy *policy = split_find(columns[i], &arg);
        char cell[512];

        print_cell(cell, sizeof(cell), policy, arg, &access);
        snprintf(line + strlen(line), size - strlen(line), " %s |", cell);
    }
}

/* Also prints the rows, as TAP comments, so that they can be pasted when a policy changes. */
START_TEST(split_table_in_the_documentation_is_true)
{
    FILE *file = open_source("docs/journey.md");
    char text[65536] = "", missing[2048] = "";

    ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
    fclose(file);
    for (unsigned i = 0; i < ARRAY_LEN(examples); i++) {
        char line[2048];

        print_example(line, sizeof(line), &examples[i]);
        printf("# %s\n", line);
        if (!strstr(text, line))
            memcpy(missing, line, sizeof(missing));
    }
    fflush(stdout); /* a failure does not */
    ck_assert_msg(!*missing, "not in docs/journey.md: %s", missing);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("split");
    TCase *exact = tcase_create("exact"), *types = tcase_create("types"), *peer = tcase_create("peers");
    SRunner *runner = srunner_create(suite);
    int failed, n = ARRAY_LEN(exact_policies);

    tcase_set_timeout(exact, 120);
    tcase_set_timeout(peer, 120);
    tcase_add_loop_test(exact, split_exact_policies_cover_every_width_offset_and_limit, 0, n);
    tcase_add_loop_test(exact, split_exact_policies_cover_exactly_the_enabled_bytes, 0, n);
    tcase_add_loop_test(exact, split_exact_policies_cut_at_every_page_edge, 0, n);
    tcase_add_test(exact, split_names_page_and_edge);
    tcase_add_test(types, split_atomic_goes_typed_where_the_region_takes_it);
    tcase_add_test(types, split_atomic_elsewhere_is_a_locked_load_and_a_locked_store);
    tcase_add_test(types, split_misaligned_atomic_is_never_typed);
    tcase_add_test(types, split_enqueue_is_never_cut);
    tcase_add_test(types, split_direct_store_becomes_stores_where_the_region_has_no_such_type);
    tcase_add_test(types, split_find_knows_its_names);
    tcase_add_loop_test(peer, split_peers_cover_every_byte, 0, ARRAY_LEN(peers));
    tcase_add_loop_test(peer, split_peers_cover_every_enabled_lane, 0, ARRAY_LEN(peers));
    tcase_add_test(peer, split_every_policy_survives_missing_pieces);
    tcase_add_loop_test(peer, split_peers_agree_with_measurement, 0, ARRAY_LEN(tables));
    tcase_add_test(peer, split_table_in_the_documentation_is_true);
    suite_add_tcase(suite, exact);
    suite_add_tcase(suite, types);
    suite_add_tcase(suite, peer);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
