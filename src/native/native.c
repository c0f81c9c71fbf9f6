/* native.c - the parent's half: the child, batches, registers to and from the XSAVE area. */
#define _GNU_SOURCE
#include "native/shared.h"

#include "x86/flags.h"
#include "x86/save.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COMPONENTS = 10, HEADER_AT = 512, ST_AT = 32, XMM_AT = 160, FLAGS_MOVED = FLAGS_ARITHMETIC | FLAG_DF };

struct native {
    struct native_shared *shared;
    pid_t child;
    int commands, answers;
    unsigned at[COMPONENTS]; /* of each component in the XSAVE area */
};

/* -- the child ---------------------------------------------------------------------------------------------------------- */

static void layout(struct native *n)
{
    unsigned a, b, c, d;

    __cpuid_count(0xd, 0, a, b, c, d);
    n->shared->components = a & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM);
    for (unsigned i = 2; i < COMPONENTS; i++) {
        __cpuid_count(0xd, i, a, b, c, d);
        n->at[i] = b;
    }
}

static void be_child(struct native *n, const int commands[2], const int answers[2])
{
    const char *why;

    close(commands[1]);
    close(answers[0]);
    why = native_child(n->shared, commands[0], answers[1]);
    if (why && write(answers[1], why, strlen(why)) < 0)
        _exit(1);
    _exit(0);
}

/* The first answer: a byte 0, or why it cannot. */
static bool greeted(struct native *n, struct err *err)
{
    char answer[256] = "";
    ssize_t got = read(n->answers, answer, sizeof(answer) - 1);

    if (got <= 0)
        return err_set(err, "native: the child did not begin");
    return !answer[0] || err_set(err, "native: %s", answer);
}

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

struct native *native_create(const enum native_page *page, unsigned pages, const uint8_t *image, struct err *err)
{
    struct native *n = calloc(1, sizeof(*n));
    int commands[2], answers[2];

    if (!n)
        abort();
    if (SANITIZED) {
        err_set(err, "native: not with AddressSanitizer, which has low memory");
        free(n);
        return NULL;
    }
    if (!__builtin_cpu_supports("avx") || pipe(commands) || pipe(answers)) {
        err_set(err, "native: needs a host with AVX and XSAVE");
        free(n);
        return NULL;
    }
    n->shared = mmap(NULL, sizeof(*n->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (n->shared == MAP_FAILED)
        abort();
    layout(n);
    memcpy(n->shared->page, page, pages * sizeof(page[0]));
    n->shared->pages = pages;
    memcpy(n->shared->image, image, (size_t)pages * NATIVE_PAGE);
    n->child = fork();
    if (!n->child)
        be_child(n, commands, answers);
    close(commands[0]);
    close(answers[1]);
    n->commands = commands[1];
    n->answers = answers[0];
    if (n->child > 0 && greeted(n, err))
        return n;
    if (n->child < 0)
        err_set(err, "native: fork: %s", strerror(errno));
    native_destroy(n);
    return NULL;
}

void native_destroy(struct native *n)
{
    close(n->commands);
    close(n->answers);
    if (n->child > 0) {
        kill(n->child, SIGKILL);
        waitpid(n->child, NULL, 0);
    }
    munmap(n->shared, sizeof(*n->shared));
    free(n);
}

struct native_case *native_slot(struct native *n, unsigned i) { return &n->shared->slot[i]; }
bool native_has_16_bit(const struct native *n) { return n->shared->has_16_bit; }
uint64_t native_components(const struct native *n) { return n->shared->components; }

bool native_run(struct native *n, unsigned count, struct err *err)
{
    char answer = 0;

    n->shared->count = count;
    if (write(n->commands, &answer, 1) != 1)
        return err_set(err, "native: the child is gone");
    while (read(n->answers, &answer, 1) != 1)
        if (errno != EINTR)
            return err_set(err, "native: the child is gone");
    return true;
}

/* -- registers ------------------------------------------------------------------------------------------------------------ */

/* Calls `move` for each part of the vector registers and opmasks that the host has. */
static void each_part(const struct native *n, uint8_t *area, struct cpu *cpu, void (*move)(void *area, void *cpu, size_t bytes))
{
    uint64_t has = n->shared->components;

    for (unsigned i = 0; i < 16; i++) {
        move(area + XMM_AT + 16 * i, &cpu->zmm[i].b[0], 16);
        if (has & XCR0_AVX)
            move(area + n->at[2] + 16 * i, &cpu->zmm[i].b[16], 16);
        if (has & XCR0_ZMM_HI256)
            move(area + n->at[6] + 32 * i, &cpu->zmm[i].b[32], 32);
        if (has & XCR0_HI16_ZMM)
            move(area + n->at[7] + 64 * i, &cpu->zmm[16 + i].b[0], 64);
    }
    if (has & XCR0_OPMASK)
        move(area + n->at[5], cpu->k, sizeof(cpu->k));
}

static void put(void *area, void *cpu, size_t bytes) { memcpy(area, cpu, bytes); }
static void take(void *area, void *cpu, size_t bytes) { memcpy(cpu, area, bytes); }

/* SDM 1 table 10-2: registers in the order of the stack. */
static void put_x87(uint8_t *area, const struct x87 *x)
{
    const uint16_t words[] = { x->control, x->status, x->valid, x->opcode };

    memcpy(area, words, sizeof(words));
    memcpy(area + 8, &x->ip, 8);
    memcpy(area + 16, &x->dp, 8);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = (x87_top(x) + i) & 7;

        memcpy(area + ST_AT + 16 * i, &x->significand[r], 8);
        memcpy(area + ST_AT + 16 * i + 8, &x->exponent[r], 2);
    }
}

static void take_x87(const uint8_t *area, struct x87 *x)
{
    uint16_t words[4];

    memcpy(words, area, sizeof(words));
    x->control = words[0];
    x->status = words[1];
    x->valid = (uint8_t)words[2];
    x->opcode = words[3];
    memcpy(&x->ip, area + 8, 8);
    memcpy(&x->dp, area + 16, 8);
    for (unsigned i = 0; i < 8; i++) {
        unsigned r = (x87_top(x) + i) & 7;

        memcpy(&x->significand[r], area + ST_AT + 16 * i, 8);
        memcpy(&x->exponent[r], area + ST_AT + 16 * i + 8, 2);
    }
}

void native_put(const struct native *n, struct native_case *c, const struct cpu *cpu)
{
    uint64_t components = n->shared->components;

    memcpy(c->general, cpu->slot, sizeof(c->general));
    c->rip = cpu->rip;
    c->rflags = cpu_rflags(cpu) & FLAGS_MOVED;
    put_x87(c->xsave, &cpu->x87);
    memcpy(c->xsave + 24, &cpu->mxcsr, 4);
    memset(c->xsave + HEADER_AT, 0, 64);
    memcpy(c->xsave + HEADER_AT, &components, 8);
    each_part(n, c->xsave, (struct cpu *)(uintptr_t)cpu, put);
}

/* A component in its initial configuration may not have been written (SDM 1 13.6). */
static void clear_initial(struct cpu *cpu, uint64_t in_use)
{
    for (unsigned i = 0; i < 16; i++) {
        if (!(in_use & XCR0_SSE))
            memset(&cpu->zmm[i].b[0], 0, 16);
        if (!(in_use & XCR0_AVX))
            memset(&cpu->zmm[i].b[16], 0, 16);
        if (!(in_use & XCR0_ZMM_HI256))
            memset(&cpu->zmm[i].b[32], 0, 32);
        if (!(in_use & XCR0_HI16_ZMM))
            memset(&cpu->zmm[16 + i], 0, 64);
    }
    if (!(in_use & XCR0_OPMASK))
        memset(cpu->k, 0, sizeof(cpu->k));
    if (!(in_use & XCR0_X87))
        x87_init(&cpu->x87);
}

void native_take(const struct native *n, const struct native_case *c, struct cpu *cpu)
{
    uint64_t in_use;

    memcpy(&in_use, c->xsave + HEADER_AT, 8);
    memcpy(cpu->slot, c->general, sizeof(c->general));
    cpu->rip = c->rip;
    cpu_set_rflags(cpu, (cpu->rflags & ~(uint64_t)FLAGS_MOVED) | (c->rflags & FLAGS_MOVED));
    take_x87(c->xsave, &cpu->x87);
    memcpy(&cpu->mxcsr, c->xsave + 24, 4);
    each_part(n, (uint8_t *)(uintptr_t)c->xsave, cpu, take);
    clear_initial(cpu, in_use);
}
