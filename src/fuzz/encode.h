/* encode.h - bytes of one instruction from a template of the catalogue. */
#ifndef FUZZ_ENCODE_H
#define FUZZ_ENCODE_H

#include "fuzz/catalog.h"
#include "fuzz/random.h"
#include "x86/decode.h"

#include <Zydis/Zydis.h>

/*
 * encode - draws what the template leaves open.
 *
 * bits         of the code: 64, 32, 16
 * privileged   far transfers, segment, control and debug registers too
 * in_sequence  memory operands are addressed by RBX or RBP
 * code         INSN_BYTES; *insn is what they decode to
 * False: it came to nothing this time, or to something that is not compared.  A branch goes to the next instruction.
 */
bool encode(struct random *r, const struct template *t, unsigned bits, bool privileged, bool in_sequence, struct insn *insn, uint8_t *code);

/* Far transfers, segment, control and debug registers are the host's: not encoded. */
bool encode_is_systems(const struct insn *i);

/* Near and relative: JMP, Jcc, CALL, LOOP.  encode_branch() sets how far behind its end it leads. */
bool encode_is_branch(const struct insn *i);
void encode_branch(const struct insn *i, unsigned bits, uint8_t *code, unsigned distance);

/* enum cpu_mode_bits, and the decoder, for code of 64, 32 or 16 bits. */
uint32_t encode_mode(unsigned bits);
void encode_init_decoder(ZydisDecoder *decoder, unsigned bits);

#endif
