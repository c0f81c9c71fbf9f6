/*
 * malformed.c - files that are not quite right, made of good ones, and what the program makes of them.
 *
 * usage: malformed WIDELOAD ENGINE BIOS GOOD BAD CASES SEED
 *
 * GOOD is a folder of good files (malformed.sh), BAD one for those that something was wrong with.  A case is made from the seed and its
 * number alone.  Each run is refused in one line with status 2, or runs so many instructions and ends without a signal, a sanitizer's
 * report or an assertion, in no more than 512 MiB.  Prints TAP, a line for each kind of file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

enum { RSS_MAX_KIB = 512 << 10, SECONDS = 60, CPU_SECONDS = 40, FILE_BYTES_MAX = 1 << 30 /* translated code is in one too */, SANITIZER_STATUS = 99, REFUSED = 2, ARGUMENTS = 24 };

/* In arguments, "@" is the malformed file, "%NAME" a good one, "$" the BIOS. */
struct kind {
    const char *name, *file, *limit, *argument[6];
};
static const struct kind kinds[] = {
    { "bzImage", "bzImage", "1M", { "--kernel", "@", "--initrd", "%module" } },
    { "initrd", "module", "1M", { "--kernel", "%bzImage", "--initrd", "@" } },
    { "multiboot", "multiboot.elf", "1M", { "--kernel", "@", "--append", "a b" } },
    { "multiboot with addresses", "multiboot.bin", "1M", { "--kernel", "@", "--initrd", "%module" } },
    { "multiboot 2", "multiboot2.elf", "1M", { "--kernel", "@", "--initrd", "%module" } },
    { "PVH", "pvh.elf", "1M", { "--kernel", "@", "--initrd", "%module" } },
    { "ELF64", "elf64.elf", "1M", { "--kernel", "@" } },
    { "ELF32", "elf32.elf", "1M", { "--kernel", "@" } },
    { "boot sector", "boot.bin", "1M", { "@" } },
    { "qcow2", "disk.qcow2", "3M", { "--kernel", "%disk.elf", "--disk", "@,format=qcow2", "--disk", "%order2,readonly" } },
    { "qcow2 over a backing file", "top.qcow2", "3M", { "--kernel", "%disk.elf", "--disk", "@,format=qcow2,readonly", "--disk", "%order2,readonly" } },
    { "snapshot", "guest.snap", "1M", { "--load", "@" } },
    { "raw disk", "disk.img", "10M", { "--bios", "$", "--disk", "@,if=ahci" } },
    { "ISO", "cd.iso", "10M", { "--bios", "$", "--cdrom", "@" } },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct bytes {
    uint8_t *data;
    size_t size, room;
};

static const char *program, *engine, *bios, *good_folder, *bad_folder;

static void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(2);
}

/* -- numbers (splitmix64, Steele and others 2014) ---------------------------------------------------------------------------- */

static uint64_t state;

static uint64_t number(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(size_t n) { return n ? (size_t)(number() % n) : 0; }

/* -- what can be wrong with a file: each is one change ---------------------------------------------------------------------------- */

/* Mostly where something is: zeros are padding. */
static size_t place(const struct bytes *b)
{
    size_t at = below(b->size);

    for (unsigned tries = 0; tries < 64 && b->size && !b->data[at] && number() % 16; tries++)
        at = number() % 4 ? below(b->size) : below(b->size < 1024 ? b->size : 1024);
    return at;
}

static void flip_bits(struct bytes *b)
{
    for (size_t n = 1 + below(8); n && b->size; n--)
        b->data[place(b)] ^= (uint8_t)(1u << below(8));
}

static uint64_t edge(const struct bytes *b)
{
    uint64_t power = UINT64_C(1) << below(64);

    switch (below(10)) {
    case 0: return 0;
    case 1: return 1;
    case 2: return UINT64_MAX;
    case 3: return power;
    case 4: return power - 1;
    case 5: return 0 - power;
    case 6: return b->size - below(3);
    case 7: return b->size + below(3);
    case 8: return number() >> below(64);
    default: return below(b->size);
    }
}

/* A field of 1 to 8 bytes, of either order, that is at an edge, or near what it was. */
static void change_field(struct bytes *b)
{
    unsigned width = 1u << below(4);
    size_t at = place(b) & ~(size_t)(width - 1);
    uint64_t value = edge(b);
    bool big = number() % 2, near = number() % 3 == 0;

    if (at + width > b->size)
        return;
    for (unsigned i = 0; i < width; i++) {
        uint8_t *byte = &b->data[at + (big ? width - 1 - i : i)];

        *byte = near ? (uint8_t)(*byte + (i == 0 ? 1 - (int)(value % 3) : 0)) : (uint8_t)(value >> i * 8);
    }
}

static void cut(struct bytes *b)
{
    switch (below(4)) {
    case 0: b->size = below(b->size); break;
    case 1: b->size -= b->size ? 1 : 0; break;
    case 2: b->size = below(b->size < 1024 ? b->size : 1024); break;
    default: b->size &= ~(size_t)511; break;
    }
}

static void lengthen(struct bytes *b)
{
    size_t n = below(b->room - b->size < 8192 ? b->room - b->size : 8192);
    bool zeros = number() % 2;

    for (size_t i = 0; i < n; i++)
        b->data[b->size + i] = zeros ? 0 : (uint8_t)number();
    b->size += n;
}

/* A piece of the file comes again elsewhere, over what was there. */
static void repeat(struct bytes *b)
{
    size_t from = place(b), to = place(b), n = below(256);

    if (from + n <= b->size && to + n <= b->size)
        memmove(b->data + to, b->data + from, n);
}

static void drop(struct bytes *b)
{
    size_t at = place(b), n = below(64);

    if (at + n > b->size)
        return;
    memmove(b->data + at, b->data + at + n, b->size - at - n);
    b->size -= n;
}

static void spoil(struct bytes *b)
{
    static void (*const changes[])(struct bytes *b) = { flip_bits, flip_bits, change_field, change_field, change_field, cut, lengthen, repeat, drop };

    for (size_t n = 1 + below(3); n; n--)
        changes[below(sizeof(changes) / sizeof(changes[0]))](b);
}

/* -- files ------------------------------------------------------------------------------------------------------------------------- */

static char *in(const char *folder, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s", folder, name) < 0)
        die("asprintf");
    return path;
}

static struct bytes bytes_read(const char *name)
{
    char *path = in(good_folder, name);
    FILE *f = fopen(path, "rb");
    struct bytes b = { NULL, 0, 0 };

    if (!f || fseek(f, 0, SEEK_END))
        die(path);
    b.size = (size_t)ftell(f);
    b.room = b.size + 32768;
    b.data = malloc(b.room);
    rewind(f);
    if (!b.data || fread(b.data, 1, b.size, f) != b.size)
        die(path);
    fclose(f);
    free(path);
    return b;
}

static void bytes_write(const struct bytes *b, const char *path)
{
    FILE *f = fopen(path, "wb");

    if (!f || fwrite(b->data, 1, b->size, f) != b->size || fclose(f))
        die(path);
}

/* -- snapshots: a checksum over a compressed frame would hide what is wrong within (docs/snapshot.md) --------------------------- */

enum { SNAP_HEAD = 16, SNAP_END = 8, SNAP_SUM = 32, SNAP_MAX = 16 << 20 };

static struct bytes snapshot_unpack(const struct bytes *file)
{
    struct bytes b = { malloc(SNAP_MAX), 0, SNAP_MAX };

    if (!b.data)
        die("malloc");
    b.size = ZSTD_decompress(b.data, b.room, file->data + SNAP_HEAD, file->size - SNAP_HEAD - SNAP_END - SNAP_SUM);
    if (ZSTD_isError(b.size))
        die("the snapshot's frame");
    return b;
}

/* Into `file`, whose head and end it keeps. */
static void snapshot_pack(const struct bytes *b, struct bytes *file)
{
    gsize sum_bytes = SNAP_SUM;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t end[SNAP_END];
    size_t n;

    memcpy(end, file->data + file->size - SNAP_SUM - SNAP_END, SNAP_END);
    file->room = SNAP_HEAD + ZSTD_compressBound(b->size) + SNAP_END + SNAP_SUM;
    file->data = realloc(file->data, file->room);
    if (!file->data)
        die("realloc");
    n = SNAP_HEAD + ZSTD_compress(file->data + SNAP_HEAD, file->room - SNAP_HEAD, b->data, b->size, 1);
    memcpy(file->data + n, end, SNAP_END);
    g_checksum_update(sum, file->data, (gssize)(n + SNAP_END));
    g_checksum_get_digest(sum, file->data + n + SNAP_END, &sum_bytes);
    g_checksum_free(sum);
    file->size = n + SNAP_END + SNAP_SUM;
}

/* Three of four within. */
static void spoil_snapshot(struct bytes *file)
{
    struct bytes b;

    if (number() % 4 == 0) {
        spoil(file);
        return;
    }
    b = snapshot_unpack(file);
    spoil(&b);
    snapshot_pack(&b, file);
    free(b.data);
}

/* -- a run ------------------------------------------------------------------------------------------------------------------------- */

/* `text` with what "@", "%" and "$" in front stand for; never freed: the process ends soon. */
static char *argument(const char *text, const char *file)
{
    char *s;
    int n;

    switch (*text) {
    case '@': n = asprintf(&s, "%s%s", file, text + 1); break;
    case '%': n = asprintf(&s, "%s/%s", good_folder, text + 1); break;
    case '$': n = asprintf(&s, "%s", bios); break;
    default: n = asprintf(&s, "%s", text); break;
    }
    if (n < 0)
        die("asprintf");
    return s;
}

static void become(const struct kind *k, const char *file, const char *errors)
{
    char *argv[ARGUMENTS] = { (char *)program, "run", "--engine", (char *)engine, "--memory", "32M", "--limit", (char *)k->limit, "--serial", "none",
                              "--no-reboot", NULL };
    unsigned n = 11;
    int fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0666), null = open("/dev/null", O_RDWR);

    for (unsigned i = 0; i < 6 && k->argument[i]; i++)
        argv[n++] = argument(k->argument[i], file);
    setrlimit(RLIMIT_CPU, &(struct rlimit){ CPU_SECONDS, CPU_SECONDS });
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ FILE_BYTES_MAX, FILE_BYTES_MAX });
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    signal(SIGXFSZ, SIG_IGN);
    alarm(SECONDS);
    dup2(null, 0);
    dup2(null, 1);
    dup2(fd, 2);
    execv(program, argv);
    _exit(127);
}

static char last_words[4096]; /* on standard error */

/* NULL, or what is wrong with how it ended. */
static const char *verdict(int status, long rss_kib, const char *errors)
{
    char *text = last_words;
    FILE *f = fopen(errors, "rb");
    size_t n = f ? fread(text, 1, sizeof(last_words) - 1, f) : 0;
    unsigned lines = 0;

    if (f)
        fclose(f);
    text[n] = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    if (strstr(text, "Sanitizer") || strstr(text, "runtime error") || (WIFEXITED(status) && WEXITSTATUS(status) == SANITIZER_STATUS))
        return "a sanitizer's report";
    if (strstr(text, "Assertion"))
        return "an assertion";
    if (!WIFEXITED(status))
        return WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL ? "no end" : "a signal";
    if (rss_kib > RSS_MAX_KIB)
        return "more than 512 MiB of memory";
    if (WEXITSTATUS(status) == REFUSED && n && (lines != 1 || strncmp(text, "wideload", 8) != 0))
        return "refused, but not in one line of its own";
    return lines > 2 ? "more than a word about its end" : NULL;
}

struct count {
    unsigned cases, refused, bad;
    long rss_kib;
};

static void try_one(const struct kind *k, const char *file, const char *errors, const char *label, struct count *count)
{
    struct rusage used;
    const char *why;
    int status;
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0)
        become(k, file, errors);
    while (wait4(pid, &status, 0, &used) < 0 && errno == EINTR)
        ;
    why = verdict(status, used.ru_maxrss, errors);
    count->cases++;
    count->refused += WIFEXITED(status) && WEXITSTATUS(status) == REFUSED;
    count->rss_kib = used.ru_maxrss > count->rss_kib ? used.ru_maxrss : count->rss_kib;
    if (!why)
        return;
    count->bad++;
    printf("# %s: %s: %.*s\n", label, why, (int)strcspn(last_words, "\n"), last_words);
}

/* Case UINT_MAX is the good file.  The guest may write to it, so what is kept is made anew. */
static void try_case(const struct kind *k, const struct bytes *good, unsigned number_of_case, uint64_t seed, struct count *count)
{
    struct bytes b = { malloc(good->room), good->size, good->room };
    char *file = in(bad_folder, "file"), *errors = in(bad_folder, "errors"), label[96];
    unsigned bad = count->bad;

    if (!b.data)
        die("malloc");
    memcpy(b.data, good->data, good->size);
    state = seed * UINT64_C(1000003) + number_of_case;
    if (number_of_case != UINT_MAX)
        (strcmp(k->argument[0], "--load") ? spoil : spoil_snapshot)(&b);
    bytes_write(&b, file);
    snprintf(label, sizeof(label), "%s-%u", k->file, number_of_case);
    try_one(k, file, errors, label, count);
    if (count->bad != bad) {
        char *keep = in(bad_folder, label);

        bytes_write(&b, keep);
        printf("#   kept as %s\n", keep);
        free(keep);
    }
    free(file);
    free(errors);
    free(b.data);
}

static bool try_kind(unsigned at, unsigned cases, uint64_t seed)
{
    const struct kind *k = &kinds[at];
    struct bytes good = bytes_read(k->file);
    struct count count = { 0, 0, 0, 0 };

    try_case(k, &good, UINT_MAX, seed, &count);
    if (count.refused)
        printf("# the good file is refused: %s\n", last_words), count.bad++;
    for (unsigned i = at; i < cases; i += KINDS)
        try_case(k, &good, i, seed, &count);
    printf("%s %u - %s: %u files, %u refused, %u bad\n", count.bad ? "not ok" : "ok", at + 1, k->name, count.cases, count.refused, count.bad);
    printf("# up to %ld MiB\n", count.rss_kib >> 10);
    fflush(stdout);
    free(good.data);
    return !count.bad;
}

int main(int argc, char **argv)
{
    bool ok = true;

    if (argc != 8) {
        fprintf(stderr, "usage: malformed WIDELOAD ENGINE BIOS GOOD BAD CASES SEED\n");
        return 2;
    }
    program = argv[1], engine = argv[2], bios = argv[3], good_folder = argv[4], bad_folder = argv[5];
    setenv("ASAN_OPTIONS", "exitcode=99:quarantine_size_mb=32", 1); /* what is freed counts too */
    setenv("UBSAN_OPTIONS", "exitcode=99", 1);
    for (unsigned i = 0; i < KINDS; i++)
        if (*bios || strcmp(kinds[i].argument[0], "--bios") != 0)
            ok &= try_kind(i, (unsigned)atoi(argv[6]), strtoull(argv[7], NULL, 0));
        else
            printf("ok %u - %s # SKIP no SeaBIOS\n", i + 1, kinds[i].name);
    printf("1..%u\n", KINDS);
    return ok ? 0 : 1;
}
