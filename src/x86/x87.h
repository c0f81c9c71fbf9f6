/*
 * x87.h - what the x87 lifter tells its helpers, and what these share: the register stack, status and results.
 *
 * Spec: SDM 1 8.1 to 8.5.
 */
#ifndef X86_X87_H
#define X86_X87_H

#include "vcpu.h"
#include "x86/float80.h"

enum { X87_EXCEPTIONS = 0x3f, X87_IE = 1, X87_SF = 0x40, X87_ES = 0x80, X87_C0 = 0x100, X87_C1 = 0x200, X87_C2 = 0x400, X87_TOP = 0x3800,
       X87_C3 = 0x4000, X87_B = 0x8000 };

enum x87_op {
#define X87_OP(name) X87_##name,
#include "x86/x87_ops.def"
#undef X87_OP
    X87_OPS
};

/* A memory operand. */
enum x87_format { X87_SINGLE, X87_DOUBLE, X87_EXTENDED, X87_INT16, X87_INT32, X87_INT64, X87_BCD };

/* An instruction: the imm of HELP_x87, HELP_x87_load and HELP_x87_store. */
union x87_word {
    struct {
        uint64_t op : 6;       /* enum x87_op */
        uint64_t memory : 1;   /* an operand is in memory: ... */
        uint64_t format : 3;   /* ... enum x87_format, */
        uint64_t segment : 3;  /* ... through this segment */
        uint64_t to : 3;       /* ST(i) */
        uint64_t from : 3;
        uint64_t pops : 2;
        uint64_t truncate : 1; /* FISTTP */
        uint64_t cc : 4;       /* FCMOVcc: enum condition */
        uint64_t opcode : 11;  /* as in the last-opcode register */
    };
    int64_t imm;
};

_Static_assert(sizeof(union x87_word) == 8, "a word is a helper's imm");

/* Beside the operation in a row of insns.def: the memory operand is an integer; pops after it; more. */
enum { X87_INTEGER = 0x100, X87_POP = 0x200, X87_POP_TWICE = 0x400, X87_TRUNCATE = 0x200000 };
/* ... its registers where no operand says so; FCMOVcc's condition. */
#define X87_FROM(i) ((i) << 12)
#define X87_TO(i) ((i) << 15)
#define X87_IF(cc) ((cc) << 24)

/* One instruction under way. */
struct x87_call {
    struct vcpu *v;
    struct x87 *x;
    union x87_word w;
    struct float80_env e;
    uint64_t value;            /* of the memory operand, */
    uint8_t bytes[10];         /* or its bytes, where it has ten */
};

#define X87_OP(name) void x87_##name(struct x87_call *c);
#include "x86/x87_ops.def"
#undef X87_OP

/* -- the stack -- */

static inline unsigned x87_register(const struct x87 *x, unsigned i) { return ((x->status >> 11) + i) & 7; }
static inline bool x87_is_empty(const struct x87 *x, unsigned i) { return !(x->valid >> x87_register(x, i) & 1); }

static inline struct float80 x87_get(const struct x87 *x, unsigned i)
{
    unsigned r = x87_register(x, i);

    return (struct float80){ x->significand[r], x->exponent[r] };
}

static inline struct float80_parts x87_parts(const struct x87 *x, unsigned i) { return float80_unpack(x87_get(x, i)); }
void x87_set(struct x87 *x, unsigned i, struct float80 f);
void x87_rotate_stack(struct x87 *x, unsigned by);
void x87_free_register(struct x87 *x, unsigned i);
void x87_pop(struct x87 *x);
void x87_push(struct x87 *x, struct float80 f);

/* -- an instruction's beginning and end -- */

/* False: a pending exception is #MF. */
bool x87_ready(struct vcpu *v);
struct x87_call x87_begin(struct vcpu *v, uint64_t value, uint64_t imm);
/* Instruction and data pointer, opcode. */
void x87_note(struct x87_call *c, uint64_t offset);
/* Stack overflow, or underflow.  True: masked, the result is the indefinite NaN. */
bool x87_stack_fault(struct x87_call *c, bool overflow);
/* What the operation has raised, into the status word.  True: there is a result. */
bool x87_settle(struct x87_call *c);
/* Settles; the result to ST(i), and pops. */
void x87_result(struct x87_call *c, unsigned i, struct float80 f);
void x87_pops(struct x87_call *c);
void x87_set_codes(struct x87 *x, unsigned codes);

/* ST(to), and ST(from) or memory; ST(0) alone.  False: one of them is empty, and that has been dealt with. */
bool x87_take_two(struct x87_call *c, struct float80_parts *a, struct float80_parts *b);
bool x87_take_one(struct x87_call *c, struct float80_parts *a);

/* The operand in memory. */
struct float80_parts x87_operand(const struct x87_call *c);

#endif
