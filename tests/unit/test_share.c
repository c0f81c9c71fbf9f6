/* test_share.c - a folder of the host as a share: what it does, and that nothing outside of it is reached. */
#define _GNU_SOURCE
#include "share/folder.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *folder, *outside;
static struct share_backend *b;
static struct share_node *root;

static char *in_folder(const char *name) { return g_build_filename(folder, name, NULL); }

static void set_up(void)
{
    struct share_options o = { .tag = "t" };
    struct err err;

    folder = g_dir_make_tmp("wideload-share-XXXXXX", NULL);
    outside = g_strconcat(folder, ".outside", NULL);
    ck_assert(g_file_set_contents(outside, "secret", -1, NULL));
    o.path = folder;
    b = share_open(&o, &err);
    ck_assert_ptr_nonnull(b);
    ck_assert_int_eq(b->root(b, &root), 0);
}

static void tear_down(void)
{
    char *remove[] = { "rm", "-rf", folder, outside, NULL };

    b->forget(b, root);
    b->close(b);
    g_spawn_sync(NULL, remove, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
    g_free(folder);
    g_free(outside);
}

static struct share_node *walk(struct share_node *from, const char *name)
{
    struct share_node *node;

    return b->walk(b, from, name, &node) ? NULL : node;
}

static struct share_node *make(const char *name, const char *content)
{
    struct share_node *node;

    ck_assert_int_eq(b->create(b, root, name, O_RDWR, 0640, &node), 0);
    ck_assert_int_eq(b->write(b, node, 0, content, strlen(content)), strlen(content));
    return node;
}

START_TEST(share_files_are_the_hosts)
{
    struct share_node *node = make("file", "content"), *other;
    struct stat s;
    char text[16] = "";

    ck_assert_int_eq(b->create(b, root, "file", O_RDWR, 0640, &other), -EEXIST);
    ck_assert_int_eq(b->stat(b, node, &s), 0);
    ck_assert_uint_eq(s.st_mode, S_IFREG | 0640); /* whatever the umask */
    ck_assert_int_eq(b->rename(b, root, "file", root, "moved"), 0);
    ck_assert_int_eq(b->read(b, node, 3, text, 16), 4);
    ck_assert_str_eq(text, "tent");
    ck_assert_int_eq(b->set(b, node, &(struct share_set){ .what = SHARE_SET_SIZE | SHARE_SET_MODE | SHARE_SET_MTIME, .size = 2, .mode = 0400,
                                                          .mtime = { 1000, 5 } }), 0);
    ck_assert_int_eq(b->stat(b, node, &s), 0);
    ck_assert(s.st_size == 2 && s.st_mode == (S_IFREG | 0400) && s.st_mtim.tv_sec == 1000 && s.st_mtim.tv_nsec == 5);
    ck_assert_int_eq(b->link(b, root, "second", node), 0);
    ck_assert_int_eq(b->unlink(b, root, "moved", false), 0);
    ck_assert_int_eq(b->sync(b, node), 0);
    b->forget(b, node);
    other = walk(root, "second");
    ck_assert_int_eq(b->open(b, other, O_RDONLY), 0);
    ck_assert_int_eq(b->read(b, other, 0, text, 16), 2);
    b->forget(b, other);
}
END_TEST

START_TEST(share_folders_are_listed_from_anywhere)
{
    struct share_node *list = walk(root, NULL), *dir;
    uint64_t at = 0, places[8];
    struct share_entry e;
    unsigned n = 0;

    ck_assert_int_eq(b->make_folder(b, root, "dir", 01750), 0);
    ck_assert_int_eq(b->symlink(b, root, "link", "dir"), 0);
    b->forget(b, make("file", ""));
    ck_assert_int_eq(b->open(b, list, O_RDONLY), 0);
    for (; b->entry(b, list, at, &e) == 1; at = e.next)
        places[n++] = at;
    ck_assert_uint_eq(n, 5); /* with . and .. */
    ck_assert_int_eq(b->entry(b, list, places[3], &e), 1);
    ck_assert_uint_eq(e.next, places[4]);
    dir = walk(root, "dir");
    ck_assert_ptr_null(walk(dir, "link"));
    ck_assert_int_eq(b->unlink(b, root, "dir", true), 0);
    b->forget(b, dir);
    b->forget(b, list);
}
END_TEST

/* A link is itself: it cannot be walked through, opened, or changed. */
START_TEST(share_follows_no_link)
{
    static const char *const targets[] = { "..", "/", "../", "/proc/self/root", "dir" };
    struct share_node *link, *node;
    char text[256], *content;

    ck_assert_int_eq(b->make_folder(b, root, "dir", 0755), 0);
    ck_assert_int_eq(b->symlink(b, root, "out", outside), 0);
    link = walk(root, "out");
    ck_assert_int_eq(b->readlink(b, link, text, sizeof(text)), 0);
    ck_assert_str_eq(text, outside);
    ck_assert_int_eq(b->open(b, link, O_RDONLY), -EOPNOTSUPP);
    ck_assert_int_eq(b->open(b, link, O_RDWR | O_TRUNC), -EOPNOTSUPP);
    ck_assert_int_eq(b->set(b, link, &(struct share_set){ .what = SHARE_SET_SIZE }), -EOPNOTSUPP);
    ck_assert_int_eq(b->create(b, root, "out", O_RDWR | O_TRUNC, 0644, &node), -EEXIST);
    b->forget(b, link);
    for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++) {
        ck_assert_int_eq(b->symlink(b, root, "way", targets[i]), 0);
        link = walk(root, "way");
        ck_assert_int_eq(b->walk(b, link, "dir", &node), -ENOTDIR);
        ck_assert_int_eq(b->create(b, link, "new", O_RDWR, 0644, &node), -ENOTDIR);
        ck_assert_int_eq(b->open(b, link, O_RDONLY), -EOPNOTSUPP);
        b->forget(b, link);
        ck_assert_int_eq(b->unlink(b, root, "way", false), 0);
    }
    ck_assert(g_file_get_contents(outside, &content, NULL, NULL) && !strcmp(content, "secret"));
    g_free(content);
}
END_TEST

/* The name is another's by the time the file is opened. */
START_TEST(share_opens_what_was_walked_to)
{
    struct share_node *node = make("file", "inside");
    char *name = in_folder("file"), text[16] = "";

    b->forget(b, node);
    node = walk(root, "file");
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(symlink(outside, name), 0);
    ck_assert_int_eq(b->open(b, node, O_RDONLY), 0);
    ck_assert_int_eq(b->read(b, node, 0, text, 16), 6);
    ck_assert_str_eq(text, "inside");
    b->forget(b, node);
    g_free(name);
}
END_TEST

START_TEST(share_opens_no_special_file)
{
    char *name = in_folder("fifo");
    struct share_node *node;
    struct stat s;

    ck_assert_int_eq(mkfifo(name, 0666), 0);
    node = walk(root, "fifo");
    ck_assert_int_eq(b->stat(b, node, &s), 0);
    ck_assert(S_ISFIFO(s.st_mode));
    ck_assert_int_eq(b->open(b, node, O_RDWR), -EOPNOTSUPP);
    ck_assert_int_eq(b->link(b, root, "other", node), -EOPNOTSUPP);
    b->forget(b, node);
    g_free(name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("share");
    TCase *tcase = tcase_create("share");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, share_files_are_the_hosts);
    tcase_add_test(tcase, share_folders_are_listed_from_anywhere);
    tcase_add_test(tcase, share_follows_no_link);
    tcase_add_test(tcase, share_opens_what_was_walked_to);
    tcase_add_test(tcase, share_opens_no_special_file);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
