/*
 * stubs.c - the code around translated code, made once: the way in, the ways out, and calls of C.
 *
 * Translated code runs with rsp 16-byte aligned and calls stubs with site in rcx and an argument or two in rax and
 * rdx.  C functions get (site, rax, rdx) and answer with a value in rax and, in rdx, 0 or the reason to leave.
 */
#include "jit/gen.h"

#include <cpuid.h>

static const uint8_t saved[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 }; /* the host ABI's */

static bool is_callee_saved(unsigned host)
{
    for (unsigned i = 0; i < ARRAY_LEN(saved); i++)
        if (saved[i] == host)
            return true;
    return false;
}

enum which { ALL, VOLATILE };

static void pins_move(struct jit *j, enum which which, bool store)
{
    for (unsigned i = 0; i < GPRS; i++) {
        enum host h = (enum host)jit_pin[i];
        struct host_mem m = mem_low(&j->v->cpu.slot[i]);

        if (h == H_NONE || (which == VOLATILE && is_callee_saved(h)))
            continue;
        if (store)
            emit_store(&j->e, 8, m, h);
        else
            emit_load(&j->e, 8, h, m);
    }
}

/* What is left to run: r15 is the translated code's, `left` C's. */
static void budget_move(struct jit *j, bool store)
{
    if (store)
        emit_store(&j->e, 8, mem_low(&j->left), H_R15);
    else
        emit_load(&j->e, 8, H_R15, mem_low(&j->left));
}

static void stack_move(struct jit *j, int bytes) { emit_alu_ri(&j->e, A_ADD, 8, H_RSP, bytes); }

/* int enter(const void *code) */
static void make_enter(struct jit *j)
{
    union { void *code; int (*enter)(const void *); } u = { .code = emit_address(&j->e) };

    for (unsigned i = 0; i < ARRAY_LEN(saved); i++) {
        if (saved[i] >= 8)
            emit_byte(&j->e, 0x41);
        emit_byte(&j->e, 0x50 | (saved[i] & 7u));
    }
    stack_move(j, -8);
    emit_mov(&j->e, H_RAX, H_RDI);
    pins_move(j, ALL, false);
    budget_move(j, false);
    emit_rr(&j->e, 0xff, 4, 4, H_RAX);
    j->enter = u.enter;
}

/* The end of run(): everything is in the vcpu, eax is the reason. */
static const void *make_return(struct jit *j)
{
    const void *at = emit_address(&j->e);

    stack_move(j, 8);
    for (unsigned i = ARRAY_LEN(saved); i-- > 0;) {
        if (saved[i] >= 8)
            emit_byte(&j->e, 0x41);
        emit_byte(&j->e, 0x58 | (saved[i] & 7u));
    }
    emit_byte(&j->e, 0xc3);
    return at;
}

static void vectors_aside(struct jit *j)
{
    if (!j->vectors)
        return;
    for (unsigned i = 0; i < (j->avx512 ? 32u : 16u); i++)
        emit_vec_rm(&j->e, &(struct host_vec){ .kind = j->avx512 ? VEC_EVEX : VEC_VEX, .map = 1, .opcode = 0x11, .reg = (uint8_t)i,
                                               .length = j->avx512 ? 2 : 1 }, mem_low(&j->vector[i])); /* VMOVUPS */
}

/* What rax holds at an exit: RIP; or the edge that led here; or nothing. */
static void make_exits(struct jit *j, const void *leave)
{
    for (enum jit_exit reason = EXIT_BUDGET; reason <= EXIT_STOP; reason++) {
        j->stub_exit[reason] = emit_address(&j->e);
        if (reason == EXIT_ARMED) {
            emit_byte(&j->e, 0x9f);
            emit_rr(&j->e, OP_0F | 0x90, 1, 0, H_RAX);
            emit_store(&j->e, 2, mem_low(&j->host_flags), H_RAX);
            vectors_aside(j);
        } else if (reason == EXIT_BUDGET || reason == EXIT_LOOKUP) {
            emit_store(&j->e, 8, mem_low(&j->v->cpu.rip), H_RAX);
        } else if (reason == EXIT_LINK) {
            emit_store(&j->e, 8, mem_low(&j->last_edge), H_RAX);
        }
        pins_move(j, ALL, true);
        budget_move(j, true);
        emit_mov_imm(&j->e, H_RAX, reason);
        emit_jmp_to(&j->e, leave);
    }
}

/* C wants its x87 unit empty, and helpers the guest's state in the vcpu. */
static void make_x87_out(struct jit *j)
{
    uint8_t *outside;

    if (!j->x87)
        return;
    emit_alu_mi(&j->e, A_CMP, 1, mem_low(&j->x87_inside), 0);
    outside = emit_jcc(&j->e, CC_Z);
    emit_call_to(&j->e, j->stub_x87_out);
    emit_here(&j->e, outside);
}

/* A call of C from within an instruction.  `which` registers the function may look at. */
static const void *make_call(struct jit *j, uint64_t function, enum which which, const void *leave)
{
    const void *at = emit_address(&j->e);
    uint8_t *out;

    stack_move(j, -8);
    make_x87_out(j);
    pins_move(j, which, true);
    budget_move(j, true);
    emit_mov(&j->e, H_RDI, H_RCX);
    emit_mov(&j->e, H_RSI, H_RAX);
    emit_mov_imm(&j->e, H_RAX, function);
    emit_rr(&j->e, 0xff, 4, 2, H_RAX);
    emit_test_rr(&j->e, 4, H_RDX, H_RDX);
    out = emit_jcc(&j->e, CC_NZ);
    pins_move(j, which, false);
    budget_move(j, false);
    stack_move(j, 8);
    emit_byte(&j->e, 0xc3);
    emit_here(&j->e, out);
    stack_move(j, 16);
    if (which == VOLATILE) { /* the others still are in their registers */
        pins_move(j, VOLATILE, false);
        pins_move(j, ALL, true);
    }
    emit_mov(&j->e, H_RAX, H_RDX);
    emit_jmp_to(&j->e, leave);
    return at;
}

/* void function(struct jit *), called where no general register may change. */
static const void *make_quiet_call(struct jit *j, void (*function)(struct jit *))
{
    static const uint8_t scratch[] = { H_RAX, H_RCX, H_RDX };
    const void *at = emit_address(&j->e);

    for (unsigned i = 0; i < ARRAY_LEN(scratch); i++)
        emit_byte(&j->e, 0x50 | scratch[i]);
    pins_move(j, VOLATILE, true);
    emit_mov_imm(&j->e, H_RDI, (uint64_t)(uintptr_t)j);
    emit_mov_imm(&j->e, H_RAX, (uint64_t)(uintptr_t)function);
    emit_rr(&j->e, 0xff, 4, 2, H_RAX);
    pins_move(j, VOLATILE, false);
    for (unsigned i = ARRAY_LEN(scratch); i-- > 0;)
        emit_byte(&j->e, 0x58 | scratch[i]);
    emit_byte(&j->e, 0xc3);
    return at;
}

/* Called where flags live; else like make_x87_out(). */
static const void *make_x87_leave(struct jit *j)
{
    const void *at = emit_address(&j->e);

    emit_byte(&j->e, 0x9c); /* PUSHFQ */
    make_x87_out(j);
    emit_byte(&j->e, 0x9d);
    emit_byte(&j->e, 0xc3);
    return at;
}

/* Jumped to, not called: C answers with the code to go on at. */
static const void *make_helper_end(struct jit *j, const void *leave)
{
    const void *at = emit_address(&j->e);
    uint8_t *out;

    make_x87_out(j);
    pins_move(j, ALL, true);
    budget_move(j, true);
    emit_mov(&j->e, H_RDI, H_RCX);
    emit_mov_imm(&j->e, H_RAX, (uint64_t)(uintptr_t)jit_slow_helper_end);
    emit_rr(&j->e, 0xff, 4, 2, H_RAX);
    emit_test_rr(&j->e, 4, H_RDX, H_RDX);
    out = emit_jcc(&j->e, CC_NZ);
    pins_move(j, ALL, false);
    budget_move(j, false);
    emit_rr(&j->e, 0xff, 4, 4, H_RAX);
    emit_here(&j->e, out);
    emit_mov(&j->e, H_RAX, H_RDX);
    emit_jmp_to(&j->e, leave);
    return at;
}

/*
 * Part of a large page, right behind what the cache has: C finds a longer stretch than the page.  rdx: the page; rsi: its
 * entry's place; the jump returned is taken then.
 */
static uint8_t *probe_goes_on(struct jit *j, struct tlb_entry *tlb)
{
    struct host_mem base = mem_at(H_RCX, offsetof(struct page_cache, base)), span = mem_at(H_RCX, offsetof(struct page_cache, span[0]));
    uint8_t *small, *goes_on;

    emit_rm_imm(&j->e, 0x80, 1, A_CMP, mem_table(&tlb->page, H_RSI), 1, 12); /* CMP: 4 KiB, tlb_shift() */
    small = emit_jcc(&j->e, CC_Z);
    emit_alu_rm(&j->e, A_SUB, 8, H_RDX, base);
    emit_alu_rm(&j->e, A_SUB, 8, H_RDX, span);
    emit_alu_ri(&j->e, A_CMP, 8, H_RDX, jit_span_bytes[0] - 1);
    goes_on = emit_jcc(&j->e, CC_Z);
    emit_alu_rm(&j->e, A_ADD, 8, H_RDX, span);
    emit_alu_rm(&j->e, A_ADD, 8, H_RDX, base);
    emit_here(&j->e, small);
    return goes_on;
}

/* The TLB, asked for a page cache that has been filled since the last flush. */
static const void *make_probe(struct jit *j, enum mmu_bank bank, enum tlb_intent intent)
{
    struct tlb_entry *tlb = j->v->mmu.tlb[bank];
    const void *at = emit_address(&j->e);
    uint8_t *empty, *missed, *goes_on, *other, *global;

    emit_alu_mi(&j->e, A_CMP, 8, mem_at(H_RCX, offsetof(struct page_cache, span[0])), 0);
    empty = emit_jcc(&j->e, CC_Z);
    emit_byte(&j->e, 0x50 | H_RSI);
    emit_zext(&j->e, 4, H_RSI, H_RAX);
    emit_shift_imm(&j->e, S_SHR, 4, H_RSI, 6);
    emit_alu_ri(&j->e, A_AND, 4, H_RSI, (TLB_ENTRIES - 1) << 6);
    emit_alu_ri(&j->e, A_AND, 8, H_RDX, -(int32_t)PAGE_BYTES);
    emit_alu_rm(&j->e, A_CMP, 8, H_RDX, mem_table(&tlb->tag[intent], H_RSI));
    missed = emit_jcc(&j->e, CC_NZ);
    emit_rm_imm(&j->e, 0xf6, 1, 0, mem_table((char *)&tlb->page + 1, H_RSI), 1, TLB_GLOBAL >> 8); /* TEST */
    global = emit_jcc(&j->e, CC_NZ);
    emit_alu_mi(&j->e, A_CMP, 8, mem_at(H_RCX, offsetof(struct page_cache, local)), 0);
    other = emit_jcc(&j->e, CC_Z); /* to leave the list of global ones */
    emit_here(&j->e, global);
    goes_on = probe_goes_on(j, tlb);
    emit_load(&j->e, 8, H_RSI, mem_table(&tlb->addend, H_RSI));
    emit_store(&j->e, 8, mem_at(H_RCX, offsetof(struct page_cache, base)), H_RDX);
    for (unsigned i = 0; i < SPANS; i++)
        emit_store_imm(&j->e, 8, mem_at(H_RCX, (int32_t)offsetof(struct page_cache, span[i])), PAGE_BYTES + 1 - jit_span_bytes[i]);
    emit_store(&j->e, 8, mem_at(H_RCX, offsetof(struct page_cache, delta)), H_RSI);
    emit_alu_rr(&j->e, A_ADD, 8, H_RAX, H_RSI);
    emit_byte(&j->e, 0x58 | H_RSI);
    emit_byte(&j->e, 0xf9); /* stc */
    emit_byte(&j->e, 0xc3);
    emit_here(&j->e, missed);
    emit_here(&j->e, other);
    emit_here(&j->e, goes_on);
    emit_byte(&j->e, 0x58 | H_RSI);
    emit_here(&j->e, empty);
    emit_byte(&j->e, 0xf8); /* clc */
    emit_byte(&j->e, 0xc3);
    return at;
}

bool jit_make_stubs(struct jit *j)
{
    const void *leave;

    make_enter(j);
    leave = make_return(j);
    make_exits(j, leave);
    j->stub_pack = make_quiet_call(j, jit_flags_pack); /* which has nothing to do with x87 */
    j->stub_x87_in = make_quiet_call(j, jit_x87_in);
    j->stub_x87_out = make_quiet_call(j, jit_x87_out);
    j->stub_x87_leave = make_x87_leave(j);
    j->stub_x87_access = make_call(j, (uint64_t)(uintptr_t)jit_slow_x87, VOLATILE, leave);
    j->stub_load = make_call(j, (uint64_t)(uintptr_t)jit_slow_load, VOLATILE, leave);
    j->stub_store = make_call(j, (uint64_t)(uintptr_t)jit_slow_store, VOLATILE, leave);
    j->stub_window = make_call(j, (uint64_t)(uintptr_t)jit_slow_window, VOLATILE, leave);
    j->stub_load_wide = make_call(j, (uint64_t)(uintptr_t)jit_slow_load_wide, VOLATILE, leave);
    j->stub_store_wide = make_call(j, (uint64_t)(uintptr_t)jit_slow_store_wide, VOLATILE, leave);
    j->stub_atomic = make_call(j, (uint64_t)(uintptr_t)jit_slow_atomic, VOLATILE, leave);
    j->stub_segment = make_call(j, (uint64_t)(uintptr_t)jit_slow_segment, VOLATILE, leave);
    j->stub_divide = make_call(j, (uint64_t)(uintptr_t)jit_slow_divide, ALL, leave);
    j->stub_helper = make_call(j, (uint64_t)(uintptr_t)jit_slow_helper, ALL, leave);
    j->stub_helper_pure = make_call(j, (uint64_t)(uintptr_t)jit_slow_helper, VOLATILE, leave);
    j->stub_helper_end = make_helper_end(j, leave);
    for (unsigned bank = 0; bank < BANKS; bank++)
        for (unsigned write = 0; write < 2; write++)
            j->stub_probe[bank][write] = make_probe(j, (enum mmu_bank)bank, write ? TLB_WRITE : TLB_READ);
    return !j->e.full;
}
