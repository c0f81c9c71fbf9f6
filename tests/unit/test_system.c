/*
 * test_system.c - exceptions, interrupts, debugging, segment checks, and the registers that only system code writes.
 *
 * Each test puts a few bytes of code into a box (tests/lib/box.h), runs them and looks at where the CPU ended and at the
 * frame it pushed.  Far transfers and tasks are in test_transfer.c.  Expected values are from the Intel SDM; 3A chapter 7
 * is interrupts and exceptions (6 in older editions), chapter 19 of 3B debugging.
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
enum { UNMAPPED = BOX_RAM + 0x1000, SELECTOR_OUTSIDE = 0x1f8 };

/* -- frames (SDM 3A 7.12.1, 7.14) ------------------------------------------------------------------------------------- */

/* SDM 3B 21.1.4: FLAGS, CS, IP, no error code ever; IF and TF are cleared. */
START_TEST(event_in_real_mode_pushes_flags_cs_ip_and_clears_if_tf)
{
    box_reset(&b, BOX_REAL, 0);
    cpu_set_rflags(cpu, FLAG_IF | FLAG_CF);
    CODE(0xcd, 0x20); /* int 20 */
    ck_assert_int_eq(RUN(), 0x20);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - BOX_CODE - 6);
    ck_assert_uint_eq(box_frame(&b, 2, 0), 2);
    ck_assert_uint_eq(box_frame(&b, 2, 1), 0x1000);
    ck_assert_uint_eq(box_frame(&b, 2, 2), FLAG_IF | FLAG_CF | FLAG_ONE);
    ck_assert_uint_eq(cpu->rflags & (FLAG_IF | FLAG_TF), 0);
}
END_TEST

START_TEST(event_real_mode_fault_pushes_its_own_ip_and_no_error_code)
{
    static const struct { uint8_t code[4]; int vector; } rows[] = {
        { { 0x90, 0xf6, 0xf3 }, 0 },          /* div bl */
        { { 0x90, 0x0f, 0x0b }, 6 },          /* ud2 */
        { { 0x90, 0x8b, 0x07 }, 13 },         /* mov ax, [bx] */
        { { 0x90, 0x8b, 0x46, 0xff }, 12 },   /* mov ax, [bp - 1] */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_REAL, 0);
        box_code(&b, rows[i].code, 4);
        cpu->slot[RBX] = rows[i].vector == 13 ? 0xffff : 0;
        ck_assert_int_eq(RUN(), rows[i].vector);
        ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - BOX_CODE - 6);
        ck_assert_uint_eq(box_frame(&b, 2, 0), 1);
    }
}
END_TEST

/* Figure 7-4; RF is set in the image of a fault (19.3.1.1). */
START_TEST(event_same_privilege_pushes_eflags_cs_eip_and_the_error_code_last)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    CODE(0x90, 0x0f, 0x0b); /* nop; ud2 */
    ck_assert_int_eq(RUN(), 6);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 12);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE + 1);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE32);
    ck_assert_uint_eq(box_frame(&b, 4, 2), FLAG_RF | FLAG_ONE);

    box_reset(&b, BOX_PROTECTED32, 0);
    cpu->slot[RAX] = SELECTOR_OUTSIDE | 3;
    CODE(0x8e, 0xd8); /* mov ds, ax */
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 16);
    ck_assert_uint_eq(box_frame(&b, 4, 0), SELECTOR_OUTSIDE);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE);
}
END_TEST

START_TEST(event_through_a_16_bit_gate_pushes_words)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    box_idt_gate(&b, 6, GATE_TRAP16, 0, BOX_CODE32, BOX_HANDLERS + 6 * 16, 0);
    cpu_set_rflags(cpu, FLAG_IF);
    CODE(0x0f, 0x0b);
    ck_assert_int_eq(RUN(), 6);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 6);
    ck_assert_uint_eq(box_frame(&b, 2, 0), BOX_CODE & 0xffff);
    ck_assert_uint_eq(box_frame(&b, 2, 1), BOX_CODE32);
    ck_assert_uint_eq(cpu->rflags & FLAG_IF, FLAG_IF); /* a trap gate leaves IF (7.12.1.3) */
}
END_TEST

/* The gate's size decides what is pushed, SS.B where: with a 16-bit stack the upper half of ESP stays. */
START_TEST(event_from_16_bit_code_through_a_32_bit_gate_pushes_doublewords_at_ss_sp)
{
    box_reset(&b, BOX_PROTECTED16, 0);
    cpu->slot[RSP] |= 0xabcd0000;
    CODE(0x90, 0x0f, 0x0b);
    ck_assert_int_eq(RUN(), 6);
    ck_assert_uint_eq(cpu->slot[RSP], (0xabcd0000 | (BOX_STACK - BOX_CODE)) - 12);
    ck_assert_uint_eq(box_frame(&b, 4, 0), 1);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE16);
    ck_assert_uint_eq(cpu->seg[SEG_SS].selector, BOX_DATA16);
}
END_TEST

START_TEST(event_to_inner_privilege_pushes_outer_stack_onto_the_one_in_the_tss)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    cpu_set_rflags(cpu, FLAG_IF | FLAG_NT);
    CODE(0x0f, 0x0b);
    ck_assert_int_eq(RUN(), 6);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->seg[SEG_SS].selector, BOX_DATA32);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 20);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_USER_CODE32);
    ck_assert_uint_eq(box_frame(&b, 4, 2), FLAG_IF | FLAG_NT | FLAG_RF | FLAG_ONE);
    ck_assert_uint_eq(box_frame(&b, 4, 3), BOX_STACK);
    ck_assert_uint_eq(box_frame(&b, 4, 4), BOX_USER_DATA);
    ck_assert_uint_eq(cpu->rflags & (FLAG_IF | FLAG_NT | FLAG_TF | FLAG_RF | FLAG_VM), 0);
}
END_TEST

/* A conforming handler runs at the interrupted privilege, so nothing of the stack changes. */
START_TEST(event_to_a_conforming_handler_stays_at_its_privilege)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    box_idt_gate(&b, 6, GATE_INT32, 0, BOX_CONFORMING32, BOX_HANDLERS + 6 * 16, 0);
    b.ram[BOX_HANDLERS + 6 * 16] = 0x90;
    CODE(0x0f, 0x0b);
    ck_assert_int_eq(box_run(&b, 1), 6);
    ck_assert_uint_eq(cpu->rip, BOX_HANDLERS + 6 * 16 + 1);
    ck_assert_uint_eq(cpu->cpl, 3);
    ck_assert_uint_eq(cpu->seg[SEG_CS].selector, BOX_CONFORMING32 | 3);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 12);
}
END_TEST

/* 7.14.2, 7.14.3: SS:RSP always, 8 bytes each, RSP aligned to 16 before. */
START_TEST(event_in_long_mode_aligns_rsp_and_always_pushes_ss)
{
    for (unsigned off = 0; off < 32; off += 3) {
        box_reset(&b, BOX_LONG, 0);
        cpu->slot[RSP] = BOX_STACK - off;
        CODE(0x0f, 0x0b);
        ck_assert_int_eq(RUN(), 6);
        ck_assert_uint_eq(cpu->slot[RSP], ((BOX_STACK - off) & ~15u) - 40);
        ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE);
        ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_CODE64);
        ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_RF | FLAG_ONE);
        ck_assert_uint_eq(box_frame(&b, 8, 3), BOX_STACK - off);
        ck_assert_uint_eq(box_frame(&b, 8, 4), BOX_DATA32);
        ck_assert_uint_eq(cpu->seg[SEG_SS].selector, BOX_DATA32);
    }
}
END_TEST

START_TEST(event_from_user_in_long_mode_takes_rsp0_and_a_null_ss)
{
    static const enum box_mode modes[] = { BOX_LONG, BOX_COMPATIBILITY };

    for (unsigned i = 0; i < 2; i++) {
        box_reset(&b, modes[i], 3);
        box_put(&b, BOX_TSS + 4, 8, BOX_STACK0 - 7);
        CODE(0x0f, 0x0b);
        ck_assert_int_eq(RUN(), 6);
        ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 16 - 40);
        ck_assert_uint_eq(cpu->seg[SEG_SS].selector, 0);
        ck_assert_uint_eq(cpu->mode & MODE_CODE64, MODE_CODE64);
        ck_assert_uint_eq(box_frame(&b, 8, 1), i ? BOX_USER_CODE32 : BOX_USER_CODE64);
        ck_assert_uint_eq(box_frame(&b, 8, 4), BOX_USER_DATA);
    }
}
END_TEST

/* 7.14.5: the IST is used whatever the privilege. */
START_TEST(event_with_ist_takes_its_stack_at_any_privilege)
{
    for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
        box_reset(&b, BOX_LONG, cpl);
        box_idt_gate(&b, 13, GATE_INT32, 0, BOX_CODE64, BOX_HANDLERS + 13 * 16, 1);
        cpu->slot[RBX] = NON_CANONICAL;
        CODE(0x48, 0x8b, 0x03); /* mov rax, [rbx] */
        ck_assert_int_eq(RUN(), 13);
        ck_assert_uint_eq(cpu->slot[RSP], BOX_IST - 48);
        ck_assert_uint_eq(box_frame(&b, 8, 0), 0);
        ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_CODE);
        ck_assert_uint_eq(cpu->seg[SEG_SS].selector, cpl ? 0 : BOX_DATA32);
    }
}
END_TEST

/* Error codes by vector (table 7-1). */
START_TEST(event_error_code_is_pushed_for_the_vectors_that_have_one)
{
    static const struct { int vector; uint8_t code[4]; uint64_t rax, rbx, error; } rows[] = {
        { 11, { 0x8e, 0xd8 }, BOX_OTHER, 0, BOX_OTHER },           /* mov ds, ax: not present */
        { 12, { 0x8e, 0xd0 }, BOX_OTHER_2, 0, BOX_OTHER_2 },       /* mov ss, ax: not present */
        { 13, { 0x8e, 0xd0 }, BOX_CODE32, 0, BOX_CODE32 },         /* mov ss, ax: code */
        { 13, { 0x8e, 0xd0 }, BOX_DATA32 | 1, 0, BOX_DATA32 },     /* mov ss, ax: RPL is not CPL; no RPL in the code */
        { 14, { 0x8b, 0x03 }, 0, UNMAPPED, 0 },                    /* mov eax, [rbx] */
        { 14, { 0x89, 0x03 }, 0, UNMAPPED, 2 },
        { 13, { 0x48, 0x8b, 0x03 }, 0, NON_CANONICAL, 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xc013);
        box_segment(&b, BOX_OTHER_2, 0, 0xfffff, 0xc013);
        cpu->slot[RAX] = rows[i].rax;
        cpu->slot[RBX] = rows[i].rbx;
        box_code(&b, rows[i].code, 4);
        ck_assert_int_eq(RUN(), rows[i].vector);
        ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - 48);
        ck_assert_uint_eq(box_frame(&b, 8, 0), rows[i].error);
        if (rows[i].vector == 14)
            ck_assert_uint_eq(cpu->cr2, UNMAPPED);
    }
}
END_TEST

/* -- gates that do not work (7.13: IDT bit 1, EXT bit 0 unless INT n) ---------------------------------------------------- */

enum spoil { NOT_PRESENT, BAD_TYPE, NULL_CODE, DATA_CODE, ABSENT_CODE, BEYOND_LIMIT };

static void spoil_gate(uint8_t vector, enum spoil how)
{
    unsigned bytes = b.mode >= BOX_COMPATIBILITY ? 16 : 8;
    uint64_t at = BOX_IDT + vector * bytes;

    switch (how) {
    case NOT_PRESENT: b.ram[at + 5] &= 0x7f; break;
    case BAD_TYPE: b.ram[at + 5] = 0x80 | GATE_CALL32; break;
    case NULL_CODE: box_put(&b, at + 2, 2, 0); break;
    case DATA_CODE: box_put(&b, at + 2, 2, BOX_DATA32); break;
    case ABSENT_CODE:
        box_segment(&b, BOX_OTHER, 0, 0xfffff, b.mode >= BOX_COMPATIBILITY ? 0xa01b : 0xc01b);
        box_put(&b, at + 2, 2, BOX_OTHER);
        break;
    case BEYOND_LIMIT: cpu->idtr.limit = (uint16_t)(vector * bytes + bytes - 2); break;
    }
}

START_TEST(event_through_a_bad_gate_raises_with_vector_or_selector)
{
    static const struct { enum spoil how; int vector; uint32_t software, fault; } rows[] = {
        { NOT_PRESENT, 11, 0x50 * 8 + 2, 0x50 * 8 + 3 }, { BAD_TYPE, 13, 0x50 * 8 + 2, 0x50 * 8 + 3 },
        { NULL_CODE, 13, 0, 1 }, { DATA_CODE, 13, BOX_DATA32, BOX_DATA32 | 1 },
        { ABSENT_CODE, 11, BOX_OTHER, BOX_OTHER | 1 }, { BEYOND_LIMIT, 13, 0x50 * 8 + 2, 0x50 * 8 + 3 },
    };
    static const enum box_mode modes[] = { BOX_PROTECTED32, BOX_LONG };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 4; i++) {
        bool external = i & 1;
        enum box_mode mode = modes[i >> 1 & 1];

        box_reset(&b, mode, 0);
        spoil_gate(0x50, rows[i / 4].how);
        CODE(0xcd, 0x50); /* int 50 */
        b.irq = 0x50;
        b.vcpu.pins.intr = external;
        cpu_set_rflags(cpu, FLAG_IF);
        ck_assert_int_eq(RUN(), rows[i / 4].vector);
        ck_assert_uint_eq(box_frame(&b, mode == BOX_LONG ? 8 : 4, 0), external ? rows[i / 4].fault : rows[i / 4].software);
        ck_assert_uint_eq(box_frame(&b, mode == BOX_LONG ? 8 : 4, 1), BOX_CODE);
    }
}
END_TEST

/* 7.12.1.1: INT n, INT3 and INTO look at the gate's DPL, faults and interrupts do not. */
START_TEST(event_gate_dpl_counts_for_software_interrupts_only)
{
    static const struct { uint8_t code[2]; int vector; uint32_t error; } rows[] = {
        { { 0xcd, 0x50 }, 13, 0x50 * 8 + 2 }, { { 0xcc, 0 }, 3, 0 }, { { 0xcd, 0x0d }, 13, 13 * 8 + 2 }, { { 0xf1, 0 }, 1, 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 3);
        box_code(&b, rows[i].code, 2);
        ck_assert_int_eq(RUN(), rows[i].vector);
        if (rows[i].vector == 13)
            ck_assert_uint_eq(box_frame(&b, 8, 0), rows[i].error);
    }
}
END_TEST

/* INTER-PRIVILEGE in SDM 2 INT n: the new stack's faults have its selector and EXT; the TSS's are #TS with TR. */
START_TEST(event_without_room_on_the_inner_stack_is_ss_with_its_selector)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    box_segment(&b, BOX_OTHER, 0, 0x80, 0xc093); /* limit 80fff */
    box_put(&b, BOX_TSS + 8, 2, BOX_OTHER);
    box_put(&b, BOX_TSS + 4, 4, 0x90000);
    box_gate(&b, BOX_IDT + 12 * 8, GATE_TASK, 0, BOX_TR_2, 0, 0); /* #SS has a stack of its own */
    box_put(&b, BOX_TSS_2 + 0x20, 4, BOX_HANDLERS + 12 * 16);
    box_put(&b, BOX_TSS_2 + 0x38, 4, BOX_STACK0);
    box_put(&b, BOX_TSS_2 + 0x4c, 2, BOX_CODE32);
    box_put(&b, BOX_TSS_2 + 0x50, 2, BOX_DATA32);
    CODE(0x0f, 0x0b);
    ck_assert_int_eq(RUN(), 12);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_OTHER | 1);
}
END_TEST

START_TEST(event_with_a_short_tss_is_ts_with_its_selector)
{
    box_reset(&b, BOX_LONG, 3);
    cpu->seg[SEG_TR].limit = 10;                                              /* RSP0 ends at 11 */
    box_idt_gate(&b, 10, GATE_INT32, 0, BOX_CONFORMING64, BOX_HANDLERS + 160, 0); /* needs no stack */
    b.ram[BOX_HANDLERS + 160] = 0x90;
    CODE(0x0f, 0x0b);
    ck_assert_int_eq(box_run(&b, 1), 10);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_TR | 1);
}
END_TEST

/* -- virtual-8086 mode (SDM 3B 21.3) ---------------------------------------------------------------------------------------- */

START_TEST(vm86_interrupt_pushes_data_segments_and_returns_to_them)
{
    box_reset(&b, BOX_VM86, 3);
    cpu->rflags |= FLAG_IOPL;
    box_idt_gate(&b, 0x20, GATE_INT32, 3, BOX_CODE32, BOX_HANDLERS + 0x20 * 16, 0);
    memcpy(b.ram + BOX_HANDLERS + 0x20 * 16, "\x90\xcf", 2); /* nop; iretd */
    CODE(0xcd, 0x20, 0x0f, 0x0b);                            /* int 20; ud2 */
    ck_assert_int_eq(box_run(&b, 2), 0x20);
    ck_assert_uint_eq(cpu->cpl, 0);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK0 - 36);
    ck_assert_uint_eq(box_frame(&b, 4, 0), 2);
    ck_assert_uint_eq(box_frame(&b, 4, 1), 0x1000);
    ck_assert_uint_eq(box_frame(&b, 4, 2), FLAG_VM | FLAG_IOPL | FLAG_ONE);
    ck_assert_uint_eq(box_frame(&b, 4, 3), BOX_STACK - BOX_CODE);
    ck_assert_uint_eq(box_frame(&b, 4, 4), 0x1000);
    for (unsigned i = 5; i < 9; i++)
        ck_assert_uint_eq(box_frame(&b, 4, i), 0x3000); /* ES, DS, FS, GS */
    ck_assert_uint_eq(cpu->seg[SEG_DS].selector, 0);
    ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rflags & FLAG_VM, FLAG_VM);
    ck_assert_uint_eq(cpu->rip, 2);
    ck_assert_uint_eq(cpu->seg[SEG_GS].base, 0x30000);
    ck_assert_uint_eq(cpu->slot[RSP], BOX_STACK - BOX_CODE);
    ck_assert_int_eq(RUN(), 6);
}
END_TEST

/* 21.2.7, SDM 2: IOPL-sensitive instructions; also what is privileged. */
START_TEST(vm86_iopl_sensitive_instructions_are_gp_below_iopl_3)
{
    static const struct { uint8_t code[3]; bool always; } rows[] = {
        { { 0xfa }, false }, { { 0xfb }, false }, { { 0x9c }, false }, { { 0x9d }, false }, { { 0xcf }, false },
        { { 0xcd, 0x03 }, false }, { { 0xf4 }, true }, { { 0x0f, 0x06 }, true }, { { 0x0f, 0x20, 0xc0 }, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_VM86, 3);
        box_code(&b, rows[i].code, 3);
        ck_assert_int_eq(RUN(), 13);
        ck_assert_uint_eq(box_frame(&b, 4, 0), 0);
        ck_assert_uint_eq(box_frame(&b, 4, 1), 0);
        if (rows[i].always)
            continue;
        box_reset(&b, BOX_VM86, 3);
        cpu->rflags |= FLAG_IOPL;
        box_code(&b, rows[i].code, 3);
        ck_assert_int_ne(box_run(&b, 1), 13);
    }
}
END_TEST

START_TEST(vm86_handler_of_another_privilege_than_0_is_gp)
{
    box_reset(&b, BOX_VM86, 3);
    box_idt_gate(&b, 6, GATE_INT32, 0, BOX_CODE32_1, BOX_HANDLERS + 6 * 16, 0);
    CODE(0x0f, 0x0b);
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), (BOX_CODE32_1 & ~3u) | 1);
}
END_TEST

/* -- faults of faults (table 7-5) --------------------------------------------------------------------------------------------- */

enum class { BENIGN, CONTRIBUTORY, PAGE };

struct first {
    int vector;
    enum class class;
    uint8_t code[4];
};

static const struct first firsts[] = {
    { 0, CONTRIBUTORY, { 0xf7, 0xf1 } },              /* div ecx */
    { 1, BENIGN, { 0xf1 } },                          /* int1 */
    { 3, BENIGN, { 0xcc } },
    { 6, BENIGN, { 0x0f, 0x0b } },
    { 7, BENIGN, { 0x9b } },                          /* fwait */
    { 11, CONTRIBUTORY, { 0x8e, 0xd8 } },             /* mov ds, eax */
    { 12, CONTRIBUTORY, { 0x48, 0x8b, 0x45, 0 } },    /* mov rax, [rbp] */
    { 13, CONTRIBUTORY, { 0x48, 0x8b, 0x03 } },       /* mov rax, [rbx] */
    { 14, PAGE, { 0x8b, 0x06 } },                     /* mov eax, [rsi] */
};

static void prepare_first(const struct first *f)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->cr0 |= CR0_TS | CR0_MP;
    cpu->slot[RBX] = cpu->slot[RBP] = NON_CANONICAL;
    cpu->slot[RSI] = UNMAPPED;
    cpu->slot[RAX] = BOX_OTHER;
    box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xc013);
    box_put(&b, BOX_TSS + 44, 8, UNMAPPED + 0x800); /* IST2 */
    box_code(&b, f->code, 4);
}

/* The gate of the first exception does not work: #NP, or #PF because its stack is not there. */
static void spoil(int vector, enum class second)
{
    if (second == CONTRIBUTORY)
        spoil_gate((uint8_t)vector, NOT_PRESENT);
    else
        box_idt_gate(&b, (uint8_t)vector, GATE_INT32, 3, BOX_CODE64, 0, 2);
}

static int double_outcome(enum class first, enum class second)
{
    bool fault = (first == CONTRIBUTORY && second == CONTRIBUTORY) || first == PAGE;

    return fault ? 8 : second == CONTRIBUTORY ? 11 : 14;
}

/* The handler of a #NP met in delivering a #NP is the same spoilt one: that becomes #DF as well. */
START_TEST(fault_during_delivery_is_serial_or_double_by_the_table)
{
    for (unsigned i = 0; i < ARRAY_LEN(firsts) * 2; i++) {
        const struct first *f = &firsts[i / 2];
        enum class second = i & 1 ? PAGE : CONTRIBUTORY;

        prepare_first(f);
        spoil(f->vector, second);
        ck_assert_msg(RUN() == double_outcome(f->class, second), "%d then %s", f->vector, i & 1 ? "#PF" : "#NP");
        if (double_outcome(f->class, second) == 8)
            ck_assert_uint_eq(box_frame(&b, 8, 0), 0);
        if (second == PAGE)
            ck_assert_uint_eq(cpu->cr2 >> 12, UNMAPPED >> 12);
    }
}
END_TEST

START_TEST(fault_in_the_double_fault_handlers_gate_shuts_down)
{
    for (unsigned i = 0; i < ARRAY_LEN(firsts) * 2; i++) {
        const struct first *f = &firsts[i / 2];
        enum class second = i & 1 ? PAGE : CONTRIBUTORY;

        if (double_outcome(f->class, second) != 8)
            continue;
        prepare_first(f);
        spoil(f->vector, second);
        spoil(8, second);
        ck_assert_int_eq(RUN(), BOX_SHUTDOWN);
    }
}
END_TEST

START_TEST(fault_chain_of_three_ends_in_a_double_fault)
{
    prepare_first(&firsts[3]);
    spoil(6, CONTRIBUTORY); /* #UD -> #NP -> #PF -> #DF: benign, then contributory and page, then page and page */
    spoil(11, PAGE);
    spoil(14, PAGE);
    ck_assert_int_eq(RUN(), 8);
}
END_TEST

START_TEST(fault_with_no_idt_at_all_shuts_down)
{
    for (unsigned mode = BOX_REAL; mode < BOX_MODES; mode++) {
        box_reset(&b, mode, mode == BOX_VM86 ? 3 : 0);
        cpu->idtr.limit = 0;
        CODE(0x0f, 0x0b);
        ck_assert_int_eq(RUN(), BOX_SHUTDOWN);
        ck_assert_int_eq(b.stop, STOP_SHUTDOWN);
        b.vcpu.attention = true; /* who kicks it at that moment learns of it all the same */
        ck_assert_int_eq(RUN(), BOX_SHUTDOWN);
        b.vcpu.attention = false;
    }
}
END_TEST

/* -- priorities (table 7-2) ------------------------------------------------------------------------------------------------------- */

START_TEST(priority_of_two_faults_of_one_instruction)
{
    static const struct { const char *what; uint8_t code[8]; unsigned cpl; uint64_t cr0, cr4_clear; int vector; } rows[] = {
        { "#UD of EM before #NM", { 0x0f, 0x28, 0x06 }, 0, CR0_EM | CR0_TS, 0, 6 },                  /* movaps xmm0, [rsi] */
        { "#UD of OSFXSR before #NM", { 0x0f, 0x28, 0x06 }, 0, CR0_TS, CR4_OSFXSR, 6 },
        { "#NM before #PF", { 0x0f, 0x28, 0x06 }, 0, CR0_TS, 0, 7 },
        { "#NM before #PF, x87", { 0xd9, 0x2e }, 0, CR0_TS, 0, 7 },                                  /* fldcw [rsi] */
        { "#GP of alignment before #PF", { 0x0f, 0x28, 0x46, 0x01 }, 0, 0, 0, 13 },                  /* movaps xmm0, [rsi + 1] */
        { "#UD of LOCK before #PF", { 0xf0, 0x8b, 0x06 }, 0, 0, 0, 6 },                              /* lock mov eax, [rsi] */
        { "#GP of non-canonical before a page missing", { 0x48, 0x8b, 0x03 }, 0, 0, 0, 13 },
        { "#GP of CPL before #PF", { 0x0f, 0x01, 0x16 }, 3, 0, 0, 13 },                              /* lgdt [rsi] */
        { "#UD before #GP of CPL", { 0x0f, 0x20, 0xc8 }, 3, 0, 0, 6 },                               /* mov rax, cr1 */
        { "#UD of CLAC before CPL's #GP", { 0x0f, 0x01, 0xca }, 3, 0, 0, 6 },
        { "#PF of PUSH before the load's", { 0xff, 0x36 }, 0, 0, 0, 14 },                            /* push [rsi] */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        int vector;

        box_reset(&b, BOX_LONG, rows[i].cpl);
        cpu->cr0 |= rows[i].cr0;
        cpu->cr4 &= ~rows[i].cr4_clear;
        cpu->slot[RSI] = UNMAPPED;
        cpu->slot[RBX] = NON_CANONICAL;
        box_code(&b, rows[i].code, 8);
        vector = RUN();
        ck_assert_msg(vector == rows[i].vector, "%s: vector %d", rows[i].what, vector);
    }
}
END_TEST

/* SDM 3A 7.15, interrupt 17: CR0.AM, RFLAGS.AC and CPL 3, all three; error code 0. */
START_TEST(alignment_check_needs_am_ac_and_cpl_3)
{
    for (unsigned i = 0; i < 8; i++) {
        box_reset(&b, BOX_LONG, i & 1 ? 3 : 0);
        cpu->cr0 |= i & 2 ? CR0_AM : 0;
        cpu_set_rflags(cpu, i & 4 ? FLAG_AC : 0);
        cpu->slot[RBX] = BOX_DATA + 2;
        CODE(0x8b, 0x03, 0xcc); /* mov eax, [rbx] */
        ck_assert_int_eq(RUN(), i == 7 ? 17 : 3);
        if (i == 7)
            ck_assert_uint_eq(box_frame(&b, 8, 0), 0);
    }
}
END_TEST

/* SDM 2 JMP, CALL, RET: #GP(0) at the branch, nothing pushed or popped. */
START_TEST(near_branch_to_a_non_canonical_address_is_gp_at_the_branch)
{
    static const uint8_t rows[][3] = { { 0xff, 0xe3 }, { 0xff, 0xd3 }, { 0xc3 }, { 0xff, 0x27 } };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->slot[RBX] = NON_CANONICAL;
        cpu->slot[RDI] = BOX_STACK;
        box_put(&b, BOX_STACK, 8, NON_CANONICAL);
        box_put(&b, BOX_STACK - 8, 8, 0x1234);
        box_code(&b, rows[i], 3);
        box_idt_gate(&b, 13, GATE_INT32, 0, BOX_CODE64, BOX_HANDLERS + 13 * 16, 1);
        ck_assert_int_eq(RUN(), 13);
        ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_CODE);
        ck_assert_uint_eq(box_frame(&b, 8, 4), BOX_STACK);
        ck_assert_uint_eq(box_get(&b, BOX_STACK - 8, 8), 0x1234);
    }
}
END_TEST

/* An instruction of more than 15 bytes (SDM 3A 7.15, #GP). */
START_TEST(priority_instruction_of_16_bytes_is_gp_not_ud)
{
    uint8_t code[16];

    box_reset(&b, BOX_LONG, 0);
    memset(code, 0x66, 15);
    code[15] = 0x90;
    box_code(&b, code, 16);
    ck_assert_int_eq(RUN(), 13);
    box_reset(&b, BOX_LONG, 0);
    box_code(&b, code + 1, 15);
    ck_assert_int_eq(RUN(), 3);
}
END_TEST

START_TEST(priority_fetch_of_an_instruction_whose_second_page_is_missing_is_pf_there)
{
    box_reset(&b, BOX_LONG, 3);
    box_put(&b, box_pte(&b, BOX_FREE + 0x1000), 8, 0);
    cpu->rip = BOX_FREE + 0xfff;
    b.ram[BOX_FREE + 0xfff] = 0xb8; /* mov eax, imm32 */
    ck_assert_int_eq(RUN(), 14);
    ck_assert_uint_eq(cpu->cr2, BOX_FREE + 0x1000);
    ck_assert_uint_eq(box_frame(&b, 8, 0), 0x14); /* user fetch */
    ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_FREE + 0xfff);
}
END_TEST

START_TEST(priority_code_segment_limit_is_gp_at_the_instruction_that_passes_it)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    box_segment(&b, BOX_OTHER, BOX_CODE, 4, 0x409b);
    box_load(&b, SEG_CS, BOX_OTHER);
    cpu->rip = 0;
    CODE(0x90, 0x90, 0x90, 0xb0, 0x01, 0x90); /* nop x 3; mov al, 1; nop outside */
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), 0);
    ck_assert_uint_eq(box_frame(&b, 4, 1), 5);
    ck_assert_uint_eq(cpu->slot[RAX], 1);
}
END_TEST

/* -- interrupts, NMI, HLT, shadows ---------------------------------------------------------------------------------------------------- */

static void pend(uint8_t vector)
{
    b.irq = vector;
    b.vcpu.pins.intr = true;
}

START_TEST(interrupt_waits_for_if)
{
    box_reset(&b, BOX_LONG, 0);
    CODE(0x90, 0x90, 0xfb, 0x90, 0x90); /* nop; nop; sti; nop; nop */
    pend(0x40);
    ck_assert_int_eq(RUN(), 0x40);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 4); /* STI holds off one instruction (SDM 2 STI) */
    ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_IF | FLAG_ONE);
    ck_assert_uint_eq(b.acknowledged, 1);
}
END_TEST

START_TEST(interrupt_shadow_of_sti_needs_if_to_have_been_clear)
{
    box_reset(&b, BOX_LONG, 0);
    cpu_set_rflags(cpu, FLAG_IF);
    CODE(0xfb, 0x90);
    ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
    pend(0x40);
    ck_assert_int_eq(RUN(), 0x40);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 1);
}
END_TEST

START_TEST(interrupt_between_sti_and_cli_is_not_taken)
{
    box_reset(&b, BOX_LONG, 0);
    CODE(0xfb, 0xfa, 0x90, 0xcc);
    pend(0x40);
    ck_assert_int_eq(RUN(), 3);
    ck_assert_uint_eq(b.acknowledged, 0);
}
END_TEST

/* 7.8.3: MOV SS and POP SS hold off interrupts, NMI and debug traps until after the next instruction. */
START_TEST(interrupt_and_nmi_wait_for_the_instruction_after_mov_ss)
{
    for (unsigned i = 0; i < 2; i++) {
        box_reset(&b, BOX_PROTECTED32, 0);
        cpu_set_rflags(cpu, FLAG_IF);
        cpu->slot[RAX] = BOX_DATA32;
        CODE(0x8e, 0xd0, 0x90, 0x90); /* mov ss, eax; nop; nop */
        ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
        if (i)
            b.vcpu.pins.nmi = true;
        else
            pend(0x40);
        ck_assert_int_eq(RUN(), i ? 2 : 0x40);
        ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE + 3);
    }
}
END_TEST

START_TEST(nmi_blocks_nmi_until_iret)
{
    box_reset(&b, BOX_LONG, 0);
    CODE(0x90, 0x90, 0x90, 0xf4); /* nop; nop; nop; hlt */
    b.vcpu.pins.nmi = true;
    ck_assert_int_eq(RUN(), 2);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE);
    b.vcpu.pins.nmi = true; /* latched, not taken, and it does not wake the handler's HLT */
    ck_assert_int_eq(box_run(&b, 10), 2);
    ck_assert_int_eq(b.stop, STOP_HALT);
    ck_assert(b.vcpu.pins.nmi);
    memcpy(b.ram + BOX_FREE, "\x48\xcf", 2); /* iretq */
    cpu->rip = BOX_FREE;
    cpu->activity = CPU_RUNNING;
    ck_assert_int_eq(box_run(&b, 1), BOX_NOTHING);
    ck_assert_uint_eq(cpu->rip, BOX_CODE);
    ck_assert_int_eq(RUN(), 2);
    ck_assert(!b.vcpu.pins.nmi);
}
END_TEST

START_TEST(nmi_comes_before_a_maskable_interrupt)
{
    box_reset(&b, BOX_LONG, 0);
    cpu_set_rflags(cpu, FLAG_IF);
    CODE(0x90);
    pend(0x40);
    b.vcpu.pins.nmi = true;
    ck_assert_int_eq(RUN(), 2);
    ck_assert(b.vcpu.pins.intr); /* the gate cleared IF */
}
END_TEST

/* A device raises an interrupt when it is touched. */
static uint64_t device_read(void *state, uint64_t offset, unsigned width)
{
    (void)offset, (void)width;
    pend(0x40);
    return *(uint32_t *)state;
}

static void device_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)offset, (void)width;
    pend(0x40);
    *(uint32_t *)state = (uint32_t)value;
}

/* EAX is 3, `value` is in the device, CF is set.  Of IMUL only CF and OF are defined. */
static const struct { uint8_t length, bytes[3]; uint32_t value; uint64_t flags; } touching[] = {
    { 2, { 0x39, 0x07 }, 0x10, FLAG_AF },                                    /* cmp [rdi], eax: d */
    { 2, { 0x03, 0x07 }, 0x0d, FLAG_AF },                                    /* add eax, [rdi]: 10 */
    { 2, { 0x85, 0x07 }, 0x11, 0 },                                          /* test [rdi], eax: 1 */
    { 2, { 0xff, 0x07 }, 0x0f, FLAG_AF | FLAG_CF },                          /* inc dword ptr [rdi]: 10 */
    { 2, { 0xff, 0x0f }, 0x10, FLAG_AF | FLAG_PF | FLAG_CF },                /* dec dword ptr [rdi]: f */
    { 2, { 0xf7, 0x1f }, 0x01, FLAG_AF | FLAG_PF | FLAG_SF | FLAG_CF },      /* neg dword ptr [rdi]: ffffffff */
    { 2, { 0x11, 0x07 }, 0x0c, FLAG_AF },                                    /* adc [rdi], eax: 10 */
    { 2, { 0x19, 0x07 }, 0x10, FLAG_AF | FLAG_PF },                          /* sbb [rdi], eax: c */
    { 3, { 0x0f, 0xaf, 0x07 }, 0x40000000, FLAG_CF | FLAG_OF | FLAG_PF | FLAG_SF }, /* imul eax, [rdi]: c0000000 */
    { 2, { 0x89, 0x07 }, 0, FLAG_CF },                                       /* mov [rdi], eax: as before */
};

/* The next instruction makes all flags anew, but the interrupt comes before it. */
START_TEST(interrupt_after_a_device_access_pushes_the_flags_of_that_instruction)
{
    static const struct region_ops ops = { .read = device_read, .write = device_write, .limits = { W_REGISTERS, 0, 0, 0 } };
    unsigned length = touching[_i].length;
    uint32_t value = touching[_i].value;
    struct region region = { .name = "device", .base = GIB(1), .size = PAGE_BYTES, .enabled = true, .ops = &ops, .state = &value };
    uint8_t code[5];

    memcpy(code, touching[_i].bytes, length);
    memcpy(code + length, (uint8_t[]){ 0x31, 0xdb }, 2); /* xor ebx, ebx */
    b.phys.map.add(&b.phys.map, &region);
    box_reset(&b, BOX_LONG, 0);
    box_put(&b, box_pte(&b, BOX_FREE), 8, region.base | 3);
    box_code(&b, code, length + 2);
    cpu->slot[RDI] = BOX_FREE;
    cpu->slot[RAX] = 3;
    cpu_set_rflags(cpu, FLAG_IF | FLAG_CF);
    ck_assert_int_eq(RUN(), 0x40);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + length);
    ck_assert_uint_eq(box_frame(&b, 8, 2) & FLAGS_ARITHMETIC, touching[_i].flags);
}
END_TEST

START_TEST(hlt_resumes_behind_itself_after_an_interrupt)
{
    box_reset(&b, BOX_LONG, 0);
    CODE(0xfb, 0xf4, 0x90); /* sti; hlt; nop: an interrupt that waits already does not get lost between the two */
    pend(0x40);
    ck_assert_int_eq(RUN(), 0x40);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 2);

    box_reset(&b, BOX_LONG, 0);
    CODE(0xf4);
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    ck_assert_int_eq(b.stop, STOP_HALT);
    pend(0x40); /* IF is clear */
    ck_assert_int_eq(RUN(), BOX_NOTHING);
    b.vcpu.pins.nmi = true;
    ck_assert_int_eq(RUN(), 2);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 1);
}
END_TEST

START_TEST(init_resets_registers_and_keeps_memory_and_msrs)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->msr.lstar = 0x1234;
    cpu->zmm[3].q[0] = 5;
    b.vcpu.pins.init = true;
    CODE(0x90);
    box_run(&b, 0);
    ck_assert_int_eq(cpu->cpl, 0);
    box_run(&b, 1); /* at ffff0000:fff0 there is nothing: all ones */
    ck_assert_uint_eq(cpu->cr0 & (CR0_PE | CR0_PG), 0);
    ck_assert_uint_eq(cpu->efer, 0);
    ck_assert_uint_eq(cpu->msr.lstar, 0x1234); /* table 10-1 */
    ck_assert_uint_eq(cpu->zmm[3].q[0], 5);
}
END_TEST

/* -- debugging (SDM 3B 19) -------------------------------------------------------------------------------------------------------------- */

enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14 };
#define DR6_CLEAR UINT64_C(0xffff0ff0)

START_TEST(debug_single_step_traps_after_one_instruction)
{
    box_reset(&b, BOX_LONG, 0);
    cpu_set_rflags(cpu, FLAG_TF);
    CODE(0x90, 0x90);
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 1);
    ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_TF | FLAG_ONE); /* a trap: RF clear */
    ck_assert_uint_eq(cpu->dr[6], DR6_CLEAR | DR6_BS);
    ck_assert_uint_eq(cpu->rflags & FLAG_TF, 0);
}
END_TEST

START_TEST(debug_tf_set_by_popf_traps_after_the_next_instruction)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->slot[RSP] -= 8;
    box_put(&b, cpu->slot[RSP], 8, FLAG_TF | FLAG_ONE);
    CODE(0x9d, 0x90, 0x90); /* popf; nop; nop */
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 2);
}
END_TEST

START_TEST(debug_step_into_an_interrupt_handler_is_not_taken)
{
    box_reset(&b, BOX_LONG, 0);
    cpu_set_rflags(cpu, FLAG_TF);
    CODE(0xcd, 0x20);
    ck_assert_int_eq(RUN(), 0x20);
    ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_TF | FLAG_ONE);
}
END_TEST

START_TEST(debug_step_after_mov_ss_waits_for_the_next_instruction)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    cpu_set_rflags(cpu, FLAG_TF);
    cpu->slot[RAX] = BOX_DATA32;
    CODE(0x8e, 0xd0, 0x90, 0x90);
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE + 3);
}
END_TEST

START_TEST(debug_code_breakpoint_faults_before_and_rf_gets_past_it)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->dr[2] = BOX_CODE + 1;
    cpu->dr[7] = 0x410;
    CODE(0x90, 0xb0, 0x05, 0x90); /* nop; mov al, 5; nop */
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 1);
    ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_ONE); /* the one fault whose image has RF clear */
    ck_assert_uint_eq(cpu->dr[6], DR6_CLEAR | 4);
    ck_assert_uint_eq(cpu->slot[RAX], 0);
    box_put(&b, cpu->slot[RSP] + 16, 8, FLAG_RF | FLAG_ONE);
    memcpy(b.ram + BOX_FREE, "\x48\xcf", 2);
    cpu->rip = BOX_FREE;
    cpu->activity = CPU_RUNNING;
    ck_assert_int_eq(RUN(), 3);
    ck_assert_uint_eq(cpu->slot[RAX], 5);
}
END_TEST

/* 6.8.3 as well; an AMD processor takes it there. */
START_TEST(debug_code_breakpoint_behind_mov_ss_is_suppressed)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    cpu->slot[RAX] = BOX_DATA32;
    cpu->dr[0] = BOX_CODE + 2;
    cpu->dr[1] = BOX_CODE + 4;
    cpu->dr[7] = 0x405;
    CODE(0x8e, 0xd0, 0xb3, 0x07, 0x90); /* mov ss, eax; mov bl, 7; nop */
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_CODE + 4);
    ck_assert_uint_eq(cpu->dr[6] & 0xf, 2);
}
END_TEST

START_TEST(debug_code_breakpoint_comes_before_a_fetch_page_fault)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->dr[0] = cpu->rip = UNMAPPED;
    cpu->dr[7] = 0x401;
    ck_assert_int_eq(RUN(), 1);
}
END_TEST

/* 19.2.4, 19.2.5: R/W 1 writes, 3 reads or writes; LEN 0: 1, 1: 2, 3: 4, 2: 8 bytes; a trap after the instruction. */
START_TEST(debug_data_breakpoint_traps_when_any_byte_of_it_is_touched)
{
    static const struct { unsigned rw, len; int offset; bool write, hit; } rows[] = {
        { 1, 3, 0, true, true }, { 1, 3, 0, false, false }, { 3, 3, 0, false, true }, { 3, 3, 0, true, true },
        { 1, 3, 3, true, true }, { 1, 3, 4, true, false }, { 1, 3, -3, true, true }, { 1, 3, -4, true, false },
        { 1, 2, 7, true, true }, { 1, 2, 8, true, false }, { 1, 0, 1, true, false }, { 1, 1, 1, true, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->dr[1] = BOX_DATA + 0x100;
        cpu->dr[7] = 0x404 | (uint64_t)rows[i].rw << 20 | (uint64_t)rows[i].len << 22;
        cpu->slot[RBX] = BOX_DATA + 0x100 + (uint64_t)rows[i].offset;
        CODE(rows[i].write ? 0x89 : 0x8b, 0x03, 0x90); /* mov [rbx], eax or mov eax, [rbx] */
        ck_assert_msg(RUN() == (rows[i].hit ? 1 : 3), "row %u", i);
        ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + (rows[i].hit ? 2 : 4));
        if (rows[i].hit)
            ck_assert_uint_eq(cpu->dr[6], DR6_CLEAR | 2);
    }
}
END_TEST

/* 19.3.1.1: between two iterations the image has RF set. */
/* 19.2.4: R/W 2 is a port with CR4.DE, undefined without. */
START_TEST(debug_io_breakpoint_traps_after_in_and_out_of_its_ports)
{
    static const struct { uint8_t opcode; uint16_t port; unsigned len; bool hit; } rows[] = {
        { 0xec, 0x80, 0, true }, { 0xee, 0x80, 0, true }, { 0xec, 0x81, 0, false }, { 0xed, 0x7d, 0, true },
        { 0xed, 0x7c, 0, false }, { 0xec, 0x83, 3, true }, { 0xec, 0x84, 3, false },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->cr4 |= CR4_DE;
        cpu->dr[3] = 0x80;
        cpu->dr[7] = 0x440 | UINT64_C(2) << 28 | (uint64_t)rows[i].len << 30;
        cpu->slot[RDX] = rows[i].port;
        CODE(rows[i].opcode, 0x90);
        ck_assert_msg(RUN() == (rows[i].hit ? 1 : 3), "row %u", i);
        if (rows[i].hit) {
            ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 1);
            ck_assert_uint_eq(cpu->dr[6], DR6_CLEAR | 8);
        }
    }
}
END_TEST

START_TEST(debug_data_breakpoint_inside_rep_traps_between_iterations_with_rf)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->dr[0] = BOX_DATA + 2;
    cpu->dr[7] = 0x401 | 1 << 16;
    cpu->slot[RDI] = BOX_DATA;
    cpu->slot[RCX] = 8;
    CODE(0xf3, 0xaa); /* rep stosb */
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE);
    ck_assert_uint_eq(cpu->slot[RCX], 5);
    ck_assert_uint_eq(cpu->slot[RDI], BOX_DATA + 3);
    ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_RF | FLAG_ONE);
}
END_TEST

START_TEST(debug_step_inside_rep_traps_after_each_iteration)
{
    box_reset(&b, BOX_LONG, 0);
    cpu_set_rflags(cpu, FLAG_TF);
    cpu->slot[RDI] = BOX_DATA;
    cpu->slot[RCX] = 3;
    CODE(0xf3, 0xaa);
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE);
    ck_assert_uint_eq(cpu->slot[RCX], 2);
    ck_assert_uint_eq(box_frame(&b, 8, 2), FLAG_TF | FLAG_RF | FLAG_ONE);
}
END_TEST

START_TEST(debug_general_detect_faults_on_mov_dr_and_clears_gd)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->dr[7] = 0x2400;
    CODE(0x0f, 0x21, 0xc0); /* mov rax, dr0 */
    ck_assert_int_eq(RUN(), 1);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE);
    ck_assert_uint_eq(cpu->dr[6], DR6_CLEAR | DR6_BD);
    ck_assert_uint_eq(cpu->dr[7], 0x400);
}
END_TEST

START_TEST(debug_dr4_and_dr5_alias_or_are_ud_with_de)
{
    box_reset(&b, BOX_LONG, 0);
    CODE(0x0f, 0x21, 0xe8); /* mov rax, dr5 */
    ck_assert_int_eq(RUN(), 3);
    ck_assert_uint_eq(cpu->slot[RAX], 0x400);
    box_reset(&b, BOX_LONG, 0);
    cpu->cr4 |= CR4_DE;
    CODE(0x0f, 0x21, 0xe8);
    ck_assert_int_eq(RUN(), 6);
}
END_TEST

/* -- segment limits and types (SDM 3A 6.3, 6.5) --------------------------------------------------------------------------------------------- */

START_TEST(segment_limit_and_type_decide_gp_or_ss)
{
    enum { READ = 0x8b, WRITE = 0x89 };
    static const struct { uint32_t limit, ar; uint8_t opcode; uint32_t offset; bool fault; } rows[] = {
        { 0xfff, 0x4093, READ, 0xffc, false }, { 0xfff, 0x4093, READ, 0xffd, true }, { 0xfff, 0x4093, READ, 0xffffffff, true },
        { 0xfff, 0x4091, READ, 0, false }, { 0xfff, 0x4091, WRITE, 0, true },               /* read-only data */
        { 0xfff, 0x409b, READ, 0, false }, { 0xfff, 0x409b, WRITE, 0, true },               /* readable code */
        { 0, 0xc093, READ, 0xffc, false }, { 0, 0xc093, READ, 0xffd, true },                /* G: limit fff */
        { 0xfff, 0x4097, READ, 0xfff, true }, { 0xfff, 0x4097, READ, 0x1000, false },       /* expand-down, B: up to 4 GiB */
        { 0xfff, 0x4097, WRITE, 0x20000, false },
        { 0xfff, 0x0097, READ, 0xfffc, false }, { 0xfff, 0x0097, READ, 0xfffd, true },      /* B clear: up to ffff */
        { 0xffff, 0x0097, READ, 0x8000, true },                                             /* nothing left */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        bool stack = i & 1 && (rows[i / 2].ar & 0xa) == 2;

        box_reset(&b, BOX_PROTECTED32, 0);
        box_segment(&b, BOX_OTHER, BOX_DATA, rows[i / 2].limit, rows[i / 2].ar);
        box_load(&b, stack ? SEG_SS : SEG_DS, BOX_OTHER);
        cpu->slot[RBX] = cpu->slot[RBP] = rows[i / 2].offset;
        if (stack)
            cpu->slot[RSP] = rows[i / 2].ar & 4 ? 0x8000 : 0x800;
        CODE(rows[i / 2].opcode, stack ? 0x45 : 0x43, 0x00, 0xcc); /* mov eax, [ebx + 0] or [ebp + 0], or the store */
        if (stack && rows[i / 2].limit == 0xffff)
            continue; /* no handler could push */
        ck_assert_msg(RUN() == (!rows[i / 2].fault ? 3 : stack ? 12 : 13), "row %u", i / 2);
    }
}
END_TEST

START_TEST(segment_null_or_execute_only_is_gp_when_used)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    CODE(0x31, 0xc0, 0x8e, 0xd8, 0x90, 0x8b, 0x03); /* xor eax, eax; mov ds, ax; nop; mov eax, [ebx] */
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), 0);
    ck_assert_uint_eq(box_frame(&b, 4, 1), BOX_CODE + 5);

    box_reset(&b, BOX_PROTECTED32, 0);
    box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xc099);
    box_load(&b, SEG_CS, BOX_OTHER);
    CODE(0x2e, 0x8b, 0x03); /* mov eax, cs:[ebx] */
    ck_assert_int_eq(RUN(), 13);
    box_reset(&b, BOX_PROTECTED32, 0);
    cpu->slot[RAX] = BOX_OTHER;
    box_segment(&b, BOX_OTHER, 0, 0xfffff, 0xc099);
    CODE(0x8e, 0xd8);
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), BOX_OTHER);
}
END_TEST

START_TEST(segment_load_sets_the_accessed_bit_and_checks_privilege)
{
    static const struct { unsigned cpl; uint16_t selector; uint32_t ar; int vector; } rows[] = {
        { 0, BOX_OTHER, 0xc092, 3 }, { 3, BOX_OTHER | 3, 0xc0f2, 3 }, { 3, BOX_OTHER | 3, 0xc092, 13 },
        { 0, BOX_OTHER | 3, 0xc092, 13 },                /* RPL 3 > DPL 0 */
        { 3, BOX_OTHER | 3, 0xc09e, 3 },                 /* conforming code: no check */
        { 3, BOX_OTHER | 3, 0xc09a, 13 }, { 0, BOX_OTHER, 0x0089, 13 }, /* a TSS */
        { 0, BOX_OTHER, 0xc012, 11 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_PROTECTED32, rows[i].cpl);
        box_segment(&b, BOX_OTHER, 0, 0xfffff, rows[i].ar);
        cpu->slot[RAX] = rows[i].selector;
        CODE(0x8e, 0xd8, 0xcc);
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
        ck_assert_uint_eq(box_get(&b, BOX_GDT + BOX_OTHER + 5, 1) & 1, rows[i].vector == 3 || rows[i].ar & 1);
    }
}
END_TEST

/* SDM 3A 3.5.1: bit 2 of the selector means the LDT. */
START_TEST(segment_load_from_the_ldt_uses_its_base_and_limit)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    cpu->slot[RAX] = BOX_LDTR;
    cpu->slot[RCX] = 0x0c; /* entry 1 of the LDT */
    box_put(&b, BOX_LDT + 8, 8, box_get(&b, BOX_GDT + BOX_DATA16, 8));
    CODE(0x0f, 0x00, 0xd0, 0x8e, 0xd9, 0xcc); /* lldt ax; mov ds, cx */
    ck_assert_int_eq(RUN(), 3);
    ck_assert_uint_eq(cpu->seg[SEG_DS].base, BOX_CODE);
    cpu->rip = BOX_CODE;
    cpu->activity = CPU_RUNNING;
    cpu->slot[RSP] = BOX_STACK;
    cpu->slot[RCX] = 0x104; /* behind its limit of ff */
    ck_assert_int_eq(RUN(), 13);
    ck_assert_uint_eq(box_frame(&b, 4, 0), 0x104);
}
END_TEST

/* SDM 2 LAR, LSL, VERR, VERW: ZF says whether the selector is visible and of a suitable type. */
START_TEST(segment_inspection_sets_zf_by_type_and_privilege)
{
    enum { LAR = 2, LSL = 3, VERR = 4, VERW = 5 };
    static const struct { enum box_mode mode; unsigned cpl; uint32_t ar; unsigned rpl; bool lar, lsl, verr, verw; } rows[] = {
        { BOX_PROTECTED32, 0, 0xc093, 0, 1, 1, 1, 1 }, { BOX_PROTECTED32, 0, 0xc091, 0, 1, 1, 1, 0 },
        { BOX_PROTECTED32, 0, 0xc09b, 0, 1, 1, 1, 0 }, { BOX_PROTECTED32, 0, 0xc099, 0, 1, 1, 0, 0 },
        { BOX_PROTECTED32, 0, 0xc093, 3, 0, 0, 0, 0 }, { BOX_PROTECTED32, 3, 0xc093, 3, 0, 0, 0, 0 },
        { BOX_PROTECTED32, 3, 0xc0f3, 3, 1, 1, 1, 1 }, { BOX_PROTECTED32, 3, 0xc09f, 3, 1, 1, 1, 0 },
        { BOX_PROTECTED32, 0, 0x0081, 0, 1, 1, 0, 0 }, { BOX_PROTECTED32, 0, 0x0082, 0, 1, 1, 0, 0 },
        { BOX_PROTECTED32, 0, 0x0083, 0, 1, 1, 0, 0 }, { BOX_PROTECTED32, 0, 0x0084, 0, 1, 0, 0, 0 },
        { BOX_PROTECTED32, 0, 0x0085, 0, 1, 0, 0, 0 }, { BOX_PROTECTED32, 0, 0x0086, 0, 0, 0, 0, 0 },
        { BOX_PROTECTED32, 0, 0x0087, 0, 0, 0, 0, 0 }, { BOX_PROTECTED32, 0, 0x0089, 0, 1, 1, 0, 0 },
        { BOX_PROTECTED32, 0, 0x008b, 0, 1, 1, 0, 0 }, { BOX_PROTECTED32, 0, 0x008c, 0, 1, 0, 0, 0 },
        { BOX_PROTECTED32, 0, 0x008e, 0, 0, 0, 0, 0 }, { BOX_PROTECTED32, 0, 0x008f, 0, 0, 0, 0, 0 },
        { BOX_PROTECTED32, 0, 0x0088, 0, 0, 0, 0, 0 },
        { BOX_LONG, 0, 0x0081, 0, 0, 0, 0, 0 }, { BOX_LONG, 0, 0x0082, 0, 1, 1, 0, 0 }, { BOX_LONG, 0, 0x0084, 0, 0, 0, 0, 0 },
        { BOX_LONG, 0, 0x0085, 0, 0, 0, 0, 0 }, { BOX_LONG, 0, 0x0089, 0, 1, 1, 0, 0 }, { BOX_LONG, 0, 0x008b, 0, 1, 1, 0, 0 },
        { BOX_LONG, 0, 0x008c, 0, 1, 0, 0, 0 }, { BOX_LONG, 0, 0x008e, 0, 0, 0, 0, 0 },
        { BOX_LONG, 3, 0xc0f3, 3, 1, 1, 1, 1 }, { BOX_LONG, 0, 0xc013, 0, 1, 1, 1, 1 }, /* P does not matter */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 4; i++) {
        bool want = (const bool[]){ rows[i / 4].lar, rows[i / 4].lsl, rows[i / 4].verr, rows[i / 4].verw }[i & 3];
        unsigned what = LAR + (i & 3);
        uint32_t limit = rows[i / 4].ar & AR_G ? 0x12345fff : 0x12345;

        box_reset(&b, rows[i / 4].mode, rows[i / 4].cpl);
        box_segment(&b, BOX_OTHER, 0x11223344, 0x12345, rows[i / 4].ar);
        cpu->slot[RCX] = BOX_OTHER | rows[i / 4].rpl;
        cpu->slot[RAX] = 0xdeadbeef;
        if (what <= LSL)
            CODE(0x0f, what, 0xc1, 0xcc); /* lar eax, ecx */
        else
            CODE(0x0f, 0x00, what == VERR ? 0xe1 : 0xe9, 0xcc); /* verr cx */
        ck_assert_int_eq(RUN(), 3);
        ck_assert_msg(!!(cpu_rflags(cpu) & FLAG_ZF) == want, "row %u, %u", i / 4, what);
        if (what <= LSL && !want)
            ck_assert_uint_eq(cpu->slot[RAX], 0xdeadbeef);
        if (what == LAR && want)
            ck_assert_uint_eq(cpu->slot[RAX] & ~0xf0000u, (rows[i / 4].ar & 0xf0ff) << 8);
        if (what == LSL && want)
            ck_assert_uint_eq(cpu->slot[RAX], limit);
    }
}
END_TEST

/* Null, outside the table, in no LDT: ZF clear, no fault; real and virtual-8086 mode: #UD. */
START_TEST(segment_inspection_of_a_bad_selector_clears_zf_and_is_ud_without_protection)
{
    static const uint16_t bad[] = { 0, 3, SELECTOR_OUTSIDE, 4 };

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        box_reset(&b, BOX_LONG, 3);
        cpu_set_rflags(cpu, FLAG_ZF);
        cpu->slot[RCX] = bad[i];
        CODE(0x0f, 0x02, 0xc1, 0xcc);
        ck_assert_int_eq(RUN(), 3);
        ck_assert_uint_eq(cpu_rflags(cpu) & FLAG_ZF, 0);
    }
    for (unsigned mode = BOX_REAL; mode <= BOX_VM86; mode++) {
        box_reset(&b, mode, 0);
        CODE(0x0f, 0x02, 0xc1);
        ck_assert_int_eq(RUN(), 6);
    }
}
END_TEST

/* -- ports (SDM 1 19.5) ------------------------------------------------------------------------------------------------------------------ */

START_TEST(port_access_above_iopl_asks_every_bit_of_the_bitmap)
{
    enum { IN_AL = 0xec, IN_EAX = 0xed };
    static const struct { uint16_t port; uint8_t opcode; uint32_t limit; bool fault; } rows[] = {
        /* the map is at 68; bit 80 is set, all others are clear; it ends with a byte of ones at 68 + 20 */
        { 0x7f, IN_AL, 0x88, false }, { 0x80, IN_AL, 0x88, true }, { 0x81, IN_AL, 0x88, false },
        { 0x7c, IN_EAX, 0x88, false }, { 0x7d, IN_EAX, 0x88, true }, { 0x80, IN_EAX, 0x88, true }, { 0x81, IN_EAX, 0x88, false },
        { 0xf8, IN_AL, 0x88, false }, { 0x100, IN_AL, 0x88, true },       /* beyond the limit */
        { 0x7f, IN_AL, 0x77, true },                                       /* the second byte read is beyond it */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        box_reset(&b, i & 1 ? BOX_LONG : BOX_PROTECTED32, 3);
        cpu->seg[SEG_TR].limit = rows[i / 2].limit;
        b.ram[BOX_TSS + 0x68 + 0x10] = 1;
        b.ram[BOX_TSS + 0x68 + 0x20] = 0xff;
        cpu->slot[RDX] = rows[i / 2].port;
        CODE(rows[i / 2].opcode, 0xcc); /* in al, dx */
        ck_assert_msg(RUN() == (rows[i / 2].fault ? 13 : 3), "row %u", i / 2);
        if (rows[i / 2].fault)
            ck_assert_uint_eq(box_frame(&b, i & 1 ? 8 : 4, 0), 0);
    }
}
END_TEST

START_TEST(port_access_within_iopl_needs_no_bitmap_except_in_vm86)
{
    box_reset(&b, BOX_PROTECTED32, 3);
    cpu->rflags |= FLAG_IOPL;
    CODE(0xec, 0xcc);
    ck_assert_int_eq(RUN(), 3);
    box_reset(&b, BOX_VM86, 3);
    cpu->rflags |= FLAG_IOPL;
    CODE(0xec, 0xcc);
    ck_assert_int_eq(RUN(), 13);
    box_reset(&b, BOX_VM86, 3);
    cpu->seg[SEG_TR].limit = 0x88;
    CODE(0xec, 0xcc);
    ck_assert_int_eq(RUN(), 3);
}
END_TEST

/* -- what only privilege 0 may do ------------------------------------------------------------------------------------------------------------ */

START_TEST(privileged_instruction_at_cpl_3_is_gp_0)
{
    static const uint8_t rows[][5] = {
        { 0xf4 }, { 0x0f, 0x06 }, { 0x0f, 0x08 }, { 0x0f, 0x09 }, { 0x0f, 0x30 }, { 0x0f, 0x32 }, /* hlt clts invd wbinvd msr */
        { 0x0f, 0x20, 0xc0 }, { 0x0f, 0x22, 0xc0 }, { 0x0f, 0x21, 0xc0 }, { 0x0f, 0x23, 0xc0 },   /* mov cr, dr */
        { 0x0f, 0x01, 0x13 }, { 0x0f, 0x01, 0x1b }, { 0x0f, 0x01, 0xf0 }, { 0x0f, 0x01, 0x3b },   /* lgdt lidt lmsw invlpg */
        { 0x0f, 0x00, 0xd0 }, { 0x0f, 0x00, 0xd8 }, { 0x0f, 0x01, 0xf8 }, { 0xfa }, { 0xfb },     /* lldt ltr swapgs cli sti */
        { 0x48, 0x0f, 0x07 }, { 0x0f, 0x35 }, { 0x0f, 0x01, 0xd1 },                               /* sysret sysexit xsetbv */
        { 0xe4, 0x80 }, { 0xe6, 0x80 }, { 0xec }, { 0xee }, { 0x6c }, { 0x6e },                   /* in out ins outs */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 3);
        cpu->cr4 |= CR4_OSXSAVE;
        cpu->msr.sysenter_cs = BOX_CODE64;
        cpu->slot[RBX] = BOX_DATA;
        cpu->slot[RDI] = cpu->slot[RSI] = BOX_DATA;
        box_code(&b, rows[i], 5);
        ck_assert_msg(RUN() == 13, "row %u", i);
        ck_assert_uint_eq(box_frame(&b, 8, 0), 0);
        ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_CODE);
    }
}
END_TEST

START_TEST(umip_stops_sgdt_and_relatives_at_cpl_3)
{
    static const uint8_t rows[][3] = { { 0x0f, 0x01, 0x03 }, { 0x0f, 0x01, 0x0b }, { 0x0f, 0x00, 0xc0 }, { 0x0f, 0x00, 0xc8 },
                                       { 0x0f, 0x01, 0xe0 } }; /* sgdt sidt sldt str smsw */

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        box_reset(&b, BOX_LONG, 3);
        cpu->cr4 |= i & 1 ? CR4_UMIP : 0;
        cpu->slot[RBX] = BOX_DATA;
        box_code(&b, rows[i / 2], 3);
        ck_assert_int_eq(RUN(), i & 1 ? 13 : 3);
    }
}
END_TEST

START_TEST(fsgsbase_rdtsc_and_rdpmc_follow_their_control_bits)
{
    static const struct { uint8_t code[5]; uint64_t cr4; int vector; } rows[] = {
        { { 0xf3, 0x48, 0x0f, 0xae, 0xc0 }, 0, 6 }, { { 0xf3, 0x48, 0x0f, 0xae, 0xc0 }, CR4_FSGSBASE, 3 }, /* rdfsbase rax */
        { { 0x0f, 0x31 }, 0, 3 }, { { 0x0f, 0x31 }, CR4_TSD, 13 }, { { 0x0f, 0x33 }, 0, 13 },
        { { 0x0f, 0x01, 0xd0 }, 0, 6 }, { { 0x0f, 0x01, 0xd0 }, CR4_OSXSAVE, 3 },                          /* xgetbv */
        { { 0x0f, 0x01, 0xee }, 0, 6 }, { { 0x0f, 0x01, 0xee }, CR4_PKE, 3 },                              /* rdpkru */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 3);
        cpu->cr4 |= rows[i].cr4;
        box_code(&b, rows[i].code, 5);
        ck_assert_msg(RUN() == rows[i].vector, "row %u", i);
    }
}
END_TEST

/* -- control registers, EFER, XCR0, MSRs --------------------------------------------------------------------------------------------------- */

#define BASE_CR0 (CR0_PG | CR0_PE | CR0_WP | CR0_NE | CR0_ET)
#define BASE_CR4 ((uint64_t)(CR4_PAE | CR4_OSFXSR))

/* SDM 2 MOV to control registers, 64-bit mode; SDM 3A 2.5. */
START_TEST(control_register_value_that_is_not_allowed_in_64_bit_mode_is_gp_and_changes_nothing)
{
    static const struct { unsigned reg; uint64_t value; bool fault; } rows[] = {
        { 0, BASE_CR0, false }, { 0, BASE_CR0 | CR0_TS, false }, { 0, BASE_CR0 & ~(uint64_t)CR0_PE, true },
        { 0, BASE_CR0 & ~CR0_PG, true }, { 0, BASE_CR0 | CR0_NW, true }, { 0, BASE_CR0 | CR0_NW | CR0_CD, false },
        { 0, BASE_CR0 | BIT(32), true }, { 0, BASE_CR0 | BIT(63), true }, { 0, BASE_CR0 | BIT(6), false },
        { 3, BOX_TABLES, false }, { 3, BOX_TABLES | BIT(40), true }, { 3, BOX_TABLES | BIT(63), true },
        { 4, BASE_CR4, false }, { 4, BASE_CR4 & ~(uint64_t)CR4_PAE, true }, { 4, BASE_CR4 | CR4_LA57, true },
        { 4, BASE_CR4 | BIT(13), true }, { 4, BASE_CR4 | BIT(14), true }, { 4, BASE_CR4 | BIT(15), true },
        { 4, BASE_CR4 | BIT(19), true }, { 4, BASE_CR4 | BIT(31), true }, { 4, BASE_CR4 | BIT(32), true },
        { 4, BASE_CR4 | CR4_PCIDE, false }, { 4, BASE_CR4 | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_UMIP, false },
        { 8, 15, false }, { 8, 16, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t *slot, before;

        box_reset(&b, BOX_LONG, 0);
        for (uint64_t at = 0; at < BOX_RAM; at += 0x1000)
            b.ram[box_pte(&b, at)] &= ~4; /* supervisor pages, for SMEP and SMAP */
        slot = rows[i].reg == 0 ? &cpu->cr0 : rows[i].reg == 3 ? &cpu->cr3 : rows[i].reg == 4 ? &cpu->cr4 : &cpu->cr8;
        before = *slot;
        cpu->slot[RAX] = rows[i].value;
        if (rows[i].reg == 8)
            CODE(0x44, 0x0f, 0x22, 0xc0, 0xcc);
        else
            CODE(0x0f, 0x22, 0xc0 | rows[i].reg << 3, 0xcc); /* mov crN, rax */
        ck_assert_msg(RUN() == (rows[i].fault ? 13 : 3), "cr%u = %llx", rows[i].reg, (unsigned long long)rows[i].value);
        if (rows[i].fault)
            ck_assert_uint_eq(*slot, before);
    }
}
END_TEST

/* Entering long mode needs PAE, a CS without L and a 32-bit TSS (SDM 3A 10.8.5; SDM 2 MOV CR0). */
START_TEST(control_register_pg_with_lme_needs_pae_and_no_16_bit_tss)
{
    static const struct { uint64_t cr4; uint32_t cs, tr; bool fault; } rows[] = {
        { CR4_PAE, 0xc09b, 0x8b, false }, { 0, 0xc09b, 0x8b, true }, { CR4_PAE, 0xa09b, 0x8b, true },
        { CR4_PAE, 0xc09b, 0x83, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_COMPATIBILITY, 0);
        cpu->cr0 &= ~CR0_PG;
        cpu->efer = EFER_LME;
        cpu->cr4 = rows[i].cr4;
        cpu->seg[SEG_CS].ar = rows[i].cs;
        cpu->seg[SEG_TR].ar = rows[i].tr;
        cpu->slot[RAX] = cpu->cr0 | CR0_PG;
        CODE(0x0f, 0x22, 0xc0, 0x90); /* mov cr0, eax; nop */
        box_run(&b, 1);
        ck_assert_msg(!!(cpu->efer & EFER_LMA) == !rows[i].fault, "row %u", i);
        ck_assert_msg(!!(cpu->cr0 & CR0_PG) == !rows[i].fault, "row %u", i);
    }
}
END_TEST

START_TEST(control_register_pcide_needs_long_mode_and_a_clear_pcid)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    cpu->slot[RAX] = CR4_PAE | CR4_PCIDE;
    CODE(0x0f, 0x22, 0xe0);
    ck_assert_int_eq(RUN(), 13);
    box_reset(&b, BOX_LONG, 0);
    cpu->cr3 |= 0x18;
    cpu->slot[RAX] = BASE_CR4 | CR4_PCIDE;
    CODE(0x0f, 0x22, 0xe0);
    ck_assert_int_eq(RUN(), 13);
}
END_TEST

/* SDM 3A 5.4.1: MOV to CR3 and CR0, CR4 in PAE mode load the PDPTEs. */
START_TEST(control_register_pae_pdpte_with_a_reserved_bit_is_gp)
{
    for (unsigned i = 0; i < 2; i++) {
        box_reset(&b, BOX_PROTECTED32, 0);
        cpu->cr4 = CR4_PAE;
        box_put(&b, BOX_FREE, 8, 0x1000 | 1 | (i ? 2 : 0)); /* bit 1 is reserved */
        cpu->slot[RAX] = BOX_FREE;
        cpu->slot[RBX] = CR0_PG | CR0_PE | CR0_ET;
        CODE(0x0f, 0x22, 0xd8, 0x0f, 0x22, 0xc3); /* mov cr3, eax; mov cr0, ebx */
        box_run(&b, 2);
        ck_assert_uint_eq(!!(cpu->cr0 & CR0_PG), !i);
    }
}
END_TEST

START_TEST(lmsw_sets_pe_and_cannot_clear_it)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    CODE(0x0f, 0x01, 0xf0, 0xcc); /* lmsw ax, 0 */
    ck_assert_int_eq(RUN(), 3);
    ck_assert_uint_eq(cpu->cr0 & CR0_PE, CR0_PE);
}
END_TEST

/* SDM 1 13.3; XCR0 of this CPU: x87, SSE, AVX, AVX-512, PKRU. */
START_TEST(xcr0_illegal_combination_is_gp)
{
    static const struct { uint64_t value; bool fault; } rows[] = {
        { 1, false }, { 3, false }, { 7, false }, { 0xe7, false }, { 0x2e7, false }, { 0x201, false },
        { 0, true }, { 2, true }, { 5, true }, { 0x27, true }, { 0x67, true }, { 0xe3, true }, { 0xa7, true },
        { 0xf, true }, { 0x1f, true }, { 0x107, true }, { BIT(62) | 7, true }, { BIT(63) | 7, true }, { 0x60007, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->cr4 |= CR4_OSXSAVE;
        cpu->slot[RAX] = (uint32_t)rows[i].value;
        cpu->slot[RDX] = rows[i].value >> 32;
        CODE(0x0f, 0x01, 0xd1, 0xcc); /* xsetbv */
        ck_assert_msg(RUN() == (rows[i].fault ? 13 : 3), "xcr0 %llx", (unsigned long long)rows[i].value);
        ck_assert_uint_eq(cpu->xcr0, rows[i].fault ? 1 : rows[i].value);
    }
    box_reset(&b, BOX_LONG, 0);
    CODE(0x0f, 0x01, 0xd1);
    ck_assert_int_eq(RUN(), 6); /* OSXSAVE is clear */
}
END_TEST

/* As test386.asm has it, and a Zen 4 does in a 32-bit program with a read-only page. */
START_TEST(arpl_writes_only_what_changes)
{
    for (unsigned writable = 0; writable < 2; writable++)
        for (unsigned less = 0; less < 2; less++) {
            box_reset(&b, BOX_PROTECTED32, 0);
            box_segment(&b, BOX_OTHER, 0, 0xfffff, AR_G | AR_DB | AR_P | AR_S | (writable ? AR_WRITABLE : 0));
            box_load(&b, SEG_DS, BOX_OTHER);
            box_put(&b, BOX_DATA, 2, less ? 0x10 : 0x13);
            cpu->slot[RCX] = 3;
            CODE(0x63, 0x0d, BOX_DATA & 0xff, BOX_DATA >> 8 & 0xff, BOX_DATA >> 16, 0); /* arpl [data], cx */
            ck_assert_int_eq(RUN(), less && !writable ? 13 : 3);
            ck_assert_uint_eq(box_get(&b, BOX_DATA, 2), less && writable ? 0x13 : less ? 0x10 : 0x13);
            ck_assert_int_eq(!!(box_frame(&b, 4, less && !writable ? 3 : 2) & FLAG_ZF), less && writable);
        }
}
END_TEST

/* The frame pointer that goes onto a 16-bit stack is all of ESP (SDM 2 ENTER), as a Zen 4 pushes it. */
START_TEST(enter_of_32_bits_pushes_esp_onto_a_16_bit_stack)
{
    box_reset(&b, BOX_PROTECTED32, 0);
    box_load(&b, SEG_SS, BOX_DATA16);
    cpu->slot[RSP] = 0x10000 | 0x8000;
    cpu->slot[RBP] = 0x10000 | 0x8100;
    CODE(0xc8, 8, 0, 1); /* enter 8, 1 */
    RUN();
    ck_assert_uint_eq(cpu->slot[RBP], 0x10000 | 0x7ffc);
    ck_assert_uint_eq(box_get(&b, cpu->seg[SEG_SS].base + 0x7ff8, 4), 0x10000 | 0x7ffc);
}
END_TEST

/* SDM 4 table 2-2 and the sections named there. */
START_TEST(msr_value_that_is_not_allowed_is_gp)
{
    static const struct { uint32_t index; uint64_t value; bool fault; } rows[] = {
        { 0xc0000080, EFER_LME | EFER_LMA | EFER_NXE, false }, { 0xc0000080, EFER_LMA | EFER_NXE, true }, /* LME while PG */
        { 0xc0000080, EFER_LME | EFER_LMA | BIT(1), true }, { 0xc0000080, EFER_LME | EFER_LMA | EFER_SVME, true },
        { 0xc0000080, EFER_LME | EFER_LMA | BIT(63), true },
        { 0xc0000082, UINT64_C(0xffffffff81000000), false }, { 0xc0000082, NON_CANONICAL, true }, /* LSTAR */
        { 0xc0000100, NON_CANONICAL, true }, { 0xc0000101, NON_CANONICAL, true }, { 0xc0000102, NON_CANONICAL, true },
        { 0x175, NON_CANONICAL, true }, { 0x176, NON_CANONICAL, true },
        { 0xc0000084, BIT(32), true }, { 0xc0000103, BIT(32), true },
        { 0x277, UINT64_C(0x0007040600070406), false }, { 0x277, 2, true }, { 0x277, UINT64_C(0x0800000000000000), true },
        { 0xda0, 1, true }, { 0x12345678, 0, true },
        { 0x48, 1, false }, { 0x48, 2, true }, { 0x49, 2, true }, { 0x49, 1, true }, { 0x10a, 0, true }, /* 49H: not to be read */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        box_reset(&b, BOX_LONG, 0);
        cpu->slot[RCX] = rows[i].index;
        cpu->slot[RAX] = (uint32_t)rows[i].value;
        cpu->slot[RDX] = rows[i].value >> 32;
        CODE(0x0f, 0x30, 0x0f, 0x32, 0xcc); /* wrmsr; rdmsr */
        ck_assert_msg(RUN() == (rows[i].fault ? 13 : 3), "%x = %llx", rows[i].index, (unsigned long long)rows[i].value);
        if (!rows[i].fault)
            ck_assert_uint_eq(cpu->slot[RDX] << 32 | cpu->slot[RAX], rows[i].value);
    }
}
END_TEST

/* Every feature that CPUID offers has its control bit, and none more (SDM 3A 2.5; SDM 2 CPUID). */
START_TEST(cpuid_features_agree_with_control_bits)
{
    enum { A, B, C, D };
    static const struct { uint64_t bit; uint32_t leaf; unsigned reg, n; } cr4[] = {
        { CR4_VME, 1, D, 1 }, { CR4_PVI, 1, D, 1 }, { CR4_TSD, 1, D, 4 }, { CR4_DE, 1, D, 2 }, { CR4_PSE, 1, D, 3 },
        { CR4_PAE, 1, D, 6 }, { CR4_MCE, 1, D, 7 }, { CR4_PGE, 1, D, 13 }, { CR4_OSFXSR, 1, D, 24 },
        { CR4_OSXMMEXCPT, 1, D, 25 }, { CR4_UMIP, 7, C, 2 }, { CR4_LA57, 7, C, 16 }, { BIT(13), 1, C, 5 }, { BIT(14), 1, C, 6 },
        { CR4_FSGSBASE, 7, B, 0 }, { CR4_PCIDE, 1, C, 17 }, { CR4_OSXSAVE, 1, C, 26 }, { CR4_SMEP, 7, B, 7 },
        { CR4_SMAP, 7, B, 20 }, { CR4_PKE, 7, C, 3 }, { BIT(23), 7, C, 7 }, { BIT(24), 7, C, 31 },
    }, efer[] = {
        { EFER_SCE, 0x80000001, D, 11 }, { EFER_LME, 0x80000001, D, 29 }, { EFER_NXE, 0x80000001, D, 20 },
        { EFER_SVME, 0x80000001, C, 2 }, { EFER_FFXSR, 0x80000001, D, 25 },
    };
    struct cpuid_result r;

    box_reset(&b, BOX_LONG, 0);
    for (unsigned i = 0; i < ARRAY_LEN(cr4) + ARRAY_LEN(efer); i++) {
        bool is_cr4 = i < ARRAY_LEN(cr4);
        uint32_t leaf = is_cr4 ? cr4[i].leaf : efer[i - ARRAY_LEN(cr4)].leaf;
        unsigned reg = is_cr4 ? cr4[i].reg : efer[i - ARRAY_LEN(cr4)].reg, n = is_cr4 ? cr4[i].n : efer[i - ARRAY_LEN(cr4)].n;
        uint64_t bit = is_cr4 ? cr4[i].bit : efer[i - ARRAY_LEN(cr4)].bit;

        r = cpuid(&b.vcpu.cpuid, cpu, leaf, 0);
        ck_assert_msg(((const uint32_t[]){ r.eax, r.ebx, r.ecx, r.edx }[reg] >> n & 1) ==
                          !!((is_cr4 ? cpuid_cr4_mask(&b.vcpu.features) : cpuid_efer_mask(&b.vcpu.features)) & bit),
                      "%s bit %llx", is_cr4 ? "CR4" : "EFER", (unsigned long long)bit);
    }
    r = cpuid(&b.vcpu.cpuid, cpu, 0xd, 0);
    ck_assert_uint_eq(r.eax, cpuid_xcr0_mask(&b.vcpu.features));
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 0x80000008, 0).eax & 0xff, CPUID_PHYSICAL_BITS);
}
END_TEST

/* Leaves 1 and 7: OSXSAVE and OSPKE mirror CR4; D: EBX is the size for XCR0. */
START_TEST(cpuid_bits_that_follow_state_do)
{
    box_reset(&b, BOX_LONG, 0);
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 1, 0).ecx >> 27 & 1, 0);
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 7, 0).ecx >> 4 & 1, 0);
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 0xd, 0).ebx, 576);
    cpu->cr4 |= CR4_OSXSAVE | CR4_PKE;
    cpu->xcr0 = 7;
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 1, 0).ecx >> 27 & 1, 1);
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 7, 0).ecx >> 4 & 1, 1);
    ck_assert_uint_eq(cpuid(&b.vcpu.cpuid, cpu, 0xd, 0).ebx, 832);
}
END_TEST

/* -- REP ------------------------------------------------------------------------------------------------------------------------------------- */

/* SDM 2 REP: registers are as of the last complete iteration, RIP is the instruction. */
START_TEST(rep_movs_that_faults_can_be_restarted)
{
    static const struct { unsigned width; uint8_t code[3]; } rows[] = {
        { 1, { 0xf3, 0xa4 } }, { 2, { 0xf3, 0x66, 0xa5 } }, { 4, { 0xf3, 0xa5 } }, { 8, { 0xf3, 0x48, 0xa5 } },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 4; i++) {
        unsigned width = rows[i / 4].width, done = 3, total = 7;
        bool down = i & 1, source = i & 2;
        uint64_t to = BOX_FREE + 0x10000, from = BOX_FREE, bad = source ? from : to;
        uint64_t first = down ? 0x1000 + (done - 1) * width : 0x1000 - done * width; /* `done` elements, then the bad page */

        box_reset(&b, BOX_LONG, 0);
        memset(b.ram + from, 0x5a, 0x3000);
        box_put(&b, box_pte(&b, bad + (down ? 0 : 0x1000)), 8, 0);
        cpu_set_rflags(cpu, down ? FLAG_DF : 0);
        cpu->slot[RSI] = from + first;
        cpu->slot[RDI] = to + first;
        cpu->slot[RCX] = total;
        box_code(&b, rows[i / 4].code, 3);
        ck_assert_int_eq(RUN(), 14);
        ck_assert_uint_eq(cpu->slot[RCX], total - done);
        ck_assert_uint_eq(cpu->slot[RSI], from + first + (down ? -(uint64_t)(done * width) : done * width));
        ck_assert_uint_eq(cpu->slot[RDI], to + first + (down ? -(uint64_t)(done * width) : done * width));
        ck_assert_uint_eq(cpu->cr2, bad + (down ? 0x1000 - width : 0x1000));
        ck_assert_uint_eq(box_frame(&b, 8, 0), source ? 0 : 2);
        ck_assert_uint_eq(box_frame(&b, 8, 1), BOX_CODE);
        ck_assert_uint_eq(box_frame(&b, 8, 3) & FLAG_RF, FLAG_RF);
    }
}
END_TEST

START_TEST(rep_interrupted_resumes_and_pushes_rf)
{
    box_reset(&b, BOX_LONG, 0);
    cpu_set_rflags(cpu, FLAG_IF);
    cpu->slot[RDI] = BOX_DATA;
    cpu->slot[RSI] = BOX_DATA + 0x100;
    cpu->slot[RCX] = 0x20;
    CODE(0x90, 0xf3, 0xa6, 0xcc); /* nop; rep cmpsb */
    box_run(&b, 1);
    pend(0x40);
    b.vcpu.cpu.shadow = SHADOW_STI; /* so that one iteration runs first */
    ck_assert_int_eq(RUN(), 0x40);
    ck_assert_uint_eq(box_frame(&b, 8, 0), BOX_CODE + 1);
    ck_assert_uint_eq(box_frame(&b, 8, 2) & FLAG_RF, FLAG_RF);
    ck_assert_uint_eq(cpu->slot[RCX], 0x1f);
}
END_TEST

START_TEST(rep_with_a_count_of_zero_touches_nothing)
{
    box_reset(&b, BOX_LONG, 0);
    cpu->slot[RDI] = cpu->slot[RSI] = UNMAPPED;
    CODE(0xf3, 0xa4, 0xcc);
    ck_assert_int_eq(RUN(), 3);
}
END_TEST

#define TEST(name) tcase_add_test(tc, name)

static TCase *chapter(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(suite, tc);
    return tc;
}

static void add_events(Suite *suite)
{
    TCase *tc = chapter(suite, "frames");

    TEST(event_in_real_mode_pushes_flags_cs_ip_and_clears_if_tf);
    TEST(event_real_mode_fault_pushes_its_own_ip_and_no_error_code);
    TEST(event_same_privilege_pushes_eflags_cs_eip_and_the_error_code_last);
    TEST(event_through_a_16_bit_gate_pushes_words);
    TEST(event_from_16_bit_code_through_a_32_bit_gate_pushes_doublewords_at_ss_sp);
    TEST(event_to_inner_privilege_pushes_outer_stack_onto_the_one_in_the_tss);
    TEST(event_to_a_conforming_handler_stays_at_its_privilege);
    TEST(event_in_long_mode_aligns_rsp_and_always_pushes_ss);
    TEST(event_from_user_in_long_mode_takes_rsp0_and_a_null_ss);
    TEST(event_with_ist_takes_its_stack_at_any_privilege);
    TEST(event_error_code_is_pushed_for_the_vectors_that_have_one);
    TEST(event_through_a_bad_gate_raises_with_vector_or_selector);
    TEST(event_gate_dpl_counts_for_software_interrupts_only);
    TEST(event_without_room_on_the_inner_stack_is_ss_with_its_selector);
    TEST(event_with_a_short_tss_is_ts_with_its_selector);
    TEST(vm86_interrupt_pushes_data_segments_and_returns_to_them);
    TEST(vm86_iopl_sensitive_instructions_are_gp_below_iopl_3);
    TEST(vm86_handler_of_another_privilege_than_0_is_gp);
    tc = chapter(suite, "faults of faults, priorities");
    TEST(fault_during_delivery_is_serial_or_double_by_the_table);
    TEST(fault_in_the_double_fault_handlers_gate_shuts_down);
    TEST(fault_chain_of_three_ends_in_a_double_fault);
    TEST(fault_with_no_idt_at_all_shuts_down);
    TEST(priority_of_two_faults_of_one_instruction);
    TEST(alignment_check_needs_am_ac_and_cpl_3);
    TEST(near_branch_to_a_non_canonical_address_is_gp_at_the_branch);
    TEST(priority_instruction_of_16_bytes_is_gp_not_ud);
    TEST(priority_fetch_of_an_instruction_whose_second_page_is_missing_is_pf_there);
    TEST(priority_code_segment_limit_is_gp_at_the_instruction_that_passes_it);
    tc = chapter(suite, "interrupts");
    TEST(interrupt_waits_for_if);
    TEST(interrupt_shadow_of_sti_needs_if_to_have_been_clear);
    TEST(interrupt_between_sti_and_cli_is_not_taken);
    TEST(interrupt_and_nmi_wait_for_the_instruction_after_mov_ss);
    TEST(nmi_blocks_nmi_until_iret);
    TEST(nmi_comes_before_a_maskable_interrupt);
    tcase_add_loop_test(tc, interrupt_after_a_device_access_pushes_the_flags_of_that_instruction, 0, ARRAY_LEN(touching));
    TEST(hlt_resumes_behind_itself_after_an_interrupt);
    TEST(init_resets_registers_and_keeps_memory_and_msrs);
}

static void add_debug(Suite *suite)
{
    TCase *tc = chapter(suite, "debugging");

    TEST(debug_single_step_traps_after_one_instruction);
    TEST(debug_tf_set_by_popf_traps_after_the_next_instruction);
    TEST(debug_step_into_an_interrupt_handler_is_not_taken);
    TEST(debug_step_after_mov_ss_waits_for_the_next_instruction);
    TEST(debug_code_breakpoint_faults_before_and_rf_gets_past_it);
    TEST(debug_code_breakpoint_behind_mov_ss_is_suppressed);
    TEST(debug_code_breakpoint_comes_before_a_fetch_page_fault);
    TEST(debug_data_breakpoint_traps_when_any_byte_of_it_is_touched);
    TEST(debug_io_breakpoint_traps_after_in_and_out_of_its_ports);
    TEST(debug_data_breakpoint_inside_rep_traps_between_iterations_with_rf);
    TEST(debug_step_inside_rep_traps_after_each_iteration);
    TEST(debug_general_detect_faults_on_mov_dr_and_clears_gd);
    TEST(debug_dr4_and_dr5_alias_or_are_ud_with_de);
}

static void add_checks(Suite *suite)
{
    TCase *tc = chapter(suite, "segments and ports");

    TEST(segment_limit_and_type_decide_gp_or_ss);
    TEST(segment_null_or_execute_only_is_gp_when_used);
    TEST(segment_load_sets_the_accessed_bit_and_checks_privilege);
    TEST(segment_load_from_the_ldt_uses_its_base_and_limit);
    TEST(segment_inspection_sets_zf_by_type_and_privilege);
    TEST(segment_inspection_of_a_bad_selector_clears_zf_and_is_ud_without_protection);
    TEST(port_access_above_iopl_asks_every_bit_of_the_bitmap);
    TEST(port_access_within_iopl_needs_no_bitmap_except_in_vm86);
    tc = chapter(suite, "system registers");
    TEST(privileged_instruction_at_cpl_3_is_gp_0);
    TEST(umip_stops_sgdt_and_relatives_at_cpl_3);
    TEST(fsgsbase_rdtsc_and_rdpmc_follow_their_control_bits);
    TEST(control_register_value_that_is_not_allowed_in_64_bit_mode_is_gp_and_changes_nothing);
    TEST(control_register_pg_with_lme_needs_pae_and_no_16_bit_tss);
    TEST(control_register_pcide_needs_long_mode_and_a_clear_pcid);
    TEST(control_register_pae_pdpte_with_a_reserved_bit_is_gp);
    TEST(lmsw_sets_pe_and_cannot_clear_it);
    TEST(xcr0_illegal_combination_is_gp);
    TEST(arpl_writes_only_what_changes);
    TEST(enter_of_32_bits_pushes_esp_onto_a_16_bit_stack);
    TEST(msr_value_that_is_not_allowed_is_gp);
    TEST(cpuid_features_agree_with_control_bits);
    TEST(cpuid_bits_that_follow_state_do);
    tc = chapter(suite, "rep");
    TEST(rep_movs_that_faults_can_be_restarted);
    TEST(rep_interrupted_resumes_and_pushes_rf);
    TEST(rep_with_a_count_of_zero_touches_nothing);
}

int main(void)
{
    Suite *suite = suite_create("system");
    SRunner *runner;
    int failed;

    if (test_engine_skips())
        return 0;
    add_events(suite);
    add_debug(suite);
    add_checks(suite);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
