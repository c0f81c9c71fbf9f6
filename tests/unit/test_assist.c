/*
 * test_assist.c - every row of KVM's measured table on KVM with assist, against the interpreter.
 *
 * The device takes everything whole.  In each row that KVM alone fails, or whose access it cannot say as it is, the device
 * must be sent the same, and the end, registers and RAM must be the same.  In the other rows assist has no part; where KVM
 * does something else there (docs/findings.md), the row is listed in $BUILD/$OBJ/assist-cplN.txt.
 */
#include "lib/scene_compare.h"

#include "kvm/kvm.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vectors table;
static struct snippet forms[VECTOR_FORMS];
static struct scene alone, kvm;

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static FILE *open_list(int ring)
{
    const char *build = getenv("BUILD"), *folder = getenv("OBJ");
    char path[1024];

    snprintf(path, sizeof(path), "%s/%s/assist-cpl%d.txt", build ? build : ".", folder ? folder : "obj", ring);
    return fopen(path, "w");
}

START_TEST(assist_rows_that_kvm_fails_or_cuts_are_whole)
{
    enum guest_ring ring = _i ? GUEST_CPL3 : GUEST_CPL0;
    unsigned rows = 0, same = 0, fails = 0, cuts = 0, missed = 0;
    char why[1024], first[1200] = "";
    FILE *list = open_list(_i ? 3 : 0);

    for (size_t i = 0; i < table.n; i++) {
        const struct vector_row *row = &table.row[i];
        bool ours;

        if (is(row->outcome[_i], "n/a") || is(row->outcome[_i], "-"))
            continue;
        scene_run(&alone, row, &forms[row->id], ring, &split_whole);
        scene_run(&kvm, row, &forms[row->id], ring, &split_whole);
        scene_compare(&alone, &kvm, why, sizeof(why));
        ours = scene_kvm_fails(row, (unsigned)_i) || scene_kvm_cuts(&alone, row, (unsigned)_i);
        rows++;
        same += !*why;
        fails += scene_kvm_fails(row, (unsigned)_i);
        cuts += scene_kvm_cuts(&alone, row, (unsigned)_i);
        missed += ours && *why;
        if (ours && *why && !*first)
            snprintf(first, sizeof(first), "%u %s %s: %s", row->id, row->placement, row->insn, why);
        if (*why && list)
            fprintf(list, "%u\t%s\t%s\t%s\t%s\t%s\n", row->id, row->placement, row->insn, row->setup, row->outcome[_i], why);
    }
    if (list)
        fclose(list);
    printf("# summary CPL %d: %u rows that KVM fails and %u that it cuts, %u of them not as they should be; %u of all %u rows the same\n",
           _i ? 3 : 0, fails, cuts, missed, same, rows);
    ck_assert_msg(fails > 900 && cuts > 80, "only %u and %u rows", fails, cuts);
    ck_assert_msg(!missed, "%u rows, first: %s", missed, first);
}
END_TEST

int main(void)
{
    struct kvm_probe probe;
    struct err err;
    Suite *suite = suite_create("assist");
    TCase *rows = tcase_create("rows");
    SRunner *runner;
    int failed;

    kvm_probe(&probe);
    if (probe.kind == KVM_KIND_NONE || !assemble_available()) {
        printf("1..0 # SKIP %s\n", probe.kind == KVM_KIND_NONE ? probe.why : "no assembler (as) on this host");
        return 0;
    }
    if (!vectors_load(&table, VECTORS_KVM)) {
        printf("1..1\nnot ok 1 tables\n");
        return 1;
    }
    scene_collect_forms(&table, forms);
    if (!scene_assemble_forms(forms) || !scene_create(&kvm, &engine_kvm, &err) || !scene_create(&alone, &engine_interp, &err)) {
        printf("1..1\nnot ok 1 assembler or guest\n");
        return 1;
    }
    vcpu_set_cpuid(&alone.g.vcpu, &kvm.g.vcpu.cpuid);
    tcase_set_timeout(rows, 300);
    tcase_add_loop_test(rows, assist_rows_that_kvm_fails_or_cuts_are_whole, 0, 2);
    suite_add_tcase(suite, rows);
    runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    scene_destroy(&alone);
    scene_destroy(&kvm);
    vectors_free(&table);
    return failed ? 1 : 0;
}
