/* native.c - the host processor, one signal in and one out. */
#define _GNU_SOURCE
#include "lib/native.h"

#include "x86/flags.h"

#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 * 1024, LEGACY_BYTES = 512, XSTATE_MAGIC = 0x46505853, MAGIC_AT = 464, MXCSR_AT = 24,
       CS_64 = 0x33, CS_32 = 0x23, SS_USER = 0x2b };

/* In the order of struct cpu. */
static const int greg[GPRS] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };

static struct cpu *state;
static struct native_end end;
static bool code32, running;
static gregset_t runner;                 /* where native_run() was */
static uint8_t runner_legacy[LEGACY_BYTES];

/* -- vector registers in the signal frame: the standard XSAVE layout (SDM 1 13.4) ------------------------------------- */

static unsigned component_offset(unsigned i)
{
    unsigned a, b = 0, c, d;

    __cpuid_count(0xd, i, a, b, c, d);
    return b;
}

/* Calls `move` for every register in the frame with its part of `cpu`. */
static void each_vector(uint8_t *frame, struct cpu *cpu, void (*move)(void *frame, void *cpu, size_t n))
{
    uint32_t magic;
    uint64_t *bv = (uint64_t *)(void *)(frame + LEGACY_BYTES);

    for (unsigned i = 0; i < 8; i++)
        move(frame + 32 + 16 * i, &cpu->x87.significand[i], 8);
    move(frame + MXCSR_AT, &cpu->mxcsr, 4);
    for (unsigned i = 0; i < 16; i++)
        move(frame + 160 + 16 * i, &cpu->zmm[i].b[0], 16);
    memcpy(&magic, frame + MAGIC_AT, 4);
    if (magic != XSTATE_MAGIC)
        return;
    *bv |= XCR0_X87 | XCR0_SSE;
    if (__builtin_cpu_supports("avx")) {
        *bv |= XCR0_AVX;
        for (unsigned i = 0; i < 16; i++)
            move(frame + component_offset(2) + 16 * i, &cpu->zmm[i].b[16], 16);
    }
    if (!__builtin_cpu_supports("avx512f"))
        return;
    *bv |= XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM;
    for (unsigned i = 0; i < 8; i++)
        move(frame + component_offset(5) + 8 * i, &cpu->k[i], 8);
    for (unsigned i = 0; i < 16; i++) {
        move(frame + component_offset(6) + 32 * i, &cpu->zmm[i].b[32], 32);
        move(frame + component_offset(7) + 64 * i, &cpu->zmm[16 + i].b[0], 64);
    }
}

static void put(void *frame, void *cpu, size_t n) { memcpy(frame, cpu, n); }
static void take(void *frame, void *cpu, size_t n) { memcpy(cpu, frame, n); }

/* A component in its initial state is not in the frame: what stands there instead is stale. */
static void take_vectors(uint8_t *frame)
{
    uint64_t bv;

    memcpy(&bv, frame + LEGACY_BYTES, 8);
    each_vector(frame, state, take);
    for (unsigned i = 0; i < 16; i++) {
        if (!(bv & XCR0_SSE))
            memset(&state->zmm[i].b[0], 0, 16);
        if (!(bv & XCR0_AVX))
            memset(&state->zmm[i].b[16], 0, 16);
        if (!(bv & XCR0_ZMM_HI256))
            memset(&state->zmm[i].b[32], 0, 32);
        if (!(bv & XCR0_HI16_ZMM))
            memset(&state->zmm[16 + i], 0, 64);
    }
    for (unsigned i = 0; i < 8 && !(bv & XCR0_OPMASK); i++)
        state->k[i] = 0;
}

/* -- in and out --------------------------------------------------------------------------------------------------------- */

static void go_in(ucontext_t *u)
{
    greg_t *g = u->uc_mcontext.gregs;
    const uint64_t ours = FLAGS_ARITHMETIC | FLAG_DF;

    memcpy(runner, u->uc_mcontext.gregs, sizeof(runner));
    memcpy(runner_legacy, u->uc_mcontext.fpregs, LEGACY_BYTES);
    for (unsigned i = 0; i < GPRS; i++)
        g[greg[i]] = (greg_t)state->slot[i];
    g[REG_RIP] = (greg_t)state->rip;
    g[REG_EFL] = (greg_t)(((uint64_t)g[REG_EFL] & ~ours) | (cpu_rflags(state) & ours));
    if (code32)
        g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & ~UINT64_C(0xffff)) | CS_32);
    each_vector((uint8_t *)u->uc_mcontext.fpregs, state, put);
    running = true;
}

static void go_out(ucontext_t *u)
{
    greg_t *g = u->uc_mcontext.gregs;

    for (unsigned i = 0; i < GPRS; i++)
        state->slot[i] = (uint64_t)g[greg[i]];
    state->rip = (uint64_t)g[REG_RIP];
    cpu_set_rflags(state, (uint64_t)g[REG_EFL]);
    take_vectors((uint8_t *)u->uc_mcontext.fpregs);
    end = (struct native_end){ .vector = (int)g[REG_TRAPNO], .error = (uint32_t)g[REG_ERR], .cr2 = (uint64_t)g[REG_CR2] };
    memcpy(u->uc_mcontext.gregs, runner, sizeof(runner));
    memcpy(u->uc_mcontext.fpregs, runner_legacy, LEGACY_BYTES);
    running = false;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)info;
    if (number == SIGUSR1 && !running)
        go_in(context);
    else if (running)
        go_out(context);
    else
        _Exit(99); /* our own fault */
}

bool native_prepare(void)
{
    static const int signals[] = { SIGUSR1, SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
    stack_t stack = { .ss_size = STACK_BYTES };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    stack.ss_sp = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        if (sigaction(signals[i], &action, NULL))
            return false;
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SS_USER));
    return true;
}

struct native_end native_run(struct cpu *cpu, bool as_code32)
{
    uint64_t entry = cpu->rip;

    state = cpu;
    code32 = as_code32;
    raise(SIGUSR1);
    if (end.vector == EXCEPTION_BP && cpu->rip - 1 != entry) {
        end.vector = -1;
        cpu->rip--;
    }
    return end;
}
