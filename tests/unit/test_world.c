/* test_world.c - CPUs that run at the same time keep out of each other's way: what softmmu/exclusion.h promises, with real threads. */
#include "world.h"

#include "code.h"
#include "tlb.h"
#include "vcpu.h"

#include <check.h>
#include <stdlib.h>

enum { THREADS = 4, TIMES = 20000, RARE = 64 };

static struct world world;
static pthread_barrier_t begin;
static unsigned inside, alone, using; /* counted by the threads themselves */
static unsigned long changed, used;
static bool wrong;

static void kick(void *opaque) { (void)opaque; }

/* A device's access: nobody else is at one, and it may have others stand still. */
static void access_device(unsigned i)
{
    struct exclusion *x = &world.exclusion;

    exclusion_devices(x, true);
    exclusion_devices(x, true);
    wrong |= __atomic_add_fetch(&using, 1, __ATOMIC_SEQ_CST) != 1;
    used++;
    exclusion_devices(x, false);
    if (i % (RARE * RARE) == 0) {
        exclusion_others(x, true);
        changed++;
        exclusion_others(x, false);
    }
    __atomic_sub_fetch(&using, 1, __ATOMIC_SEQ_CST);
    exclusion_devices(x, false);
}

/* Nobody runs meanwhile, and nobody else does this. */
static void change_for_all(void)
{
    struct exclusion *x = &world.exclusion;

    __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    exclusion_others(x, true);
    exclusion_others(x, true);
    wrong |= __atomic_add_fetch(&alone, 1, __ATOMIC_SEQ_CST) != 1;
    changed++;
    exclusion_others(x, false);
    wrong |= __atomic_load_n(&inside, __ATOMIC_SEQ_CST) != 0;
    __atomic_sub_fetch(&alone, 1, __ATOMIC_SEQ_CST);
    exclusion_others(x, false);
    __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
}

static void *run(void *opaque)
{
    pthread_barrier_wait(&begin);
    for (unsigned i = 1; i <= TIMES; i++) {
        world_enter(&world);
        __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
        wrong |= __atomic_load_n(&alone, __ATOMIC_SEQ_CST) != 0;
        if (i % RARE == 0)
            change_for_all();
        __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
        if (i % 4 == 0)
            access_device(i);
        world_leave(&world);
    }
    return opaque;
}

START_TEST(threads_keep_out_of_each_others_way)
{
    pthread_t thread[THREADS];

    world_init(&world, kick, NULL);
    pthread_barrier_init(&begin, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, run, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ck_assert(!wrong);
    ck_assert_uint_eq(used, (unsigned long)THREADS * (TIMES / 4));
    ck_assert_uint_eq(changed, (unsigned long)THREADS * (TIMES / RARE + TIMES / (RARE * RARE)));
    ck_assert_uint_eq(world.running, 0);
    world_free(&world);
}
END_TEST

/* -- what is changed for all ------------------------------------------------------------------------------------------------ */

static struct { unsigned still, depth, devices; } seen;
static void note_devices(struct exclusion *x, bool on) { (void)x, seen.devices += on; }
static void note_others(struct exclusion *x, bool still)
{
    (void)x;
    seen.still += still;
    seen.depth += still ? 1 : -1u;
}

static struct exclusion noting = { note_devices, note_others };
static struct phys phys;
static struct vcpu *cpu[2];
static uint8_t ram[4 * PAGE_BYTES];
static struct phys_memory memory = { .name = "ram", .size = sizeof(ram), .read = ram, .write = ram, .enabled = true };
static unsigned dropped;

/* All stand still then, and the map and the marks are looked at. */
static void on_dropped(void *opaque, uint64_t gpa, unsigned width)
{
    (void)opaque, (void)gpa, (void)width;
    ck_assert_uint_eq(seen.depth, 1);
    dropped++;
}

static void setup(void)
{
    seen.still = seen.depth = seen.devices = dropped = 0;
    phys_init(&phys);
    phys_add_memory(&phys, &memory);
    for (unsigned i = 0; i < 2; i++) {
        cpu[i] = calloc(1, sizeof(*cpu[i]));
        vcpu_init(cpu[i], &phys);
        vcpu_place(cpu[i], i, 2, cpu[0]);
        cpu[i]->bus.exclusion = &noting;
        code_init(&cpu[i]->code, on_dropped, NULL);
    }
    phys.exclusion = &noting;
}

static void teardown(void)
{
    for (unsigned i = 0; i < 2; i++) {
        vcpu_free(cpu[i]);
        free(cpu[i]);
    }
    phys_free(&phys);
}

START_TEST(the_first_code_of_a_page_has_others_stand_still)
{
    tlb_translate(&cpu[1]->mmu, 0x1000, ACCESS_READ | ACCESS_WRITE, BANK_SUPERVISOR);
    ck_assert(tlb_hit(&cpu[1]->mmu, 0x1000, 8, TLB_WRITE));
    ck_assert(mmu_mark_code(&cpu[0]->mmu, 0x1040, 8));
    ck_assert_uint_eq(seen.still, 1);
    ck_assert(!tlb_hit(&cpu[1]->mmu, 0x1000, 8, TLB_WRITE));
    ck_assert(!mmu_mark_code(&cpu[0]->mmu, 0x1080, 8));
    ck_assert_uint_eq(seen.still, 1);
}
END_TEST

START_TEST(a_write_to_anybodys_code_does_too_and_one_beside_it_does_not)
{
    mmu_mark_code(&cpu[0]->mmu, 0x1040, 8);
    seen.still = 0;
    mmu_written(&cpu[1]->mmu, 0x1000, 8);
    ck_assert_uint_eq(seen.still, 0);
    mmu_written(&cpu[1]->mmu, 0x1040, 1);
    ck_assert_uint_eq(seen.still, 1);
    ck_assert_uint_eq(dropped, 1);
}
END_TEST

/* Where nobody may look in between, the list is made at once. */
START_TEST(the_map_is_whole_when_others_go_on)
{
    phys_memory_changed(&phys);
    ck_assert(!phys.stale && seen.still == 1 && !seen.depth);
}
END_TEST

/* No lock of ours is needed, so plain stores of other CPUs' may come between. */
START_TEST(atomics_on_marked_memory_are_compare_and_swap)
{
    struct access a;

    memset(ram, 0, sizeof(ram));
    mmu_mark_code(&cpu[0]->mmu, 0x1000, 1);
    for (unsigned width = 1; width <= 16; width *= 2) {
        access_begin(&a, TRANSACTION_FETCH_ADD, 0x1010, width);
        a.flags = TRANSACTION_LOCKED;
        a.data.b[0] = 3;
        ck_assert(access_prepare(&cpu[1]->mmu, &a, ACCESS_READ | ACCESS_WRITE));
        ck_assert_int_eq(access_perform(&cpu[1]->mmu, &a), TRANSACTION_OK);
        ck_assert_uint_eq(a.data.b[0], ram[0x1010] - 3);
    }
    ck_assert_uint_eq(ram[0x1010], 15);
    ck_assert_uint_eq(seen.devices, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("world");
    TCase *threads = tcase_create("threads"), *all = tcase_create("for all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(threads, 120);
    tcase_add_test(threads, threads_keep_out_of_each_others_way);
    suite_add_tcase(suite, threads);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, the_first_code_of_a_page_has_others_stand_still);
    tcase_add_test(all, a_write_to_anybodys_code_does_too_and_one_beside_it_does_not);
    tcase_add_test(all, the_map_is_whole_when_others_go_on);
    tcase_add_test(all, atomics_on_marked_memory_are_compare_and_swap);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
