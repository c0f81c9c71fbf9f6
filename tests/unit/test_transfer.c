/*
 * test_transfer.c - control transfers that change CS: far JMP, CALL, RET and IRET, gates, tasks, fast system calls.
 *
 * Each test runs a few bytes of code in a box (tests/lib/box.h).  Expected values are from the Intel SDM: 3A 6.8
 * (privilege and gates), 8 (tasks), and the operation sections of SDM 2.
 */
#include "lib/box.h"
#include "lib/which_engine.h"
#include "x86/segment.h"

#include <check.h>
#include <string.h>

static struct box b;
static struct cpu *const cpu = &b.vcpu.cpu;

static void setup(void) { box_create(&b); }
static void teardown(void) { box_destroy(&b); }

#define CODE(...) BOX_CODE_BYTES(&b, __VA_ARGS__)
#define RUN() box_run(&b, 100)
#define NON_CANONICAL UINT64_C(0x8000000000000000)
enum { TARGET = BOX_FREE + 0x100, SELECTOR_OUTSIDE = 0x1f8, RPL = 3 };

/* -- far JMP and CALL to code segments ------------------------------------------------------------------------------------ */

START_TEST(far_call_and_return_in_real_mode_use_words_and_shifted_selectors)
{
    box_reset(&b, BOX_REAL, 0);
    CODE(0x9a, 0x34, 0x12, 0x00, 0x40); /* call 4000:1234 */
    memcpy(b.ram + 0x41234, "\x90\xcb", 2);
    ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, 0x1234);
    ck_assert_uint_eq(cpu->seg[SEG_CS].base, 0x40000);
    ck_assert_uint_eq(box_frame(&b, 2, 0), 5);
    ck_assert_uint_eq(box_frame(&b, 2, 1), 0x1000);
    box_run(&b, 2);
    ck_assert_uint_eq(cpu->rip, 5);
    ck_assert_uint_eq(cpu->seg[SEG_CS].selector, 0x1000);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - BOX_CODE);
}
END_TEST

/* SDM 2 JMP, CONFORMING- and NONCONFORMING-CODE-SEGMENT; SDM 3A 6.8.1. */
START_TEST(far_jump_checks_type_privilege_presence_and_limit)
{
    static const struct { unsigned cpl; uint16_t selector; uint32_t ar, limit; int vector; uint32_t error; } rows[] = {
        { 0, BOX_OTHER, 0xc09b, 0xfffff, -1, 0 }, { 3, BOX_OTHER | 3, 0xc0fb, 0xfffff, -1, 0 },
        { 3, BOX_OTHER, 0xc0fb, 0xfffff, -1, 0 },                        /* RPL below CPL does not matter */
        { 0, BOX_OTHER | 3, 0xc09b, 0xfffff, 13, BOX_OTHER },            /* RPL above CPL */
        { 3, BOX_OTHER | 3, 0xc09b, 0xfffff, 13, BOX_OTHER }, { 0, BOX_OTHER, 0xc0fb, 0xfffff, 13, BOX_OTHER },
        { 3, BOX_OTHER | 3, 0xc09f, 0xfffff, -1, 0 },                    /* conforming, more privileged */
        { 0, BOX_OTHER, 0xc0ff, 0xfffff, 13, BOX_OTHER },                /* conforming, less privileged */
        { 0, BOX_OTHER, 0xc01b, 0xfffff, 11, BOX_OTHER }, { 0, BOX_OTHER, 0xc093, 0xfffff, 13, BOX_OTHER },
        { 0, BOX_OTHER, 0xc09b, 0x1ff, 13, 0 },                          /* limit 1fffff */
        { 0, 0, 0, 0, 13, 0 }, { 0, SELECTOR_OUTSIDE, 0, 0, 13, SELECTOR_OUTSIDE },
        { 0, BOX_OTHER, 0x008e, 0, 13, BOX_OTHER },                      /* an interrupt gate */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_PROTECTED32, rows[i].cpl);
        if ((rows[i].selector & ~3) == BOX_OTHER)
            box_segment(&b, BOX_OTHER, 0, rows[i].limit, rows[i].ar);
        CODE(0xea, TARGET & 0xff, TARGET >> 8 & 0xff, TARGET >> 16 & 0xff, TARGET >> 24, rows[i].selector & 0xff,
             rows[i].selector >> 8);
        b.ram[TARGET] = 0x90;
        if (rows[i].vector < 0) {
            ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
            ck_assert_msg(cpu->rip == TARGET, "row %u", i);
            ck_assert_uint_eq(cpu->seg[SEG_CS].selector, BOX_OTHER | rows[i].cpl);
            ck_assert_uint_eq(cpu->cpl, rows[i].cpl);
            ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK);
            continue;
        }
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
        ck_assert_uint_eq(box_frame(&b, 4, 0), rows[i].error);
        ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE);
    }
}
END_TEST

START_TEST(far_jump_between_64_bit_and_compatibility_mode)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->slot[RBX] = BOX_DATA;
    box_put(&b, BOX_DATA, 4, TARGET);
    box_put(&b, BOX_DATA + 4, 2, BOX_CODE32);
    CODE(0xff, 0x2b);                                                          /* jmp far [rbx] */
    memcpy(b.ram + TARGET, "\x40\xea\x00\x01\x01\x00\x18\x00", 8);             /* inc eax; jmp 18:10100 */
    memcpy(b.ram + BOX_CODE + 0x100, "\x48\xff\xc1\xf4", 4);                   /* inc rcx; hlt */
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->slot[RAX], 1);
    ck_assert_uint_eq(cpu->slot[RCX], 1);
    ck_assert_uint_eq(cpu->mode & MODE_CODE64, MODE_CODE64);
    box_reset(&b, BOX_LONG, 0);
    cpu->slot[RBX] = BOX_DATA;
    box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xe09b); /* L and D: reserved */
    box_put(&b, BOX_DATA + 4, 2, BOX_OTHER);
    CODE(0xff, 0x2b);
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_OTHER);
}
END_TEST

/* -- call gates -------------------------------------------------------------------------------------------------------------- */

/* call gate: 9a offset selector, in 32-bit code */
static void code_call_gate(uint16_t selector)
{
    CODE(0x9a, 0, 0, 0, 0, selector & 0xff, selector >> 8, 0xcc);
}

static void gate(unsigned type, unsigned dpl, uint16_t selector, uint64_t offset, unsigned count)
{
    box_gate(&b, BOX_GDT + BOX_GATE, type, dpl, selector, offset, count);
}

/* SDM 3A 6.8.5, figure 6-13. */
START_TEST(call_gate_32_to_inner_privilege_copies_parameters_below_the_old_stack)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    gate(GATE_CALL32, 3, BOX_CODE32, TARGET, 3);
    for (unsigned i = 0; i < 4; i++)
        box_put(&b, BOX_STACK + i * 4, 4, 0x11111111 * (i + 1));
    code_call_gate(BOX_GATE | RPL);
    b.ram[TARGET] = 0xf4;
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, TARGET + 1);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->seg[SEG_CS].selector, BOX_CODE32);
    ck_assert_uint_eq(cpu->seg[SEG_SS].selector, BOX_DATA32);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 28);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE + 7);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_USER_CODE32);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(box_frame(&b, 4, 2 + i), 0x11111111 * (i + 1));
    ck_assert_uint_eq(box_frame(&b, 4, 5), BOX_STACK);
    ck_assert_uint_eq(box_frame(&b, 4, 6), BOX_USER_DATA);
}
END_TEST

START_TEST(call_gate_16_pushes_words_and_truncates_the_offset)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    gate(GATE_CALL16, 3, BOX_CODE16, 0x00050200, 2);
    box_put(&b, BOX_STACK, 4, 0x22221111);
    code_call_gate(BOX_GATE | RPL);
    b.ram[BOX_CODE + 0x200] = 0xf4;
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, 0x201);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 12);
    ck_assert_uint_eq(box_frame(&b, 2, 0), (BOX_CODE + 7) & 0xffff);
    ck_assert_uint_eq(box_frame(&b, 2, 1), BOX_USER_CODE32);
    ck_assert_uint_eq(box_frame(&b, 2, 2), 0x1111);
    ck_assert_uint_eq(box_frame(&b, 2, 3), 0x2222);
    ck_assert_uint_eq(box_frame(&b, 2, 4), BOX_STACK & 0xffff);
    ck_assert_uint_eq(box_frame(&b, 2, 5), BOX_USER_DATA);
}
END_TEST

/* 6.8.5.1: 8-byte words, no parameters, SS null; from compatibility mode as well. */
START_TEST(call_gate_64_pushes_quadwords_and_loads_a_null_ss)
{
    for (unsigned i = 0; i < 2; i++) {
        box_reset(&b, i ? BOX_LONG : BOX_COMPATIBILITY, 3);
        gate(GATE_CALL32, 3, BOX_CODE64, TARGET, 5);
        b.ram[TARGET] = 0xf4;
        cpu->slot[RBX] = BOX_DATA;
        box_put(&b, BOX_DATA + 4, 2, BOX_GATE | RPL);
        CODE(0xff, 0x1b, 0xcc); /* call far [rbx] */
        ck_assert_int_eq(RUN(), BOX_NOTHING);
        ck_assert_uint_eq(cpu->rip, TARGET + 1);
        ck_assert_uint_eq(cpu->mode & MODE_CODE64, MODE_CODE64);
        ck_assert_uint_eq(cpu->seg[SEG_SS].selector, 0);
        ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 32);
        ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 2);
        ck_assert_uint_eq(box_frame(&b, 8, 1), i ? BOX_USER_CODE64 : BOX_USER_CODE32);
        ck_assert_uint_eq(box_frame(&b, 8, 2), BOX_STACK);
        ck_assert_uint_eq(box_frame(&b, 8, 3), BOX_USER_DATA);
    }
}
END_TEST

START_TEST(call_gate_to_conforming_or_equal_privilege_stays_on_its_stack)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    gate(GATE_CALL32, 3, BOX_CONFORMING32, TARGET, 3);
    code_call_gate(BOX_GATE | RPL);
    b.ram[TARGET] = 0x90;
    box_run(&b, 2);
    ck_assert_uint_eq(cpu->rip, TARGET + 1);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 8);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_USER_CODE32);
}
END_TEST

START_TEST(call_gate_checks_its_own_dpl_and_its_target)
{
    static const struct { unsigned cpl, rpl, dpl; uint16_t target; unsigned spoil; int vector; uint32_t error; } rows[] = {
        { 3, 3, 2, BOX_CODE32, 0, 13, BOX_GATE }, { 0, 3, 2, BOX_CODE32, 0, 13, BOX_GATE }, /* DPL below CPL, RPL */
        { 3, 3, 3, BOX_CODE32, 1, 11, BOX_GATE },                                            /* not present */
        { 3, 3, 3, 0, 0, 13, 0 }, { 3, 3, 3, BOX_DATA32, 0, 13, BOX_DATA32 }, { 3, 3, 3, SELECTOR_OUTSIDE, 0, 13, SELECTOR_OUTSIDE },
        { 0, 0, 3, BOX_USER_CODE32, 0, 13, BOX_USER_CODE32 & ~3 },                           /* less privileged code */
        { 3, 3, 3, BOX_OTHER, 0, 11, BOX_OTHER },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_PROTECTED32, rows[i].cpl);
        box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xc01b);
        gate(GATE_CALL32, rows[i].dpl, rows[i].target, TARGET, 0);
        if (rows[i].spoil)
            b.ram[BOX_GDT + BOX_GATE + 5] &= 0x7f;
        code_call_gate((uint16_t)(BOX_GATE | rows[i].rpl));
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
        ck_assert_uint_eq(box_frame(&b, 4, 0), rows[i].error);
    }
}
END_TEST

/* JMP through a gate may not change privilege (6.8.4, table 6-4). */
START_TEST(jmp_through_a_call_gate_to_inner_privilege_is_gp)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    gate(GATE_CALL32, 3, BOX_CODE32, TARGET, 0);
    CODE(0xea, 0, 0, 0, 0, BOX_GATE | RPL, 0);
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE32);
    box_reset(&b, BOX_PROTECTED32, 3);
    gate(GATE_CALL32, 3, BOX_CONFORMING32, TARGET, 0);
    CODE(0xea, 0, 0, 0, 0, BOX_GATE | RPL, 0);
    b.ram[TARGET] = 0x90;
    box_run(&b, 2);
    ck_assert_uint_eq(cpu->rip, TARGET + 1);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK);
}
END_TEST

/* 6.8.3.1: a 64-bit gate takes two entries; type bits of the upper must be 0, and it must be inside the table. */
START_TEST(call_gate_64_whose_upper_half_is_bad_is_gp)
{
    for (unsigned i = 0; i < 3; i++) {
        box_reset(&b, BOX_LONG, 3);
        gate(GATE_CALL32, 3, BOX_CODE64, TARGET, 0);
        b.ram[TARGET] = 0xf4;
        if (i == 1)
            b.ram[BOX_GDT + BOX_GATE + 13] = 1;
        if (i == 2)
            cpu->gdtr.limit = BOX_GATE + 7;
        cpu->slot[RBX] = BOX_DATA;
        box_put(&b, BOX_DATA + 4, 2, BOX_GATE | RPL);
        CODE(0xff, 0x1b);
        ck_assert_int_eq(RUN(), i ? 13 : BOX_NOTHING);
        if (i)
            ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_GATE);
    }
}
END_TEST

START_TEST(call_gate_without_room_on_the_inner_stack_is_ss_with_its_selector)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    gate(GATE_CALL32, 3, BOX_CODE32_1, TARGET, 0);
    box_segment(&b, BOX_OTHER, 0, 0x80, 0xc0b3);
    box_put(&b, BOX_TSS + 12, 4, 0x90000); /* ESP1, SS1: outside the limit */
    box_put(&b, BOX_TSS + 16, 2, BOX_OTHER | 1);
    code_call_gate(BOX_GATE | RPL);
    ck_assert_int_eq(RUN(), 12);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_OTHER);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE);
}
END_TEST

/* -- RET and IRET ---------------------------------------------------------------------------------------------------------------- */

static void frame32(unsigned n, ...)
{
    __builtin_va_list list;

    __builtin_va_start(list, n);
    for (unsigned i = 0; i < n; i++)
        box_put(&b, BOX_STACK + i * 4, 4, __builtin_va_arg(list, uint32_t));
    __builtin_va_end(list);
}

/* SDM 2 RET, RETURN-OUTER-PRIVILEGE-LEVEL. */
START_TEST(far_return_to_outer_privilege_releases_both_stacks_and_nulls_inner_segments)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    frame32(6, TARGET, BOX_USER_CODE32, 0xaaaa, 0xbbbb, 0x20000, BOX_USER_DATA);
    box_load(&b, SEG_ES, BOX_USER_DATA);
    box_load(&b, SEG_FS, BOX_CONFORMING32); /* conforming code stays; DS and GS are DPL 0 */
    CODE(0xca, 8, 0);                       /* retf 8 */
    box_run(&b, 1);
    ck_assert_uint_eq(cpu->rip, TARGET);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->slot[RSP], 0x20008);
    ck_assert_uint_eq(cpu->seg[SEG_SS].selector, BOX_USER_DATA);
    ck_assert_uint_eq(cpu->seg[SEG_DS].selector, 0);
    ck_assert_uint_eq(cpu->seg[SEG_DS].ar & AR_UNUSABLE, AR_UNUSABLE);
    ck_assert_uint_eq(cpu->seg[SEG_GS].selector, 0);
    ck_assert_uint_eq(cpu->seg[SEG_ES].selector, BOX_USER_DATA);
    ck_assert_uint_eq(cpu->seg[SEG_FS].selector, BOX_CONFORMING32);
}
END_TEST

START_TEST(far_return_checks_code_and_stack_selectors)
{
    static const struct { unsigned cpl; uint16_t cs, ss; uint32_t rip; int vector; uint32_t error; } rows[] = {
        { 0, 0, BOX_DATA32, TARGET, 13, 0 }, { 0, BOX_DATA32, BOX_DATA32, TARGET, 13, BOX_DATA32 },
        { 3, BOX_CODE32, BOX_DATA32, TARGET, 13, BOX_CODE32 },                     /* to inner privilege */
        { 0, BOX_USER_CODE32 & ~3, BOX_DATA32, TARGET, 13, BOX_USER_CODE32 & ~3 }, /* DPL is not RPL */
        { 0, BOX_USER_CODE32, 0, TARGET, 13, 0 }, { 0, BOX_USER_CODE32, BOX_DATA32, TARGET, 13, BOX_DATA32 },
        { 0, BOX_USER_CODE32, BOX_OTHER | 3, TARGET, 12, BOX_OTHER }, { 0, BOX_OTHER_2, BOX_DATA32, TARGET, 11, BOX_OTHER_2 },
        { 0, BOX_CODE16, BOX_DATA32, 0x10000, 13, 0 },                             /* beyond the limit */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_PROTECTED32, rows[i].cpl);
        box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xc073);
        box_segment(&b, BOX_OTHER_2, 0, 0xfffff, 0xc01b);
        frame32(4, rows[i].rip, rows[i].cs, 0x20000, rows[i].ss);
        CODE(0xcb);
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
        ck_assert_uint_eq(box_frame(&b, 4, 0), rows[i].error);
        ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE);
        if (!rows[i].cpl)
            ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 16);
    }
}
END_TEST

/* SDM 2 IRET: IF by IOPL, IOPL by CPL 0; VM is not taken outside CPL 0. */
START_TEST(iret_takes_the_flags_its_privilege_may_change)
{
    enum { ALL = 0x247fd5 /* not TF, which would trap, nor VM, VIF, VIP */ & ~FLAG_TF & ~FLAG_NT };
    static const struct { unsigned cpl, iopl; uint32_t kept; } rows[] = {
        { 0, 0, 0 }, { 3, 0, FLAG_IF | FLAG_IOPL }, { 3, 3, 0 }, { 1, 0, FLAG_IF | FLAG_IOPL }, { 1, 1, FLAG_IOPL },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t cs = rows[i].cpl == 3 ? BOX_USER_CODE32 : rows[i].cpl == 1 ? BOX_CODE32_1 : BOX_CODE32;
        uint32_t iopl = rows[i].iopl << 12;

        box_reset(&b, BOX_PROTECTED32, rows[i].cpl);
        cpu->rflags |= iopl;
        frame32(3, TARGET, cs, ALL);
        CODE(0xcf);
        box_run(&b, 1);
        ck_assert_uint_eq(cpu->rip, TARGET);
        ck_assert_uint_eq(cpu_rflags(cpu), (ALL & ~rows[i].kept) | FLAG_ONE | (rows[i].kept & FLAG_IOPL ? iopl : 0) |
                                               (rows[i].cpl == 3 && rows[i].iopl == 3 ? FLAG_IOPL : 0));
        ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK + 12);
    }
}
END_TEST

START_TEST(iret_to_vm86_with_eip_beyond_its_limit_is_gp)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    frame32(9, 0x12345, 0x1000, FLAG_VM | FLAG_ONE, 0x8000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000);
    CODE(0xcf);
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), 0);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE);
}
END_TEST

START_TEST(iret_to_vm86_loads_nine_words)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    frame32(9, 0x1234, 0x1000, FLAG_VM | FLAG_IF | FLAG_ONE, 0x8000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000);
    CODE(0xcf);
    box_run(&b, 1);
    ck_assert_uint_eq(cpu->rip, 0x1234);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu_rflags(cpu), FLAG_VM | FLAG_IF | FLAG_ONE);
    ck_assert_uint_eq(cpu->slot[RSP], 0x8000);
    for (unsigned i = 0; i < 6; i++) {
        static const uint8_t order[] = { SEG_CS, SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };

        ck_assert_uint_eq(cpu->seg[order[i]].selector, (i + 1) * 0x1000);
        ck_assert_uint_eq(cpu->seg[order[i]].base, (i + 1) * 0x10000);
        ck_assert_uint_eq(cpu->seg[order[i]].limit, 0xffff);
    }
}
END_TEST

/* In 64-bit mode SS:RSP always comes along, and SS may be null below CPL 3. */
START_TEST(iretq_always_pops_the_stack_and_allows_a_null_ss)
{
    static const struct { uint64_t rip, cs, ss; int vector; uint32_t error; } rows[] = {
        { TARGET, BOX_CODE64, BOX_DATA32, -1, 0 }, { TARGET, BOX_CODE64, 0, -1, 0 }, { TARGET, BOX_USER_CODE64, BOX_USER_DATA, -1, 0 },
        { TARGET, BOX_USER_CODE64, 3, 13, 0 }, { TARGET, BOX_USER_CODE32, BOX_USER_DATA, -1, 0 },
        { NON_CANONICAL, BOX_USER_CODE64, BOX_USER_DATA, 13, 0 }, { BIT(32), BOX_USER_CODE32, BOX_USER_DATA, 13, 0 },
        { TARGET, BOX_USER_CODE64, BOX_DATA32, 13, BOX_DATA32 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        box_put(&b, BOX_STACK, 8, rows[i].rip);
        box_put(&b, BOX_STACK + 8, 8, rows[i].cs);
        box_put(&b, BOX_STACK + 16, 8, FLAG_ONE);
        box_put(&b, BOX_STACK + 24, 8, 0x20000);
        box_put(&b, BOX_STACK + 32, 8, rows[i].ss);
        CODE(0x48, 0xcf);
        if (rows[i].vector < 0) {
            box_run(&b, 1);
            ck_assert_msg(cpu->rip == TARGET, "row %u", i);
            ck_assert_uint_eq(cpu->slot[RSP], 0x20000);
            ck_assert_uint_eq(cpu->cpl, rows[i].cs & 3);
            ck_assert_uint_eq(cpu->seg[SEG_SS].selector, rows[i].ss);
            continue;
        }
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
        ck_assert_uint_eq(box_frame(&b, 8, 0), rows[i].error);
        ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_CODE);
    }
}
END_TEST

START_TEST(iret_with_nt_in_long_mode_is_gp)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->rflags |= FLAG_NT;
    CODE(0x48, 0xcf);
    ck_assert_int_eq(RUN(), 13);
}
END_TEST

/* -- tasks (SDM 3A 8) ---------------------------------------------------------------------------------------------------------------- */

/* A second task at TARGET: 32-bit TSS (figure 8-2). */
static void second_task(void)
{
    static const uint8_t segments[] = { BOX_DATA32, BOX_CODE32, BOX_DATA32, BOX_DATA32, BOX_DATA32, BOX_DATA32 };

    box_put(&b, BOX_TSS_2 + 0x20, 4, TARGET);
    box_put(&b, BOX_TSS_2 + 0x24, 4, FLAG_CF | FLAG_ONE);
    for (unsigned i = 0; i < 8; i++)
        box_put(&b, BOX_TSS_2 + 0x28 + i * 4, 4, i == RSP ? BOX_STACK0 : 0x1000 + i);
    for (unsigned i = 0; i < 6; i++)
        box_put(&b, BOX_TSS_2 + 0x48 + i * 4, 2, segments[i]);
    b.ram[TARGET] = 0xf4;
}

static unsigned tss_type(uint16_t selector) { return box_get(&b, BOX_GDT + selector + 5, 1) & 15; }

/* 8.3 and table 8-2: who is busy, NT and the link after JMP, CALL and an interrupt. */
START_TEST(task_switch_saves_one_task_and_loads_the_other)
{
    enum { JUMP, CALL, GATE, INTERRUPT };

    for (unsigned how = JUMP; how <= INTERRUPT; how++) {
        bool nested = how == CALL || how == INTERRUPT;

        box_reset(&b, BOX_PROTECTED32, 0);
        second_task();
        gate(GATE_TASK, 0, BOX_TR_2, 0, 0);
        box_idt_gate(&b, 0x20, GATE_TASK, 0, BOX_TR_2, 0, 0);
        for (unsigned i = 0; i < 8; i++)
            cpu->slot[i] = i == RSP ? BOX_STACK : 0x2000 + i;
        if (how == INTERRUPT)
            CODE(0xcd, 0x20);
        else
            CODE(how == CALL ? 0x9a : 0xea, 0, 0, 0, 0, how == GATE ? BOX_GATE : BOX_TR_2, 0);
        ck_assert_int_eq(RUN(), BOX_NOTHING);
        ck_assert_uint_eq(cpu->rip, TARGET + 1);
        for (unsigned i = 0; i < 8; i++)
            ck_assert_uint_eq(cpu->slot[i], i == RSP ? BOX_STACK0 : 0x1000 + i);
        ck_assert_uint_eq(cpu_rflags(cpu), FLAG_CF | FLAG_ONE | (nested ? FLAG_NT : 0));
        ck_assert_uint_eq(cpu->cr0 & CR0_TS, CR0_TS);
        ck_assert_uint_eq(cpu->seg[SEG_TR].selector, BOX_TR_2);
        ck_assert_uint_eq(tss_type(BOX_TR_2), 0xb);
        ck_assert_uint_eq(tss_type(BOX_TR), nested ? 0xb : 0x9);
        ck_assert_uint_eq(box_get(&b, BOX_TSS_2, 2), nested ? BOX_TR : 0);
        ck_assert_uint_eq(box_get(&b, BOX_TSS + 0x20, 4), BOX_CODE + (how == INTERRUPT ? 2 : 7));
        ck_assert_uint_eq(box_get(&b, BOX_TSS + 0x28, 4), 0x2000);
        ck_assert_uint_eq(box_get(&b, BOX_TSS + 0x28 + 4 * RSP, 4), BOX_STACK);
        ck_assert_uint_eq(box_get(&b, BOX_TSS + 0x4c, 2), BOX_CODE32);
    }
}
END_TEST

START_TEST(task_called_returns_by_iret_and_is_free_again)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    second_task();
    memcpy(b.ram + TARGET, "\x40\xcf", 2);                      /* inc eax; iret */
    CODE(0x43, 0x9a, 0, 0, 0, 0, BOX_TR_2, 0, 0x43, 0xf4);      /* inc ebx; call task; inc ebx; hlt */
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, BOX_CODE + 10);
    ck_assert_uint_eq(cpu->slot[RBX], 2);
    ck_assert_uint_eq(cpu->seg[SEG_TR].selector, BOX_TR);
    ck_assert_uint_eq(tss_type(BOX_TR), 0xb);
    ck_assert_uint_eq(tss_type(BOX_TR_2), 0x9);
    ck_assert_uint_eq(box_get(&b, BOX_TSS_2 + 0x24, 4) & FLAG_NT, 0); /* NT is cleared in the image saved */
    ck_assert_uint_eq(box_get(&b, BOX_TSS_2 + 0x28, 4), 0x1001);
    ck_assert_uint_eq(box_get(&b, BOX_TSS_2 + 0x20, 4), TARGET + 2);
}
END_TEST

START_TEST(task_gate_for_an_exception_pushes_the_error_code_on_the_new_stack)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    second_task();
    box_idt_gate(&b, 13, GATE_TASK, 0, BOX_TR_2, 0, 0);
    cpu->slot[RAX] = SELECTOR_OUTSIDE;
    CODE(0x8e, 0xd8);
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, TARGET + 1);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 4);
    ck_assert_uint_eq(box_frame(&b, 4, 0), SELECTOR_OUTSIDE);
    ck_assert_uint_eq(box_get(&b, BOX_TSS + 0x20, 4), BOX_CODE);
}
END_TEST

START_TEST(task_switch_to_a_16_bit_tss_sets_the_upper_halves)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    box_put(&b, BOX_TSS_16 + 0x0e, 2, 0x200);
    box_put(&b, BOX_TSS_16 + 0x10, 2, FLAG_ONE);
    for (unsigned i = 0; i < 8; i++)
        box_put(&b, BOX_TSS_16 + 0x12 + i * 2, 2, 0x100 + i);
    box_put(&b, BOX_TSS_16 + 0x22, 2, BOX_DATA32);
    box_put(&b, BOX_TSS_16 + 0x24, 2, BOX_CODE16);
    box_put(&b, BOX_TSS_16 + 0x26, 2, BOX_DATA16);
    box_put(&b, BOX_TSS_16 + 0x28, 2, BOX_DATA32);
    CODE(0xea, 0, 0, 0, 0, BOX_TR_16, 0);
    b.ram[BOX_CODE + 0x200] = 0xf4;
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, 0x201);
    ck_assert_uint_eq(cpu->slot[RBX] & 0xffff, 0x103);
    ck_assert_uint_eq(cpu->seg[SEG_FS].ar & AR_UNUSABLE, AR_UNUSABLE);
    ck_assert_uint_eq(tss_type(BOX_TR_16), 3);
}
END_TEST

/* 8.3 and table 8-1: before the commit point the fault is the old task's, behind it the new one's. */
START_TEST(task_switch_that_cannot_happen_faults_with_the_right_selector)
{
    enum { BUSY, ABSENT, SHORT, BAD_CS, BAD_SS, BAD_LDT, DPL };
    static const struct { int how, vector; uint32_t error; bool new_task; } rows[] = {
        { BUSY, 13, BOX_TR_2, false }, { ABSENT, 11, BOX_TR_2, false }, { SHORT, 10, BOX_TR_2, false },
        { BAD_CS, 10, BOX_DATA32, true }, { BAD_SS, 10, BOX_CODE32, true }, { BAD_LDT, 10, BOX_CODE32, true },
        { DPL, 13, BOX_TR_2, false },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_PROTECTED32, rows[i].how == DPL ? 3 : 0);
        second_task();
        box_idt_gate(&b, 10, GATE_INT32, 0, BOX_CODE32, BOX_HANDLERS + 160, 0);
        switch (rows[i].how) {
        case BUSY: b.ram[BOX_GDT + BOX_TR_2 + 5] |= 2; break;
        case ABSENT: b.ram[BOX_GDT + BOX_TR_2 + 5] &= 0x7f; break;
        case SHORT: b.ram[BOX_GDT + BOX_TR_2] = 0x66; break;
        case BAD_CS: box_put(&b, BOX_TSS_2 + 0x4c, 2, BOX_DATA32); break;
        case BAD_SS: box_put(&b, BOX_TSS_2 + 0x50, 2, BOX_CODE32); break;
        case BAD_LDT: box_put(&b, BOX_TSS_2 + 0x60, 2, BOX_CODE32); break;
        default: break;
        }
        CODE(0xea, 0, 0, 0, 0, rows[i].how == DPL ? BOX_TR_2 | RPL : BOX_TR_2, 0);
        if (rows[i].new_task) { /* a gate to a third task would be needed to push there; a jump's state will do */
            box_run(&b, 0);
            b.ram[BOX_IDT + 10 * 8 + 5] = 0x80 | GATE_TASK;
            box_put(&b, BOX_IDT + 10 * 8 + 2, 2, BOX_GATE);
            box_segment(&b, BOX_GATE, BOX_TSS_2 + 0x200, 0x67, 0x89);
            box_put(&b, BOX_TSS_2 + 0x220, 4, BOX_HANDLERS + 160);
            box_put(&b, BOX_TSS_2 + 0x238, 4, BOX_STACK0);
            box_put(&b, BOX_TSS_2 + 0x24c, 2, BOX_CODE32);
            box_put(&b, BOX_TSS_2 + 0x250, 2, BOX_DATA32);
        }
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
        ck_assert_msg(box_frame(&b, 4, 0) == rows[i].error, "row %u: error %x", i, (unsigned)box_frame(&b, 4, 0));
        if (rows[i].new_task)
            ck_assert_uint_eq(box_get(&b, BOX_TSS_2 + 0x200, 2), BOX_TR_2); /* the link: the new task was interrupted */
        else
            ck_assert_uint_eq(cpu->seg[SEG_TR].selector, BOX_TR);
    }
}
END_TEST

/* 8.2.1: the T flag raises #DB when the task has been switched to. */
START_TEST(task_with_t_set_traps_with_bt)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    second_task();
    b.ram[BOX_TSS_2 + 0x64] = 1;
    CODE(0xea, 0, 0, 0, 0, BOX_TR_2, 0);
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 4, 0), TARGET);
    ck_assert_uint_eq(cpu->dr[6] & 0x8000, 0x8000);
}
END_TEST

START_TEST(task_switch_in_long_mode_is_gp)
{
    box_reset(&b, BOX_COMPATIBILITY, 0);
    CODE(0xea, 0, 0, 0, 0, BOX_TR, 0);
    b.ram[BOX_GDT + BOX_TR + 5] = 0x89;
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_TR);
}
END_TEST

/* LTR marks busy and wants an available TSS; LLDT an LDT, both in the GDT (SDM 2). */
START_TEST(ltr_and_lldt_check_type_table_and_presence)
{
    static const struct { bool tr; uint16_t selector; uint32_t ar; int vector; uint32_t error; } rows[] = {
        { true, BOX_OTHER, 0x89, 3, 0 }, { true, BOX_OTHER, 0x8b, 13, BOX_OTHER }, { true, BOX_OTHER, 0x09, 11, BOX_OTHER },
        { true, BOX_OTHER, 0x82, 13, BOX_OTHER }, { true, 0, 0, 13, 0 }, { true, BOX_OTHER | 4, 0x89, 13, BOX_OTHER | 4 },
        { false, BOX_OTHER, 0x82, 3, 0 }, { false, BOX_OTHER, 0x89, 13, BOX_OTHER }, { false, BOX_OTHER, 0x02, 11, BOX_OTHER },
        { false, 0, 0, 3, 0 }, { false, BOX_OTHER | 4, 0x82, 13, BOX_OTHER | 4 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        box_reset(&b, i & 1 ? BOX_LONG : BOX_PROTECTED32, 0);
        box_segment(&b, BOX_OTHER, 0x123000, 0xff, rows[i / 2].ar);
        cpu->slot[RAX] = rows[i / 2].selector;
        CODE(0x0f, 0x00, rows[i / 2].tr ? 0xd8 : 0xd0, 0xcc);
        ck_assert_msg(RUN() == rows[i / 2].vector, "row %u", i / 2);
        if (rows[i / 2].vector != 3)
            ck_assert_uint_eq(box_frame(&b, i & 1 ? 8 : 4, 0), rows[i / 2].error);
        else if (rows[i / 2].selector)
            ck_assert_uint_eq(cpu->seg[rows[i / 2].tr ? SEG_TR : SEG_LDTR].base, 0x123000);
        if (rows[i / 2].tr && rows[i / 2].vector == 3)
            ck_assert_uint_eq(tss_type(BOX_OTHER), 0xb);
    }
}
END_TEST

/* -- fast system calls (SDM 2) ------------------------------------------------------------------------------------------------------------ */

static void assert_flat(const struct segment *s, uint16_t selector, uint32_t ar)
{
    ck_assert_uint_eq(s->selector, selector);
    ck_assert_uint_eq(s->base, 0);
    ck_assert_uint_eq(s->limit, UINT32_MAX);
    ck_assert_uint_eq(s->ar, ar);
}

START_TEST(syscall_saves_rip_and_rflags_and_masks)
{
    box_reset(&b, BOX_LONG, 3);
    cpu->msr.star = (uint64_t)BOX_CODE64 << 32;
    cpu->msr.lstar = TARGET;
    cpu->msr.sfmask = FLAG_IF | FLAG_DF;
    cpu_set_rflags(cpu, FLAG_IF | FLAG_DF | FLAG_CF);
    b.ram[TARGET] = 0xf4;
    CODE(0x0f, 0x05);
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, TARGET + 1);
    ck_assert_uint_eq(cpu->slot[RCX], BOX_CODE + 2);
    ck_assert_uint_eq(cpu->slot[R11], FLAG_IF | FLAG_DF | FLAG_CF | FLAG_ONE);
    ck_assert_uint_eq(cpu_rflags(cpu), FLAG_CF | FLAG_ONE);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK);
    assert_flat(&cpu->seg[SEG_CS], BOX_CODE64, 0xa09b);
    assert_flat(&cpu->seg[SEG_SS], BOX_CODE64 + 8, 0xc093);
}
END_TEST

/* CS is STAR[47:32] without its RPL, SS is STAR[47:32] + 8 with it. */
START_TEST(syscall_with_an_rpl_in_star_clears_it_for_cs_only)
{
    box_reset(&b, BOX_LONG, 3);
    cpu->msr.star = (uint64_t)(BOX_CODE64 | 3) << 32;
    cpu->msr.lstar = TARGET;
    b.ram[TARGET] = 0xf4;
    CODE(0x0f, 0x05);
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_uint_eq(cpu->cpl, 0);
    assert_flat(&cpu->seg[SEG_CS], BOX_CODE64, 0xa09b);
    assert_flat(&cpu->seg[SEG_SS], (BOX_CODE64 | 3) + 8, 0xc093);
}
END_TEST

START_TEST(syscall_and_sysret_without_sce_or_outside_64_bit_mode_are_ud)
{
    static const enum box_mode modes[] = { BOX_REAL, BOX_PROTECTED32, BOX_COMPATIBILITY, BOX_LONG };

    for (unsigned i = 0; i < ARRAY_LEN(modes) * 2; i++) {
        box_reset(&b, modes[i / 2], 0);
        if (modes[i / 2] == BOX_LONG)
            cpu->efer &= ~(uint64_t)EFER_SCE;
        CODE(0x0f, i & 1 ? 0x07 : 0x05);
        ck_assert_int_eq(RUN(), 6);
    }
}
END_TEST

START_TEST(sysret_goes_to_64_bit_or_compatibility_mode_at_cpl_3)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->msr.star = (uint64_t)0x20 << 48; /* CS 20 + 16 or 20, SS 28, with RPL 3 */
        cpu->slot[RCX] = TARGET;
        cpu->slot[R11] = FLAG_IF | FLAG_CF | FLAG_RF | FLAG_VM;
        if (wide)
            CODE(0x48, 0x0f, 0x07);
        else
            CODE(0x0f, 0x07);
        box_run(&b, 1);
        ck_assert_uint_eq(cpu->rip, TARGET);
        ck_assert_uint_eq(cpu->cpl, 3);
        ck_assert_uint_eq(cpu_rflags(cpu), FLAG_IF | FLAG_CF | FLAG_ONE);
        assert_flat(&cpu->seg[SEG_CS], wide ? 0x33 : 0x23, wide ? 0xa0fb : 0xc0fb);
        assert_flat(&cpu->seg[SEG_SS], 0x2b, 0xc0f3);
    }
    box_reset(&b, BOX_LONG, 0);
    cpu->slot[RCX] = NON_CANONICAL;
    CODE(0x48, 0x0f, 0x07);
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 8, 2), BOX_CODE64); /* still at CPL 0 */
}
END_TEST

START_TEST(sysenter_loads_fixed_segments_and_clears_if)
{
    static const enum box_mode modes[] = { BOX_PROTECTED32, BOX_COMPATIBILITY, BOX_LONG, BOX_VM86 };

    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        bool lma = modes[i] >= BOX_COMPATIBILITY;

        box_reset(&b, modes[i], 3);
        cpu->rflags |= FLAG_IF;
        cpu->msr.sysenter_cs = 0x18 | 3;
        cpu->msr.sysenter_eip = TARGET;
        cpu->msr.sysenter_esp = 0x21000;
        b.ram[TARGET] = 0xf4;
        CODE(0x0f, 0x34);
        ck_assert_int_eq(RUN(), BOX_NOTHING);
        ck_assert_uint_eq(cpu->rip, TARGET + 1);
        ck_assert_uint_eq(cpu->slot[RSP], 0x21000);
        ck_assert_uint_eq(cpu_rflags(cpu), FLAG_ONE);
        assert_flat(&cpu->seg[SEG_CS], 0x18, lma ? 0xa09b : 0xc09b);
        assert_flat(&cpu->seg[SEG_SS], 0x20, 0xc093);
    }
}
END_TEST

START_TEST(sysenter_and_sysexit_without_a_selector_or_in_real_mode_are_gp)
{
    static const enum box_mode modes[] = { BOX_REAL, BOX_PROTECTED32, BOX_LONG };

    for (unsigned i = 0; i < ARRAY_LEN(modes) * 2; i++) {
        box_reset(&b, modes[i / 2], 0);
        cpu->msr.sysenter_cs = modes[i / 2] == BOX_REAL ? 8 : 3;
        CODE(0x0f, i & 1 ? 0x35 : 0x34);
        ck_assert_int_eq(RUN(), 13);
    }
}
END_TEST

START_TEST(sysexit_takes_rip_from_rdx_and_rsp_from_rcx)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->msr.sysenter_cs = 0x100;
        cpu->slot[RCX] = 0x21000;
        cpu->slot[RDX] = TARGET;
        if (wide)
            CODE(0x48, 0x0f, 0x35);
        else
            CODE(0x0f, 0x35);
        box_run(&b, 1);
        ck_assert_uint_eq(cpu->rip, TARGET);
        ck_assert_uint_eq(cpu->slot[RSP], 0x21000);
        assert_flat(&cpu->seg[SEG_CS], wide ? 0x123 : 0x113, wide ? 0xa0fb : 0xc0fb);
        assert_flat(&cpu->seg[SEG_SS], wide ? 0x12b : 0x11b, 0xc0f3);
    }
    box_reset(&b, BOX_LONG, 0);
    cpu->msr.sysenter_cs = 0x100;
    cpu->slot[RCX] = NON_CANONICAL;
    CODE(0x48, 0x0f, 0x35);
    ck_assert_int_eq(RUN(), 13);
}
END_TEST

#define TEST(name) tcase_add_test(tc, name)

int main(void)
{
    Suite *suite = suite_create("transfer");
    TCase *tc = tcase_create("transfer");
    SRunner *runner = srunner_create(suite);
    int failed;

    if (test_engine_skips())
        return 0;
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(suite, tc);
    TEST(far_call_and_return_in_real_mode_use_words_and_shifted_selectors);
    TEST(far_jump_checks_type_privilege_presence_and_limit);
    TEST(far_jump_between_64_bit_and_compatibility_mode);
    TEST(call_gate_32_to_inner_privilege_copies_parameters_below_the_old_stack);
    TEST(call_gate_16_pushes_words_and_truncates_the_offset);
    TEST(call_gate_64_pushes_quadwords_and_loads_a_null_ss);
    TEST(call_gate_to_conforming_or_equal_privilege_stays_on_its_stack);
    TEST(call_gate_checks_its_own_dpl_and_its_target);
    TEST(jmp_through_a_call_gate_to_inner_privilege_is_gp);
    TEST(call_gate_64_whose_upper_half_is_bad_is_gp);
    TEST(call_gate_without_room_on_the_inner_stack_is_ss_with_its_selector);
    TEST(far_return_to_outer_privilege_releases_both_stacks_and_nulls_inner_segments);
    TEST(far_return_checks_code_and_stack_selectors);
    TEST(iret_takes_the_flags_its_privilege_may_change);
    TEST(iret_to_vm86_with_eip_beyond_its_limit_is_gp);
    TEST(iret_to_vm86_loads_nine_words);
    TEST(iretq_always_pops_the_stack_and_allows_a_null_ss);
    TEST(iret_with_nt_in_long_mode_is_gp);
    TEST(task_switch_saves_one_task_and_loads_the_other);
    TEST(task_called_returns_by_iret_and_is_free_again);
    TEST(task_gate_for_an_exception_pushes_the_error_code_on_the_new_stack);
    TEST(task_switch_to_a_16_bit_tss_sets_the_upper_halves);
    TEST(task_switch_that_cannot_happen_faults_with_the_right_selector);
    TEST(task_with_t_set_traps_with_bt);
    TEST(task_switch_in_long_mode_is_gp);
    TEST(ltr_and_lldt_check_type_table_and_presence);
    TEST(syscall_saves_rip_and_rflags_and_masks);
    TEST(syscall_with_an_rpl_in_star_clears_it_for_cs_only);
    TEST(syscall_and_sysret_without_sce_or_outside_64_bit_mode_are_ud);
    TEST(sysret_goes_to_64_bit_or_compatibility_mode_at_cpl_3);
    TEST(sysenter_loads_fixed_segments_and_clears_if);
    TEST(sysenter_and_sysexit_without_a_selector_or_in_real_mode_are_gp);
    TEST(sysexit_takes_rip_from_rdx_and_rsp_from_rcx);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
