/*
 * child.c - the half that runs the code: an address space of its own, a filter for system calls, the way in and out.
 *
 * In: XRSTOR for vector and x87 state, general registers, IRETQ to the code, which may be 32-bit code.  Out: the code is
 * followed by a jump that ends in native_leave, which has to keep every register and flag until they are saved.  Where it
 * raises an exception, the signal's frame has the state, and the handler returns to native_resume instead.
 */
#define _GNU_SOURCE
#include "native/shared.h"

#include "x86/flags.h"

#include <asm/ldt.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

enum { CS_64 = 0x33, CS_32 = 0x23, SS_USER = 0x2b, CS_16 = 0x7, DATA_16 = 0xf /* of the LDT */, SIGNAL_STACK = 64 * 1024, LIMIT_US = 20000,
       THUNK = 0x5a3c7000 /* where code leaves by: nowhere that it would look */ };
#define LOW_END UINT64_C(0x100000000)

/* -- in and out ----------------------------------------------------------------------------------------------------------- */

/* What native_enter and native_leave work on; offsets are in the assembly. */
struct frame {
    uint64_t general[GPRS]; /* 0 */
    uint64_t rip, cs;       /* 128, 136 */
    uint64_t rflags;        /* 144 */
    uint8_t *xsave;         /* 152 */
    uint64_t components;    /* 160 */
    uint64_t runner_rsp;    /* 168 */
    uint64_t code_rsp;      /* 176 */
    uint64_t ss;            /* 184 */
};

_Static_assert(offsetof(struct frame, rip) == 128 && offsetof(struct frame, rflags) == 144 && offsetof(struct frame, xsave) == 152 &&
               offsetof(struct frame, components) == 160 && offsetof(struct frame, code_rsp) == 176 && offsetof(struct frame, ss) == 184, "as the assembly has it");

struct frame native_frame __attribute__((visibility("hidden")));
void native_enter(void) __attribute__((visibility("hidden")));
void native_leave(void) __attribute__((visibility("hidden")));
void native_resume(void) __attribute__((visibility("hidden")));

__asm__(
    ".pushsection .text\n"
    ".hidden native_enter, native_leave, native_resume\n"
    ".globl native_enter, native_leave, native_resume\n"
    "native_enter:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "lea native_frame(%rip), %rdi\n"
    "mov %rsp, 168(%rdi)\n"
    "mov 160(%rdi), %eax\n xor %edx, %edx\n mov 152(%rdi), %rcx\n xrstor64 (%rcx)\n"
    "pushq 184(%rdi)\n pushq 32(%rdi)\n pushq 144(%rdi)\n pushq 136(%rdi)\n pushq 128(%rdi)\n"
    "mov 0(%rdi), %rax\n mov 8(%rdi), %rcx\n mov 16(%rdi), %rdx\n mov 24(%rdi), %rbx\n mov 40(%rdi), %rbp\n"
    "mov 48(%rdi), %rsi\n mov 64(%rdi), %r8\n mov 72(%rdi), %r9\n mov 80(%rdi), %r10\n mov 88(%rdi), %r11\n"
    "mov 96(%rdi), %r12\n mov 104(%rdi), %r13\n mov 112(%rdi), %r14\n mov 120(%rdi), %r15\n mov 56(%rdi), %rdi\n"
    "iretq\n"
    "native_leave:\n"
    "mov %rsp, native_frame+176(%rip)\n"
    "lea native_frame+128(%rip), %rsp\n" /* general[] from its end */
    "push %r15; push %r14; push %r13; push %r12; push %r11; push %r10; push %r9; push %r8; push %rdi; push %rsi; push %rbp\n"
    "pushq native_frame+176(%rip)\n"
    "push %rbx; push %rdx; push %rcx; push %rax\n"
    "mov native_frame+168(%rip), %rsp\n"
    "pushfq\n popq native_frame+144(%rip)\n pushq $2\n popfq\n" /* NT, which a signal's frame keeps, would stop IRETQ */
    "mov native_frame+160(%rip), %eax\n xor %edx, %edx\n mov native_frame+152(%rip), %rcx\n xsave64 (%rcx)\n"
    "native_resume:\n"
    "pushq $2\n popfq\n vzeroupper\n fninit\n pushq $0x1f80\n ldmxcsr (%rsp)\n add $8, %rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "ret\n"
    ".popsection\n");

/* -- exceptions ----------------------------------------------------------------------------------------------------------- */

/* In the order of struct cpu. */
static const int greg[GPRS] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
static struct native_case *running;

/* CS is in the lowest word, SS in the highest (uc_sigcontext.h). */
static bool in_code(const greg_t *g)
{
    uint64_t start = ((uint64_t)g[REG_CSGSFS] & 0xffff) == CS_16 ? 0 : NATIVE_CODE;

    return (uint64_t)g[REG_RIP] - start < NATIVE_PAGE;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;
    struct native_case *c = running;

    (void)info;
    if (number == SIGALRM && !in_code(g))
        return; /* between two cases */
    if (!c)
        _exit(2); /* our own fault */
    for (unsigned i = 0; i < GPRS; i++)
        native_frame.general[i] = (uint64_t)g[greg[i]];
    native_frame.rip = (uint64_t)g[REG_RIP];
    native_frame.rflags = (uint64_t)g[REG_EFL];
    memcpy(c->r.xsave, u->uc_mcontext.fpregs, sizeof(c->r.xsave));
    c->timed_out = number == SIGALRM;
    c->vector = (int)g[REG_TRAPNO];
    c->error = (uint32_t)g[REG_ERR];
    c->cr2 = (uint64_t)g[REG_CR2];
    g[REG_RIP] = (greg_t)(uintptr_t)native_resume;
    g[REG_RSP] = (greg_t)native_frame.runner_rsp;
    g[REG_EFL] = 2;
    g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & UINT64_C(0x0000ffffffff0000)) | CS_64 | (uint64_t)SS_USER << 48);
}

static bool catch_signals(void)
{
    static const int signals[] = { SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGALRM };
    stack_t stack = { .ss_size = SIGNAL_STACK };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    stack.ss_sp = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
        return false;
    sigfillset(&action.sa_mask);
    for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
        if (sigaction(signals[i], &action, NULL))
            return false;
    return true;
}

/* -- one case --------------------------------------------------------------------------------------------------------------- */

static uint8_t *at(uint64_t address) { return (uint8_t *)(uintptr_t)address; }
static uint8_t *code_view; /* the code page, writable */

/* 64-bit code. */
static void put_thunk(uint8_t *to)
{
    void (*target)(void) = native_leave;

    memcpy(to, (const uint8_t[]){ 0xff, 0x25, 0, 0, 0, 0 }, 6); /* jmp [rip] */
    memcpy(to + 6, &target, 8);
}

/* A way out behind the code; returns the end of that. */
static uint8_t *put_exit(const struct native_case *c, uint8_t *end)
{
    const uint32_t thunk = THUNK, relative = thunk - (NATIVE_START + c->code_bytes + 5u);

    if (c->bits == 64) {
        *end = 0xe9; /* jmp */
        memcpy(end + 1, &relative, 4);
        return end + 5;
    }
    if (c->bits == 16)
        *end++ = 0x66;
    *end = 0xea; /* jmp far */
    memcpy(end + 1, &thunk, 4);
    memcpy(end + 5, &(uint16_t){ CS_64 }, 2);
    return end + 7;
}

/* INT3 all around, where the code may branch to. */
static void put_code(const struct native_case *c)
{
    static uint8_t *last;
    uint8_t *code = code_view + (NATIVE_START - NATIVE_CODE), *end;

    memcpy(code, c->code, c->code_bytes);
    end = put_exit(c, code + c->code_bytes);
    if (last > end)
        memset(end, 0xcc, (size_t)(last - end));
    last = end;
}

/* The image stays in the pages but while a case runs. */
static void put_memory(const struct native_case *c)
{
    for (unsigned i = 0; i < c->memory.n; i++)
        memcpy(at(NATIVE_DATA) + c->memory.at[i] * LINE_BYTES, c->memory.line[i], LINE_BYTES);
}

static void take_memory(const struct native_shared *s, struct native_case *c)
{
    c->memory.n = 0;
    for (unsigned i = 0; i < s->pages; i++)
        if (s->page[i] == NATIVE_RW)
            lines_find(&c->memory, s->image, i * NATIVE_PAGE, at(NATIVE_DATA) + i * NATIVE_PAGE, NATIVE_PAGE);
    for (unsigned i = 0; i < c->memory.n; i++)
        memcpy(at(NATIVE_DATA) + c->memory.at[i] * LINE_BYTES, s->image + c->memory.at[i] * LINE_BYTES, LINE_BYTES);
}

/* 64-bit code does not look at them. */
static void set_data_segments(uint16_t selector)
{
    static uint16_t current = SS_USER;

    if (selector == current)
        return;
    current = selector;
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"((uint32_t)selector));
}

static void run_case(const struct native_shared *s, struct native_case *c)
{
    put_code(c);
    put_memory(c);
    memcpy(native_frame.general, c->r.general, sizeof(c->r.general));
    native_frame.rip = c->r.rip;
    native_frame.cs = c->bits == 64 ? CS_64 : c->bits == 32 ? CS_32 : CS_16;
    native_frame.ss = c->bits == 16 ? DATA_16 : SS_USER;
    set_data_segments((uint16_t)native_frame.ss);
    native_frame.rflags = c->r.rflags | FLAG_ONE | FLAG_IF;
    native_frame.xsave = c->r.xsave;
    native_frame.components = s->components;
    c->vector = -1;
    c->timed_out = false;
    running = c;
    native_enter();
    running = NULL;
    memcpy(c->r.general, native_frame.general, sizeof(c->r.general));
    c->r.rip = c->vector < 0 ? (uint64_t)NATIVE_START + c->code_bytes - (c->bits == 16 ? NATIVE_CODE : 0u) : native_frame.rip;
    c->r.rflags = native_frame.rflags;
    take_memory(s, c);
}

/* A signal now and then: a case that one finds twice does not end. */
static void limit_time(unsigned us)
{
    struct itimerval limit = { .it_interval = { 0, us }, .it_value = { 0, us } };

    setitimer(ITIMER_REAL, &limit, NULL);
}

/* -- the sandbox ------------------------------------------------------------------------------------------------------------ */

/* The program's first byte and the one behind its last (ld(1)). */
extern const char __executable_start[], _end[];

static bool is_program(unsigned long address)
{
    return address >= (uintptr_t)__executable_start && address < (uintptr_t)_end;
}

/* Everything below 4 GiB goes, but for this program where it is linked there. */
static bool clear_low(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long start[256], end[256], inode;
    unsigned n = 0;
    char line[512];

    while (f && n < ARRAY_LEN(start) && fgets(line, sizeof(line), f))
        if (sscanf(line, "%lx-%lx %*s %*x %*x:%*x %lu", &start[n], &end[n], &inode) == 3 && start[n] < LOW_END && !inode &&
            !is_program(start[n]) && !strstr(line, "[heap]"))
            n++;
    if (!f)
        return false;
    fclose(f);
    while (n--)
        munmap((void *)start[n], end[n] - start[n]);
    return true;
}

static bool map_fixed(uint64_t address, size_t bytes, int protection)
{
    return mmap(at(address), bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at(address);
}

/* The code page is one memory with two views. */
static bool map_code(void)
{
    int fd = memfd_create("code", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, NATIVE_PAGE))
        return false;
    code_view = mmap(NULL, NATIVE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (code_view == MAP_FAILED ||
        mmap(at(NATIVE_CODE), NATIVE_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != at(NATIVE_CODE) ||
        !map_fixed(THUNK, NATIVE_PAGE, PROT_READ | PROT_WRITE))
        return false;
    memset(code_view, 0xcc, NATIVE_PAGE);
    put_thunk(at(THUNK));
    return !mprotect(at(THUNK), NATIVE_PAGE, PROT_READ | PROT_EXEC);
}

static bool map_data(const struct native_shared *s)
{
    static const int protection[] = { [NATIVE_RW] = PROT_READ | PROT_WRITE, [NATIVE_RO] = PROT_READ, [NATIVE_NONE] = PROT_NONE };

    if (!map_fixed(NATIVE_DATA, (size_t)s->pages * NATIVE_PAGE, PROT_READ | PROT_WRITE))
        return false;
    memcpy(at(NATIVE_DATA), s->image, (size_t)s->pages * NATIVE_PAGE);
    for (unsigned i = 0; i < s->pages; i++)
        if (mprotect(at(NATIVE_DATA + i * NATIVE_PAGE), NATIVE_PAGE, protection[s->page[i]]))
            return false;
    return true;
}

static bool set_ldt(unsigned n, uint32_t base, unsigned contents)
{
    struct user_desc d = { .entry_number = n, .base_addr = base, .limit = 0xffff, .contents = contents,
                           .seg_32bit = contents == MODIFY_LDT_CONTENTS_DATA /* IRETQ loads all of RSP then */ };

    return !syscall(SYS_modify_ldt, 1, &d, sizeof(d));
}

/* For 16-bit code (modify_ldt(2)): without them it is not here. */
static bool make_small_segments(void)
{
    return set_ldt(CS_16 >> 3, NATIVE_CODE, MODIFY_LDT_CONTENTS_CODE) && set_ldt(DATA_16 >> 3, NATIVE_DATA - NATIVE_PAGE, MODIFY_LDT_CONTENTS_DATA);
}

/* What the loop below needs, and nothing that reaches out of the process but two pipes. */
static bool filter_system_calls(int commands, int answers)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool ok = filter && !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigreturn), 0) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setitimer), 0) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)commands)) &&
              !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)answers)) &&
              !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !seccomp_load(filter);

    seccomp_release(filter);
    return ok;
}

const char *native_child(struct native_shared *shared, int commands, int answers)
{
    char byte = 0;

    if (!clear_low() || !map_code() || !map_data(shared))
        return "low memory is taken";
    if (!catch_signals())
        return "no signal stack";
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SS_USER));
    shared->has_16_bit = make_small_segments();
    if (!filter_system_calls(commands, answers))
        return "no seccomp on this host";
    if (write(answers, &byte, 1) != 1)
        return NULL;
    while (read(commands, &byte, 1) == 1) {
        limit_time(LIMIT_US);
        for (unsigned i = 0; i < shared->count; i++)
            run_case(shared, &shared->slot[i]);
        limit_time(0);
        byte = 0;
        if (write(answers, &byte, 1) != 1)
            break;
    }
    return NULL;
}
