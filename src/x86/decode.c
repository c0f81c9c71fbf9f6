/*
 * decode.c - Zydis's answer in the words of `struct insn`.
 *
 * Branches follow Intel's reading (66h before a near branch in 64-bit mode is ignored).  XACQUIRE, XRELEASE and
 * branch hints are decoded and mean nothing.
 */
#include "x86/decode.h"

#include "cpu.h"

#include <Zydis/Zydis.h>
#include <string.h>

static ZydisDecoder decode_decoder(uint32_t mode)
{
    ZydisDecoder decoder;

    if (mode & MODE_CODE64)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    else if (mode & MODE_CODE32)
        ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
                         mode & MODE_STACK32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
    else
        ZydisDecoderInit(&decoder, mode & MODE_PROTECTED ? ZYDIS_MACHINE_MODE_LEGACY_16 : ZYDIS_MACHINE_MODE_REAL_16,
                         mode & MODE_STACK32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
    return decoder;
}

static void decode_register(ZydisRegister reg, struct operand *o)
{
    o->kind = OPERAND_REGISTER;
    o->reg = (uint8_t)ZydisRegisterGetId(reg);
    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        o->class = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH ? REG_GPR_HIGH : REG_GPR;
        o->reg = (uint8_t)(reg - ZYDIS_REGISTER_AL);
        if (reg >= ZYDIS_REGISTER_AH)
            o->reg = (uint8_t)(o->reg - 4);
        break;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: o->class = REG_GPR; break;
    case ZYDIS_REGCLASS_SEGMENT: o->class = REG_SEGMENT; break;
    case ZYDIS_REGCLASS_CONTROL: o->class = REG_CONTROL; break;
    case ZYDIS_REGCLASS_DEBUG: o->class = REG_DEBUG; break;
    case ZYDIS_REGCLASS_X87: o->class = REG_X87; break;
    case ZYDIS_REGCLASS_MMX: o->class = REG_MMX; break;
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
    case ZYDIS_REGCLASS_ZMM: o->class = REG_VECTOR; break;
    case ZYDIS_REGCLASS_MASK: o->class = REG_MASK; break;
    case ZYDIS_REGCLASS_BOUND: o->class = REG_BOUND; break;
    default: o->class = REG_OTHER; break;
    }
}

static void decode_memory(const ZydisDecodedOperandMem *m, struct operand *o)
{
    o->kind = OPERAND_MEMORY;
    o->address_only = m->type == ZYDIS_MEMOP_TYPE_AGEN;
    o->vsib = m->type == ZYDIS_MEMOP_TYPE_VSIB;
    o->segment = (uint8_t)ZydisRegisterGetId(m->segment);
    o->rip_relative = m->base == ZYDIS_REGISTER_RIP || m->base == ZYDIS_REGISTER_EIP;
    o->has_base = m->base != ZYDIS_REGISTER_NONE && !o->rip_relative;
    o->base = o->has_base ? (uint8_t)ZydisRegisterGetId(m->base) : 0;
    o->has_index = m->index != ZYDIS_REGISTER_NONE;
    o->index = o->has_index ? (uint8_t)ZydisRegisterGetId(m->index) : 0;
    o->scale = m->scale ? (uint8_t)__builtin_ctz(m->scale) : 0;
    o->displacement = m->disp.has_displacement ? m->disp.value : 0;
}

static void decode_operand(const ZydisDecodedOperand *z, struct operand *o)
{
    o->width = z->size / 8;
    o->in_rm = z->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
    o->element = (uint8_t)(z->element_size / 8);
    switch (z->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER: decode_register(z->reg.value, o); break;
    case ZYDIS_OPERAND_TYPE_MEMORY: decode_memory(&z->mem, o); break;
    case ZYDIS_OPERAND_TYPE_POINTER:
        o->kind = OPERAND_FAR_POINTER;
        o->immediate = z->ptr.offset;
        o->selector = z->ptr.segment;
        break;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        o->kind = OPERAND_IMMEDIATE;
        o->immediate = z->imm.value.u;
        break;
    default: break;
    }
}

static uint8_t decode_segment(ZydisInstructionAttributes a)
{
    return a & ZYDIS_ATTRIB_HAS_SEGMENT_CS ? SEG_CS : a & ZYDIS_ATTRIB_HAS_SEGMENT_SS ? SEG_SS
         : a & ZYDIS_ATTRIB_HAS_SEGMENT_ES ? SEG_ES : a & ZYDIS_ATTRIB_HAS_SEGMENT_FS ? SEG_FS
         : a & ZYDIS_ATTRIB_HAS_SEGMENT_GS ? SEG_GS : SEG_DS;
}

static uint8_t decode_prefixes(const ZydisDecodedInstruction *z)
{
    ZydisInstructionAttributes a = z->attributes;

    return (uint8_t)((a & ZYDIS_ATTRIB_HAS_LOCK ? PREFIX_LOCK : 0) |
                     (a & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE) ? PREFIX_REP : 0) |
                     (a & ZYDIS_ATTRIB_HAS_REPNE ? PREFIX_REPNE : 0) |
                     (a & ZYDIS_ATTRIB_HAS_OPERANDSIZE ? PREFIX_OPERAND_SIZE : 0) |
                     (a & ZYDIS_ATTRIB_HAS_ADDRESSSIZE ? PREFIX_ADDRESS_SIZE : 0) |
                     (z->raw.rex.W ? PREFIX_REX_W : 0));
}

static void decode_fill(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *ops, struct insn *out)
{
    out->mnemonic = (uint16_t)z->mnemonic;
    out->isa = (uint16_t)z->meta.isa_set;
    out->length = z->length;
    out->prefixes = decode_prefixes(z);
    out->encoding = z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ? ENCODING_LEGACY
                  : z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX    ? ENCODING_VEX
                  : z->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX   ? ENCODING_EVEX
                                                                     : ENCODING_OTHER;
    out->opcode = z->opcode;
    out->map = (uint8_t)z->opcode_map;
    out->modrm_reg = z->raw.modrm.reg;
    out->modrm_mod = z->raw.modrm.mod;
    out->modrm_rm = z->raw.modrm.rm;
    out->operand_size = z->operand_width / 8;
    out->address_size = z->address_width / 8;
    out->stack_size = z->stack_width / 8;
    out->segment = decode_segment(z->attributes);
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        out->vector_length = (uint8_t)(z->avx.vector_length / 8);
        out->mask_zeroing = z->avx.mask.mode == ZYDIS_MASK_MODE_ZEROING ||
                            z->avx.mask.mode == ZYDIS_MASK_MODE_CONTROL_ZEROING; /* VPBLENDM */
        out->broadcast = z->avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID && !z->avx.broadcast.is_static;
        out->suppress = z->avx.has_sae || z->avx.rounding.mode != ZYDIS_ROUNDING_MODE_INVALID;
        if (z->avx.rounding.mode != ZYDIS_ROUNDING_MODE_INVALID)
            out->rounding = (uint8_t)(4 + z->avx.rounding.mode - ZYDIS_ROUNDING_MODE_RN);
        if (z->avx.mask.mode != ZYDIS_MASK_MODE_INVALID && z->avx.mask.mode != ZYDIS_MASK_MODE_DISABLED)
            out->mask = (uint8_t)ZydisRegisterGetId(z->avx.mask.reg);
    }
    /* The opmask is an operand to Zydis; here it is `mask`. */
    for (unsigned i = 0; i < z->operand_count_visible; i++) {
        if (ops[i].encoding == ZYDIS_OPERAND_ENCODING_MASK)
            continue;
        if (out->operands < INSN_OPERANDS)
            decode_operand(&ops[i], &out->op[out->operands++]);
    }
}

/*
 * SYSENTER and SYSEXIT, which Zydis has not got without protected mode: they are #GP in real mode, not #UD, and
 * SYSENTER works in virtual-8086 mode (SDM 2 SYSENTER).
 */
static bool decode_fast_call(uint32_t mode, const uint8_t *bytes, size_t n, ZydisDecodedInstruction *z,
                             ZydisDecodedOperand *ops)
{
    ZydisDecoder decoder = decode_decoder(mode | MODE_PROTECTED);

    return !(mode & MODE_PROTECTED) && ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, z, ops)) &&
           (z->mnemonic == ZYDIS_MNEMONIC_SYSENTER || z->mnemonic == ZYDIS_MNEMONIC_SYSEXIT);
}

/* Knights Corner's own encodings, which Zydis knows: VEX forms of POPCNT and TZCNT among them. */
static bool decode_is_coprocessors(const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_KNCE: case ZYDIS_ISA_SET_KNCJKBR: case ZYDIS_ISA_SET_KNCSTREAM: case ZYDIS_ISA_SET_KNCV:
    case ZYDIS_ISA_SET_KNC_MISC: case ZYDIS_ISA_SET_KNC_PF_HINT: return true;
    default: return false;
    }
}

static enum decode_result decode_afresh(uint32_t mode, const uint8_t *bytes, size_t n, struct insn *out)
{
    ZydisDecoder decoder = decode_decoder(mode);
    ZydisDecodedInstruction z;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    ZyanStatus status = ZydisDecoderDecodeFull(&decoder, bytes, n, &z, ops);

    *out = (struct insn){ .length = (uint8_t)bits_min(n, INSN_BYTES) }; /* an undefined one: what made it one is among these */
    if (status == ZYDIS_STATUS_NO_MORE_DATA)
        return n >= INSN_BYTES ? DECODE_TOO_LONG : DECODE_MORE;
    if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
        return DECODE_TOO_LONG;
    if (ZYAN_FAILED(status) && !decode_fast_call(mode, bytes, n, &z, ops))
        return DECODE_INVALID;
    if (decode_is_coprocessors(&z))
        return DECODE_INVALID;
    decode_fill(&z, ops, out);
    return DECODE_OK;
}

/*
 * The same instructions come again and again: a block is decoded for the interpreter and once more for the JIT.  What is
 * found depends on the instruction's own bytes and the mode alone.  Four times as many entries find little more, and are slower
 * because the processor's caches do not hold them.
 */
enum { MEMO_BITS = 10, MEMO_MODES = MODE_CODE64 | MODE_CODE32 | MODE_PROTECTED | MODE_LONG };
struct decode_memo {
    uint8_t bytes[INSN_BYTES], length; /* 0: nothing yet */
    uint32_t mode;
    struct insn insn;
} __attribute__((aligned(128))); /* two cache lines */

static struct decode_memo *decode_memo_of(uint32_t mode, const uint8_t *bytes, size_t n)
{
    static _Thread_local struct decode_memo memo[1 << MEMO_BITS];
    uint64_t key = 0;

    memcpy(&key, bytes, bits_min(n, sizeof(key)));
    return &memo[((key ^ mode) * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - MEMO_BITS)];
}

/* The next instruction is asked for soon, and which memo is its own is told by its first bytes. */
static void decode_expect(uint32_t mode, const uint8_t *bytes, size_t n, size_t length)
{
    const char *memo;

    if (length + sizeof(uint64_t) > n)
        return;
    memo = (const char *)decode_memo_of(mode & MEMO_MODES, bytes + length, n - length);
    __builtin_prefetch(memo);
    __builtin_prefetch(memo + 64);
}

enum decode_result decode(uint32_t mode, const uint8_t *bytes, size_t n, struct insn *out)
{
    struct decode_memo *m = decode_memo_of(mode & MEMO_MODES, bytes, n);
    enum decode_result result;

    if (m->length && m->length <= n && m->mode == (mode & MEMO_MODES) && !memcmp(m->bytes, bytes, m->length)) {
        *out = m->insn;
        decode_expect(mode, bytes, n, out->length);
        return DECODE_OK;
    }
    result = decode_afresh(mode, bytes, n, out);
    if (result == DECODE_OK) {
        *m = (struct decode_memo){ .length = out->length, .mode = mode & MEMO_MODES, .insn = *out };
        memcpy(m->bytes, bytes, out->length);
    }
    return result;
}

const char *decode_mnemonic_name(uint16_t mnemonic) { return ZydisMnemonicGetString(mnemonic); }
