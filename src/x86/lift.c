/*
 * lift.c - operands, addresses and the stack in IR, and the loop over a block's instructions.
 */
#include "x86/lift.h"

#include "types.h"
#include "x86/insns.h"

#include "base/log.h"

/* -- operations ---------------------------------------------------------------------------------------------- */

ir_operand lift_temp(struct lift *l) { return (ir_operand)(GPRS + l->temps++); }

struct ir_op *lift_op(struct lift *l, enum ir_opcode op, unsigned width, ir_operand d, ir_operand a, ir_operand b)
{
    return ir_emit(l->b, op, width, d, a, b);
}

struct ir_op *lift_opf(struct lift *l, enum ir_opcode op, unsigned width, ir_operand d, ir_operand a, ir_operand b,
                       enum ir_fx fx)
{
    struct ir_op *o = ir_emit(l->b, op, width, d, a, b);

    o->fx = (uint8_t)fx;
    return o;
}

struct ir_op *lift_help(struct lift *l, enum helper_id id, ir_operand d, ir_operand a, ir_operand b, ir_operand c,
                        int64_t imm)
{
    struct ir_op *o = ir_emit(l->b, IR_HELPER, 8, d, a, b);
    unsigned effects = helpers[id].effects;

    o->c = c;
    o->aux = id;
    o->imm = imm;
    o->proven = !(effects & HELP_FAULTS);
    o->state = effects & HELP_STATE;
    o->fx = effects & HELP_FLAGS ? FX_USE : FX_NONE;
    if (effects & HELP_MODE)
        lift_end(l);
    return o;
}

void lift_help_end(struct lift *l, enum helper_id id, ir_operand a, ir_operand b, int64_t imm)
{
    struct ir_op *o = ir_emit(l->b, IR_HELPER_END, 8, IR_NONE, a, b);

    o->aux = id;
    o->imm = imm;
    o->state = true;
    o->fx = helpers[id].effects & HELP_FLAGS ? FX_USE : FX_NONE;
    lift_end(l);
}

void lift_end(struct lift *l) { l->ended = true; }

bool lift_raise(struct lift *l, int vector)
{
    lift_help_end(l, HELP_raise, IR_NONE, IR_NONE, vector);
    return true;
}

/* -- addresses ------------------------------------------------------------------------------------------------ */

static ir_operand lift_address(struct lift *l, unsigned width, ir_operand a, ir_operand b, unsigned scale, int64_t imm)
{
    ir_operand t = lift_temp(l);
    struct ir_op *o = lift_op(l, IR_LEA, width, t, a, b);

    o->aux = scale;
    o->imm = imm;
    return t;
}

static ir_operand lift_index(const struct operand *o) { return o->has_index && !o->vsib ? o->index : IR_NONE; }

ir_operand lift_effective(struct lift *l, const struct operand *o)
{
    if (o->rip_relative)
        return lift_const(l, bits_trunc(l->next + (uint64_t)o->displacement, l->i->address_size));
    if (!o->has_base && lift_index(o) == IR_NONE)
        return lift_const(l, bits_trunc((uint64_t)o->displacement, l->i->address_size));
    return lift_address(l, l->i->address_size, o->has_base ? o->base : IR_NONE, lift_index(o), o->scale, o->displacement);
}

/* Segments that need neither base nor check. */
static bool lift_is_flat(const struct lift *l, unsigned segment, unsigned intent)
{
    if (l->mode & MODE_CODE64)
        return segment != SEG_FS && segment != SEG_GS;
    if (segment == SEG_CS)
        return l->mode & MODE_FLAT_CODE && !(intent & ACCESS_WRITE);
    return l->mode & MODE_FLAT_DATA && (segment == SEG_DS || segment == SEG_ES || segment == SEG_SS);
}

struct place lift_linear(struct lift *l, unsigned segment, ir_operand offset, unsigned width, unsigned intent)
{
    struct place p = { .a = offset, .stack = segment == SEG_SS };
    struct ir_op *o;

    if (lift_is_flat(l, segment, intent))
        return p;
    p.a = lift_temp(l);
    o = lift_op(l, l->mode & MODE_CODE64 ? IR_SEGBASE : IR_SEGCHECK, l->mode & MODE_CODE64 ? 8 : 4, p.a, offset,
                IR_NONE);
    o->aux = segment;
    o->imm = width;
    o->cc = (uint8_t)intent;
    return p;
}

struct place lift_place(struct lift *l, const struct operand *o, unsigned width, unsigned intent)
{
    bool plain = l->i->address_size == 8 && lift_is_flat(l, o->segment, intent) && o->has_base &&
                 lift_index(o) == IR_NONE;

    if (plain)
        return (struct place){ .a = o->base, .imm = o->displacement, .stack = o->segment == SEG_SS };
    return lift_linear(l, o->segment, lift_effective(l, o), width, intent);
}

static struct ir_op *lift_memory_op(struct lift *l, enum ir_opcode op, struct place p, unsigned width, ir_operand d,
                                    ir_operand value)
{
    struct ir_op *o = lift_op(l, op, width, d, p.a, value);

    o->imm = p.imm;
    o->stack = p.stack;
    o->cc = (uint8_t)p.form;
    return o;
}

ir_operand lift_load(struct lift *l, struct place p, unsigned width)
{
    ir_operand t = lift_temp(l);

    lift_memory_op(l, IR_LD, p, width, t, IR_NONE);
    return t;
}

ir_operand lift_load_to_write(struct lift *l, struct place p, unsigned width)
{
    ir_operand t = lift_temp(l);

    lift_memory_op(l, IR_LDW, p, width, t, IR_NONE);
    return t;
}

void lift_store(struct lift *l, struct place p, unsigned width, ir_operand value)
{
    lift_memory_op(l, IR_ST, p, width, IR_NONE, value);
}

void lift_store_back(struct lift *l, struct place p, unsigned width, ir_operand value)
{
    struct ir_op *o = lift_memory_op(l, IR_ST, p, width, IR_NONE, value);

    o->proven = true;
}

/* -- operands ------------------------------------------------------------------------------------------------- */

ir_operand lift_read(struct lift *l, unsigned n)
{
    const struct operand *o = lift_operand(l, n);
    ir_operand t;

    switch (o->kind) {
    case OPERAND_REGISTER:
        if (o->class != REG_GPR_HIGH)
            return o->reg;
        t = lift_temp(l);
        lift_op(l, IR_GETHI, 1, t, o->reg, IR_NONE);
        return t;
    case OPERAND_MEMORY: return lift_load(l, lift_place(l, o, o->width, ACCESS_READ), o->width);
    default: return lift_const(l, o->immediate);
    }
}

void lift_write_register(struct lift *l, const struct operand *o, ir_operand value)
{
    if (o->class == REG_GPR_HIGH)
        lift_op(l, IR_SETHI, 1, o->reg, value, IR_NONE);
    else if (o->reg != value || o->width == 4)
        lift_op(l, IR_MOV, o->width, o->reg, value, IR_NONE);
}

void lift_write(struct lift *l, unsigned n, ir_operand value)
{
    const struct operand *o = lift_operand(l, n);

    if (o->kind == OPERAND_MEMORY)
        lift_store(l, lift_place(l, o, o->width, ACCESS_WRITE), o->width, value);
    else
        lift_write_register(l, o, value);
}

/* -- the stack -------------------------------------------------------------------------------------------------- */

unsigned lift_stack_width(const struct lift *l)
{
    return l->mode & MODE_CODE64 ? 8 : l->mode & MODE_STACK32 ? 4 : 2;
}

static struct place lift_stack_place(struct lift *l, int64_t displacement, unsigned width, unsigned intent)
{
    struct place p = { .a = RSP, .imm = displacement, .stack = true };

    if (!(l->mode & MODE_CODE64))
        p = lift_linear(l, SEG_SS, lift_address(l, lift_stack_width(l), RSP, IR_NONE, 0, displacement), width, intent);
    p.form = FORM_STACK;
    return p;
}

void lift_drop(struct lift *l, int64_t bytes)
{
    unsigned width = lift_stack_width(l);
    ir_operand t;

    if (width == 8) {
        lift_op(l, IR_LEA, 8, RSP, RSP, IR_NONE)->imm = bytes;
        return;
    }
    t = lift_address(l, width, RSP, IR_NONE, 0, bytes);
    lift_op(l, IR_MOV, width, RSP, t, IR_NONE);
}

void lift_push(struct lift *l, unsigned width, ir_operand value)
{
    lift_store(l, lift_stack_place(l, -(int64_t)width, width, ACCESS_WRITE), width, value);
    lift_drop(l, -(int64_t)width);
}

ir_operand lift_top(struct lift *l, unsigned width)
{
    return lift_load(l, lift_stack_place(l, 0, width, ACCESS_READ), width);
}

void lift_check_target(struct lift *l, ir_operand target)
{
    if (l->mode & MODE_CODE64 ? target < IR_CONST : !(l->mode & MODE_FLAT_CODE))
        lift_help(l, HELP_check_target, IR_NONE, target, IR_NONE, IR_NONE, 0);
}

/* -- blocks ----------------------------------------------------------------------------------------------------- */

static bool lift_has_mmx(const struct lift *l)
{
    for (unsigned n = 0; n < l->i->operands; n++)
        if (l->i->op[n].kind == OPERAND_REGISTER && l->i->op[n].class == REG_MMX)
            return true;
    return false;
}

/* Architectural rules that hold for every instruction of a feature. */
int lift_availability(const struct lift *l, enum insn_state state)
{
    uint32_t m = l->mode;

    if (state == STATE_VECTOR)
        state = lift_has_mmx(l) ? STATE_MMX : STATE_SSE;
    switch (state) {
    case STATE_X87: return m & (MODE_EM | MODE_TS) ? EXCEPTION_NM : -1;
    case STATE_MMX: return m & MODE_EM ? EXCEPTION_UD : m & MODE_TS ? EXCEPTION_NM : -1;
    case STATE_SSE:
        if (l->i->encoding == ENCODING_LEGACY)
            return m & MODE_EM || !(m & MODE_OSFXSR) ? EXCEPTION_UD : m & MODE_TS ? EXCEPTION_NM : -1;
        /* fall through */
    case STATE_AVX:
        if (!(m & (MODE_PROTECTED | MODE_LONG)) || !(m & MODE_AVX) ||
            (l->i->encoding == ENCODING_EVEX && !(m & MODE_AVX512)))
            return EXCEPTION_UD;
        return m & MODE_TS ? EXCEPTION_NM : -1;
    case STATE_AVX512:
        return !(m & (MODE_PROTECTED | MODE_LONG)) || !(m & MODE_AVX512) ? EXCEPTION_UD : m & MODE_TS ? EXCEPTION_NM : -1;
    case STATE_WAIT: return m & MODE_MP && m & MODE_TS ? EXCEPTION_NM : -1;
    case STATE_XSAVE: return !(m & MODE_OSXSAVE) ? EXCEPTION_UD : m & MODE_TS ? EXCEPTION_NM : -1;
    case STATE_PROTECTED: return m & MODE_PROTECTED || m & MODE_LONG ? -1 : EXCEPTION_UD;
    default: return -1;
    }
}

void lift_insn(struct lift *l)
{
    const struct insn_row *row = insn_find(l->i->mnemonic);
    unsigned ops = l->b->ops;
    int vector;

    if (!row || !row->lift) {
        log_printf(LOG_UNIMP, "%s\n", decode_mnemonic_name(l->i->mnemonic));
        lift_raise(l, EXCEPTION_UD);
        return;
    }
    vector = lift_availability(l, row->state);
    if (vector >= 0) {
        lift_raise(l, vector);
        return;
    }
    if (!row->lift(l, row->arg)) {
        l->b->ops = ops;
        lift_raise(l, EXCEPTION_UD);
    }
}

static void lift_begin(struct lift *l, uint64_t rip, const struct insn *insn)
{
    struct ir_block *b = l->b;

    b->insn[b->insns] = (struct ir_insn){ .rip = rip, .length = insn->length, .first = (uint16_t)b->ops };
    b->insns++;
    l->i = insn;
    l->rip = rip;
    l->next = rip + insn->length;
    if (!(l->mode & MODE_CODE64))
        l->next = (uint32_t)l->next;
    l->temps = 0;
}

static bool lift_has_room(const struct ir_block *b) { return b->ops + 96 < IR_OPS && b->consts + 16 < IR_CONSTS; }

/* An instruction that this CPU lacks is as undefined as one that nobody has. */
static enum decode_result lift_decode(const struct lift *l, const struct feature_set *features, const uint8_t *bytes,
                                      size_t n, struct insn *insn)
{
    enum decode_result result = decode(l->mode, bytes, n, insn);
    enum feature missing;

    if (result != DECODE_OK || !features || !(missing = feature_decode(features, l->mode, insn)))
        return result;
    log_printf(LOG_UNIMP, "%s: this CPU has no %s\n", decode_mnemonic_name(insn->mnemonic), feature_rows[missing].name);
    return DECODE_INVALID;
}

/* Fetches no more of the next instruction than it takes to decode it. */
static enum decode_result lift_fetch(const struct lift *l, const struct lift_source *source, struct insn *insn)
{
    enum decode_result result = DECODE_MORE;
    uint8_t bytes[INSN_BYTES] = { 0 };
    size_t n = 0;

    while (result == DECODE_MORE && n < sizeof(bytes)) {
        size_t got = source->fetch(source->opaque, l->next + n, bytes + n, sizeof(bytes) - n);

        if (!got)
            break;
        n += got;
        result = lift_decode(l, source->features, bytes, n, insn);
    }
    memcpy(l->b->code[l->b->insns], bytes, sizeof(bytes));
    return result;
}

/* -- going on across jumps ------------------------------------------------------------------------------------------ */

static bool lift_same_page(const struct lift *l, const struct lift_source *source, uint64_t rip)
{
    uint64_t mask = l->mode & MODE_CODE64 ? UINT64_MAX : UINT32_MAX;

    return !(((l->b->rip + source->cs_base) ^ (rip + source->cs_base)) & mask & ~(uint64_t)PAGE_OFFSET);
}

/* The first instruction of the block that is at rip; its number of instructions: none. */
static unsigned lift_find(const struct ir_block *b, uint64_t rip)
{
    unsigned i = 0;

    while (i < b->insns && b->insn[i].rip != rip)
        i++;
    return i;
}

/*
 * May the block go on at rip?  Yes where it has not been; back to its start, if there is room for another round of that
 * loop; and where the round before went.  A loop that begins in the middle is better off in a block of its own.
 */
static bool lift_may_go_on(struct lift *l, const struct lift_source *source, uint64_t rip, unsigned limit)
{
    const struct ir_block *b = l->b;
    unsigned at = lift_find(b, rip);

    if (!lift_same_page(l, source, rip))
        return false;
    if (at == b->insns)
        return true;
    if (at == 0) {
        l->loop = l->loop ? l->loop : b->insns;
        return b->insns + l->loop <= limit;
    }
    return l->loop && b->insn[b->insns - l->loop].rip == rip;
}

/* A conditional jump falls through, unless it is known to do otherwise, or goes back to the block's start. */
static bool lift_is_taken(const struct lift *l, const struct lift_source *source, const struct ir_op *jcc)
{
    uint64_t next;

    if (history_next(source->history, l->rip, &next))
        return next == (uint64_t)jcc->imm;
    return (uint64_t)jcc->imm == l->b->rip;
}

static bool lift_is_call(const struct lift *l) { return l->i->opcode == 0xe8 || (l->i->opcode == 0xff && l->i->modrm_reg == 2); }
static bool lift_is_return(const struct lift *l) { return l->i->opcode == 0xc3 || l->i->opcode == 0xc2; }

/* Where an indirect jump leads, as far as one can tell: a return to where the block itself called from. */
static bool lift_predict_indirect(struct lift *l, const struct lift_source *source, uint64_t *next)
{
    if (lift_is_return(l) && l->calls) {
        *next = l->returns[--l->calls % LIFT_CALLS];
        return true;
    }
    return history_next(source->history, l->rip, next);
}

/* After a jump the block may go on where that is known, or likely, to lead; else it ends there. */
static void lift_extend(struct lift *l, const struct lift_source *source, unsigned limit)
{
    struct ir_block *b = l->b;
    struct ir_op *last = &b->op[b->ops - 1], *jcc = last - 1;
    uint64_t next = (uint64_t)last->imm;

    if (!b->ops || !lift_same_page(l, source, l->next - 1))
        return;
    if (last->op == IR_JMPR) {
        if (!lift_predict_indirect(l, source, &next) || !lift_may_go_on(l, source, next, limit))
            return;
        last->op = IR_GUARD;
        last->imm = (int64_t)next;
    } else if (last->op == IR_JMP && b->ops > 1 && jcc->op == IR_JCC && jcc->insn == last->insn) {
        bool taken = lift_is_taken(l, source, jcc);

        next = (uint64_t)(taken ? jcc : last)->imm;
        if (!lift_may_go_on(l, source, next, limit))
            return;
        if (taken) {
            jcc->cc ^= 1;
            jcc->imm = last->imm;
        }
        b->ops--;
    } else if (last->op == IR_JMP && (l->i->opcode == 0xeb || l->i->opcode == 0xe9 || l->i->opcode == 0xe8)) {
        if (!lift_may_go_on(l, source, next, limit))
            return;
        b->ops--;
    } else {
        return;
    }
    if (lift_is_call(l))
        l->returns[l->calls++ % LIFT_CALLS] = l->next;
    l->next = next;
    l->ended = false;
}

/* An instruction with a breakpoint is the first of its block. */
static bool lift_has_break(const struct lift *l, const struct lift_source *source, uint64_t rip)
{
    uint64_t linear = l->mode & MODE_CODE64 ? rip : (uint32_t)(source->cs_base + rip);

    for (unsigned i = 0; source->breaks && i < source->breaks->n; i++)
        if (source->breaks->at[i] == linear)
            return true;
    return false;
}

unsigned lift_block(struct ir_block *b, uint64_t rip, uint32_t mode, unsigned limit, const struct lift_source *source)
{
    struct lift l = { .b = b, .mode = mode, .next = rip };

    b->rip = rip;
    b->mode = mode;
    b->insns = b->ops = b->consts = 0;
    while (!l.ended && b->insns < limit && b->insns < BLOCK_INSNS && lift_has_room(b)) {
        struct insn insn;
        enum decode_result result;
        bool stops;

        if (source->history && !lift_same_page(&l, source, l.next))
            break;
        stops = lift_has_break(&l, source, l.next);
        if (stops && b->insns)
            break;
        result = lift_fetch(&l, source, &insn);
        if (result == DECODE_MORE)
            break;
        lift_begin(&l, l.next, &insn);
        if (stops)
            lift_help(&l, HELP_debug_stop, IR_NONE, IR_NONE, IR_NONE, IR_NONE, (int64_t)l.rip);
        if (result == DECODE_INVALID)
            lift_raise(&l, EXCEPTION_UD);
        else if (result == DECODE_TOO_LONG)
            lift_help_end(&l, HELP_raise_error, IR_NONE, IR_NONE, EXCEPTION_GP);
        else
            lift_insn(&l);
        if (l.ended && source->history && b->insns < limit)
            lift_extend(&l, source, limit);
    }
    if (b->insns && !(b->ops && ir_ends[b->op[b->ops - 1].op]))
        lift_op(&l, IR_JMP, 8, IR_NONE, IR_NONE, IR_NONE)->imm = (int64_t)l.next;
    if (log_on(LOG_OP))
        ir_print(b, log_stream());
    ir_optimise(b);
    if (log_on(LOG_OP_OPT))
        ir_print(b, log_stream());
    return b->insns;
}
