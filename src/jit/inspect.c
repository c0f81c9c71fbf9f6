/*
 * inspect.c - what the JIT made, for people and profilers: --log out_asm, --perf-map, --jitdump, and the figures of
 * --stats.
 *
 * perf finds names of translated code in /tmp/perf-PID.map, a line a block; and, with the code itself, in a jitdump
 * (Linux, tools/perf/Documentation/jitdump-specification.txt), which `perf inject --jit` turns into an ELF file a block.
 */
#define _GNU_SOURCE
#include "jit/jit.h"

#include "base/log.h"
#include "print/disasm.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* -- --log out_asm ------------------------------------------------------------------------------------------------------ */

static void log_block(const struct jit_block *b)
{
    const uint8_t *at = b->checked, *end = b->checked + b->bytes;
    char text[128];
    unsigned insn = 0;

    log_printf(LOG_OUT_ASM, "%016" PRIx64 ", %u instructions, %u bytes\n", b->rip, b->insns, b->bytes);
    while (at < end) {
        unsigned n;

        for (; insn < b->insns && b->checked + b->insn[insn].code <= at; insn++)
            log_printf(LOG_OUT_ASM, "  -- %016" PRIx64 "\n", jit_insn_rip(b, insn));
        n = disasm_one(64, at, (size_t)(end - at), (uint64_t)(uintptr_t)at, text, sizeof(text));
        log_printf(LOG_OUT_ASM, "  %p  %s\n", (const void *)at, text);
        at += n ? n : 1;
    }
}

/* -- the perf map --------------------------------------------------------------------------------------------------------- */

static FILE *open_file(const char *path, const char *mode, struct err *err)
{
    FILE *f = fopen(path, mode);

    if (!f)
        err_set(err, "%s: %s", path, strerror(errno));
    return f;
}

static bool open_map(struct jit *j, struct err *err)
{
    char path[64];

    if (!j->options.perf_map)
        return true;
    snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
    j->perf_map = open_file(path, "w", err);
    return j->perf_map;
}

static void map_block(struct jit *j, const struct jit_block *b)
{
    fprintf(j->perf_map, "%" PRIxPTR " %x guest:%" PRIx64 "\n", (uintptr_t)b->checked, b->bytes, b->rip);
    fflush(j->perf_map); /* perf reads it while we run, or after a signal ended us */
}

/* -- the jitdump ---------------------------------------------------------------------------------------------------------- */

enum { DUMP_MAGIC = 0x4a695444 /* "JiTD" */, DUMP_VERSION = 1, JIT_CODE_LOAD = 0, JIT_CODE_CLOSE = 3 };

struct dump_header {
    uint32_t magic, version, total_size, elf_mach, pad, pid;
    uint64_t timestamp, flags;
};
_Static_assert(sizeof(struct dump_header) == 40, "as perf reads it");

struct dump_record {
    uint32_t id, total_size;
    uint64_t timestamp;
};

struct dump_load {
    struct dump_record record;
    uint32_t pid, tid;
    uint64_t vma, code_addr, code_size, code_index;
    /* the name with its zero, the code */
};
_Static_assert(sizeof(struct dump_load) == 56, "as perf reads it");

/* As `perf record --clockid mono` stamps its samples. */
static uint64_t dump_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* perf learns the file's name from this mapping, which nobody uses. */
static bool dump_announce(struct jit *j, const char *path, struct err *err)
{
    j->jitdump_page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(j->jitdump), 0);
    return j->jitdump_page != MAP_FAILED || err_set(err, "%s: cannot be mapped executable: %s", path, strerror(errno));
}

static bool open_dump(struct jit *j, struct err *err)
{
    struct dump_header h = { .magic = DUMP_MAGIC, .version = DUMP_VERSION, .total_size = sizeof(h), .elf_mach = EM_X86_64,
                             .pid = (uint32_t)getpid(), .timestamp = dump_time() };
    const char *path = j->options.jitdump;
    char usual[64];

    if (!path)
        return true;
    snprintf(usual, sizeof(usual), "jit-%d.dump", (int)getpid());
    path = *path ? path : usual;
    j->jitdump = open_file(path, "w+", err);
    if (!j->jitdump)
        return false;
    if (!dump_announce(j, path, err)) {
        unlink(path);
        return false;
    }
    fwrite(&h, sizeof(h), 1, j->jitdump);
    return true;
}

static void dump_block(struct jit *j, const struct jit_block *b)
{
    char name[32];
    size_t name_bytes = (size_t)snprintf(name, sizeof(name), "guest:%" PRIx64, b->rip) + 1;
    struct dump_load r = {
        .record = { JIT_CODE_LOAD, (uint32_t)(sizeof(r) + name_bytes + b->bytes), dump_time() },
        .pid = (uint32_t)getpid(), .tid = (uint32_t)gettid(), .vma = (uintptr_t)b->checked, .code_addr = (uintptr_t)b->checked,
        .code_size = b->bytes, .code_index = j->stats.blocks,
    };

    fwrite(&r, sizeof(r), 1, j->jitdump);
    fwrite(name, name_bytes, 1, j->jitdump);
    fwrite(b->checked, b->bytes, 1, j->jitdump);
}

static void close_dump(struct jit *j)
{
    struct dump_record r = { JIT_CODE_CLOSE, sizeof(r), dump_time() };

    fwrite(&r, sizeof(r), 1, j->jitdump);
    munmap(j->jitdump_page, PAGE_BYTES);
    fclose(j->jitdump);
}

/* -- for the rest of the JIT ------------------------------------------------------------------------------------------------ */

void jit_inspect_block(struct jit *j, const struct jit_block *b)
{
    if (log_on(LOG_OUT_ASM))
        log_block(b);
    if (j->perf_map)
        map_block(j, b);
    if (j->jitdump)
        dump_block(j, b);
}

bool jit_inspect_open(struct jit *j, struct err *err) { return open_map(j, err) && open_dump(j, err); }

void jit_inspect_close(struct jit *j)
{
    if (j->perf_map)
        fclose(j->perf_map);
    if (j->jitdump && j->jitdump_page && j->jitdump_page != MAP_FAILED)
        close_dump(j);
    else if (j->jitdump)
        fclose(j->jitdump);
}

/* -- --stats ------------------------------------------------------------------------------------------------------------------ */

/* ", WHAT n.n" where there is something to divide by. */
static void rate(FILE *f, const char *what, double part, uint64_t whole)
{
    if (whole)
        fprintf(f, ", %.1f %s", part / (double)whole, what);
}

static void percent(FILE *f, const char *what, uint64_t part, uint64_t whole)
{
    if (whole)
        fprintf(f, ", %.2f%% %s", 100.0 * (double)part / (double)whole, what);
}

static void print_blocks(const struct jit_stats *s, double seconds, FILE *f)
{
    fprintf(f, "jit blocks %" PRIu64 " translated", s->blocks);
    rate(f, "guest instructions each", (double)s->insns, s->blocks);
    rate(f, "host bytes each", (double)s->bytes, s->blocks);
    fprintf(f, ", %" PRIu64 " left to the interpreter\n", s->declined);
    fprintf(f, "jit translation %.3f ms", (double)s->translate_ns / 1e6);
    if (seconds > 0)
        fprintf(f, ", %.2f%% of the time", (double)s->translate_ns / seconds / 1e7);
    rate(f, "ns a guest instruction", (double)s->translate_ns, s->insns);
    fprintf(f, "\njit cache %" PRIu64 " times emptied, %" PRIu64 " blocks dropped\n", s->flushes, s->drops);
}

static void print_ways(const struct jit_stats *s, FILE *f)
{
    static const char *const names[] = { [EXIT_BUDGET] = "budget", [EXIT_LOOKUP] = "look-up", [EXIT_LINK] = "link", [EXIT_FAULT] = "fault",
                                         [EXIT_ARMED] = "interrupted", [EXIT_AFTER] = "device", [EXIT_STOP] = "stop" };
    uint64_t into = s->entries + s->exits[EXIT_LINK] + s->exits[EXIT_LOOKUP];

    fprintf(f, "jit jumps %" PRIu64 " linked, %" PRIu64 " look-ups, %" PRIu64 " of them in vain", s->links, s->lookups, s->misses);
    if (s->executions > into)
        percent(f, "of block entries straight from another block", s->executions - into, s->executions);
    fprintf(f, "\njit entered %" PRIu64 " times, left for", s->entries);
    for (unsigned i = EXIT_BUDGET; i <= EXIT_STOP; i++)
        fprintf(f, "%s %s %" PRIu64, i > EXIT_BUDGET ? "," : "", names[i], s->exits[i]);
    fputc('\n', f);
}

static void print_memory(const struct jit_stats *s, FILE *f)
{
    uint64_t slow = s->slow_walk + s->slow_device + s->slow_other;

    if (s->executions)
        fprintf(f, "jit executions of blocks %" PRIu64 "\n", s->executions);
    if (s->accesses) {
        fprintf(f, "jit accesses %" PRIu64, s->accesses);
        if (s->accesses >= slow)
            percent(f, "hit the TLB", s->accesses - s->slow_walk, s->accesses), percent(f, "done in line", s->accesses - slow, s->accesses);
        fputc('\n', f);
    }
    fprintf(f, "jit slow paths: walk %" PRIu64 ", device %" PRIu64 ", other %" PRIu64 ", segment %" PRIu64 ", divide %" PRIu64
            ", helper %" PRIu64 "\n", s->slow_walk, s->slow_device, s->slow_other, s->segments, s->divides, s->helpers);
    fprintf(f, "jit windows refused %" PRIu64 ", careful blocks %" PRIu64 ", brief ones %" PRIu64 "\n", s->refusals, s->careful, s->brief);
}

void jit_print_stats(const void *engine, double seconds, FILE *f)
{
    const struct jit_stats *s = jit_engine_stats(engine);

    print_blocks(s, seconds, f);
    print_ways(s, f);
    print_memory(s, f);
}
