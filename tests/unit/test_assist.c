/*
 * test_assist.c - every row of KVM's measured table on KVM with assist, against the interpreter.
 *
 * The device takes everything whole.  In each row that KVM alone fails, or whose access it cannot say as it is, the device
 * must be sent the same, and the end, registers and RAM must be the same.  In the other rows assist has no part; where KVM
 * does something else there (docs/findings.md), the row is listed in $BUILD/$OBJ/assist-cplN.txt.
 */
#include "lib/scene.h"

#include "fuzz/undefined.h"
#include "kvm/kvm.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vectors table;
static struct snippet forms[VECTOR_FORMS];
static struct scene alone, kvm;

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

/* -- two scenes --------------------------------------------------------------------------------------------------------- */

static bool same_transaction(const struct transaction *a, const struct transaction *b)
{
    return a->type == b->type && a->width == b->width && a->flags == b->flags && a->offset == b->offset && a->enables == b->enables &&
           !memcmp(&a->data, &b->data, a->width) && (a->type != TRANSACTION_COMPARE_SWAP || !memcmp(&a->compare, &b->compare, a->width));
}

static bool same_transactions(char *why, size_t size)
{
    const struct recorder *a = &alone.recorder, *b = &kvm.recorder;

    for (unsigned i = 0; i < bits_min(bits_min(a->transactions, b->transactions), RECORDS); i++)
        if (!same_transaction(&a->transaction[i], &b->transaction[i])) {
            snprintf(why, size, "transaction %u: type %d of %u bytes at %+d, not type %d of %u bytes at %+d", i, (int)b->transaction[i].type,
                     b->transaction[i].width, scene_operand_offset(&kvm, (unsigned)b->transaction[i].offset), (int)a->transaction[i].type,
                     a->transaction[i].width, scene_operand_offset(&alone, (unsigned)a->transaction[i].offset));
            return false;
        }
    if (a->transactions != b->transactions)
        snprintf(why, size, "%u transactions, not %u", b->transactions, a->transactions);
    return a->transactions == b->transactions;
}

/* "" or what differs.  Not IOPL, which some KVMs do not show at CPL 3. */
static void compare(char *why, size_t size)
{
    char ours[64], theirs[64], ram[2][VECTOR_TEXT];

    *why = 0;
    scene_print_outcome(&alone, ours, sizeof(ours));
    scene_print_outcome(&kvm, theirs, sizeof(theirs));
    scene_ram_changed(&alone, ram[0], sizeof(ram[0]));
    scene_ram_changed(&kvm, ram[1], sizeof(ram[1]));
    if (!is(ours, theirs) || alone.end.error != kvm.end.error)
        snprintf(why, size, "ends with %s error %x, not %s error %x", theirs, kvm.end.error, ours, alone.end.error);
    else if (!same_transactions(why, size))
        return;
    else if (!is(ram[0], ram[1]))
        snprintf(why, size, "RAM changed %.100s, not %.100s", ram[1], ram[0]);
    else
        cpu_compare(&alone.g.vcpu.cpu, &kvm.g.vcpu.cpu, undefined_flags(&alone.insn, &alone.before) | FLAG_IOPL, why, size);
}

/* Did KVM fail in this row?  A fault is an answer, if sometimes a wrong one. */
static bool kvm_fails(const struct vector_row *row, unsigned column) { return !is(row->outcome[column], "ok") && row->outcome[column][0] != '#'; }

/* Or was there something that it cannot say? */
static bool kvm_cuts(const struct vector_row *row, unsigned column)
{
    for (unsigned i = 0; is(row->outcome[column], "ok") && i < bits_min(alone.recorder.transactions, RECORDS); i++)
        if (alone.recorder.transaction[i].width > 8 || alone.recorder.transaction[i].type > TRANSACTION_STORE)
            return true;
    return false;
}

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
        compare(why, sizeof(why));
        ours = kvm_fails(row, (unsigned)_i) || kvm_cuts(row, (unsigned)_i);
        rows++;
        same += !*why;
        fails += kvm_fails(row, (unsigned)_i);
        cuts += kvm_cuts(row, (unsigned)_i);
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
