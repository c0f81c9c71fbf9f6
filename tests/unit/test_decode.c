/*
 * test_decode.c - the decoder's vote: Zydis (ours) and Capstone on the same bytes, and the fields the lifters use.
 *
 * Where both take the bytes for an instruction, they must give it the same length.  The exceptions are rows below,
 * each with the manual that says who is right; bytes only one of them knows are counted, not compared.
 */
#include "x86/decode.h"

#include "cpu.h"

#include <capstone/capstone.h>
#include <check.h>
#include <stdio.h>
#include <string.h>

enum { VOTES = 150000 };

static const struct vote_mode {
    const char *name;
    uint32_t mode;
    cs_mode capstone;
} vote_modes[] = {
    { "16-bit", 0, CS_MODE_16 },
    { "32-bit", MODE_PROTECTED | MODE_CODE32 | MODE_STACK32, CS_MODE_32 },
    { "64-bit", MODE_PROTECTED | MODE_LONG | MODE_CODE64, CS_MODE_64 },
};

/* Capstone 4.0.2 reads these otherwise than the SDM; mnemonics as Zydis spells them. */
static const struct {
    uint16_t mnemonic;
    const char *why;
} vote_exceptions[] = {
#define BRANCH(name) { ZYDIS_MNEMONIC_##name, "66h before a near branch in 64-bit mode is ignored (SDM 2 JMP, Jcc, CALL)" }
    BRANCH(JMP), BRANCH(CALL), BRANCH(JB), BRANCH(JBE), BRANCH(JL), BRANCH(JLE), BRANCH(JNB), BRANCH(JNBE), BRANCH(JNL),
    BRANCH(JNLE), BRANCH(JNO), BRANCH(JNP), BRANCH(JNS), BRANCH(JNZ), BRANCH(JO), BRANCH(JP), BRANCH(JS), BRANCH(JZ),
#undef BRANCH
    { ZYDIS_MNEMONIC_RET, "the immediate of C2 has two bytes, with REX.W too (SDM 2 RET)" },
    { ZYDIS_MNEMONIC_UD0, "0F FF takes a ModRM byte (SDM 2 UD)" },
    { ZYDIS_MNEMONIC_UD1, "0F B9 takes a ModRM byte (SDM 2 UD)" },
};

/* Capstone 4.0.2 takes EVEX register forms with embedded rounding for memory forms (SDM 2 2.7.8). */
static bool vote_excepted(const struct insn *insn)
{
    if (insn->encoding == ENCODING_EVEX && insn->rounding)
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(vote_exceptions); i++)
        if (vote_exceptions[i].mnemonic == insn->mnemonic)
            return true;
    return false;
}

static uint64_t random_state;

static uint8_t random_byte(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint8_t)(random_state >> 24);
}

/* Half of the samples start with a prefix or an escape, so that those spaces are reached. */
static void random_bytes(uint8_t *bytes, size_t n)
{
    static const uint8_t starts[] = { 0x66, 0x67, 0xf2, 0xf3, 0x0f, 0x48, 0x41, 0xc4, 0xc5, 0x62, 0x2e, 0x64, 0xf0 };

    for (size_t i = 0; i < n; i++)
        bytes[i] = random_byte();
    if (random_byte() & 1)
        bytes[0] = starts[random_byte() % ARRAY_LEN(starts)];
}

START_TEST(decode_and_capstone_agree_on_lengths)
{
    const struct vote_mode *m = &vote_modes[_i];
    unsigned both = 0, ours = 0, theirs = 0, excepted = 0;
    csh handle;

    random_state = 0x9e3779b97f4a7c15u + (unsigned)_i;
    ck_assert_int_eq(cs_open(CS_ARCH_X86, m->capstone, &handle), CS_ERR_OK);
    for (unsigned i = 0; i < VOTES; i++) {
        uint8_t bytes[15];
        struct insn insn;
        cs_insn *other;
        bool known;
        size_t n;

        random_bytes(bytes, sizeof(bytes));
        known = decode(m->mode, bytes, sizeof(bytes), &insn) == DECODE_OK;
        n = cs_disasm(handle, bytes, sizeof(bytes), 0x1000, 1, &other);
        ours += known && !n;
        theirs += n && !known;
        if (known && n && insn.length != other->size && vote_excepted(&insn))
            excepted++;
        else if (known && n) {
            both++;
            ck_assert_msg(insn.length == other->size, "%s: %s of %u bytes, Capstone: %s of %u: %02x %02x %02x %02x %02x", m->name,
                          decode_mnemonic_name(insn.mnemonic), insn.length, other->mnemonic, other->size, bytes[0], bytes[1],
                          bytes[2], bytes[3], bytes[4]);
        }
        if (n)
            cs_free(other, n);
    }
    cs_close(&handle);
    printf("# summary decoder vote, %s: %u agree, %u excepted, %u known to Zydis alone, %u to Capstone alone\n", m->name, both,
           excepted, ours, theirs);
    ck_assert_uint_gt(both, VOTES / 4);
}
END_TEST

START_TEST(decode_says_more_when_the_bytes_end_within_an_instruction)
{
    const uint8_t mov[] = { 0x48, 0xb8, 1, 2, 3 };
    struct insn insn;

    ck_assert_int_eq(decode(MODE_CODE64, mov, sizeof(mov), &insn), DECODE_MORE);
}
END_TEST

/* SDM 3A 6.15, interrupt 13: an instruction of more than 15 bytes. */
START_TEST(decode_refuses_sixteen_bytes)
{
    uint8_t prefixes[16];
    struct insn insn;

    memset(prefixes, 0x66, sizeof(prefixes));
    ck_assert_int_eq(decode(MODE_CODE64, prefixes, 15, &insn), DECODE_TOO_LONG);
}
END_TEST

START_TEST(decode_fills_in_a_memory_operand)
{
    const uint8_t add[] = { 0xf0, 0x64, 0x48, 0x01, 0x44, 0x8b, 0xfe }; /* lock add fs:[rbx + rcx*4 - 2], rax */
    struct insn insn;

    ck_assert_int_eq(decode(MODE_CODE64, add, sizeof(add), &insn), DECODE_OK);
    ck_assert_uint_eq(insn.length, sizeof(add));
    ck_assert_uint_eq(insn.prefixes & PREFIX_LOCK, PREFIX_LOCK);
    ck_assert_int_eq(insn.op[0].kind, OPERAND_MEMORY);
    ck_assert_uint_eq(insn.op[0].base, RBX);
    ck_assert_uint_eq(insn.op[0].index, RCX);
    ck_assert_uint_eq(insn.op[0].scale, 2);
    ck_assert_int_eq(insn.op[0].displacement, -2);
    ck_assert_uint_eq(insn.op[0].segment, SEG_FS);
    ck_assert_uint_eq(insn.op[0].width, 8);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("decode");
    TCase *t = tcase_create("decode");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, decode_and_capstone_agree_on_lengths, 0, ARRAY_LEN(vote_modes));
    tcase_add_test(t, decode_says_more_when_the_bytes_end_within_an_instruction);
    tcase_add_test(t, decode_refuses_sixteen_bytes);
    tcase_add_test(t, decode_fills_in_a_memory_operand);
    suite_add_tcase(s, t);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
