/* native.c - the parent's half: the child, and batches. */
#define _GNU_SOURCE
#include "native/shared.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct native {
    struct native_shared *shared;
    pid_t child;
    int commands, answers;
};

/* -- the child ---------------------------------------------------------------------------------------------------------- */

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
    n->shared->components = native_components();
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
