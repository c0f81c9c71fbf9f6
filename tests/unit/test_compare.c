/* test_compare.c - verdicts on pairs of journeys, each built by hand. */
#include "diff/compare.h"

#include <check.h>
#include <string.h>

static struct journey soft, kvm;

static void setup(void)
{
    journey_init(&soft);
    journey_init(&kvm);
    soft.engine = ENGINE_INTERP;
    kvm.engine = ENGINE_KVM;
    soft.rip = kvm.rip = 0x1000;
}

static void teardown(void)
{
    journey_free(&soft);
    journey_free(&kvm);
}

/* A load or store whose bytes are `first`, `first` + 1, ... */
static struct journey_access make(enum transaction_type type, uint64_t address, unsigned width, unsigned first)
{
    struct journey_access a = { .type = type, .width = width, .address = address, .enables = bits_mask(width) };

    for (unsigned i = 0; i < width; i++)
        a.data.b[i] = first + i;
    return a;
}

static void add(struct journey *j, enum transaction_type type, uint64_t address, unsigned width, unsigned first)
{
    struct journey_access a = make(type, address, width, first);

    journey_add_whole(j, &a);
}

static void add_port(struct journey *j, uint64_t port, unsigned width, unsigned first)
{
    struct journey_access a = make(TRANSACTION_LOAD, port, width, first);

    a.space = REGION_PIO;
    journey_add_whole(j, &a);
}

static void expect(enum verdict verdict, const char *cause)
{
    struct comparison c = compare_journeys(&soft, &kvm);

    ck_assert_int_eq(c.verdict, verdict);
    ck_assert_str_eq(c.cause, cause);
}

START_TEST(compare_equal_journeys_are_same)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 8, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 8, 1);
    expect(VERDICT_SAME, "");
}
END_TEST

START_TEST(compare_sixteen_against_eight_and_eight_is_refragmented)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 16, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 8, 1);
    add(&kvm, TRANSACTION_STORE, 0x8008, 8, 9);
    expect(VERDICT_REFRAGMENTED, "interp sent store of 16 bytes where kvm sent store of 8");
}
END_TEST

START_TEST(compare_halves_in_the_other_order_diverge)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 16, 1);
    add(&kvm, TRANSACTION_STORE, 0x8008, 8, 9);
    add(&kvm, TRANSACTION_STORE, 0x8000, 8, 1);
    expect(VERDICT_DIVERGENT, "interp stored 01 at 8000, kvm stored 09 at 8008");
}
END_TEST

START_TEST(compare_one_other_byte_diverges_and_is_named)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 4, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 2, 1);
    add(&kvm, TRANSACTION_STORE, 0x8002, 2, 7);
    expect(VERDICT_DIVERGENT, "interp stored 03 at 8002, kvm stored 07 at 8002");
}
END_TEST

START_TEST(compare_typed_atomic_against_load_and_store_is_refragmented)
{
    struct journey_access a = make(TRANSACTION_FETCH_ADD, 0x8000, 2, 0);

    a.data.h[0] = 0x01ff;
    a.operand.h[0] = 1;
    journey_add_whole(&soft, &a);
    a = make(TRANSACTION_LOAD, 0x8000, 2, 0);
    a.data.h[0] = 0x01ff;
    journey_add_whole(&kvm, &a);
    a = make(TRANSACTION_STORE, 0x8000, 2, 0);
    a.data.h[0] = 0x0200;
    journey_add_whole(&kvm, &a);
    expect(VERDICT_REFRAGMENTED, "interp sent fetch-add of 2 bytes where kvm sent load of 2");
}
END_TEST

START_TEST(compare_failed_compare_swap_stores_the_old_value)
{
    struct journey_access a = make(TRANSACTION_COMPARE_SWAP, 0x8000, 4, 5);

    a.operand.w[0] = 0x11111111;
    journey_add_whole(&soft, &a);
    add(&kvm, TRANSACTION_LOAD, 0x8000, 4, 5);
    add(&kvm, TRANSACTION_STORE, 0x8000, 4, 5);
    expect(VERDICT_REFRAGMENTED, "interp sent compare-swap of 4 bytes where kvm sent load of 4");
}
END_TEST

START_TEST(compare_merged_ins_is_refragmented)
{
    for (unsigned i = 0; i < 5; i++) {
        add_port(&soft, 0x60, 2, 2 * i);
        add(&soft, TRANSACTION_STORE, 0x8000 + 2 * i, 2, 2 * i);
    }
    for (unsigned i = 0; i < 5; i++)
        add_port(&kvm, 0x60, 2, 2 * i);
    add(&kvm, TRANSACTION_STORE, 0x8000, 8, 0);
    add(&kvm, TRANSACTION_STORE, 0x8008, 2, 8);
    expect(VERDICT_REFRAGMENTED, "port and memory accesses of a string instruction interleave otherwise");
}
END_TEST

START_TEST(compare_kvm_read_before_sldt_store_is_a_phantom)
{
    struct comparison c;

    add(&soft, TRANSACTION_STORE, 0x8000, 2, 1);
    add(&kvm, TRANSACTION_LOAD, 0x8000, 4, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 2, 1);
    expect(VERDICT_REFRAGMENTED, "kvm read 4 bytes from 8000 that the instruction does not ask for");
    c = compare_journeys(&soft, &kvm);
    ck_assert_uint_eq(c.phantoms[0], 0);
    ck_assert_uint_eq(c.phantoms[1], 4);
}
END_TEST

START_TEST(compare_clflush_against_nothing_is_a_phantom)
{
    struct comparison c;

    add(&kvm, TRANSACTION_LOAD, 0x8000, 1, 1);
    c = compare_journeys(NULL, &kvm);
    ck_assert_int_eq(c.verdict, VERDICT_REFRAGMENTED);
    ck_assert_uint_eq(c.phantoms[1], 1);
}
END_TEST

START_TEST(compare_soft_engine_that_reads_more_diverges)
{
    add(&soft, TRANSACTION_LOAD, 0x8000, 1, 1);
    expect(VERDICT_DIVERGENT, "interp loaded 01 at 8000, kvm nothing");
}
END_TEST

START_TEST(compare_kvm_store_too_many_diverges)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 1, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 1, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 1, 1);
    expect(VERDICT_DIVERGENT, "kvm stored 01 at 8000, interp nothing");
}
END_TEST

START_TEST(compare_marked_phantoms_are_counted_not_compared)
{
    struct journey_access a = make(TRANSACTION_STORE, 0x8000, 2, 1);
    const struct journey_fragment f[] = {
        { .width = 2, .type = TRANSACTION_STORE, .reason = SPLIT_PEER, .phantom = true, .address = 0x8000 },
        { .width = 2, .type = TRANSACTION_STORE, .reason = SPLIT_WHOLE, .address = 0x8000 },
    };
    struct comparison c;

    journey_add(&soft, &a, f, 2);
    journey_add_whole(&kvm, &a);
    c = compare_journeys(&soft, &kvm);
    ck_assert_int_eq(c.verdict, VERDICT_SAME);
    ck_assert_uint_eq(c.phantoms[0], 2);
}
END_TEST

START_TEST(compare_giving_up_is_inexpressible)
{
    add(&soft, TRANSACTION_LOAD, 0x8000, 32, 1);
    kvm.gave_up = g_strdup("emulation failure");
    expect(VERDICT_INEXPRESSIBLE, "kvm: emulation failure");
}
END_TEST

/* KVM's halves of a 16-byte access, refused by a region that takes 16 bytes alone. */
static void add_refused_halves(enum transaction_type type, uint64_t address, unsigned first)
{
    for (unsigned half = 0; half < 2; half++) {
        struct journey_access a = make(type, address + half * 8, 8, first + half * 8);

        a.result = TRANSACTION_ERROR;
        journey_add_whole(&kvm, &a);
    }
}

START_TEST(compare_refused_halves_of_the_same_bytes_are_inexpressible)
{
    add(&soft, TRANSACTION_LOAD, 0x8000, 16, 1);
    add_refused_halves(TRANSACTION_LOAD, 0x8000, 0x80); /* all ones in earnest: loaded values do not count */
    ck_assert_int_eq(compare_journeys(&soft, &kvm).verdict, VERDICT_INEXPRESSIBLE);
}
END_TEST

START_TEST(compare_refused_elsewhere_diverges)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 16, 1);
    add_refused_halves(TRANSACTION_STORE, 0x9000, 1);
    ck_assert_int_eq(compare_journeys(&soft, &kvm).verdict, VERDICT_DIVERGENT);
}
END_TEST

START_TEST(compare_refused_with_other_data_diverges)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 16, 1);
    add_refused_halves(TRANSACTION_STORE, 0x8000, 2);
    ck_assert_int_eq(compare_journeys(&soft, &kvm).verdict, VERDICT_DIVERGENT);
}
END_TEST

START_TEST(compare_rip_counts_unless_it_is_after)
{
    add(&soft, TRANSACTION_STORE, 0x8000, 1, 1);
    add(&kvm, TRANSACTION_STORE, 0x8000, 1, 1);
    kvm.rip = 0x1003;
    expect(VERDICT_DIVERGENT, "interp is at rip 1000, kvm at 1003");
    kvm.rip_after = true;
    expect(VERDICT_SAME, "");
}
END_TEST

START_TEST(compare_flags_count_between_soft_engines_only)
{
    struct journey_access a = make(TRANSACTION_STORE, 0x8000, 4, 1);

    journey_add_whole(&kvm, &a);
    a.flags = TRANSACTION_LOCKED;
    journey_add_whole(&soft, &a);
    expect(VERDICT_SAME, "");
    kvm.engine = ENGINE_JIT;
    expect(VERDICT_DIVERGENT, "access 0 at 8000 differs in its flags");
}
END_TEST

START_TEST(compare_masked_bytes_do_not_count)
{
    struct journey_access a = make(TRANSACTION_STORE, 0x8000, 8, 1);

    a.enables = 0xf0;
    a.flags = TRANSACTION_MASKED;
    journey_add_whole(&soft, &a);
    add(&kvm, TRANSACTION_STORE, 0x8004, 4, 5);
    expect(VERDICT_REFRAGMENTED, "interp sent store of 8 bytes where kvm sent store of 4");
}
END_TEST

START_TEST(compare_counts_add_up)
{
    struct compare_counts counts = { 0 };
    struct comparison c = { .verdict = VERDICT_REFRAGMENTED, .phantoms = { 0, 4 } };

    compare_count(&counts, &c);
    c = (struct comparison){ .verdict = VERDICT_SAME };
    compare_count(&counts, &c);
    ck_assert_uint_eq(counts.verdict[VERDICT_REFRAGMENTED], 1);
    ck_assert_uint_eq(counts.verdict[VERDICT_SAME], 1);
    ck_assert_uint_eq(counts.phantom_journeys, 1);
    ck_assert_uint_eq(counts.phantoms[1], 4);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        compare_equal_journeys_are_same,
        compare_sixteen_against_eight_and_eight_is_refragmented,
        compare_halves_in_the_other_order_diverge,
        compare_one_other_byte_diverges_and_is_named,
        compare_typed_atomic_against_load_and_store_is_refragmented,
        compare_failed_compare_swap_stores_the_old_value,
        compare_merged_ins_is_refragmented,
        compare_kvm_read_before_sldt_store_is_a_phantom,
        compare_clflush_against_nothing_is_a_phantom,
        compare_soft_engine_that_reads_more_diverges,
        compare_kvm_store_too_many_diverges,
        compare_marked_phantoms_are_counted_not_compared,
        compare_giving_up_is_inexpressible,
        compare_refused_halves_of_the_same_bytes_are_inexpressible,
        compare_refused_elsewhere_diverges,
        compare_refused_with_other_data_diverges,
        compare_rip_counts_unless_it_is_after,
        compare_flags_count_between_soft_engines_only,
        compare_masked_bytes_do_not_count,
        compare_counts_add_up,
    };
    Suite *suite = suite_create("compare");
    TCase *all = tcase_create("compare");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(all, setup, teardown);
    for (unsigned i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(all, tests[i]);
    suite_add_tcase(suite, all);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
