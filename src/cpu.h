/*
 * cpu.h - the guest's architectural state, its only definition.
 *
 * Engines work on it or copy to and from it.  Register order is the ModRM encoding's.  `slot` holds the general
 * registers, and after them the temporaries of the IR: one array, so that an IR operand is an index.
 */
#ifndef CPU_H
#define CPU_H

#include "base/bits.h"
#include "base/wide.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPRS };

enum segment_index { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEGMENTS };

/* RFLAGS (SDM 1 3.4.3) */
enum {
    FLAG_CF = 1 << 0, FLAG_ONE = 1 << 1, FLAG_PF = 1 << 2, FLAG_AF = 1 << 4, FLAG_ZF = 1 << 6, FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8, FLAG_IF = 1 << 9, FLAG_DF = 1 << 10, FLAG_OF = 1 << 11, FLAG_IOPL = 3 << 12, FLAG_NT = 1 << 14,
    FLAG_RF = 1 << 16, FLAG_VM = 1 << 17, FLAG_AC = 1 << 18, FLAG_VIF = 1 << 19, FLAG_VIP = 1 << 20,
    FLAG_ID = 1 << 21,
    FLAGS_ARITHMETIC = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

enum { CR0_PE = 1 << 0, CR0_MP = 1 << 1, CR0_EM = 1 << 2, CR0_TS = 1 << 3, CR0_ET = 1 << 4, CR0_NE = 1 << 5,
       CR0_WP = 1 << 16, CR0_AM = 1 << 18, CR0_NW = 1 << 29, CR0_CD = 1 << 30 };
#define CR0_PG (UINT64_C(1) << 31)

enum { CR4_VME = 1 << 0, CR4_PVI = 1 << 1, CR4_TSD = 1 << 2, CR4_DE = 1 << 3, CR4_PSE = 1 << 4, CR4_PAE = 1 << 5,
       CR4_MCE = 1 << 6, CR4_PGE = 1 << 7, CR4_PCE = 1 << 8, CR4_OSFXSR = 1 << 9, CR4_OSXMMEXCPT = 1 << 10,
       CR4_UMIP = 1 << 11, CR4_LA57 = 1 << 12, CR4_FSGSBASE = 1 << 16, CR4_PCIDE = 1 << 17, CR4_OSXSAVE = 1 << 18,
       CR4_SMEP = 1 << 20, CR4_SMAP = 1 << 21, CR4_PKE = 1 << 22, CR4_PKS = 1 << 24 };

enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11, EFER_SVME = 1 << 12,
       EFER_FFXSR = 1 << 14 };

/* XCR0 and XSAVE components (SDM 1 13.1) */
enum { XCR0_X87 = 1 << 0, XCR0_SSE = 1 << 1, XCR0_AVX = 1 << 2, XCR0_OPMASK = 1 << 5, XCR0_ZMM_HI256 = 1 << 6,
       XCR0_HI16_ZMM = 1 << 7, XCR0_PKRU = 1 << 9 };

/* Access rights, as in the second doubleword of a descriptor shifted right by 8 (SDM 3A 3.4.5), and `unusable`. */
enum {
    AR_TYPE = 0xf, AR_ACCESSED = 1, AR_WRITABLE = 2 /* data */, AR_READABLE = 2 /* code */, AR_EXPAND_DOWN = 4,
    AR_CONFORMING = 4, AR_CODE = 8, AR_S = 0x10, AR_DPL = 0x60, AR_P = 0x80, AR_AVL = 0x1000, AR_L = 0x2000,
    AR_DB = 0x4000, AR_G = 0x8000, AR_UNUSABLE = 0x10000,
    AR_DPL_SHIFT = 5,
};

struct segment {
    uint16_t selector;
    uint32_t ar;
    uint32_t limit; /* in bytes, granularity applied */
    uint64_t base;
};

struct descriptor_table {
    uint64_t base;
    uint16_t limit;
};

/* x87: physical registers, 80 bits each as significand and sign/exponent; MMX shares the significands. */
struct x87 {
    uint64_t significand[8];
    uint16_t exponent[8];
    uint16_t control, status, opcode;
    uint8_t valid;      /* one bit per physical register: not empty (the abridged tag word) */
    uint64_t ip, dp;
    uint16_t cs, ds;
};

enum { MTRR_VARIABLE = 8, MTRR_FIXED = 11 };

/*
 * IA32_ARCH_CAPABILITIES (SDM 4 2.1) of a processor that runs nothing ahead: RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO,
 * MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
 */
#define CPU_ARCH_CAPABILITIES UINT64_C(0x400000000d10e17b)

struct msrs {
    uint64_t apic_base, tsc_adjust, tsc_aux, tsc_deadline;
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pkrs, pat, mtrr_def_type, mtrr_fixed[MTRR_FIXED], mtrr_base[MTRR_VARIABLE], mtrr_mask[MTRR_VARIABLE];
    uint64_t misc_enable, feature_control, mcg_status, debugctl, spec_ctrl, arch_capabilities, microcode, smbase, xss;
};

enum { BLOCK_INSNS = 128 /* at most so many run before an engine looks up */ };

enum { EXCEPTION_DE = 0, EXCEPTION_DB, EXCEPTION_NMI, EXCEPTION_BP, EXCEPTION_OF, EXCEPTION_BR, EXCEPTION_UD,
       EXCEPTION_NM, EXCEPTION_DF, EXCEPTION_TS = 10, EXCEPTION_NP, EXCEPTION_SS, EXCEPTION_GP, EXCEPTION_PF,
       EXCEPTION_MF = 16, EXCEPTION_AC, EXCEPTION_MC, EXCEPTION_XM, EXCEPTION_CP = 21 };

/* A fault or trap an instruction asks for; `vector` < 0: none. */
struct fault {
    int16_t vector;
    bool has_error;
    uint32_t error;
    uint64_t address; /* #PF: CR2 */
    uint64_t dr6;     /* #DB: bits to set */
};

enum { MXCSR_FLAGS = 0x3f, MXCSR_MASKS = 0x1f80, X87_MASKS = 0x3f };

enum interrupt_shadow { SHADOW_NONE = 0, SHADOW_STI = 1, SHADOW_MOV_SS = 2 };

enum cpu_activity { CPU_RUNNING, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN };

enum { IR_TEMPS = 64, SLOTS = GPRS + IR_TEMPS };

struct cpu {
    uint64_t slot[SLOTS]; /* RAX..R15, then temporaries, dead between instructions */
    uint64_t rip;
    uint64_t rflags;      /* without the arithmetic flags, which are below: read with cpu_rflags(), x86/flags.h */

    /*
     * The arithmetic flags as the interpreter leaves them (src/x86/flags.h):
     * ZF = flag_z == 0; SF = flag_s < 0; PF = parity of flag_s's low byte; CF, OF, AF from the carry chain flag_c.
     */
    uint64_t flag_z, flag_s, flag_c;

    struct segment seg[SEGMENTS];
    struct descriptor_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer, xcr0;
    uint64_t dr[8];
    uint32_t pkru;
    struct msrs msr;
    uint64_t tsc_base;    /* TSC = tsc_base + time */

    union wide zmm[32];
    uint64_t k[8];
    uint32_t mxcsr;
    struct x87 x87;
    union wide scratch;   /* of the vector instruction under way; dead between instructions */

    enum cpu_activity activity;
    enum interrupt_shadow shadow;
    bool nmi_blocked;

    bool watched;         /* a debugger has data breakpoints: the guest does not know */

    /* Derived; cpu_update() recomputes. */
    uint32_t mode;        /* enum cpu_mode_bits: what translated code depends on */
    uint8_t cpl;
};

/* What code is translated for.  Two instructions with the same bytes, address and mode mean the same. */
enum cpu_mode_bits {
    MODE_CODE64 = 1 << 0,
    MODE_CODE32 = 1 << 1,     /* CS.D */
    MODE_STACK32 = 1 << 2,    /* not 64-bit code: SS.B */
    MODE_PROTECTED = 1 << 3,  /* CR0.PE and not VM86 */
    MODE_VM86 = 1 << 4,
    MODE_LONG = 1 << 5,       /* EFER.LMA */
    MODE_USER = 1 << 6,       /* CPL = 3 */
    MODE_FLAT_DATA = 1 << 7,  /* not 64-bit code: DS, ES and SS: base 0, limit 4 GiB, writable, present */
    MODE_FLAT_CODE = 1 << 8,  /* CS: base 0, limit 4 GiB */
    MODE_EM = 1 << 9,         /* CR0.EM, TS, MP and CR4.OSFXSR, OSXSAVE, XCR0: which state may be used */
    MODE_TS = 1 << 10,
    MODE_MP = 1 << 11,
    MODE_OSFXSR = 1 << 12,
    MODE_AVX = 1 << 13,       /* OSXSAVE, and XCR0 has SSE and AVX */
    MODE_AVX512 = 1 << 14,
    MODE_OSXSAVE = 1 << 15,
    MODE_ALIGN = 1 << 16,     /* CR0.AM, RFLAGS.AC, CPL 3: #AC is checked */
    MODE_STEP = 1 << 17,      /* RFLAGS.TF, an enabled DR7 breakpoint or a debugger's on data: one instruction a block */
    MODE_CPL0 = 1 << 18,
    MODE_AC = 1 << 19,        /* RFLAGS.AC at CPL 0..2: SMAP lets explicit accesses through */
    MODE_SIMD_TRAPS = 1 << 20, /* MXCSR leaves an exception unmasked */
    MODE_X87_TRAPS = 1 << 21, /* the x87 control word does: else none is ever pending */
    MODE_STATE = MODE_EM | MODE_TS | MODE_MP | MODE_OSFXSR | MODE_AVX | MODE_AVX512 | MODE_OSXSAVE | MODE_SIMD_TRAPS | MODE_X87_TRAPS,
};

/* The state after RESET# (SDM 3A table 10-1) but RDX, which says what processor it is; `cpu` keeps nothing. */
void cpu_reset(struct cpu *cpu);

/* After INIT: as reset, but MSRs, vector state and caches' controls stay. */
void cpu_init(struct cpu *cpu);

/* Recomputes `mode` and `cpl`; after any change to segments, control registers, XCR0, MXCSR's or the x87's masks, RFLAGS.VM, TF or AC. */
void cpu_update(struct cpu *cpu);
/* The same where nothing but segments and RFLAGS has changed. */
void cpu_update_flow(struct cpu *cpu);

static inline bool cpu_long_mode(const struct cpu *cpu) { return cpu->efer & EFER_LMA; }
static inline bool cpu_real_mode(const struct cpu *cpu) { return !(cpu->cr0 & CR0_PE); }

/*
 * cpu_compare - the first register in which two states differ, for diff and the lockstep test.
 *
 * ignore   arithmetic flags not to compare (undefined ones)
 * Returns false and fills `text` ("rax 1 != 2") when they differ.  Temporaries, derived fields, RFLAGS.RF and
 * the time-stamp counter do not count.
 */
bool cpu_compare(const struct cpu *a, const struct cpu *b, uint64_t ignore, char *text, size_t size);

/* Registers as text, several lines, for --log int and for diff's report. */
void cpu_dump(const struct cpu *cpu, char *text, size_t size);

extern const char *const cpu_gpr_names[GPRS];
extern const char *const cpu_segment_names[SEGMENTS];

#endif
