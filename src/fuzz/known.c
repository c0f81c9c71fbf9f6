/*
 * known.c - KVM's own ways, a row each.
 *
 * "PVM" is a KVM that runs code of CPL 3 with the host's control registers and descriptors, and code of CPL 0, and whatever
 * raises #GP or #SS, in its instruction emulator.
 */
#include "fuzz/known.h"

#define MNEMONICS(...) (const uint16_t[]){ __VA_ARGS__, 0 }
#define M(name) ZYDIS_MNEMONIC_##name

enum { ANY_CPL = -1 };

/* An instruction whose outcome is no argument: at this CPL, for this kind of difference (NONE: any). */
static const struct known {
    const uint16_t *mnemonics;
    int cpl;
    enum difference kind;
} known[] = {
    /* the host's descriptors (PVM) */
    { MNEMONICS(M(LAR), M(LSL), M(VERR), M(VERW), M(LSS), M(LFS), M(LGS), M(MOV), M(POP)), 3, DIFFERENCE_SYSTEM },
    { MNEMONICS(M(LAR), M(LSL), M(VERR), M(VERW), M(LSS), M(LFS), M(LGS)), 3, DIFFERENCE_NONE },
    { MNEMONICS(M(SYSCALL), M(SYSRET), M(SYSENTER), M(SYSEXIT)), 3, DIFFERENCE_NONE },
    /* a processor of AMD's reads the frame from its end */
    { MNEMONICS(M(IRET), M(IRETD), M(IRETQ), M(RET)), 3, DIFFERENCE_END },
    /* the emulator: RIP is the instruction's, not the next one's */
    { MNEMONICS(M(INT1)), ANY_CPL, DIFFERENCE_GENERAL },
    /* ... flags of the elements before a fault are forgotten */
    { MNEMONICS(M(SCASB), M(SCASW), M(SCASD), M(SCASQ), M(CMPSB), M(CMPSW), M(CMPSD), M(CMPSQ)), ANY_CPL, DIFFERENCE_SYSTEM },
    { MNEMONICS(M(SCASB), M(SCASW), M(SCASD), M(SCASQ), M(CMPSB), M(CMPSW), M(CMPSD), M(CMPSQ)), ANY_CPL, DIFFERENCE_FLAGS },
    /* ... IOPL and NT are not the guest's (PVM) */
    { MNEMONICS(M(SYSRET), M(IRETD), M(IRETQ), M(POPFQ), M(POPF)), ANY_CPL, DIFFERENCE_SYSTEM },
    /* ... elements are read ahead, and the permission for the port is asked for though none is moved */
    { MNEMONICS(M(INSB), M(INSW), M(INSD), M(OUTSB), M(OUTSW), M(OUTSD)), ANY_CPL, DIFFERENCE_NONE },
};

static bool names(const struct known *k, uint16_t mnemonic)
{
    const uint16_t *m = k->mnemonics;

    while (*m && *m != mnemonic)
        m++;
    return *m;
}

static bool is_listed(const struct fuzz_case *c, enum difference kind)
{
    for (unsigned i = 0; c->system.on && i < ARRAY_LEN(known); i++)
        if (names(&known[i], c->insn[0].insn.mnemonic) && (known[i].cpl == ANY_CPL || known[i].cpl == c->cpu.cpl) &&
            (known[i].kind == DIFFERENCE_NONE || known[i].kind == kind))
            return true;
    return false;
}

bool known_of_kvm(const struct fuzz_case *c, const struct fuzz_outcome *x, const struct fuzz_outcome *y, enum difference kind)
{
    uint64_t rsp = c->cpu.slot[RSP];
    bool faults = x->vector == EXCEPTION_GP || x->vector == EXCEPTION_SS;

    if (y->inexpressible || is_listed(c, kind) || (x->vector == EXCEPTION_PF && side_kvm_is_own(x->cr2)))
        return true;
    if (faults && kind == DIFFERENCE_X87)
        return true; /* the emulator has made the MMX registers valid before it looked at the address */
    if (x->vector == EXCEPTION_GP && y->vector == EXCEPTION_SS)
        return true; /* the emulator takes an override of SS for one in 64-bit code */
    if (y->vector == EXCEPTION_UD) /* ... and has it for what it does not know; also where RSP is not canonical */
        return faults || (uint64_t)((int64_t)(rsp << 16) >> 16) != rsp || (c->system.on && !c->cpu.cpl);
    return c->system.on && x->vector == EXCEPTION_PF && y->vector == EXCEPTION_AC; /* far pointers: docs/quirks.md */
}
