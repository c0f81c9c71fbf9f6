/*
 * bytecode.c - a register machine interpreted by computed goto: an indirect jump every few instructions.
 *
 * Its program counts the Collatz steps of 1 to 2000.  An instruction is four bytes: operation and three operands.
 */
#include "guest.h"

enum { LOAD, MOVE, ADD, ADD_CONSTANT, TRIPLE, HALVE, JUMP_ODD, JUMP_NOT_EQUAL, JUMP, STOP };
enum { I, X, STEPS, ONE, LIMIT, REGISTERS };

static const u8 program[][4] = {
    { LOAD, I, 1, 0 },             /*  0 */
    { LOAD, ONE, 1, 0 },
    { LOAD, STEPS, 0, 0 },
    { LOAD, LIMIT, 0xd1, 0x07 },   /* 2001 */
    { MOVE, X, I, 0 },             /*  4 next number */
    { JUMP, 12, 0, 0 },
    { JUMP_ODD, X, 9, 0 },         /*  6 step */
    { HALVE, X, 0, 0 },
    { JUMP, 11, 0, 0 },
    { TRIPLE, X, 0, 0 },           /*  9 */
    { ADD_CONSTANT, X, 1, 0 },
    { ADD, STEPS, STEPS, ONE },    /* 11 */
    { JUMP_NOT_EQUAL, X, ONE, 6 }, /* 12 */
    { ADD_CONSTANT, I, 1, 0 },
    { JUMP_NOT_EQUAL, I, LIMIT, 4 },
    { STOP, STEPS, 0, 0 },
};

static u32 bytecode_round(void)
{
    static const void *const handlers[] = { &&load, &&move, &&add, &&add_constant, &&triple, &&halve, &&jump_odd,
                                            &&jump_not_equal, &&jump, &&stop };
    u32 r[REGISTERS] = { 0 };
    const u8(*pc)[4] = program;
    const u8 *i;

#define NEXT i = *pc++; goto *handlers[i[0]]
    NEXT;
load: r[i[1]] = i[2] | (u32)i[3] << 8; NEXT;
move: r[i[1]] = r[i[2]]; NEXT;
add: r[i[1]] = r[i[2]] + r[i[3]]; NEXT;
add_constant: r[i[1]] += i[2]; NEXT;
triple: r[i[1]] *= 3; NEXT;
halve: r[i[1]] >>= 1; NEXT;
jump_odd: if (r[i[1]] & 1) pc = program + i[2]; NEXT;
jump_not_equal: if (r[i[1]] != r[i[2]]) pc = program + i[3]; NEXT;
jump: pc = program + i[1]; NEXT;
stop: return r[i[1]];
#undef NEXT
}

ROW(bytecode, .group = "integer", .unit = "program", .units = 1, .round = bytecode_round);
