/*
 * test_vectors.c - every row of the measured tables, carried out by the interpreter and the JIT.
 *
 * First wideload itself: the same bytes reach the device as on KVM (where KVM can) or on Bochs, the same RAM changes,
 * the same exception; and whenever there is an exception, nobody has seen anything.  Then its predictions: what KVM,
 * QEMU, Bochs and Unicorn would have shown their devices, row by row.
 *
 * Counts are held to tests/vectors/expected; rows that differ are listed in $BUILD/$OBJ/vectors-NAME.txt, except those that
 * tests/vectors/peer-bugs.tsv explains.
 */
#include "lib/scene.h"
#include "lib/which_engine.h"

#include "x86/insns.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct vectors tables[3];
static struct snippet forms[VECTOR_FORMS];
static struct scene scene;

static bool is(const char *a, const char *b) { return !strcmp(a, b); }
static bool starts(const char *text, const char *with) { return !strncmp(text, with, strlen(with)); }

/* -- counts ----------------------------------------------------------------------------------------------------------- */

/*
 * rows       that could be compared
 * agreed     as measured
 * live       the device itself saw what was measured, without the help of predict(), under the peer's policy
 * lacking    the instruction has no row in insns.def: our CPU raises #UD
 * bugs       explained in peer-bugs.tsv
 */
struct counts { unsigned rows, agreed, live, lacking, bugs, differing; };

struct report {
    const char *name;
    struct counts counts;
    FILE *list;
};

static struct report report_begin(const char *name)
{
    const char *build = getenv("BUILD"), *folder = getenv("OBJ");
    struct report r = { .name = name };
    char path[1024];

    snprintf(path, sizeof(path), "%s/%s/vectors-%s.txt", build ? build : ".", folder ? folder : "obj", name);
    r.list = fopen(path, "w");
    return r;
}

static void report_lacking(struct report *r, const struct vector_row *row)
{
    if (r->list && is(row->placement, "al"))
        fprintf(r->list, "# not implemented: %s\n", row->insn);
    r->counts.lacking++;
}

static void report_differing(struct report *r, const struct vector_row *row, const char *why, const char *ours,
                             const char *theirs)
{
    r->counts.differing++;
    if (r->list)
        fprintf(r->list, "%u\t%s\t%s\t%s\t%s\n\tours      %s\n\tmeasured  %s\n", row->id, row->placement, row->insn,
                row->setup, why, ours, theirs);
}

/* The line of tests/vectors/expected: name, rows that agree and that agree live at least, rows that differ at most. */
static bool expected_counts(const char *name, struct counts *c)
{
    char path[1024], line[256], word[64];
    bool found = false;
    FILE *f;

    vectors_path(path, sizeof(path), "tests/vectors/expected");
    f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof(line), f))
        found = sscanf(line, "%63s %u %u %u", word, &c->agreed, &c->live, &c->differing) == 4 && is(word, name);
    if (f)
        fclose(f);
    return found;
}

static void report_end(struct report *r)
{
    struct counts want = { 0 };
    const struct counts *c = &r->counts;

    if (r->list)
        fclose(r->list);
    printf("# summary %-10s %5u rows: %5u agree (%5u live), %4u peer bugs, %4u differ; %4u of instructions not implemented\n",
           r->name, c->rows, c->agreed, c->live, c->bugs, c->differing, c->lacking);
    fflush(stdout);
    ck_assert_msg(expected_counts(r->name, &want), "%s is not in tests/vectors/expected", r->name);
    ck_assert_msg(c->differing <= want.differing, "%s: %u rows differ, expected %u (see vectors-%s.txt)", r->name,
                  c->differing, want.differing, r->name);
    ck_assert_msg(c->agreed >= want.agreed, "%s: %u rows agree, expected %u", r->name, c->agreed, want.agreed);
    ck_assert_msg(c->live >= want.live, "%s: %u rows agree live, expected %u", r->name, c->live, want.live);
}

/* -- peers' bugs ------------------------------------------------------------------------------------------------------ */

/* Is `word` in a comma-separated list, or the list a star? */
static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);

    if (is(list, "*"))
        return true;
    for (const char *p = list; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
        if (!strncmp(p, word, n) && (!p[n] || p[n] == ','))
            return true;
    return false;
}

static bool in_ranges(const char *ranges, unsigned id)
{
    for (const char *p = ranges; p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
        unsigned from, to;
        int n = sscanf(p, "%u-%u", &from, &to);

        if (n && id >= from && id <= (n == 2 ? to : from))
            return true;
    }
    return false;
}

/* tests/vectors/peer-bugs.tsv: ids, placements, policies, reason. */
static bool is_peer_bug(const char *name, const struct vector_row *row)
{
    static char lines[256][512];
    static unsigned n;
    char path[1024];

    if (!n) {
        FILE *f;

        vectors_path(path, sizeof(path), "tests/vectors/peer-bugs.tsv");
        f = fopen(path, "r");
        while (f && n < ARRAY_LEN(lines) && fgets(lines[n], sizeof(lines[n]), f))
            n += lines[n][0] != '#' && lines[n][0] != '\n';
        if (f)
            fclose(f);
    }
    for (unsigned i = 0; i < n; i++) {
        char ids[256], places[128], policies[128];

        if (sscanf(lines[i], "%255[^\t]\t%127[^\t]\t%127[^\t]", ids, places, policies) == 3 && in_ranges(ids, row->id) &&
            listed(places, row->placement) && listed(policies, name))
            return true;
    }
    return false;
}

/* -- outcomes --------------------------------------------------------------------------------------------------------- */

static bool is_lacking(const char *outcome) { return is(outcome, "#UD") && !insn_find(scene.insn.mnemonic); }

/* -- wideload itself -------------------------------------------------------------------------------------------------- */

struct byte_lists { char loads[VECTOR_TEXT], stores[VECTOR_TEXT]; };

static int compare_int(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Offsets in ascending order; `once`: each one time. */
static void print_offsets(char *text, size_t size, int *offset, unsigned n, bool once)
{
    *text = 0;
    qsort(offset, n, sizeof(*offset), compare_int);
    for (unsigned i = 0; i < n; i++)
        if (!once || !i || offset[i] != offset[i - 1])
            vectors_append(text, size, "%+d", offset[i]);
}

static bool loads_once; /* the row's peer reads some bytes more than once, or more than the instruction needs */

static void seen_bytes(struct byte_lists *lists)
{
    static int offset[ARRAY_LEN(scene.recorder.load)];
    const struct recorder *r = &scene.recorder;

    for (unsigned i = 0; i < r->loads; i++)
        offset[i] = scene_operand_offset(&scene, r->load[i].offset);
    print_offsets(lists->loads, sizeof(lists->loads), offset, r->loads, loads_once);
    for (unsigned i = 0; i < r->stores; i++)
        offset[i] = scene_operand_offset(&scene, r->store[i].offset);
    print_offsets(lists->stores, sizeof(lists->stores), offset, r->stores, false);
}

static unsigned token_offsets(const char *text, char direction, int *offset, unsigned max)
{
    struct vector_token t;
    unsigned n = 0;

    while ((text = vectors_next(text, &t)))
        for (unsigned i = 0; i < t.count * t.width && !t.port && t.direction == direction && n < max; i++)
            offset[n++] = t.at + (int)i;
    return n;
}

static void measured_bytes(const char *exits, struct byte_lists *lists)
{
    static int offset[4096];
    unsigned n = token_offsets(exits, 'R', offset, ARRAY_LEN(offset));

    print_offsets(lists->loads, sizeof(lists->loads), offset, n, loads_once);
    n = token_offsets(exits, 'W', offset, ARRAY_LEN(offset));
    print_offsets(lists->stores, sizeof(lists->stores), offset, n, false);
}

static bool is_partial(const struct vector_row *row)
{
    return strstr(row->insn, "rep") || strstr(row->insn, "gather") || strstr(row->insn, "scatter");
}

/* Loads that the architecture does not ask for, and that must not be seen here. */
static bool loads_are_phantoms(const struct vector_row *row, bool kvm)
{
    static const char *const bochs[] = { "vpmaskmovd [", "vmaskmovps [", "maskmov", "vmovdqu8 [rdi]{", "ins" };
    static const char *const by_kvm[] = { "clflush", "sldt", "str " };

    for (unsigned i = 0; i < ARRAY_LEN(by_kvm) && kvm; i++)
        if (starts(row->insn, by_kvm[i]))
            return true;
    for (unsigned i = 0; i < ARRAY_LEN(bochs) && !kvm; i++)
        if (starts(row->insn, bochs[i]))
            return true;
    return false;
}

/* An end that the table can vouch for. */
static bool is_end(const char *outcome)
{
    return is(outcome, "ok") || starts(outcome, "#PF") || is(outcome, "#BP") || is(outcome, "#GP");
}

/*
 * The measurement to compare with: KVM's where KVM completes; the processor's own page fault at CPL 3; Bochs'; QEMU's.
 * NULL if nobody can do it.  KVM's vendor module refuses port instructions at CPL 3: CPL 0 stands for them.
 */
static const char *truth(const struct vector_row *row, enum guest_ring ring, const char **exits, bool *kvm)
{
    const struct vector_row *bochs = vectors_find(&tables[VECTORS_BOCHS], row->id, row->placement, "bochs");
    const struct vector_row *qemu = vectors_find(&tables[VECTORS_QEMU], row->id, row->placement, "tcg");
    unsigned column = is(row->category, "stringio") ? 0 : ring;
    const char *outcome = row->outcome[column];

    *kvm = is_end(outcome);
    *exits = row->exits[column];
    if (*kvm || starts(outcome = row->outcome[1], "#PF"))
        return outcome;
    if (bochs && is_end(bochs->outcome[0])) {
        *exits = bochs->exits[0];
        return bochs->outcome[0];
    }
    *exits = qemu ? qemu->exits[0] : NULL;
    return qemu && is_end(qemu->outcome[0]) ? qemu->outcome[0] : NULL;
}

/* The page fault of an x87 or XSAVE area may name its first or its last bad byte: hardware says the last. */
static bool same_end(const char *expected, const char *outcome)
{
    bool saves = strstr(scene.insn.mnemonic ? decode_mnemonic_name(scene.insn.mnemonic) : "", "env") ||
                 scene.insn.mnemonic == ZYDIS_MNEMONIC_FNSAVE || scene.insn.mnemonic == ZYDIS_MNEMONIC_FRSTOR;

    return is(expected, outcome) || (saves && starts(expected, "#PF") && starts(outcome, "#PF"));
}

/*
 * RAM changes as measured?  A byte that a copy happened not to change was not measured, and long lists end in "...".
 */
static bool same_changes(const char *ours, const char *measured)
{
    while (*ours && *measured && measured[strcspn(measured, ",.")] != '.') {
        char *next;
        long at = strtol(ours, &next, 10), theirs = strtol(measured, NULL, 10);

        if (ours[0] == '-' && !ours[1])
            return measured[0] == '-' && !measured[1];
        if (at == theirs) {
            measured += strcspn(measured, ",");
            measured += *measured == ',';
        } else if (at < 100000) {
            return false;
        }
        ours = *next ? next + 1 : next;
    }
    return measured[strcspn(measured, ",.")] == '.' || (!*measured && (!*ours || atol(ours) >= 100000));
}

/* Data of KVM's writes, byte by byte, against what the recorder saw; "" or the first difference. */
static void compare_data(const struct vector_row *row, char *why, size_t size)
{
    const struct recorder *r = &scene.recorder;
    const char *data = row->write_data, *text = row->exits[0];
    struct vector_token t;
    unsigned n = 0;

    while (!is(data, "-") && (text = vectors_next(text, &t))) {
        for (unsigned i = 0; i < t.count && !t.port && t.direction == 'W'; i++) {
            size_t digits = strcspn(data, " ");

            for (unsigned at = 0; at < t.width && 2 * at + 2 <= digits; at++, n++) {
                unsigned value;

                sscanf(data + digits - 2 * at - 2, "%2x", &value);
                if (n < r->stores && r->store[n].value != value)
                    snprintf(why, size, "store byte %u is %02x, measured %02x", n, r->store[n].value, value);
            }
            data += digits + (data[digits] == ' ');
        }
    }
}

/* What CPL 3 stores differently. */
static bool data_depends_on_ring(const struct vector_row *row)
{
    return is(row->insn, "pushfq") || starts(row->insn, "mov [rdi],ds");
}

static bool is_one_operand(const struct vector_row *row)
{
    static const char *const categories[] = { "load", "store", "aluload", "bmi", "mmx", "sse", "avx", "avx512", "direct" };

    if (strstr(row->insn, "gather") || strstr(row->insn, "scatter") || row->width > 64)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(categories); i++)
        if (is(row->category, categories[i]))
            return true;
    return false;
}

/* "" or what is wrong with how the row's instruction went. */
static void judge_fault(const struct vector_row *row, char *why, size_t size)
{
    char changed[VECTOR_TEXT];

    scene_ram_changed(&scene, changed, sizeof(changed));
    if (!is_partial(row) && (scene.recorder.transactions || !is(changed, "-")))
        snprintf(why, size, "faults, but %u transactions and RAM %.200s", scene.recorder.transactions, changed);
}

/* Where no measurement says what to expect: one operand is at most one transaction. */
static void judge_alone(const struct vector_row *row, char *why, size_t size)
{
    if (is_one_operand(row) && scene.recorder.transactions > 1 && row->placement[0] != 'p')
        snprintf(why, size, "%u transactions", scene.recorder.transactions);
}

static void judge_completion(const struct vector_row *row, enum guest_ring ring, const char *exits, bool kvm, char *ours,
                             char *theirs, char *why, size_t size)
{
    static struct byte_lists seen, measured;
    char changed[VECTOR_TEXT];
    bool phantoms = loads_are_phantoms(row, kvm);

    loads_once = phantoms || strstr(row->insn, "xrstor");
    seen_bytes(&seen);
    measured_bytes(exits, &measured);
    if (phantoms)
        measured.loads[0] = 0;
    snprintf(ours, VECTOR_TEXT, "R %.8000s W %.8000s", seen.loads, seen.stores);
    snprintf(theirs, VECTOR_TEXT, "R %.8000s W %.8000s", measured.loads, measured.stores);
    if (!is(ours, theirs))
        snprintf(why, size, "other bytes");
    else if (kvm && !(ring && data_depends_on_ring(row)))
        compare_data(row, why, size);
    scene_ram_changed(&scene, changed, sizeof(changed));
    if (kvm && is(row->outcome[0], "ok") && !same_changes(changed, row->ram_changed) && row->ram_changed[0] != '(')
        snprintf(why, size, "RAM changed %.200s, measured %.200s", changed, row->ram_changed);
    judge_alone(row, why, size);
}

static void run_row(struct report *r, const struct vector_row *row, enum guest_ring ring)
{
    char outcome[64], why[1024] = "", ours[VECTOR_TEXT] = "", theirs[VECTOR_TEXT] = "";
    const char *exits, *expected;
    bool kvm;

    scene_run(&scene, row, &forms[row->id], ring, &split_whole);
    expected = truth(row, ring, &exits, &kvm);
    scene_print_outcome(&scene, outcome, sizeof(outcome));
    if (is_lacking(outcome)) {
        report_lacking(r, row);
        if (scene.recorder.transactions)
            report_differing(r, row, "#UD, but a device was touched", "", "");
        return;
    }
    r->counts.rows++;
    if (expected && !same_end(expected, outcome)) {
        snprintf(why, sizeof(why), "another end");
        snprintf(ours, sizeof(ours), "%s", outcome);
        snprintf(theirs, sizeof(theirs), "%s (%s)", expected, kvm ? "KVM" : "Bochs");
    } else if (!is(outcome, "ok")) {
        judge_fault(row, why, sizeof(why));
    } else if (expected) {
        judge_completion(row, ring, exits, kvm, ours, theirs, why, sizeof(why));
    } else {
        judge_alone(row, why, sizeof(why));
    }
    if (!*why)
        r->counts.agreed++, r->counts.live++;
    else if (is_peer_bug(r->name, row))
        r->counts.bugs++;
    else
        report_differing(r, row, why, ours, theirs);
}

START_TEST(vectors_instructions_do_what_hardware_does)
{
    enum guest_ring ring = _i ? GUEST_CPL3 : GUEST_CPL0;
    struct report r = report_begin(_i ? "whole-cpl3" : "whole-cpl0");

    for (size_t i = 0; i < tables[VECTORS_KVM].n; i++) {
        const struct vector_row *row = &tables[VECTORS_KVM].row[i];

        if (!is(row->outcome[_i], "n/a") && !is(row->outcome[_i], "-"))
            run_row(&r, row, ring);
    }
    report_end(&r);
}
END_TEST

/* -- peers ------------------------------------------------------------------------------------------------------------ */

/* One column of a table, and the peer it shows. */
static const struct column {
    const char *name;
    enum vector_table table;
    const char *kind, *device;
    const struct split_policy *policy;
    enum guest_ring ring;
    uint8_t widths;        /* of the device's callbacks; W_ALL: no matter */
    uint8_t recut;         /* QEMU behind KVM: its memory core's widths */
    uint8_t valid_min;     /* QEMU: callbacks of fewer bytes are dropped */
    bool nvme;             /* its registers end after two pages: see nvme_sees() */
    bool constant;         /* it reads the same everywhere */
} columns[] = {
    { "kvm-cpl0", VECTORS_KVM, NULL, NULL, &split_kvm, GUEST_CPL0, W_ALL, 0, 0, false, false },
    { "kvm-cpl3", VECTORS_KVM, NULL, NULL, &split_kvm, GUEST_CPL3, W_ALL, 0, 0, false, false },
    { "qemu", VECTORS_QEMU, "tcg", "pc-testdev", &split_qemu, GUEST_CPL0, W1 | W2 | W4, 0, 0, false, false },
    { "qemu-nvme", VECTORS_QEMU, "tcg", "nvme", &split_qemu, GUEST_CPL0, W2 | W4 | W8, 0, 0, true, false },
    { "qemu-e1000", VECTORS_QEMU, "tcg", "e1000", &split_qemu, GUEST_CPL0, W4, 0, 0, false, false },
    { "qemu-vga", VECTORS_QEMU, "tcg", "vga-lowmem", &split_qemu, GUEST_CPL0, W1, 0, 0, false, false },
    { "qemu-edu", VECTORS_QEMU, "tcg", "edu", &split_qemu, GUEST_CPL0, W_REGISTERS, 0, 4, false, false },
    { "qemu-kvm", VECTORS_QEMU, "kvm", "pc-testdev", &split_kvm, GUEST_CPL0, W_ALL, W1 | W2 | W4, 0, false, false },
    { "bochs", VECTORS_BOCHS, "bochs", NULL, &split_bochs, GUEST_CPL0, W_ALL, 0, 0, false, false },
    { "unicorn", VECTORS_BOCHS, "unicorn", NULL, &split_unicorn, GUEST_CPL0, W_ALL, 0, 0, false, true },
};

/*
 * The measured nvme registers are two pages.  Placements pf, qf, hf put the operand's first page on the second of
 * them, so that a widened callback leaves the region and is dropped; mr's device page lies beyond, and so does the
 * second page of pw and rw; the two pages of pd are one, and offsets are physical.
 */
static bool nvme_sees(const struct vector_row *row, const struct predict_step *step)
{
    bool second = step->address >= SCENE_OPERAND + PAGE_BYTES;

    if (is(row->placement, "mr"))
        return false;
    if (is(row->placement, "pw") || is(row->placement, "rw"))
        return !second;
    if (strchr("pqh", row->placement[0]) && row->placement[1] == 'f')
        return step->address + step->width <= SCENE_OPERAND + PAGE_BYTES;
    return true;
}

static int step_offset(const struct column *c, const struct vector_row *row, const struct predict_step *step)
{
    int at = (int)(step->address - scene.operand);

    if (c->nvme && is(row->placement, "pd") && step->address >= SCENE_OPERAND + PAGE_BYTES)
        at -= (int)PAGE_BYTES;
    return at;
}

/* A prediction in the column's notation; QEMU's ports are bytes. */
static void print_prediction(const struct column *c, const struct vector_row *row, const struct prediction *p, char *text,
                             size_t size)
{
    *text = 0;
    for (unsigned i = 0; i < p->n; i++) {
        const struct predict_step *step = &p->step[i];
        char direction = step->type == TRANSACTION_LOAD ? 'R' : 'W';

        if (c->nvme && !nvme_sees(row, step))
            continue;
        if (!step->port)
            vectors_append(text, size, "%c%+d:%u", direction, step_offset(c, row, step), step->width);
        else if (c->table == VECTORS_KVM)
            vectors_append(text, size, "IO%c:%u*%u", direction, step->width, step->count);
        else
            vectors_append(text, size, "IO%c:%x.%u", direction, (unsigned)step->address, step->width);
    }
}

/* What the recorder saw; an atomic is a load and a store. */
static void print_seen(char *text, size_t size)
{
    *text = 0;
    for (unsigned i = 0; i < scene.recorder.transactions; i++) {
        const struct transaction *t = &scene.recorder.transaction[i];
        bool atomic = t->type == TRANSACTION_FETCH_ADD || t->type == TRANSACTION_SWAP || t->type == TRANSACTION_COMPARE_SWAP;
        int at = scene_operand_offset(&scene, (unsigned)t->offset);

        if (t->type == TRANSACTION_LOAD || atomic)
            vectors_append(text, size, "R%+d:%u", at, t->width);
        if (t->type != TRANSACTION_LOAD)
            vectors_append(text, size, "W%+d:%u", at, t->width);
    }
}

static void predict_row(struct report *r, const struct column *c, const struct vector_row *row)
{
    static struct prediction p;
    char outcome[64], ours[VECTOR_TEXT], theirs[VECTOR_TEXT], seen[VECTOR_TEXT];
    struct region_limits limits = scene.recorder.ops.limits;

    scene.constant = c->constant;
    scene.recorder.ops.limits.widths = c->widths;
    scene_run(&scene, row, &forms[row->id], c->ring, c->policy);
    scene_print_outcome(&scene, outcome, sizeof(outcome));
    print_seen(seen, sizeof(seen));
    predict(c->policy, 0, &scene.insn, &scene.before, scene.access, scene.accesses, &p);
    scene.recorder.ops.limits = limits;
    if (is_lacking(outcome)) {
        report_lacking(r, row);
        return;
    }
    r->counts.rows++;
    if (c->recut)
        predict_recut(&p, &(struct region_limits){ .widths = c->recut });
    if (c->valid_min)
        predict_drop_invalid(&p, c->valid_min);
    print_prediction(c, row, &p, ours, sizeof(ours));
    vectors_expand(row->exits[c->table == VECTORS_KVM ? c->ring : 0], theirs, sizeof(theirs));
    if (strlen(row->exits[0]) > 3 && is(row->exits[0] + strlen(row->exits[0]) - 3, "...")) {
        *strrchr(theirs, ' ') = 0; /* the list was too long for the table, and cut within a token */
        ours[bits_min(strlen(ours), strlen(theirs))] = 0;
    }
    r->counts.live += is(outcome, "ok") && is(seen, theirs);
    if (is(outcome, "ok") && !p.gives_up && is(ours, theirs))
        r->counts.agreed++;
    else if (is_peer_bug(r->name, row))
        r->counts.bugs++;
    else
        report_differing(r, row, is(outcome, "ok") ? p.gives_up ? "predicted to give up" : "" : outcome, ours, theirs);
}

START_TEST(vectors_peers_are_predicted)
{
    const struct column *c = &columns[_i];
    const struct vectors *v = &tables[c->table];
    struct report r = report_begin(c->name);

    for (size_t i = 0; i < v->n; i++) {
        const struct vector_row *row = &v->row[i];

        if ((!c->kind || is(row->kind, c->kind)) && (!c->device || is(row->device, c->device)) &&
            is(row->outcome[c->table == VECTORS_KVM ? c->ring : 0], "ok"))
            predict_row(&r, c, row);
    }
    report_end(&r);
}
END_TEST

/* -- all of it -------------------------------------------------------------------------------------------------------- */

static bool prepare(void)
{
    struct err err;

    for (int i = VECTORS_KVM; i <= VECTORS_BOCHS; i++) {
        if (!vectors_load(&tables[i], (enum vector_table)i))
            return false;
        scene_collect_forms(&tables[i], forms);
    }
    return scene_assemble_forms(forms) && scene_create(&scene, test_engine(), &err);
}

int main(void)
{
    Suite *suite = suite_create("vectors");
    TCase *whole = tcase_create("whole"), *peers = tcase_create("peers");
    SRunner *runner;
    int failed;

    if (!assemble_available()) {
        printf("1..0 # SKIP no assembler (as) on this host\n");
        return 0;
    }
    if (test_engine_skips())
        return 0;
    if (!prepare()) {
        printf("1..1\nnot ok 1 tables, assembler or guest\n");
        return 1;
    }
    tcase_set_timeout(whole, 120);
    tcase_set_timeout(peers, 120);
    tcase_add_loop_test(whole, vectors_instructions_do_what_hardware_does, 0, 2);
    tcase_add_loop_test(peers, vectors_peers_are_predicted, 0, ARRAY_LEN(columns));
    suite_add_tcase(suite, whole);
    suite_add_tcase(suite, peers);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    scene_destroy(&scene);
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++)
        vectors_free(&tables[i]);
    return failed ? 1 : 0;
}
