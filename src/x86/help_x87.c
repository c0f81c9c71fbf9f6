/*
 * help_x87.c - x87 control: control and status word, environment, whole state, and what MMX does to it.
 *
 * With CR0.NE clear a pending x87 exception would assert FERR#; nothing is connected to it, and execution goes on.
 *
 * Spec: SDM 1 8.1, 9.6; SDM 2 FSTENV, FSAVE.
 */
#include "x86/helpers.h"

#include "x86/save.h"
#include "x86/x87.h"

#include <string.h>

void x87_summarise(struct x87 *x)
{
    x->status &= (uint16_t)~(X87_ES | X87_B);
    if (x->status & ~x->control & X87_EXCEPTIONS)
        x->status |= X87_ES | X87_B;
}

void x87_init(struct x87 *x)
{
    x->control = 0x37f;
    x->status = x->opcode = x->cs = x->ds = 0;
    x->valid = 0;
    x->ip = x->dp = 0;
}

bool x87_is_init(const struct x87 *x)
{
    struct x87 init = { .control = 0x37f };

    return x->control == init.control && !x->status && !x->opcode && !x->valid && !x->ip && !x->dp && !x->cs && !x->ds &&
           !memcmp(x->significand, init.significand, sizeof(init.significand)) &&
           !memcmp(x->exponent, init.exponent, sizeof(init.exponent));
}

/* -- exceptions, MMX --------------------------------------------------------------------------------------------------- */

/* Where an exception may be pending (lift_x87_wait()). */
uint64_t help_x87_wait(struct vcpu *v, uint64_t imm) { (void)imm; return x87_ready(v); }

/* After an MMX instruction that wrote register `reg` (8: none). */
uint64_t help_mmx_use(struct vcpu *v, uint64_t reg)
{
    struct x87 *x = &v->cpu.x87;

    x->status &= (uint16_t)~X87_TOP;
    x->valid = 0xff;
    if (reg < 8)
        x->exponent[reg] = 0xffff;
    return 1;
}

uint64_t help_emms(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!x87_ready(v))
        return 0;
    v->cpu.x87.valid = 0;
    v->cpu.x87.status &= (uint16_t)~X87_TOP; /* as every MMX instruction */
    return 1;
}

/* -- control and status word ---------------------------------------------------------------------------------------------- */

uint64_t help_fninit(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    x87_init(&v->cpu.x87);
    vcpu_update(v);
    return 1;
}

uint64_t help_fnclex(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    v->cpu.x87.status &= (uint16_t)~(X87_EXCEPTIONS | 0x40 /* SF */ | X87_ES | X87_B);
    return 1;
}

/* Bit 6 reads as one, bits 15:13 and 7 as zero. */
static void x87_set_control(struct x87 *x, uint64_t value) { x->control = (uint16_t)((value & 0x1f7f) | 0x40); }

uint64_t help_fldcw(struct vcpu *v, uint64_t value, uint64_t imm)
{
    (void)imm;
    x87_set_control(&v->cpu.x87, value);
    x87_summarise(&v->cpu.x87);
    vcpu_update(v);
    return 1;
}

/* -- environment ------------------------------------------------------------------------------------------------------------ */

enum x87_tag { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static enum x87_tag x87_tag(const struct x87 *x, unsigned reg)
{
    unsigned exponent = x->exponent[reg] & 0x7fffu;

    if (!(x->valid >> reg & 1))
        return TAG_EMPTY;
    if (!exponent && !x->significand[reg])
        return TAG_ZERO;
    return exponent == 0 || exponent == 0x7fff || !(x->significand[reg] >> 63) ? TAG_SPECIAL : TAG_VALID;
}

static unsigned x87_tags(const struct x87 *x)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++)
        tags |= (unsigned)x87_tag(x, i) << i * 2;
    return tags;
}

static void x87_set_tags(struct x87 *x, uint64_t tags)
{
    x->valid = 0;
    for (unsigned i = 0; i < 8; i++)
        x->valid |= (uint8_t)((tags >> i * 2 & 3) != TAG_EMPTY) << i;
}

/* Seven fields of `size` bytes, 2 or 4; the upper halves of narrow ones are ones (SDM 1 figures 8-9 to 8-12). */
static bool x87_is_real(const struct cpu *c) { return !(c->mode & MODE_PROTECTED) && !(c->mode & MODE_LONG); }

static void x87_put_environment(struct save *s, const struct cpu *c, unsigned size)
{
    const struct x87 *x = &c->x87;
    uint64_t ip = x->ip, dp = x->dp, high = size == 4 ? 0xffff0000u : 0, field[7];

    field[0] = x->control | high;
    field[1] = x->status | high;
    field[2] = x87_tags(x) | high;
    if (x87_is_real(c)) { /* linear addresses; their upper parts from bit 12 */
        ip = (uint32_t)(ip + ((uint32_t)x->cs << 4));
        dp = (uint32_t)(dp + ((uint32_t)x->ds << 4));
        field[3] = (ip & 0xffff) | high;
        field[4] = (ip >> 16 & (size == 4 ? 0xffff : 0xf)) << 12 | (x->opcode & 0x7ff);
        field[5] = (dp & 0xffff) | high;
        field[6] = (dp >> 16 & (size == 4 ? 0xffff : 0xf)) << 12;
    } else {
        field[3] = ip;
        field[4] = x->cs | (size == 4 ? (uint64_t)(x->opcode & 0x7ff) << 16 : 0);
        field[5] = dp;
        field[6] = x->ds | high;
    }
    for (unsigned i = 0; i < 7; i++)
        save_put(s, i * size, size, field[i]);
}

static void x87_get_environment(const struct save *s, struct cpu *c, unsigned size)
{
    struct x87 *x = &c->x87;
    uint64_t field[7];

    for (unsigned i = 0; i < 7; i++)
        field[i] = save_get(s, i * size, size);
    x87_set_control(x, field[0]);
    x->status = (uint16_t)field[1];
    x87_set_tags(x, field[2]);
    x->ip = field[3];
    x->dp = field[5];
    if (x87_is_real(c)) {
        x->ip = (field[3] & 0xffff) | (field[4] >> 12 & 0xffff) << 16;
        x->dp = (field[5] & 0xffff) | (field[6] >> 12 & 0xffff) << 16;
        x->opcode = (uint16_t)(field[4] & 0x7ff);
        x->cs = x->ds = 0;
    } else {
        x->cs = (uint16_t)field[4];
        x->ds = (uint16_t)field[6];
        x->opcode = size == 4 ? field[4] >> 16 & 0x7ff : x->opcode;
    }
    x87_summarise(x);
}

static unsigned x87_size(uint64_t shape) { return (shape & 0xff) == 2 ? 2 : 4; }

static bool x87_aligned(struct vcpu *v, uint64_t linear, unsigned size)
{
    return !(v->mmu.align_check && linear & (size - 1)) || vcpu_raise_error(v, EXCEPTION_AC, 0);
}

uint64_t help_fnstenv(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    unsigned size = x87_size(shape);
    struct save s = { .words = 0 };

    if (!x87_aligned(v, linear, size) || !save_probe(v, p, size * 7, ACCESS_WRITE))
        return 0;
    x87_put_environment(&s, &v->cpu, size);
    save_store(v, p, &s);
    v->cpu.x87.control |= X87_EXCEPTIONS;
    x87_summarise(&v->cpu.x87);
    vcpu_update(v);
    return 1;
}

uint64_t help_fldenv(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    unsigned size = x87_size(shape);
    struct save s = { .words = 0 };

    if (!x87_ready(v) || !x87_aligned(v, linear, size) || !save_probe(v, p, size * 7, ACCESS_READ))
        return 0;
    for (unsigned i = 0; i < 7; i++)
        save_word(&s, i * size, size);
    save_load(v, p, &s);
    x87_get_environment(&s, &v->cpu, size);
    vcpu_update(v);
    return 1;
}

/* -- whole state ------------------------------------------------------------------------------------------------------------- */

uint64_t help_fnsave(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    struct x87 *x = &v->cpu.x87;
    unsigned size = x87_size(shape), at = size * 7;
    struct save s = { .words = 0 };

    if (!x87_aligned(v, linear, size) || !save_probe(v, p, at + 80, ACCESS_WRITE))
        return 0;
    x87_put_environment(&s, &v->cpu, size);
    for (unsigned i = 0; i < 8; i++, at += 10) {
        unsigned reg = (x87_top(x) + i) & 7;

        save_put(&s, at, 8, x->significand[reg]);
        save_put(&s, at + 8, 2, x->exponent[reg]);
    }
    save_store(v, p, &s);
    x87_init(x);
    vcpu_update(v);
    return 1;
}

uint64_t help_frstor(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct save_place p = save_place(linear, shape);
    struct x87 *x = &v->cpu.x87;
    unsigned size = x87_size(shape), at = size * 7;
    struct save s = { .words = 0 };

    if (!x87_ready(v) || !x87_aligned(v, linear, size) || !save_probe(v, p, at + 80, ACCESS_READ))
        return 0;
    for (unsigned i = 0; i < 7; i++)
        save_word(&s, i * size, size);
    for (unsigned i = 0; i < 8; i++) {
        save_word(&s, at + i * 10, 8);
        save_word(&s, at + i * 10 + 8, 2);
    }
    save_load(v, p, &s);
    x87_get_environment(&s, &v->cpu, size);
    for (unsigned i = 0; i < 8; i++, at += 10) {
        unsigned reg = (x87_top(x) + i) & 7;

        x->significand[reg] = save_get(&s, at, 8);
        x->exponent[reg] = (uint16_t)save_get(&s, at + 8, 2);
    }
    vcpu_update(v);
    return 1;
}
