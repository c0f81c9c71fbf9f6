/* disasm.c - one instruction as text. */
#include "print/disasm.h"

#include <Zydis/Zydis.h>
#include <capstone/capstone.h>
#include <stdio.h>

static unsigned disasm_capstone(unsigned mode, const uint8_t *bytes, size_t n, uint64_t rip, char *text, size_t size)
{
    cs_mode m = mode == 64 ? CS_MODE_64 : mode == 32 ? CS_MODE_32 : CS_MODE_16;
    cs_insn *insn;
    csh handle;
    unsigned length = 0;
    size_t got;

    if (cs_open(CS_ARCH_X86, m, &handle) != CS_ERR_OK)
        return 0;
    got = cs_disasm(handle, bytes, n, rip, 1, &insn);
    if (got) {
        snprintf(text, size, "%s%s%s", insn->mnemonic, *insn->op_str ? " " : "", insn->op_str);
        length = insn->size;
        cs_free(insn, got);
    }
    cs_close(&handle);
    return length;
}

static unsigned disasm_zydis(unsigned mode, const uint8_t *bytes, size_t n, uint64_t rip, char *text, size_t size)
{
    ZydisMachineMode m = mode == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : mode == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_REAL_16;
    ZydisStackWidth w = mode == 64 ? ZYDIS_STACK_WIDTH_64 : mode == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    ZydisDecodedInstruction insn;
    ZydisFormatter formatter;
    ZydisDecoder decoder;

    ZydisDecoderInit(&decoder, m, w);
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, n, &insn, operands)) ||
        !ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible, text, size, rip, NULL)))
        return 0;
    return insn.length;
}

unsigned disasm_one(unsigned mode, const uint8_t *bytes, size_t n, uint64_t rip, char *text, size_t size)
{
    unsigned length = disasm_capstone(mode, bytes, n, rip, text, size);

    if (!length)
        length = disasm_zydis(mode, bytes, n, rip, text, size);
    if (!length)
        snprintf(text, size, "(bad)");
    return length;
}
