/*
 * test_virtio_9p.c - a client of 9P2000.L by hand, against folders in memory: messages as the diod project's protocol.md has them.
 *
 * What the host's files do is tests/unit/test_share.c.
 */
#include "virtio_9p.h"

#include "lib/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { REQUEST = DRIVER_FREE, ANSWER = 0x8000, ROOM = 0x4000 };

/* -- a backend of one folder with two files in it; counts what is held ---------------------------------------------------------- */

struct share_node {
    unsigned what; /* 0: the folder, 1: "file", 2: "link" */
};

static struct {
    struct share_backend backend;
    int held;
    char calls[256]; /* what was called last */
    uint8_t content[8192];
    int error;
} share;

static int made(unsigned what, struct share_node **node)
{
    *node = malloc(sizeof(**node));
    (*node)->what = what;
    share.held++;
    return 0;
}

static int on_root(struct share_backend *b, struct share_node **node) { return b == &share.backend ? made(0, node) : -EIO; }

static int on_walk(struct share_backend *b, struct share_node *from, const char *name, struct share_node **node)
{
    (void)b;
    if (!name)
        return made(from->what, node);
    ck_assert(*name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/') && strlen(name) <= 255);
    if (from->what)
        return -ENOTDIR;
    if (!strcmp(name, "file") || !strcmp(name, "link"))
        return made(*name == 'f' ? 1 : 2, node);
    return !strcmp(name, "dir") ? made(0, node) : -ENOENT;
}

static void on_forget(struct share_backend *b, struct share_node *node)
{
    (void)b;
    share.held--;
    free(node);
}

static int on_stat(struct share_backend *b, struct share_node *node, struct stat *s)
{
    (void)b;
    *s = (struct stat){ .st_ino = 100 + node->what, .st_mode = node->what == 0 ? S_IFDIR | 0755 : node->what == 1 ? S_IFREG | 0644 : S_IFLNK | 0777,
                        .st_size = 8192, .st_nlink = 3, .st_uid = 7, .st_blksize = 512 };
    return 0;
}

static int on_statfs(struct share_backend *b, struct share_node *node, struct statfs *s)
{
    (void)b, (void)node;
    *s = (struct statfs){ .f_bsize = 4096, .f_blocks = 10 };
    return 0;
}

static int on_readlink(struct share_backend *b, struct share_node *node, char *text, size_t bytes)
{
    (void)b;
    snprintf(text, bytes, "target");
    return node->what == 2 ? 0 : -EINVAL;
}

static int note(const char *call, unsigned a, const char *name)
{
    ck_assert(!share.backend.read_only || *call == 'o');
    snprintf(share.calls, sizeof(share.calls), "%s %x %s", call, a, name);
    return share.error;
}

static int on_open(struct share_backend *b, struct share_node *node, int flags)
{
    return (void)b, (void)node, note("open", (unsigned)flags, "");
}

static long on_read(struct share_backend *b, struct share_node *node, uint64_t offset, void *data, size_t bytes)
{
    (void)b, (void)node;
    if (offset >= sizeof(share.content))
        return 0;
    bytes = bits_min(bytes, sizeof(share.content) - offset);
    memcpy(data, share.content + offset, bytes);
    return (long)bytes;
}

static int on_entry(struct share_backend *b, struct share_node *node, uint64_t offset, struct share_entry *e)
{
    (void)b, (void)node;
    if (offset > 1)
        return 0;
    *e = (struct share_entry){ 101 + offset, offset + 1, offset ? DT_LNK : DT_REG, "file" };
    if (offset)
        strcpy(e->name, "link");
    return 1;
}

static long on_write(struct share_backend *b, struct share_node *node, uint64_t offset, const void *data, size_t bytes)
{
    (void)b, (void)node;
    note("write", (unsigned)offset, "");
    if (offset < sizeof(share.content))
        memcpy(share.content + offset, data, bits_min(bytes, sizeof(share.content) - offset));
    return (long)bytes;
}

static int on_sync(struct share_backend *b, struct share_node *node) { return (void)b, (void)node, note("sync", 0, ""); }

static int on_set(struct share_backend *b, struct share_node *node, const struct share_set *set)
{
    (void)b, (void)node;
    return note("set", set->what, set->mtime.tv_nsec == UTIME_NOW ? "now" : "given");
}

static int on_create(struct share_backend *b, struct share_node *in, const char *name, int flags, uint32_t mode, struct share_node **node)
{
    (void)b, (void)in, (void)flags;
    return note("create", mode, name) ? share.error : made(1, node);
}

static int on_make(struct share_backend *b, struct share_node *in, const char *name, uint32_t mode)
{
    return (void)b, (void)in, note("mkdir", mode, name);
}

static int on_symlink(struct share_backend *b, struct share_node *in, const char *name, const char *to)
{
    return (void)b, (void)in, (void)name, note("symlink", 0, to);
}

static int on_link(struct share_backend *b, struct share_node *in, const char *name, struct share_node *to)
{
    return (void)b, (void)in, note("link", to->what, name);
}

static int on_rename(struct share_backend *b, struct share_node *from, const char *name, struct share_node *to, const char *new_name)
{
    (void)b, (void)from, (void)to, (void)name;
    return note("rename", 0, new_name);
}

static int on_unlink(struct share_backend *b, struct share_node *in, const char *name, bool folder)
{
    return (void)b, (void)in, note("unlink", folder, name);
}

static struct device *p9;

static void plug(void)
{
    memset(&share, 0, sizeof(share));
    share.backend = (struct share_backend){ "a tag", false, on_root, on_walk, on_forget, on_stat, on_statfs, on_readlink, on_open, on_read, on_entry,
                                            on_write, on_sync, on_set, on_create, on_make, on_symlink, on_link, on_rename, on_unlink, NULL };
    for (unsigned i = 0; i < sizeof(share.content); i++)
        share.content[i] = (uint8_t)(i ^ i >> 8);
    p9 = device_create(&virtio_9p_class, &bench.host);
    driver_init();
    virtio_9p_connect(p9, &share.backend);
    driver_plug(p9);
    driver_begin(VERSION_1 | 1, 1);
}

/* -- messages: numbers as "1", "2", "4", "8" bytes, "s" a text -------------------------------------------------------------------- */

static size_t length;

static void begin(unsigned type)
{
    length = 0;
    bench_put(REQUEST + 4, 1, type);
    bench_put(REQUEST + 5, 2, 0x1234);
    length = 7;
}

static void n(unsigned width, uint64_t v)
{
    bench_put(REQUEST + length, width, v);
    length += width;
}

static void s(const char *text)
{
    n(2, strlen(text));
    memcpy(bench.memory + REQUEST + length, text, strlen(text));
    length += strlen(text);
}

static uint64_t answer(unsigned at, unsigned width) { return bench_get(ANSWER + 7 + at, width); }

/* Sends it; the error, or 0 for an answer of its kind. */
static int ask_within(uint32_t room)
{
    uint16_t before = driver_used(0);
    unsigned type = (unsigned)bench_get(REQUEST + 4, 1);

    bench_put(REQUEST, 4, length);
    memset(bench.memory + ANSWER, 0xee, ROOM);
    driver_describe(0, 0, REQUEST, (uint32_t)length, NEXT, 1);
    driver_describe(0, 1, ANSWER, room, WRITE, 0);
    driver_offer(0, 0);
    driver_kick(0);
    ck_assert_uint_eq(driver_used(0), (uint16_t)(before + 1));
    ck_assert_uint_eq(bench_get(ANSWER, 4), driver_used_bytes(0, before));
    ck_assert_uint_eq(bench_get(ANSWER + 5, 2), 0x1234);
    if (bench_get(ANSWER + 4, 1) == 7)
        return (int)answer(0, 4);
    ck_assert_uint_eq(bench_get(ANSWER + 4, 1), type + 1);
    return 0;
}
static int ask(void) { return ask_within(ROOM); }

static int version(const char *text, uint32_t msize) { return begin(100), n(4, msize), s(text), ask(); }
static int attach(uint32_t fid) { return begin(104), n(4, fid), n(4, UINT32_MAX), s("root"), s(""), n(4, 0), ask(); }
static int walk(uint32_t fid, uint32_t to, const char *name)
{
    begin(110), n(4, fid), n(4, to), n(2, name != NULL);
    if (name)
        s(name);
    return ask();
}

static int lopen(uint32_t fid, uint32_t flags) { return begin(12), n(4, fid), n(4, flags), ask(); }
static int clunk(uint32_t fid) { return begin(120), n(4, fid), ask(); }
static int read_at(uint32_t fid, uint64_t at, uint32_t count) { return begin(116), n(4, fid), n(8, at), n(4, count), ask(); }

static void session(void)
{
    plug();
    ck_assert_int_eq(version("9P2000.L", 8192), 0);
    ck_assert_int_eq(attach(1), 0);
}

/* -- tests -------------------------------------------------------------------------------------------------------------------------- */

START_TEST(virtio_9p_shows_its_tag)
{
    plug();
    ck_assert_uint_eq(driver_pci_get(0, 4), 0x10491af4);
    ck_assert_uint_eq(driver_features() & 1, 1);
    ck_assert_uint_eq(driver_config(0, 2), 5);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(driver_config(2 + i, 1), (uint8_t)"a tag"[i]);
}
END_TEST

START_TEST(p9_version_begins_a_session)
{
    plug();
    ck_assert_int_eq(attach(1), EPROTO);
    ck_assert_int_eq(version("9P2000", 8192), 0);
    ck_assert_mem_eq(bench.memory + ANSWER + 13, "unknown", 7);
    ck_assert_int_eq(attach(1), EPROTO);
    ck_assert_int_eq(version("9P2000.L", 100), EINVAL);
    ck_assert_int_eq(version("9P2000.L", 1 << 30), 0);
    ck_assert_uint_eq(answer(0, 4), 256 << 10);
    ck_assert_int_eq(attach(1), 0);
    ck_assert_uint_eq(answer(0, 1), 0x80);
    ck_assert_uint_eq(answer(5, 8), 100);
    ck_assert_int_eq(attach(1), EBADF);
    ck_assert_int_eq(share.held, 1);
    ck_assert_int_eq(version("9P2000.L", 8192), 0); /* ends the one before */
    ck_assert_int_eq(share.held, 0);
    ck_assert_int_eq(clunk(1), EBADF);
}
END_TEST

START_TEST(p9_walks)
{
    session();
    ck_assert_int_eq(walk(1, 2, "file"), 0);
    ck_assert_uint_eq(answer(0, 2), 1);
    ck_assert_uint_eq(answer(2 + 5, 8), 101);
    ck_assert_int_eq(walk(1, 2, "file"), EBADF); /* in use */
    ck_assert_int_eq(walk(9, 3, "file"), EBADF);
    ck_assert_int_eq(walk(1, 3, "nothing"), ENOENT);
    ck_assert_int_eq(walk(2, 3, "file"), ENOTDIR);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(walk(1, 3, (const char *[]){ "..", ".", "", "a/b" }[i]), ENOENT);
    begin(110), n(4, 1), n(4, 3), n(2, 2), s("dir"), s("nothing");
    ck_assert_int_eq(ask(), 0); /* as far as it goes */
    ck_assert_uint_eq(answer(0, 2), 1);
    ck_assert_uint_eq(bench_get(ANSWER, 4), 7 + 2 + 13);
    ck_assert_int_eq(clunk(3), EBADF);
    begin(110), n(4, 1), n(4, 3), n(2, 17);
    ck_assert_int_eq(ask(), EINVAL);
    ck_assert_int_eq(walk(1, 1, "dir"), 0); /* onto itself */
    ck_assert_int_eq(walk(1, 4, NULL), 0);
    ck_assert_int_eq(share.held, 3);
    ck_assert_int_eq(clunk(1) | clunk(2) | clunk(4), 0);
    ck_assert_int_eq(share.held, 0);
}
END_TEST

START_TEST(p9_reads_and_writes)
{
    session();
    walk(1, 2, "file");
    ck_assert_int_eq(read_at(2, 0, 10), EBADF); /* not open */
    ck_assert_int_eq(lopen(2, 02 | 0100 | 01000 | 0100000), 0);
    ck_assert_str_eq(share.calls, "open 202 "); /* RDWR and TRUNC alone */
    ck_assert_int_eq(lopen(2, 0), EBADF);
    ck_assert_int_eq(walk(2, 3, NULL), EBADF); /* open ones stay where they are */
    ck_assert_int_eq(read_at(2, 100, 50), 0);
    ck_assert_uint_eq(answer(0, 4), 50);
    ck_assert_mem_eq(bench.memory + ANSWER + 11, share.content + 100, 50);
    ck_assert_int_eq(read_at(2, 0, UINT32_MAX), 0);
    ck_assert_uint_eq(answer(0, 4), 8192 - 11); /* msize */
    ck_assert_int_eq(read_at(2, UINT64_MAX, 1), EBADF);
    begin(118), n(4, 2), n(8, 5), n(4, 3), n(1, 'a'), n(1, 'b'), n(1, 'c');
    ck_assert_int_eq(ask(), 0);
    ck_assert_uint_eq(answer(0, 4), 3);
    ck_assert_mem_eq(share.content + 5, "abc", 3);
    begin(118), n(4, 2), n(8, 5), n(4, 100), n(1, 'a');
    ck_assert_int_eq(ask(), EINVAL); /* says more than there is */
    begin(50), n(4, 2);
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "sync 0 ");
}
END_TEST

START_TEST(p9_lists_folders)
{
    session();
    ck_assert_int_eq(lopen(1, 0200000), 0);
    begin(40), n(4, 1), n(8, 0), n(4, 1000);
    ck_assert_int_eq(ask(), 0);
    ck_assert_uint_eq(answer(0, 4), 2 * 28);
    ck_assert_uint_eq(answer(4 + 5, 8), 101);
    ck_assert_uint_eq(answer(4 + 13, 8), 1);
    ck_assert_mem_eq(bench.memory + ANSWER + 11 + 24, "file", 4);
    ck_assert_uint_eq(answer(4 + 28, 1), 2); /* a link */
    begin(40), n(4, 1), n(8, 1), n(4, 40);
    ck_assert_int_eq(ask(), 0);
    ck_assert_uint_eq(answer(0, 4), 28);
    begin(40), n(4, 1), n(8, 2), n(4, 40);
    ck_assert_int_eq(ask(), 0);
    ck_assert_uint_eq(answer(0, 4), 0);
    begin(40), n(4, 1), n(8, 0), n(4, 27);
    ck_assert_int_eq(ask(), EINVAL);
    ck_assert_int_eq(read_at(1, 0, 10), EBADF);
}
END_TEST

START_TEST(p9_attributes)
{
    session();
    begin(24), n(4, 1), n(8, 0x7ff);
    ck_assert_int_eq(ask(), 0);
    ck_assert_uint_eq(bench_get(ANSWER, 4), 7 + 153);
    ck_assert_uint_eq(answer(0, 8), 0x7ff);
    ck_assert_uint_eq(answer(21, 4), S_IFDIR | 0755);
    ck_assert_uint_eq(answer(25, 4), 7);
    ck_assert_uint_eq(answer(33, 8), 3);
    ck_assert_uint_eq(answer(49, 8), 8192);
    begin(26), n(4, 1), n(4, 1 | 8 | 0x20), n(4, 04755), n(4, 0), n(4, 0), n(8, 5), n(8, 0), n(8, 0), n(8, 1), n(8, 2);
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "set 29 now");
    begin(26), n(4, 1), n(4, 0x120), n(4, 0), n(4, 0), n(4, 0), n(8, 5), n(8, 0), n(8, 0), n(8, 1), n(8, 2);
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "set 20 given");
    begin(8), n(4, 1);
    ck_assert_int_eq(ask(), 0);
    ck_assert_uint_eq(answer(4, 4), 4096);
    walk(1, 2, "link");
    begin(22), n(4, 2);
    ck_assert_int_eq(ask(), 0);
    ck_assert_mem_eq(bench.memory + ANSWER + 9, "target", 6);
    begin(30), n(4, 2), n(4, 5), s("user.x");
    ck_assert_int_eq(ask(), EOPNOTSUPP);
}
END_TEST

static int create(const char *name) { return begin(14), n(4, 2), s(name), n(4, 1), n(4, 06755), n(4, 0), ask(); }

START_TEST(p9_makes_and_removes_names)
{
    session();
    walk(1, 2, NULL);
    ck_assert_int_eq(create("a/b"), EINVAL);
    ck_assert_int_eq(create("new"), 0);
    ck_assert_str_eq(share.calls, "create 1ed new"); /* without set-user-ID */
    ck_assert_int_eq(read_at(2, 0, 1), 0);           /* open, and the file */
    begin(72), n(4, 1), s("dir"), n(4, 0700), n(4, 0);
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "mkdir 1c0 dir");
    begin(16), n(4, 1), s("link"), s("../somewhere"), n(4, 0);
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "symlink 0 ../somewhere");
    begin(70), n(4, 1), n(4, 2), s("other");
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "link 1 other");
    begin(74), n(4, 1), s("file"), n(4, 1), s("..");
    ck_assert_int_eq(ask(), EINVAL);
    begin(74), n(4, 1), s("file"), n(4, 1), s("moved");
    ck_assert_int_eq(ask(), 0);
    begin(76), n(4, 1), s("dir"), n(4, 0x200);
    ck_assert_int_eq(ask(), 0);
    ck_assert_str_eq(share.calls, "unlink 1 dir");
    begin(18), n(4, 1), s("device"), n(4, 020666), n(4, 1), n(4, 3), n(4, 0);
    ck_assert_int_eq(ask(), EOPNOTSUPP);
    begin(122), n(4, 2);
    ck_assert_int_eq(ask(), EOPNOTSUPP);
    ck_assert_int_eq(clunk(2), EBADF); /* but the fid is gone */
}
END_TEST

START_TEST(p9_read_only_changes_nothing)
{
    session();
    share.backend.read_only = true;
    ck_assert_int_eq(create("new"), EBADF);
    walk(1, 2, NULL);
    ck_assert_int_eq(create("new"), EROFS);
    begin(72), n(4, 1), s("dir"), n(4, 0700), n(4, 0);
    ck_assert_int_eq(ask(), EROFS);
    begin(76), n(4, 1), s("dir"), n(4, 0x200);
    ck_assert_int_eq(ask(), EROFS);
    begin(26), n(4, 1), n(4, 1), n(4, 0755), n(4, 0), n(4, 0), n(8, 5), n(8, 0), n(8, 0), n(8, 1), n(8, 2);
    ck_assert_int_eq(ask(), EROFS);
    walk(1, 3, "file");
    ck_assert_int_eq(lopen(3, 1), EROFS);
    ck_assert_int_eq(lopen(3, 01000), EROFS);
    ck_assert_int_eq(lopen(3, 0), 0);
    begin(118), n(4, 3), n(8, 5), n(4, 1), n(1, 'a');
    ck_assert_int_eq(ask(), EROFS);
    ck_assert_int_eq(read_at(3, 0, 1), 0);
}
END_TEST

START_TEST(p9_messages_that_are_none)
{
    session();
    begin(24), n(2, 1);
    ck_assert_int_eq(ask(), EBADF);
    begin(110), n(4, 1), n(4, 2), n(2, 1), n(2, 500);
    ck_assert_int_eq(ask(), EINVAL);
    begin(110), n(4, 1), n(4, 2), n(2, 1), n(2, 3), n(1, 'a'), n(1, 0), n(1, 'b');
    ck_assert_int_eq(ask(), EINVAL); /* a zero in a name */
    begin(255);
    ck_assert_int_eq(ask(), EOPNOTSUPP);
    begin(24), n(4, 1), n(8, 0x7ff);
    ck_assert_int_eq(ask_within(100), EMSGSIZE);
    bench_put(REQUEST, 4, 6); /* no header, then no room for an answer */
    driver_describe(0, 0, REQUEST, 7, NEXT, 1);
    driver_describe(0, 1, ANSWER, ROOM, WRITE, 0);
    driver_offer(0, 0);
    driver_kick(0);
    ck_assert_uint_eq(driver_used_bytes(0, driver_used(0) - 1u), 0);
    bench_put(REQUEST, 4, 7);
    driver_describe(0, 1, ANSWER, 10, WRITE, 0);
    driver_offer(0, 0);
    driver_kick(0);
    ck_assert_uint_eq(driver_used_bytes(0, driver_used(0) - 1u), 0);
    ck_assert_uint_eq(driver_status(), 15);
}
END_TEST

/* Messages of every kind with fields that are now and then what they should be. */
static void random_message(void)
{
    static const char *const names[] = { "file", "dir", "link", "..", "", "a/b", "9P2000.L" };
    unsigned fields = (unsigned)rand() % 8;

    begin((unsigned)rand() % 64 * 2);
    for (unsigned i = 0; i < fields; i++)
        switch (rand() % 6) {
        case 0: n(4, (uint64_t)rand() % 6); break;
        case 1: n(4, (uint64_t)rand()); break;
        case 2: n(8, (uint64_t)rand() << (rand() % 33)); break;
        case 3: n(2, (uint64_t)rand() % 4); break;
        default: s(names[(unsigned)rand() % ARRAY_LEN(names)]); break;
        }
    bench_put(REQUEST, 4, rand() % 16 ? length : (uint64_t)rand());
    driver_describe(0, 0, REQUEST, (uint32_t)length, NEXT, 1);
    driver_describe(0, 1, ANSWER, (uint32_t)(rand() % 4 ? ROOM : rand() % 64), WRITE, 0);
    driver_offer(0, 0);
    driver_kick(0);
}

START_TEST(p9_survives_random_messages)
{
    session();
    srand(1);
    for (unsigned round = 0; round < 10000; round++) {
        if (round % 100 == 0) {
            version("9P2000.L", 8192);
            attach(1);
            share.backend.read_only = round % 200;
        }
        share.error = rand() % 3 ? 0 : -EIO;
        random_message();
    }
    ck_assert_uint_eq(driver_status(), 15);
    device_destroy(p9);
    ck_assert_int_eq(share.held, 0);
}
END_TEST

BENCH_MAIN("virtio_9p", virtio_9p_shows_its_tag, p9_version_begins_a_session, p9_walks, p9_reads_and_writes, p9_lists_folders, p9_attributes,
           p9_makes_and_removes_names, p9_read_only_changes_nothing, p9_messages_that_are_none, p9_survives_random_messages)
