/*
 * decode.h - bytes to `struct insn`: what the lifters need to know of an instruction, in the SDM's words.
 *
 * Zydis does the work; nothing of it but the mnemonic numbers is seen beyond this header.  Pure.
 */
#ifndef X86_DECODE_H
#define X86_DECODE_H

#include "base/bits.h"

#include <Zydis/MetaInfo.h>
#include <Zydis/Mnemonic.h>

enum { INSN_BYTES = 15, INSN_OPERANDS = 4 };

enum register_class { REG_NONE, REG_GPR, REG_GPR_HIGH /* AH, CH, DH, BH */, REG_SEGMENT, REG_CONTROL, REG_DEBUG,
                      REG_X87, REG_MMX, REG_VECTOR, REG_MASK, REG_BOUND, REG_OTHER };

enum operand_kind { OPERAND_NONE, OPERAND_REGISTER, OPERAND_MEMORY, OPERAND_IMMEDIATE, OPERAND_FAR_POINTER };

/* Small, because decode() keeps many. */
struct operand {
    uint8_t kind : 4;      /* enum operand_kind */
    uint8_t class : 4;     /* enum register_class */
    uint8_t element;       /* bytes of a vector element, where it has such */
    uint16_t width;        /* bytes */
    uint8_t reg;
    bool in_rm : 1;        /* ModRM.rm names it */
    /* memory */
    bool has_base : 1, has_index : 1, rip_relative : 1, vsib : 1, address_only : 1 /* LEA, NOP, hints: never accessed */;
    union {
        struct { uint16_t base : 5, index : 5, scale : 2 /* log2 */, segment : 3; };
        uint16_t selector; /* far pointer */
    };
    union {
        int64_t displacement;  /* memory; also the absolute address of a moffs form */
        /* already sign-extended to 64 bits where the form says so; relative branches: the displacement; far pointer: the offset */
        uint64_t immediate;
    };
};

enum insn_prefix { PREFIX_LOCK = 1, PREFIX_REP = 2, PREFIX_REPNE = 4, PREFIX_OPERAND_SIZE = 8, PREFIX_ADDRESS_SIZE = 16,
                   PREFIX_REX_W = 32 };

enum insn_encoding { ENCODING_LEGACY, ENCODING_VEX, ENCODING_EVEX, ENCODING_OTHER };

struct insn {
    uint16_t mnemonic;     /* ZydisMnemonic */
    uint16_t isa;          /* ZydisISASet */
    uint8_t length;        /* of one that is none: how many bytes were looked at */
    uint8_t prefixes;
    uint8_t encoding;      /* enum insn_encoding */
    uint8_t opcode, map;   /* opcode byte, and map 0 (one byte), 1 (0F), 2 (0F38), 3 (0F3A) */
    uint8_t modrm_reg, modrm_mod, modrm_rm;
    uint8_t operand_size;  /* effective, bytes: 2, 4, 8 */
    uint8_t address_size;
    uint8_t stack_size;    /* width of the stack pointer */
    uint8_t vector_length; /* bytes, 16..64; 0 for legacy */
    bool mask_zeroing, broadcast, suppress /* exceptions: SAE */;
    uint8_t rounding;      /* 4 + RC, in place of MXCSR's; 0: none */
    uint8_t mask;          /* EVEX opmask register; 0: none */
    uint8_t segment;       /* of implicit memory operands (strings, XLAT): DS or the override */
    uint8_t operands;      /* visible ones */
    struct operand op[INSN_OPERANDS];
};

enum decode_result {
    DECODE_OK,
    DECODE_MORE,     /* the bytes end within the instruction */
    DECODE_INVALID,  /* #UD */
    DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) (SDM 3A 6.15) */
};

/*
 * decode - one instruction.
 *
 * mode     enum cpu_mode_bits: CODE64, CODE32, PROTECTED, LONG matter
 * bytes    n of them, up to 15; more than the instruction needs is fine
 */
enum decode_result decode(uint32_t mode, const uint8_t *bytes, size_t n, struct insn *out);

const char *decode_mnemonic_name(uint16_t mnemonic);

#endif
