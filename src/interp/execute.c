/*
 * execute.c - the threaded loop: one label per IR operation, width and "flags wanted".
 *
 * A step ends with a jump to the next step's code.  Out-of-line work (TLB misses, devices, helpers) returns here and
 * looks whether a fault was raised.  Helpers are called through libffi from their row in helpers.def.
 */
#include "interp/interp.h"

#include "interp/alu.h"
#include "x86/helpers.h"
#include "x86/memory.h"
#include "x86/segment.h"

#include <ffi.h>
#include <string.h>

/* -- helpers ---------------------------------------------------------------------------------------------------------- */

static ffi_cif helper_cif[5]; /* by number of arguments beyond the vcpu */

static void prepare_helpers(void)
{
    static ffi_type *types[] = { &ffi_type_pointer, &ffi_type_uint64, &ffi_type_uint64, &ffi_type_uint64, &ffi_type_uint64 };

    for (unsigned i = 0; i < ARRAY_LEN(helper_cif); i++)
        ffi_prep_cif(&helper_cif[i], FFI_DEFAULT_ABI, i + 1, &ffi_type_uint64, types);
}

/* The arguments are the first `args - 1` of a, b, c and, last, imm. */
static uint64_t helper_call(struct vcpu *v, const struct step *s)
{
    const struct helper *h = &helpers[s->aux];
    void *args[5] = { &v, s->a, s->b, s->c, NULL };
    int64_t imm = s->imm;
    ffi_arg result;

    args[h->args] = &imm;
    ffi_call(&helper_cif[h->args], FFI_FN(h->function), &result, args);
    return (uint64_t)result;
}

/* -- memory, off the fast path ------------------------------------------------------------------------------------------ */

static struct memory_shape step_shape(const struct step *s)
{
    return (struct memory_shape){ .width = s->width, .form = s->cc, .flags = s->stack ? LDX_STACK : 0 };
}

/* The load of a read-modify-write. */
static struct memory_shape step_shape_to_write(const struct step *s)
{
    return (struct memory_shape){ .width = s->width, .form = FORM_RMW, .flags = s->stack ? LDX_STACK : 0, .to_write = true };
}

static struct memory_shape step_shape_atomic(const struct step *s)
{
    return (struct memory_shape){ .width = s->width, .form = FORM_RMW, .flags = s->stack ? LDX_STACK : 0, .kind = s->cc };
}

static struct memory_shape step_shape_wide(const struct step *s)
{
    return (struct memory_shape){ .width = s->width, .form = FORM_VECTOR, .flags = s->cc };
}

/* -- segments --------------------------------------------------------------------------------------------------------------- */

/* The common case of segment_linear(): ordinary data within its limit. */
static inline bool segment_check(struct vcpu *v, const struct step *s, uint64_t *linear)
{
    const struct segment *seg = &v->cpu.seg[s->aux];
    uint64_t offset = (uint32_t)*s->a;

    if (likely(offset + (uint64_t)s->imm - 1 <= seg->limit &&
               (seg->ar & (AR_UNUSABLE | AR_CODE | AR_EXPAND_DOWN | AR_WRITABLE)) == AR_WRITABLE)) {
        *linear = (uint32_t)(seg->base + offset);
        return true;
    }
    return segment_linear(v, s->aux, offset, (unsigned)s->imm, s->cc, linear);
}

static inline uint64_t next_rip(const struct cpu *c, const struct ir_insn *insn)
{
    return c->mode & MODE_CODE64 ? insn->rip + insn->length : (uint32_t)(insn->rip + insn->length);
}

/* -- the loop ---------------------------------------------------------------------------------------------------------------- */

/* Filled in by run(NULL, NULL): labels are only known inside it. */
static const void *const (*labels)[4][2];
static const void *exit_label;

static bool wants_out(const struct vcpu *v)
{
    return v->attention | v->bus.touched | v->pins.intr | v->pins.nmi | v->pins.init | (v->cpu.shadow != SHADOW_NONE) |
           (v->cpu.rflags >> 16 & 1); /* RF is for one instruction */
}

/* The block at RIP through a step's link, or the jump cache; NULL: the run loop comes to it by itself. */
static struct iblock *linked(struct interp *it, struct step *s)
{
    struct vcpu *v = it->v;
    struct iblock *b = s->link;

    if (likely(b && s->link_generation == it->generation && it->seen_flushes == v->mmu.flushes && b->rip == v->cpu.rip &&
               b->mode == v->cpu.mode))
        return b;
    b = interp_find(it, BLOCK_INSNS);
    if (!b || b->dead)
        return NULL;
    s->link = b;
    s->link_generation = it->generation;
    return b;
}

/* The block to go on with after this one; a helper's step has no room for a link. */
static struct iblock *successor(struct interp *it, struct step *s, uint64_t rip, bool links)
{
    struct vcpu *v = it->v;
    struct iblock *b;

    v->cpu.rip = rip;
    v->in_block = 0;
    if (it->history)
        history_note(it->history, it->current->insn[s->insn].rip, rip);
    if (unlikely(wants_out(v) || it->single || !it->patience || v->cpu.mode & MODE_STEP))
        return NULL;
    b = links ? linked(it, s) : interp_find(it, BLOCK_INSNS);
    if (!b || b->dead)
        return NULL;
    if (it->patience != UINT8_MAX) {
        if (b->visits >= it->patience)
            return NULL;
        b->visits++;
    }
    return v->retired + b->insns <= v->end ? b : NULL;
}

static void run(struct interp *it, struct iblock *block);

void interp_execute(struct interp *it, struct iblock *block) { run(it, block); }

void interp_prepare(void)
{
    if (labels)
        return;
    prepare_helpers();
    run(NULL, NULL);
}

const void *interp_label(const struct ir_op *op)
{
    unsigned log2 = op->width == 2 ? 1 : op->width == 4 ? 2 : op->width >= 8 ? 3 : 0;

    return labels[op->op][log2][op->live];
}

void interp_arm(struct interp *it)
{
    struct iblock *b = it->current;
    unsigned next;

    if (it->armed || !it->at || !b)
        return;
    next = it->at->insn + 1u;
    if (next >= b->insns)
        return; /* the block ends there anyway */
    it->armed_insn = next;
    it->armed = &b->step[b->insn[next].first];
    it->armed_go = it->armed->go;
    it->armed->go = exit_label;
}

static void disarm(struct interp *it)
{
    if (it->armed)
        it->armed->go = it->armed_go;
    it->armed = NULL;
}

/* After a device was touched, or something asks for attention: stop at the next boundary if that could matter. */
static void touched(struct interp *it, const struct step *s)
{
    struct vcpu *v = it->v;

    it->at = s;
    if (vcpu_wanted(v))
        interp_arm(it);
}

#define CONCAT_(a, b, c, d) a##b##_##c##_##d
#define CONCAT(a, b, c, d) CONCAT_(a, b, c, d)
#define LABEL(op, w, f) CONCAT(L_, op, w, f)
#define NEXT                                                                                                           \
    do {                                                                                                               \
        s++;                                                                                                           \
        goto *s->go;                                                                                                   \
    } while (0)

/* The result of an operation into d, as the host's registers would take it. */
#define PUT(w, value)                                                                                                  \
    do {                                                                                                               \
        uint64_t put_ = (value);                                                                                       \
        if ((w) >= 8)                                                                                                  \
            *s->d = put_;                                                                                              \
        else if ((w) == 4)                                                                                             \
            *s->d = (uint32_t)put_;                                                                                    \
        else                                                                                                           \
            *s->d = (*s->d & ~bits_mask((w) * 8)) | (put_ & bits_mask((w) * 8));                                       \
    } while (0)

#define ONE(op, w, f, body)                                                                                            \
    LABEL(op, w, f) : {                                                                                                \
        enum { W = w, F = f };                                                                                         \
        (void)W, (void)F;                                                                                              \
        body                                                                                                           \
    }                                                                                                                  \
    NEXT;

#define EACH(op, ...)                                                                                                  \
    ONE(op, 1, 0, __VA_ARGS__) ONE(op, 1, 1, __VA_ARGS__) ONE(op, 2, 0, __VA_ARGS__) ONE(op, 2, 1, __VA_ARGS__)        \
    ONE(op, 4, 0, __VA_ARGS__) ONE(op, 4, 1, __VA_ARGS__) ONE(op, 8, 0, __VA_ARGS__) ONE(op, 8, 1, __VA_ARGS__)

#define ROW(op)                                                                                                        \
    [IR_##op] = { { &&LABEL(op, 1, 0), &&LABEL(op, 1, 1) }, { &&LABEL(op, 2, 0), &&LABEL(op, 2, 1) },                  \
                  { &&LABEL(op, 4, 0), &&LABEL(op, 4, 1) }, { &&LABEL(op, 8, 0), &&LABEL(op, 8, 1) } },

#define A (*s->a)
#define B (*s->b)

/* Out-of-line work may raise: RIP is made true first. */
#define SYNC                                                                                                           \
    do {                                                                                                               \
        it->at = s;                                                                                                    \
        v->in_block = s->insn;                                                                                         \
        c->rip = block->insn[s->insn].rip;                                                                             \
        v->bus.origin.rip = c->rip;                                                                                    \
    } while (0)

#define AFTER_ACCESS                                                                                                   \
    do {                                                                                                               \
        if (unlikely(v->bus.touched))                                                                                  \
            touched(it, s);                                                                                            \
    } while (0)

#define LOAD(to_write)                                                                                                 \
    uint64_t gva = A + (uint64_t)s->imm;                                                                               \
    const uint8_t *host = tlb_hit(&v->mmu, gva, W, to_write ? TLB_WRITE : TLB_READ);                                   \
    if (likely(host && !v->mmu.align_check)) {                                                                         \
        uint64_t value = 0;                                                                                            \
        memcpy(&value, host, W);                                                                                       \
        *s->d = value;                                                                                                 \
    } else {                                                                                                           \
        SYNC;                                                                                                          \
        if (!guest_load(v, gva, to_write ? step_shape_to_write(s) : step_shape(s), s->d))                                                                     \
            goto fault;                                                                                                \
        AFTER_ACCESS;                                                                                                  \
    }

static void run(struct interp *it, struct iblock *block)
{
    static const void *const table[IR_OPCODES][4][2] = {
#define IR(id, name, faults, ends) ROW(id)
#include "ir/ops.def"
#undef IR
    };
    static const void *const leave[] = { &&leave_armed };
    struct vcpu *v;
    struct cpu *c;
    struct step *s;

    if (!it) {
        labels = table;
        exit_label = leave[0];
        return;
    }
    v = it->v;
    c = &v->cpu;

enter:
    it->current = block;
    s = block->step;
    goto *s->go;

    EACH(MOV, PUT(W, A);)
    EACH(ZEXT, *s->d = bits_trunc(A, W);)
    EACH(SEXT, {
        uint64_t x = (uint64_t)bits_sext(A, W);

        if (s->aux == 8)
            *s->d = x;
        else if (s->aux == 4)
            *s->d = (uint32_t)x;
        else
            *s->d = (*s->d & ~UINT64_C(0xffff)) | (x & 0xffff);
    })
    EACH(GETHI, *s->d = A >> 8 & 0xff;)
    EACH(SETHI, *s->d = (*s->d & ~UINT64_C(0xff00)) | (A & 0xff) << 8;)
    EACH(LEA, *s->d = bits_trunc(A + (B << s->aux) + (uint64_t)s->imm, W);)
    EACH(BSWAP, PUT(W, W == 8 ? __builtin_bswap64(A) : W == 4 ? __builtin_bswap32((uint32_t)A) : __builtin_bswap16((uint16_t)A));)

    EACH(ADD, PUT(W, alu_add(c, A, B, W, F));)
    EACH(ADC, PUT(W, alu_adc(c, A, B, W, F));)
    EACH(SUB, PUT(W, alu_sub(c, A, B, W, F));)
    EACH(SBB, PUT(W, alu_sbb(c, A, B, W, F));)
    EACH(AND, PUT(W, alu_logic(c, A & B, W, F));)
    EACH(OR, PUT(W, alu_logic(c, A | B, W, F));)
    EACH(XOR, PUT(W, alu_logic(c, A ^ B, W, F));)
    EACH(CMP, alu_sub(c, A, B, W, F);)
    EACH(TEST, alu_logic(c, A & B, W, F);)
    EACH(INC, PUT(W, alu_inc(c, A, W, F));)
    EACH(DEC, PUT(W, alu_dec(c, A, W, F));)
    EACH(NEG, PUT(W, alu_sub(c, 0, A, W, F));)
    EACH(NOT, PUT(W, ~A);)
    EACH(SHL, PUT(W, alu_shl(c, A, B, W, F));)
    EACH(SHR, PUT(W, alu_shr(c, A, B, W, F));)
    EACH(SAR, PUT(W, alu_sar(c, A, B, W, F));)
    EACH(ROL, PUT(W, alu_rol(c, A, B, W, F));)
    EACH(ROR, PUT(W, alu_ror(c, A, B, W, F));)
    EACH(RCL, PUT(W, alu_rcl(c, A, B, W, F));)
    EACH(RCR, PUT(W, alu_rcr(c, A, B, W, F));)
    EACH(SHLD, PUT(W, alu_shld(c, A, B, *s->c, W, F));)
    EACH(SHRD, PUT(W, alu_shrd(c, A, B, *s->c, W, F));)
    EACH(MUL, {
        unsigned __int128 r = (unsigned __int128)bits_trunc(A, W) * bits_trunc(B, W);
        uint64_t low = (uint64_t)r;
        uint64_t high = (uint64_t)(r >> (W * 8));

        if (W == 1) {
            *s->d = (*s->d & ~UINT64_C(0xffff)) | (low & 0xffff);
        } else {
            PUT(W, low);
            c->slot[s->aux] = W >= 4 ? bits_trunc(high, W) : (c->slot[s->aux] & ~UINT64_C(0xffff)) | (high & 0xffff);
        }
        if (F)
            alu_mul_flags(c, low, bits_trunc(high, W) != 0, W);
    })
    EACH(IMUL, {
        __int128 r = (__int128)bits_sext(A, W) * bits_sext(B, W);
        uint64_t low = (uint64_t)r;
        uint64_t high = (uint64_t)(r >> (W * 8));

        if (W == 1) {
            *s->d = (*s->d & ~UINT64_C(0xffff)) | (low & 0xffff);
        } else {
            PUT(W, low);
            c->slot[s->aux] = W >= 4 ? bits_trunc(high, W) : (c->slot[s->aux] & ~UINT64_C(0xffff)) | (high & 0xffff);
        }
        if (F)
            alu_mul_flags(c, low, r != bits_sext(low, W), W);
    })
    EACH(IMUL2, {
        __int128 r = (__int128)bits_sext(A, W) * bits_sext(B, W);

        PUT(W, (uint64_t)r);
        if (F)
            alu_mul_flags(c, (uint64_t)r, r != bits_sext((uint64_t)r, W), W);
    })
    EACH(DIV, SYNC; if (unlikely(!guest_divide(v, A, W))) goto fault;)
    EACH(IDIV, SYNC; if (unlikely(!guest_divide_signed(v, A, W))) goto fault;)
    EACH(BT, if (F) flags_put_cf(c, A >> (B & (W * 8 - 1)) & 1);)
    EACH(BTS, {
        uint64_t x = A; unsigned bit = B & (W * 8 - 1);

        PUT(W, x | BIT(bit));
        if (F)
            flags_put_cf(c, x >> bit & 1);
    })
    EACH(BTR, {
        uint64_t x = A; unsigned bit = B & (W * 8 - 1);

        PUT(W, x & ~BIT(bit));
        if (F)
            flags_put_cf(c, x >> bit & 1);
    })
    EACH(BTC, {
        uint64_t x = A; unsigned bit = B & (W * 8 - 1);

        PUT(W, x ^ BIT(bit));
        if (F)
            flags_put_cf(c, x >> bit & 1);
    })
    EACH(BSF, {
        uint64_t x = bits_trunc(A, W);

        if (x)
            PUT(W, (uint64_t)__builtin_ctzll(x));
        alu_put_zf_cf(c, !x, flag_cf(c));
    })
    EACH(BSR, {
        uint64_t x = bits_trunc(A, W);

        if (x)
            PUT(W, 63 - (uint64_t)__builtin_clzll(x));
        alu_put_zf_cf(c, !x, flag_cf(c));
    })
    EACH(TZCNT, {
        uint64_t x = bits_trunc(A, W); uint64_t r = alu_ctz(x, W * 8);

        PUT(W, r);
        alu_put_zf_cf(c, !r, !x);
    })
    EACH(LZCNT, {
        uint64_t x = bits_trunc(A, W); uint64_t r = alu_clz(x, W * 8);

        PUT(W, r);
        alu_put_zf_cf(c, !r, !x);
    })
    EACH(POPCNT, {
        uint64_t x = bits_trunc(A, W);

        PUT(W, (uint64_t)__builtin_popcountll(x));
        if (F)
            flags_put(c, x ? 0 : FLAG_ZF);
    })
    EACH(ANDN, {
        uint64_t r = ~A & B;

        PUT(W, r);
        alu_bmi_flags(c, r, false, W);
    })
    EACH(BEXTR, {
        unsigned start = B & 0xff; unsigned length = B >> 8 & 0xff;
        uint64_t r = start < 64 ? bits_trunc(A, W) >> start & bits_mask(length) : 0;

        PUT(W, r);
        alu_bmi_flags(c, r, false, W);
    })
    EACH(BLSI, {
        uint64_t x = bits_trunc(A, W); uint64_t r = x & -x;

        PUT(W, r);
        alu_bmi_flags(c, r, x != 0, W);
    })
    EACH(BLSMSK, {
        uint64_t x = bits_trunc(A, W); uint64_t r = x ^ (x - 1);

        PUT(W, r);
        alu_bmi_flags(c, r, x == 0, W);
    })
    EACH(BLSR, {
        uint64_t x = bits_trunc(A, W); uint64_t r = x & (x - 1);

        PUT(W, r);
        alu_bmi_flags(c, r, x == 0, W);
    })
    EACH(BZHI, {
        unsigned n = B & 0xff; uint64_t r = bits_trunc(A, W) & (n < W * 8 ? bits_mask(n) : UINT64_MAX);

        PUT(W, r);
        alu_bmi_flags(c, r, n > W * 8 - 1, W);
    })
    EACH(PDEP, PUT(W, alu_pdep(A, bits_trunc(B, W)));)
    EACH(PEXT, PUT(W, alu_pext(A, bits_trunc(B, W)));)
    EACH(ADCX, {
        unsigned __int128 r = (unsigned __int128)bits_trunc(A, W) + bits_trunc(B, W) + flag_cf(c);

        PUT(W, (uint64_t)r);
        flags_put_cf_of(c, (bool)(r >> (W * 8) & 1), flag_of(c));
    })
    EACH(ADOX, {
        unsigned __int128 r = (unsigned __int128)bits_trunc(A, W) + bits_trunc(B, W) + flag_of(c);

        PUT(W, (uint64_t)r);
        flags_put_cf_of(c, flag_cf(c), (bool)(r >> (W * 8) & 1));
    })
    EACH(CRC32, *s->d = alu_crc32(A, B, W);)
    EACH(SETCC, PUT(1, flags_condition(c, s->cc));)
    EACH(CMOV, {
        if (flags_condition(c, s->cc))
            PUT(W, A);
        else if (W == 4)
            *s->d = (uint32_t)*s->d;
    })
    EACH(SEL, *s->d = flags_condition(c, s->cc) ? A : B;)
    EACH(SETCF, flags_put_cf(c, s->imm == 2 ? !flag_cf(c) : s->imm != 0);)
    EACH(SETDF, c->rflags = s->imm ? c->rflags | FLAG_DF : c->rflags & ~(uint64_t)FLAG_DF;)

    EACH(SEGBASE, *s->d = bits_trunc(A + c->seg[s->aux].base, W);)
    EACH(SEGCHECK, {
        uint64_t linear;

        if (unlikely(!segment_check(v, s, &linear))) {
            SYNC;
            goto fault;
        }
        *s->d = linear;
    })
    EACH(LD, LOAD(false))
    EACH(LDW, LOAD(true))
    EACH(ST, {
        uint64_t gva = A + (uint64_t)s->imm; uint8_t *host = tlb_hit(&v->mmu, gva, W, TLB_WRITE);

        if (likely(host && !v->mmu.align_check)) {
            memcpy(host, s->b, W);
        } else {
            SYNC;
            if (!guest_store(v, gva, step_shape(s), B))
                goto fault;
            AFTER_ACCESS;
        }
    })
    EACH(ATOMIC, {
        uint64_t old;

        SYNC;
        if (!guest_atomic(v, A + (uint64_t)s->imm, step_shape_atomic(s), B, *s->c, &old))
            goto fault;
        AFTER_ACCESS;
        *s->d = old;
    })
    EACH(LDX, {
        SYNC;
        if (!guest_load_wide(v, A + (uint64_t)s->imm, step_shape_wide(s), (uint8_t *)c + s->aux))
            goto fault;
        AFTER_ACCESS;
    })
    EACH(STX, {
        SYNC;
        if (!guest_store_wide(v, A + (uint64_t)s->imm, step_shape_wide(s), (uint8_t *)c + s->aux))
            goto fault;
        AFTER_ACCESS;
    })
    EACH(MOVX, memmove((uint8_t *)c + s->aux, (uint8_t *)c + s->imm, s->width);)
    EACH(ZEROX, memset((uint8_t *)c + s->aux, 0, (size_t)s->imm);)
    EACH(HELPER, {
        uint64_t result;

        SYNC;
        v->next_rip = next_rip(c, &block->insn[s->insn]);
        result = helper_call(v, s);
        if (unlikely(v->fault.vector >= 0))
            goto fault;
        *s->d = result;
        if (unlikely(v->bus.touched | vcpu_may_want(v)))
            touched(it, s);
    })
    EACH(HELPER_END, {
        SYNC;
        v->next_rip = next_rip(c, &block->insn[s->insn]);
        helper_call(v, s);
        if (unlikely(v->fault.vector >= 0))
            goto fault;
        v->retired += s->insn + !v->again;
        it->at = NULL;
        if (v->again || c->activity != CPU_RUNNING)
            goto out;
        block = successor(it, s, c->rip, false);
        if (block)
            goto enter;
        goto out;
    })
    EACH(JMP, {
        v->retired += block->insns;
        block = successor(it, s, (uint64_t)s->imm, true);
        if (likely(block))
            goto enter;
        goto out;
    })
    EACH(JMPR, {
        v->retired += block->insns;
        block = successor(it, s, A, true);
        if (likely(block))
            goto enter;
        goto out;
    })
    EACH(JCC, {
        if (flags_condition(c, s->cc)) {
            v->retired += block->insns;
            block = successor(it, s, (uint64_t)s->imm, true);
            if (likely(block))
                goto enter;
            goto out;
        }
    })
    EACH(JZ, {
        if (!bits_trunc(A, W)) {
            v->retired += block->insns;
            block = successor(it, s, (uint64_t)s->imm, true);
            if (block)
                goto enter;
            goto out;
        }
    })
    EACH(JNZ, {
        if (bits_trunc(A, W)) {
            v->retired += block->insns;
            block = successor(it, s, (uint64_t)s->imm, true);
            if (block)
                goto enter;
            goto out;
        }
    })
    EACH(GUARD, {
        if (A != (uint64_t)s->imm) {
            v->retired += block->insns;
            block = successor(it, s, A, true);
            if (block)
                goto enter;
            goto out;
        }
    })

leave_armed: /* this step is the next there is, maybe of a later instruction: one without any lies before it */
    c->rip = block->insn[it->armed_insn].rip;
    v->retired += it->armed_insn;
    goto out;

fault:
    v->retired += s->insn;
out:
    v->in_block = 0;
    disarm(it);
    it->current = NULL;
    it->at = NULL;
}
