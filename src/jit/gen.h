/* gen.h - the generator's own: where values and flags are while a block is being made. */
#ifndef JIT_GEN_H
#define JIT_GEN_H

#include "jit/jit.h"
#include "x86/flags.h"
#include "x86/decode.h"
#include "x86/helpers.h"

/* Host registers that hold no guest register, by number. */
#define SCRATCHES (1u << H_RAX | 1u << H_RCX | 1u << H_RDX)
enum { HOSTS = 16 };
static inline bool gen_is_scratch(unsigned host) { return host < HOSTS && SCRATCHES >> host & 1; }

/* Who has a scratch register: a temporary, by its number, or */
enum { OWNER_NONE = 0xff, OWNER_OPERATION = 0xfe, OWNER_WINDOW = 0x80 /* + its number */, OWNER_SLOT = 0xc0 /* + a guest register's */ };

/* A guest address as the host can form it: LEA of `width` of `mem`, or a constant. */
struct gaddr {
    bool constant;
    uint8_t width;
    struct host_mem mem;
    uint64_t value;
    struct page_cache *cache; /* NULL: look the TLB up */
};

enum stub_kind { STUB_WINDOW, STUB_LOAD, STUB_STORE, STUB_MODIFY, STUB_WIDE, STUB_VECTOR, STUB_CAREFUL, STUB_ATOMIC, STUB_DIVIDE, STUB_SEGMENT, STUB_HELPER,
                 STUB_TARGET, STUB_PACK, STUB_X87, STUB_X87_LOAD, STUB_X87_ACCESS, STUB_EXIT, STUB_GUARD };

/* Code that is made after the block's own: what happens where its fast path does not hold. */
struct gen_stub {
    enum stub_kind kind;
    uint8_t *from[2];          /* displacements of the jumps that lead here */
    const uint8_t *back;       /* where it goes on */
    const uint8_t *access;     /* ... or with the host's address in `host` */
    uint8_t host;              /* ... or its distance from the guest's */
    bool whole;                /* the former */
    const struct ir_op *op, *then; /* then: what a load feeds directly, or the operation between LDW and ST */
    struct gaddr address;
    uint8_t owner[HOSTS], owner_back[HOSTS]; /* who lived where at the jump, and at `back` */
    uint16_t at;               /* operation number */
    uint8_t result;            /* host register that takes the value */
    struct vec_state vec, vec_back; /* at the jump, and at `back` */
    struct host_vec host_vec;  /* STUB_VECTOR */
    struct x87_state x87;      /* at the jump */
    struct jit_site *site, *site2;
    struct flags_at flags;     /* STUB_EXIT: as they are at the jump */
    bool packed;               /* STUB_EXIT */
    uint64_t rip;              /* STUB_EXIT */
    unsigned retired;
    int32_t sp;                /* STUB_EXIT, STUB_GUARD, STUB_WINDOW: of struct gen, at the jump */
};

enum { GEN_STUBS = IR_OPS };

struct gen {
    struct jit *jit;
    struct jit_block *block;
    const struct ir_block *ir;
    struct emit *e;
    const struct ir_op *op;    /* being made */
    unsigned first, at;        /* operations that one host instruction carries out: up to `at` */
    bool declined;

    uint8_t owner[HOSTS];
    unsigned locked;           /* registers the operation cannot spare */
    uint8_t temp_at[IR_TEMPS]; /* its register, or H_NONE: in its slot */
    bool temp_saved[IR_TEMPS]; /* its slot has it */
    uint16_t last_use[IR_TEMPS];
    const struct ir_op *lea[IR_TEMPS]; /* the address it is, where that is all it is used for: folded into accesses */
    const struct window_plan *plan;
    uint8_t window_at[WINDOWS]; /* register of what is kept of a window (see struct window), or H_NONE: in its slot */
    bool window_saved[WINDOWS]; /* its slot has it */
    uint8_t copy_at[GPRS];     /* register with what an unpinned guest register has in memory, or H_NONE */
    struct page_cache *by_base[GPRS][2];

    int32_t sp;                /* RSP is its register plus this: pushes and pops add up until somebody looks */
    bool in_memory, in_host, is_lazy; /* the flags, all that is true */
    bool raw;                  /* ... in the host's, but undefined ones are the host's too: lazy says of what */
    bool packed;               /* what is in memory is no recipe: known since it was looked at, or written, in this block */
    struct lazy lazy;
    bool save, keep_lazy;      /* what the plan says about the flags this operation makes: keep them in memory, or */
    bool copy_a, copy_b;       /* what makes them again; with copies of these operands, which change too early */
    bool unseen;               /* ... or nobody asks but an interrupt right after the instruction */
    const struct ir_op *unchecked; /* a check of the branch target that is made where the jump finds nothing */

    struct vec_state vec;
    uint16_t vec_upper_zero;   /* a host of 32-byte registers: the vcpu's upper halves of these are zero */
    struct {
        bool active, done;     /* the instruction is the host's own; made */
        bool memory;           /* an operand of LDX or STX */
        bool in, out, flags;   /* a general register or word goes in, comes out; flags come out */
        struct insn insn;
        struct host_vec host;
    } native;

    struct x87_state x87;

    unsigned stubs, aheads;
    struct gen_stub stub[GEN_STUBS]; /* from here on nothing has to be zero */
    struct jit_ahead ahead[BLOCK_INSNS];
};

/* -- gen_value.c ---------------------------------------------------------------------------------------------------- */

static inline bool gen_is_window(unsigned owner) { return owner >= OWNER_WINDOW && owner < OWNER_WINDOW + WINDOWS; }
static inline bool gen_is_copy(unsigned owner) { return owner >= OWNER_SLOT && owner < OWNER_SLOT + GPRS; }
static inline bool gen_is_temp(ir_operand x) { return x >= GPRS && x < SLOTS; }
static inline bool gen_is_const(ir_operand x) { return x >= IR_CONST && x != IR_NONE; }
static inline uint64_t gen_konst(const struct gen *g, ir_operand x) { return g->ir->konst[x - IR_CONST]; }
struct host_mem gen_slot(const struct gen *g, ir_operand x);
/* The constant as a sign-extended 32-bit immediate of an operation of `width`. */
bool gen_imm(const struct gen *g, ir_operand x, unsigned width, int32_t *value);

void gen_begin_insn(struct gen *g);
void gen_begin_op(struct gen *g);
void gen_end_op(struct gen *g);
/* A scratch register of the operation's own; one given by name, whatever was there moves. */
enum host gen_scratch(struct gen *g);
enum host gen_take(struct gen *g, enum host scratch);
/* One for a window, from now on; the one it is in now. */
enum host gen_window_new(struct gen *g, unsigned window);
enum host gen_window(struct gen *g, unsigned window);
void gen_release(struct gen *g, enum host scratch);
struct host_mem gen_window_slot(const struct gen *g, unsigned window);
/* Makes them all free: before a call. */
void gen_spill_all(struct gen *g);
/* RSP's register gets RSP's value. */
void gen_settle_sp(struct gen *g);
/* The operand's value in a register that must not be written. */
enum host gen_use(struct gen *g, ir_operand x);
/* The same in one that may be. */
enum host gen_copy(struct gen *g, ir_operand x);
/* Where a result goes; `keep`: the old value must be in it.  gen_put() when it is there. */
enum host gen_result(struct gen *g, ir_operand d, bool keep);
void gen_put(struct gen *g, ir_operand d, enum host reg);
/* A value that is in `reg`, into operand d at `width` as host registers take it. */
void gen_assign(struct gen *g, ir_operand d, unsigned width, enum host reg);
/* A scratch register of the operation's own becomes temporary d. */
void gen_give(struct gen *g, ir_operand d, enum host reg);
/* Loads an operand into exactly this register. */
void gen_load_into(struct gen *g, enum host reg, ir_operand x);

/* -- gen_flags.c ---------------------------------------------------------------------------------------------------- */

void gen_plan(struct gen *g);
/* The operation has left its flags in the host's; a, b, result: for recomputing them. */
void gen_flags_made(struct gen *g);
void gen_flags_before(struct gen *g, enum host value);
void gen_flags_lost(struct gen *g);
void gen_flags_merge(struct gen *g, bool carry);
void gen_slot_written(struct gen *g, ir_operand x);
/* Makes the host's flags the guest's; only CF of them. */
void gen_flags_to_host(struct gen *g);
void gen_carry_to_host(struct gen *g);
/* Makes a condition testable, and says under which host condition. */
unsigned gen_condition(struct gen *g, unsigned cc);
void gen_flags_save(struct gen *g);
struct flags_at gen_flags_at(const struct gen *g);
void gen_flags_aside(struct gen *g);
enum { PACKED_CF = 8 };
void gen_emit_flag(struct gen *g, unsigned bit);
void gen_emit_save(struct gen *g, bool packed);
void gen_emit_flags_out(struct gen *g, const struct flags_at *at, bool packed);
bool gen_flags_out_take_rax(const struct flags_at *at);
void gen_emit_restore(struct gen *g);
void gen_emit_lazy(struct gen *g, const struct lazy *lazy);

/* -- gen_vector.c --------------------------------------------------------------------------------------------------- */

/* Looks at the instruction that begins: is it one for the host's own vector registers? */
void gen_vector_begin(struct gen *g);
/* True: the operation is made, or nothing has to be made of it. */
bool gen_vector(struct gen *g);
/* Everything newer than the vcpu goes there; for good: nothing is in the host's any more. */
void gen_vector_save(struct gen *g, const struct vec_state *s);
void gen_vector_drop(struct gen *g);
/* Back to how it was, after C has used the host's. */
void gen_vector_restore(struct gen *g, const struct vec_state *s);
/* The instruction, with its operand where C has put it. */
void gen_vector_again(struct gen *g, const struct gen_stub *s);

/* -- gen_x87.c ------------------------------------------------------------------------------------------------------ */

/* As gen_vector(). */
bool gen_x87(struct gen *g);
/* What the code has not noted yet; before a call of C, or a way out, after which the vcpu has the state. */
void gen_x87_save(struct gen *g, const struct x87_state *s);
void gen_x87_drop(struct gen *g);
/* The state into the unit again, if it was there; no register changes but the flags, and vector registers. */
void gen_x87_restore(struct gen *g, const struct x87_state *s);
/* The instruction, with its operand where C has put it. */
void gen_x87_again(struct gen *g);

/* -- the operations ------------------------------------------------------------------------------------------------- */

/* False: not one of theirs, or not on this host. */
bool gen_alu(struct gen *g);
bool gen_memory(struct gen *g);
/* An ALU operation on memory or from it; b is a register, or H_NONE and an immediate. */
bool gen_is_rmw(const struct ir_op *o);
void gen_rmw(struct gen *g, const struct ir_op *o, struct host_mem m);
void gen_rmw_register(struct gen *g, const struct ir_op *o, enum host reg, enum host b);
bool gen_takes_memory(const struct ir_op *o, ir_operand t);
void gen_from_memory(struct gen *g, const struct ir_op *o, ir_operand t, struct host_mem m);
/* The bank of the TLB that the block's mode uses; the address of an access into a register. */
enum mmu_bank gen_bank(const struct gen *g);
void gen_address_into(struct gen *g, enum host reg, struct gaddr a);
struct host_mem gen_operand(struct gen *g, enum stub_kind kind, const struct ir_op *o, enum tlb_intent intent, struct gen_stub **stub);
struct host_mem gen_wide_operand(struct gen *g, enum stub_kind kind, struct gen_stub **stub);
/* The end of a fast path: its stub comes back here. */
void stub_comes_back(struct gen *g, struct gen_stub *s);
void gen_memory_stub(struct gen *g, struct gen_stub *s);
/* Checks a branch's target, if that has waited; it is in rax afterwards. */
void gen_check_stub(struct gen *g, const struct gen_stub *s, enum host target);
struct gen_stub *gen_stub(struct gen *g, enum stub_kind kind, const struct ir_op *o);
struct jit_site *gen_site(struct gen *g, const struct ir_op *o);
struct jit_site *gen_site_of_helper(struct gen *g, const struct ir_op *o);
/* Out to a careful block, before the instruction of this operation has done anything. */
void gen_leave_careful(struct gen *g, const struct gen_stub *s);

#endif
