/*
 * test_ir.c - blocks of IR: well-formed and restartable whatever the bytes, flags kept where they can be seen, and the
 * printed form of a few sequences.
 *
 * test_ir                        run the tests
 * test_ir --record FILE...       write the IR of tests/ir/NAME.golden anew, to be read before it is committed
 *
 * A golden file has a line "# mode WORD..." and lines "# XX XX | assembly"; what follows them is the block's IR.
 */
#include "ir/ir.h"
#include "x86/lift.h"

#include <check.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_BYTES = 96, STREAMS = 4000 };
#define CODE_RIP UINT64_C(0x10000)

struct bytes {
    uint8_t byte[CODE_BYTES];
    size_t n;
};

static struct ir_block block;

/* As if the code ended at the last byte: a page that is not there. */
static size_t fetch(void *opaque, uint64_t rip, uint8_t *bytes, size_t n)
{
    const struct bytes *b = opaque;
    uint64_t at = rip - CODE_RIP;

    if (at >= b->n)
        return 0;
    n = n < b->n - at ? n : b->n - at;
    memcpy(bytes, b->byte + at, n);
    return n;
}

static unsigned lift(struct bytes *b, uint32_t mode)
{
    struct lift_source source = { .fetch = fetch, .opaque = b };

    return lift_block(&block, CODE_RIP, mode, BLOCK_INSNS, &source);
}

/* -- random bytes ------------------------------------------------------------------------------------------------------ */

enum { STATE = MODE_OSFXSR | MODE_OSXSAVE | MODE_AVX | MODE_AVX512, FLAT = MODE_FLAT_DATA | MODE_FLAT_CODE };

static const uint32_t modes[] = {
    MODE_CPL0,
    MODE_CPL0 | MODE_CODE32 | MODE_STACK32,
    MODE_VM86 | MODE_USER,
    MODE_PROTECTED | MODE_CPL0 | STATE,
    MODE_PROTECTED | MODE_CPL0 | MODE_CODE32 | MODE_STACK32 | STATE,
    MODE_PROTECTED | MODE_USER | MODE_CODE32 | MODE_STACK32 | FLAT | STATE,
    MODE_PROTECTED | MODE_LONG | MODE_USER | MODE_CODE32 | MODE_STACK32 | FLAT | STATE,
    MODE_PROTECTED | MODE_LONG | MODE_CODE64 | MODE_CPL0 | FLAT | STATE,
    MODE_PROTECTED | MODE_LONG | MODE_CODE64 | MODE_USER | FLAT | STATE | MODE_ALIGN,
    MODE_PROTECTED | MODE_LONG | MODE_CODE64 | MODE_USER | FLAT,
    MODE_PROTECTED | MODE_LONG | MODE_CODE64 | MODE_USER | FLAT | STATE | MODE_TS | MODE_MP,
    MODE_PROTECTED | MODE_LONG | MODE_CODE64 | MODE_USER | FLAT | STATE | MODE_EM,
};

/* Uniform bytes are mostly one-byte opcodes, so some instructions get the beginning of a rarer map. */
static void fill(struct bytes *b)
{
    static const uint8_t begin[][4] = { { 0x0f }, { 0x66, 0x0f }, { 0xf3, 0x0f }, { 0xf2, 0x0f }, { 0x0f, 0x38 },
                                        { 0x66, 0x0f, 0x3a }, { 0x48 }, { 0x48, 0x0f }, { 0xf0 }, { 0xf0, 0x48, 0x0f },
                                        { 0xc5 }, { 0xc4, 0xe1 }, { 0xc4, 0xe2 }, { 0x62, 0xf1 }, { 0x62, 0xf2 }, { 0xf3 } };

    b->n = CODE_BYTES;
    for (size_t i = 0; i < b->n; i++)
        b->byte[i] = (uint8_t)(rand() >> 7);
    for (size_t i = 0; i + 4 < b->n; i += 1 + (unsigned)rand() % 12) {
        const uint8_t *p = begin[(unsigned)rand() % ARRAY_LEN(begin)];

        for (unsigned k = 0; k < 4 && p[k]; k++)
            b->byte[i + k] = p[k];
    }
}

static void assert_operand(ir_operand x)
{
    ck_assert_msg(x == IR_NONE || x < SLOTS || (x >= IR_CONST && x - IR_CONST < (int)block.consts), "operand %x", x);
}

/* What ir.h promises of every block. */
static void assert_well_formed(const struct bytes *b, unsigned n)
{
    uint64_t rip = CODE_RIP;
    const char *wrong = ir_verify(&block);

    ck_assert_msg(!wrong, "%s", wrong);
    ck_assert_uint_eq(block.insns, n);
    for (unsigned i = 0; i < n; i++) {
        ck_assert_uint_eq(block.insn[i].rip, rip);
        rip += block.insn[i].length;
        ck_assert_uint_le(block.insn[i].first, block.ops);
    }
    ck_assert_uint_le(rip - CODE_RIP, b->n);
    ck_assert(ir_ends[block.op[block.ops - 1].op]);
    for (unsigned i = 0; i < block.ops; i++) {
        ck_assert(i == block.ops - 1 || !ir_ends[block.op[i].op]);
        ck_assert_uint_lt(block.op[i].insn, n);
        assert_operand(block.op[i].d);
        assert_operand(block.op[i].a);
        assert_operand(block.op[i].b);
        assert_operand(block.op[i].c);
        ck_assert(block.op[i].d < IR_CONST || block.op[i].d == IR_NONE);
    }
}

/* May somebody outside the block look at the flags as they are before this operation? */
static bool shows_flags(const struct ir_op *o)
{
    return (ir_faults[o->op] && !o->proven) || ir_ends[o->op] || o->op == IR_JCC || o->op == IR_JZ || o->op == IR_JNZ ||
           o->fx == FX_USE || (o->fx == FX_PART && (o->live || ir_uses_carry(o)));
}

/* Flags that were dropped must be set again before anything can see them. */
static void assert_dropped_flags_are_never_seen(void)
{
    for (unsigned i = 0; i < block.ops; i++) {
        if (block.op[i].fx != FX_SET || block.op[i].live)
            continue;
        for (unsigned k = i + 1; k < block.ops; k++) {
            ck_assert_msg(!shows_flags(&block.op[k]), "flags of %s, operation %u, are dropped and %s, operation %u, shows them",
                          ir_names[block.op[i].op], i, ir_names[block.op[k].op], k);
            if (block.op[k].fx == FX_SET)
                break;
        }
    }
}

START_TEST(lift_block_of_random_bytes_is_well_formed_and_restartable)
{
    struct bytes b;

    srand((unsigned)_i + 1);
    for (unsigned n = 0; n < STREAMS; n++) {
        unsigned insns;

        fill(&b);
        insns = lift(&b, modes[_i]);
        if (insns)
            assert_well_formed(&b, insns);
    }
}
END_TEST

START_TEST(ir_optimise_of_random_blocks_drops_no_flags_that_can_be_seen)
{
    struct bytes b;

    srand((unsigned)_i + 1001);
    for (unsigned n = 0; n < STREAMS; n++) {
        fill(&b);
        if (lift(&b, modes[_i]))
            assert_dropped_flags_are_never_seen();
    }
}
END_TEST

/* -- blocks with known properties ----------------------------------------------------------------------------------------- */

#define LIFT(...)                                                                                                      \
    lift(&(struct bytes){ .byte = { __VA_ARGS__ }, .n = sizeof((const uint8_t[]){ __VA_ARGS__ }) }, modes[7])

/* Is the flag result of instruction n's one FX_SET operation kept? */
static bool live(unsigned n)
{
    for (unsigned i = 0; i < block.ops; i++)
        if (block.op[i].insn == n && block.op[i].fx == FX_SET)
            return block.op[i].live;
    ck_abort_msg("instruction %u sets no flags", n);
    return false;
}

START_TEST(ir_optimise_drops_flags_that_are_set_again)
{
    ck_assert_uint_eq(LIFT(0x48, 0x01, 0xd8, 0x48, 0x29, 0xd8, 0xc3), 3); /* add rax, rbx; sub rax, rbx; ret */
    ck_assert(!live(0));
    ck_assert(live(1));
}
END_TEST

START_TEST(ir_optimise_keeps_flags_before_a_load_that_may_fault)
{
    LIFT(0x48, 0x01, 0xd8, 0x48, 0x8b, 0x0b, 0x48, 0x29, 0xd8, 0xc3); /* add; mov rcx, [rbx]; sub; ret */
    ck_assert(live(0));
    LIFT(0x48, 0x01, 0xd8, 0x48, 0x03, 0x0b, 0xc3); /* add rax, rbx; add rcx, [rbx]: the load is before the flags */
    ck_assert(live(0));
    LIFT(0x48, 0x01, 0xd8, 0x48, 0x01, 0x0b, 0xc3); /* add rax, rbx; add [rbx], rcx */
    ck_assert(live(0));
}
END_TEST

START_TEST(ir_optimise_keeps_flags_before_a_division)
{
    LIFT(0x48, 0x01, 0xd8, 0x48, 0xf7, 0xf1, 0x48, 0x29, 0xd8, 0xc3); /* add; div rcx; sub; ret */
    ck_assert(live(0));
}
END_TEST

START_TEST(ir_optimise_keeps_flags_for_a_reader)
{
    LIFT(0x48, 0x01, 0xd8, 0x0f, 0x92, 0xc1, 0x48, 0x29, 0xd8, 0xc3);       /* add; setc cl; sub; ret */
    ck_assert(live(0));
    LIFT(0x48, 0x01, 0xd8, 0x48, 0x11, 0xd8, 0x48, 0x29, 0xd8, 0xc3);       /* add; adc; sub */
    ck_assert(live(0));
    LIFT(0x48, 0x01, 0xd8, 0x48, 0xff, 0xc0, 0x0f, 0x92, 0xc1, 0xc3);       /* add; inc, which keeps CF; setc cl */
    ck_assert(live(0));
    LIFT(0x48, 0x01, 0xd8, 0x48, 0xd3, 0xe0, 0x0f, 0x92, 0xc1, 0xc3);       /* add; shl rax, cl, which may keep all; setc cl */
    ck_assert(live(0));
    LIFT(0x48, 0x01, 0xd8, 0x48, 0xff, 0xc0, 0x48, 0x29, 0xd8, 0xc3);       /* add; inc; sub, which makes all of them anew */
    ck_assert(!live(0));
}
END_TEST

START_TEST(ir_verify_finds_a_faulting_operation_behind_a_register_write)
{
    LIFT(0x48, 0x8b, 0x0b, 0xc3); /* mov rcx, [rbx]; ret */
    ck_assert_ptr_null(ir_verify(&block));
    block.insns = 1;
    block.ops = 0;
    ir_emit(&block, IR_MOV, 8, RAX, RBX, IR_NONE);
    ir_emit(&block, IR_LD, 8, RCX, RBX, IR_NONE);
    ck_assert_ptr_nonnull(ir_verify(&block));
    block.op[1].proven = true;
    ck_assert_ptr_null(ir_verify(&block));
}
END_TEST

START_TEST(lift_block_that_cannot_fetch_its_first_instruction_is_empty)
{
    ck_assert_uint_eq(LIFT(0x48, 0xb8, 0x01), 0);          /* mov rax, imm64, cut off */
    ck_assert_uint_eq(LIFT(0x90, 0x48, 0xb8, 0x01), 1);    /* a nop before it */
}
END_TEST

/* -- golden files -------------------------------------------------------------------------------------------------------------- */

static glob_t golden;

static uint32_t golden_mode(const char *words)
{
    uint32_t mode = MODE_PROTECTED | MODE_CPL0 | STATE;

    if (strstr(words, "real"))
        return MODE_CPL0;
    if (strstr(words, "64"))
        return mode | MODE_LONG | MODE_CODE64 | FLAT;
    return mode | MODE_CODE32 | MODE_STACK32 | (strstr(words, "flat") ? FLAT : 0);
}

/* Reads the head of a golden file, and lifts what it says.  The text behind the head is in *ir. */
static bool golden_lift(const char *path, char *head, size_t head_size, char *ir, size_t size)
{
    FILE *f = fopen(path, "r");
    struct bytes b = { .n = 0 };
    uint32_t mode = 0;
    char line[512];

    if (!f)
        return false;
    *head = *ir = 0;
    while (fgets(line, sizeof(line), f)) {
        bool comment = *line == '#';

        strncat(comment ? head : ir, line, (comment ? head_size - strlen(head) : size - strlen(ir)) - 1);
        if (comment && !strncmp(line, "# mode", 6))
            mode = golden_mode(line);
        else if (comment && strchr(line, '|'))
            for (char *p = line + 1, *end; b.n < CODE_BYTES; p = end) {
                unsigned long byte = strtoul(p, &end, 16);

                if (end == p)
                    break;
                b.byte[b.n++] = (uint8_t)byte;
            }
    }
    fclose(f);
    return mode && lift(&b, mode);
}

static void print_block(char *text, size_t size)
{
    FILE *f = fmemopen(text, size, "w");

    ir_print(&block, f);
    fclose(f);
}

START_TEST(ir_print_of_a_golden_sequence_is_as_recorded)
{
    static char head[4096], want[65536], got[65536];

    ck_assert(golden_lift(golden.gl_pathv[_i], head, sizeof(head), want, sizeof(want)));
    print_block(got, sizeof(got));
    ck_assert_msg(!strcmp(want, got), "%s: the IR is now\n%s", golden.gl_pathv[_i], got);
}
END_TEST

static int record(int n, char **path)
{
    static char head[4096], ir[65536];

    for (int i = 0; i < n; i++) {
        FILE *f;

        if (!golden_lift(path[i], head, sizeof(head), ir, sizeof(ir)) || !(f = fopen(path[i], "w"))) {
            fprintf(stderr, "%s: not a golden file\n", path[i]);
            return 1;
        }
        fputs(head, f);
        ir_print(&block, f);
        fclose(f);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *source = getenv("SRCDIR");
    Suite *suite = suite_create("ir");
    TCase *tc = tcase_create("blocks");
    char pattern[1024];
    SRunner *runner;
    int failed;

    if (argc > 2 && !strcmp(argv[1], "--record"))
        return record(argc - 2, argv + 2);
    snprintf(pattern, sizeof(pattern), "%s/tests/ir/*.golden", source ? source : ".");
    glob(pattern, 0, NULL, &golden);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, lift_block_of_random_bytes_is_well_formed_and_restartable, 0, ARRAY_LEN(modes));
    tcase_add_loop_test(tc, ir_optimise_of_random_blocks_drops_no_flags_that_can_be_seen, 0, ARRAY_LEN(modes));
    tcase_add_test(tc, ir_optimise_drops_flags_that_are_set_again);
    tcase_add_test(tc, ir_optimise_keeps_flags_before_a_load_that_may_fault);
    tcase_add_test(tc, ir_optimise_keeps_flags_before_a_division);
    tcase_add_test(tc, ir_optimise_keeps_flags_for_a_reader);
    tcase_add_test(tc, ir_verify_finds_a_faulting_operation_behind_a_register_write);
    tcase_add_test(tc, lift_block_that_cannot_fetch_its_first_instruction_is_empty);
    tcase_add_loop_test(tc, ir_print_of_a_golden_sequence_is_as_recorded, 0, (int)golden.gl_pathc);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    globfree(&golden);
    return failed ? 1 : 0;
}
