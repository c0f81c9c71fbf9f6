/*
 * x87.c - the guest's x87 in the host's x87 unit.
 *
 * While all exceptions are masked (no MODE_X87_TRAPS), translated code carries out x87 instructions as themselves: stack,
 * tags, rounding, precision and flags are the unit's.  It gets the guest's state where a block first wants it, and keeps it
 * across blocks until C is called, for which it belongs to the ABI: then everything is in the vcpu again.
 *
 * What the unit cannot know is the guest's idea of its last instruction (struct x87_note); the address of its operand is
 * written to the vcpu as it comes.  The control word in the vcpu is always right: FLDCW sets both.
 *
 * C stay: transcendental functions and FPREM, whose last bits and partial remainders are a processor's own, packed decimals,
 * what moves more than a register or a word, and everything under an unmasked exception.
 *
 * Spec: SDM 1 8.1, figure 8-9 (image of FNSAVE).
 */
#include "jit/x87.h"

#include "jit/jit.h"
#include "x86/save.h"
#include "x86/x87.h"

#include <string.h>

/* -- state ---------------------------------------------------------------------------------------------------------------- */

/* As FNSAVE writes it: registers in the order of the stack. */
struct image {
    uint16_t control, unused0, status, unused1, tags, unused2;
    uint32_t pointers[4];
    struct { uint64_t significand; uint16_t exponent; } __attribute__((packed)) st[8];
} __attribute__((packed));

_Static_assert(sizeof(struct image) == 108, "SDM 1 figure 8-9");

void jit_x87_in(struct jit *j)
{
    const struct x87 *x = &j->v->cpu.x87;
    struct image m = { .control = x->control, .status = x->status };

    if ((x->control & X87_MASKS) != X87_MASKS) /* FLDCW at a block's end */
        return;
    for (unsigned i = 0; i < 8; i++) {
        struct float80 f = x87_get(x, i);

        m.st[i].significand = f.significand;
        m.st[i].exponent = f.exponent;
        m.tags |= (uint16_t)(x->valid >> i & 1 ? 0 : 3 << i * 2);
    }
    j->x87_note = (struct x87_note){ .due = false };
    j->x87_inside = true;
    __asm__ volatile("frstor %0" : : "m"(m));
}

void jit_x87_note(struct jit *j, const struct x87_note *note)
{
    struct cpu *c = &j->v->cpu;

    if (note->due) {
        c->x87.ip = note->ip;
        c->x87.cs = c->seg[SEG_CS].selector;
        c->x87.opcode = note->opcode;
    }
    if (note->segment)
        c->x87.ds = c->seg[note->segment - 1].selector;
}

/* FNSAVE leaves the unit as FNINIT does, which is how C wants it. */
void jit_x87_out(struct jit *j)
{
    struct x87 *x = &j->v->cpu.x87;
    struct image m;

    if (!j->x87_inside)
        return;
    __asm__ volatile("fnsave %0" : "=m"(m));
    j->x87_inside = false;
    x->status = m.status;
    x->valid = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned reg = x87_register(x, i);

        x->significand[reg] = m.st[i].significand;
        x->exponent[reg] = m.st[i].exponent;
        x->valid |= (uint8_t)((m.tags >> i * 2 & 3) != 3) << i;
    }
    jit_x87_note(j, &j->x87_note);
}

bool x87_host_agrees(void)
{
    uint16_t status[3];

    __asm__ volatile("fninit; fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz; fldz; " /* one too many: C1 */
                     "fcomi %%st(1), %%st; fnstsw %0; fcmove %%st(1), %%st; fnstsw %1; ffree %%st(7); fnstsw %2; fninit"
                     : "=m"(status[0]), "=m"(status[1]), "=m"(status[2]) : : "cc");
    return status[0] & status[1] & ~status[2] & X87_C1;
}

/* -- which operations ----------------------------------------------------------------------------------------------------- */

/* Does every processor do this as the interpreter does? */
static bool is_exact(union x87_word w, bool host_agrees)
{
    if (w.memory && w.format == X87_BCD)
        return false;
    switch (w.op) {
    case X87_move_if: case X87_compare_flags: case X87_compare_flags_quiet: case X87_free: return host_agrees;
    case X87_load: case X87_load_constant: case X87_store_register: case X87_exchange: case X87_rotate: case X87_change_sign:
    case X87_absolute: case X87_examine:
    case X87_add: case X87_sub: case X87_subr: case X87_mul: case X87_div: case X87_divr: case X87_sqrt: case X87_round:
    case X87_scale: case X87_extract: case X87_compare: case X87_compare_quiet: case X87_test: return true;
    default: return false;
    }
}

static bool is_in_x87(uint64_t offset) { return offset - offsetof(struct cpu, x87) < sizeof(struct x87); }

bool x87_in_vcpu(const struct ir_op *o)
{
    bool moves = o->op == IR_MOVX || o->op == IR_ZEROX || o->op == IR_LDX || o->op == IR_STX;

    return !o->x87 && moves && (is_in_x87(o->aux) || (o->op == IR_MOVX && is_in_x87((uint64_t)o->imm)));
}

/* The vcpu's control word is always right. */
bool x87_is_fnstcw(const struct ir_op *o)
{
    return o->op == IR_HELPER && o->aux == HELP_vec_get && (uint32_t)o->imm == offsetof(struct cpu, x87.control);
}

/* The operation of the same instruction that loads what `o` takes. */
static struct ir_op *load_of(struct ir_block *ir, struct ir_op *o)
{
    struct ir_op *at = o;

    while (at > ir->op && at[-1].insn == o->insn)
        if ((--at)->op == IR_LD && at->d == o->a)
            return at;
    return NULL;
}

static void becomes_quiet(struct ir_op *o, enum ir_fx fx)
{
    o->x87 = X87_HOST;
    o->state = false;
    o->proven = true;
    o->fx = (uint8_t)fx;
}

/* HELP_x87_load, HELP_x87_store: a = linear address, b = offset.  The word, without the opcode, goes to aux. */
static void becomes_access(struct ir_op *o)
{
    static const uint8_t widths[] = { [X87_SINGLE] = 4, [X87_DOUBLE] = 8, [X87_EXTENDED] = 10, [X87_INT16] = 2, [X87_INT32] = 4, [X87_INT64] = 8 };
    union x87_word w = { .imm = o->imm };

    o->width = widths[w.format];
    o->op = o->aux == HELP_x87_load ? IR_LDX : o->width == 10 ? IR_STX : IR_ST;
    o->cc = o->op == IR_ST ? FORM_X87 : 0;
    o->stack = w.segment == SEG_SS;
    o->x87 = X87_HOST;
    o->state = o->proven = false;
    w.opcode = 0;
    o->aux = (uint32_t)w.imm;
    o->imm = 0;
}

static void mark(struct ir_block *ir, struct ir_op *o, bool host_agrees)
{
    union x87_word w = { .imm = o->imm };
    struct ir_op *load;

    switch (o->op == IR_HELPER ? o->aux : HELPERS) {
    case HELP_x87:
        load = w.memory ? load_of(ir, o) : NULL;
        if (!is_exact(w, host_agrees) || (w.memory && !load))
            return;
        if (load)
            load->x87 = X87_HOST;
        becomes_quiet(o, w.op == X87_move_if ? FX_USE : w.op == X87_compare_flags || w.op == X87_compare_flags_quiet ? FX_SET : FX_NONE);
        break;
    case HELP_x87_load: case HELP_x87_store:
        if (w.format != X87_BCD)
            becomes_access(o);
        break;
    case HELP_vec_get:
        if ((uint32_t)o->imm == offsetof(struct cpu, x87.status) || x87_is_fnstcw(o))
            becomes_quiet(o, FX_NONE);
        break;
    case HELP_fnclex: becomes_quiet(o, FX_NONE); break;
    case HELP_fldcw: o->x87 = X87_HOST; break;
    default: break;
    }
}

void x87_plan(struct ir_block *ir, bool host_agrees)
{
    bool inside = false;

    if (ir->mode & MODE_X87_TRAPS)
        return;
    for (unsigned i = 0; i < ir->ops; i++)
        mark(ir, &ir->op[i], host_agrees);
    for (unsigned i = 0; i < ir->ops; i++) {
        struct ir_op *o = &ir->op[i];

        if (o->x87 && !x87_is_fnstcw(o)) {
            o->x87 = inside ? X87_HOST : X87_HOST_FIRST;
            inside = true;
        } else if (!o->x87 && ((o->op == IR_HELPER && o->aux != HELP_check_target) || x87_in_vcpu(o))) {
            inside = false;
        }
    }
}
