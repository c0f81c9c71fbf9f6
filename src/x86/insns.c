/* insns.c - insns.def as a table indexed by mnemonic. */
#include "x86/insns.h"

#include "types.h"
#include "x86/vop.h"

static const struct insn_row insn_rows[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
#define INSN(name, needs, lifter, arg)                                                                                 \
    [ZYDIS_MNEMONIC_##name] = { ZYDIS_MNEMONIC_##name, STATE_##needs, lift_##lifter, arg },
#include "x86/insns.def"
#undef INSN
};

const struct insn_row *insn_find(uint16_t mnemonic)
{
    return mnemonic <= ZYDIS_MNEMONIC_MAX_VALUE && insn_rows[mnemonic].lift ? &insn_rows[mnemonic] : NULL;
}
