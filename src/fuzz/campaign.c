/*
 * campaign.c - processes, and a pipe from each.
 *
 * A message is a difference, or why a job ended; counters are in memory that all share.  A job ends by itself when its
 * cases or its time are over, or when it is told to stop; it dies with the process that began it.
 */
#define _GNU_SOURCE
#include "fuzz/campaign.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLICE = 1024, TICK_MS = 200 };
enum message { MESSAGE_DIFFERENCE = 1, MESSAGE_ERROR, MESSAGE_END };

struct job {
    pid_t child;
    int pipe;                    /* -1: closed */
    bool ended;                  /* it has said so */
    struct fuzz_counts *counts;
};

struct shared { volatile bool stop; };

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- a job ------------------------------------------------------------------------------------------------------------------- */

static void send_all(int pipe, const void *data, size_t size)
{
    for (const char *at = data; size;) {
        ssize_t n = write(pipe, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            _exit(1);
        at += n;
        size -= (size_t)n;
    }
}

static void send_message(int pipe, uint32_t type, const void *data, size_t size)
{
    send_all(pipe, &type, sizeof(type));
    send_all(pipe, data, size);
}

static void send_difference(void *opaque, const struct fuzz_difference *d) { send_message(*(int *)opaque, MESSAGE_DIFFERENCE, d, sizeof(*d)); }

static void be_job(const struct campaign *c, unsigned i, struct fuzz_counts *counts, int pipe, const struct shared *shared)
{
    uint64_t left = c->cases / c->jobs + (i < c->cases % c->jobs);
    double end = c->seconds ? now_s() + c->seconds : 0;
    unsigned not_on_host;
    struct err err = { "" };
    bool ok;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    fuzz_set_shard(c->f, c->config.first + c->config.step * i, c->config.step * c->jobs);
    ok = fuzz_start(c->f, counts, &err);
    for (unsigned n; ok && left && !shared->stop && !(end != 0 && now_s() > end); left -= n) {
        n = (unsigned)bits_min(left, SLICE);
        ok = fuzz_run(c->f, n, send_difference, &pipe, &err);
    }
    not_on_host = fuzz_not_on_host(c->f);
    if (ok)
        send_message(pipe, MESSAGE_END, &not_on_host, sizeof(not_on_host));
    else
        send_message(pipe, MESSAGE_ERROR, &err, sizeof(err));
    fuzz_destroy(c->f);
    _exit(0);
}

/* -- the process that asked ---------------------------------------------------------------------------------------------------- */

static bool begin(struct campaign *c, struct job *job, unsigned i, const struct shared *shared, struct err *err)
{
    int ends[2];

    if (pipe(ends))
        return err_set(err, "pipe: %s", strerror(errno));
    fflush(NULL);
    job->counts = coverage_create(fuzz_catalog(c->f));
    job->pipe = ends[0];
    job->child = fork();
    if (!job->child) {
        close(ends[0]);
        be_job(c, i, job->counts, ends[1], shared);
    }
    close(ends[1]);
    return job->child > 0 || err_set(err, "fork: %s", strerror(errno));
}

static bool receive(int pipe, void *data, size_t size)
{
    for (char *at = data; size;) {
        ssize_t n = read(pipe, at, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* One message; the pipe's end closes it.  False and err: the job failed. */
static bool listen_to(struct campaign *c, struct job *job, struct fuzz_difference *d, struct shared *shared, struct err *err)
{
    uint32_t type;

    if (!receive(job->pipe, &type, sizeof(type))) {
        close(job->pipe);
        job->pipe = -1;
        return job->ended || err_set(err, "a job was killed");
    }
    switch (type) {
    case MESSAGE_DIFFERENCE:
        if (receive(job->pipe, d, sizeof(*d)))
            c->differs(c->opaque, d);
        shared->stop |= c->first_only;
        return true;
    case MESSAGE_END:
        job->ended = receive(job->pipe, &c->not_on_host, sizeof(c->not_on_host));
        return true;
    default:
        if (!receive(job->pipe, err, sizeof(*err)))
            err_set(err, "a job was killed");
        return false;
    }
}

static void sum(struct campaign *c, const struct job *job)
{
    unsigned shapes = c->counts->shapes;

    memset(c->counts, 0, sizeof(*c->counts) + shapes * sizeof(uint64_t));
    c->counts->shapes = shapes;
    for (unsigned i = 0; i < c->jobs; i++)
        coverage_add(c->counts, job[i].counts);
}

/* Until all pipes are closed. */
static bool wait_for_jobs(struct campaign *c, struct job *job, struct shared *shared, struct err *err)
{
    struct fuzz_difference *d = malloc(sizeof(*d));
    struct pollfd *fds = calloc(c->jobs, sizeof(*fds));
    bool ok = true, more = true;

    if (!d || !fds)
        abort();
    while (more) {
        more = false;
        for (unsigned i = 0; i < c->jobs; i++) {
            fds[i] = (struct pollfd){ .fd = job[i].pipe, .events = POLLIN };
            more |= job[i].pipe >= 0;
        }
        if (!more || (poll(fds, c->jobs, TICK_MS) < 0 && errno != EINTR))
            break;
        for (unsigned i = 0; i < c->jobs; i++)
            if (fds[i].fd >= 0 && fds[i].revents && !listen_to(c, &job[i], d, shared, ok ? err : &(struct err){ "" }))
                ok = false;
        sum(c, job);
        if (!ok || !c->tick(c->opaque))
            shared->stop = true;
    }
    free(d);
    free(fds);
    return ok;
}

bool campaign_run(struct campaign *c, struct err *err)
{
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct job *job = calloc(c->jobs, sizeof(*job));
    unsigned begun = 0;
    bool ok = true;

    if (!job || shared == MAP_FAILED)
        abort();
    for (unsigned i = 0; i < c->jobs; i++)
        job[i].pipe = -1;
    while (begun < c->jobs && (ok = begin(c, &job[begun], begun, shared, err)))
        begun++;
    if (ok)
        ok = wait_for_jobs(c, job, shared, err);
    for (unsigned i = 0; i < begun; i++) {
        if (!ok)
            kill(job[i].child, SIGKILL);
        while (waitpid(job[i].child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (begun == c->jobs)
        sum(c, job);
    for (unsigned i = 0; i < c->jobs; i++) {
        if (job[i].pipe >= 0)
            close(job[i].pipe);
        if (job[i].counts)
            coverage_destroy(job[i].counts);
    }
    free(job);
    munmap(shared, sizeof(*shared));
    return ok;
}
