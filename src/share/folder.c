/*
 * folder.c - a folder of the host as a guest's share.
 *
 * A node is a descriptor that was opened with O_PATH, one component below another node and without following symbolic links; so
 * nothing outside of the folder is ever named.  What is used is opened anew through /proc/self/fd, which is that node and nothing
 * else, and only where it is a plain file or a folder.  Files are made with this process's user.
 */
#define _GNU_SOURCE
#include "share/folder.h"

#include "base/bits.h"
#include "words.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct share_node {
    int path;       /* O_PATH */
    int fd;         /* open, or -1; a folder's is in `folder` */
    DIR *folder;
    uint64_t at;    /* where `folder` reads next */
};

struct share {
    struct share_backend backend; /* first */
    int root;
};

static int share_result(int result) { return result < 0 ? -errno : 0; }

/* -- nodes ----------------------------------------------------------------------------------------------------------------------- */

/* Takes the descriptor. */
static int share_node(int path, struct share_node **node)
{
    if (path < 0)
        return -errno;
    *node = g_new(struct share_node, 1);
    **node = (struct share_node){ .path = path, .fd = -1 };
    return 0;
}

static int share_root(struct share_backend *b, struct share_node **node)
{
    return share_node(fcntl(((struct share *)b)->root, F_DUPFD_CLOEXEC, 0), node);
}

static int share_walk(struct share_backend *b, struct share_node *from, const char *name, struct share_node **node)
{
    (void)b;
    if (!name)
        return share_node(fcntl(from->path, F_DUPFD_CLOEXEC, 0), node);
    return share_node(openat(from->path, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), node);
}

static void share_forget(struct share_backend *b, struct share_node *node)
{
    (void)b;
    if (node->folder)
        closedir(node->folder);
    else if (node->fd >= 0)
        close(node->fd);
    close(node->path);
    g_free(node);
}

static int share_stat(struct share_backend *b, struct share_node *node, struct stat *out)
{
    (void)b;
    return share_result(fstat(node->path, out));
}

static int share_statfs(struct share_backend *b, struct share_node *node, struct statfs *out)
{
    (void)b;
    return share_result(fstatfs(node->path, out));
}

static int share_readlink(struct share_backend *b, struct share_node *node, char *text, size_t bytes)
{
    ssize_t n = readlinkat(node->path, "", text, bytes - 1);

    (void)b;
    if (n < 0)
        return -errno;
    text[n] = 0;
    return 0;
}

/* The name by which the host opens or changes what a node is; plain files and folders alone. */
struct share_name {
    char text[32];
};

static int share_use(const struct share_node *node, struct share_name *name, bool *folder)
{
    struct stat s;

    if (fstat(node->path, &s))
        return -errno;
    if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
        return -EOPNOTSUPP;
    *folder = S_ISDIR(s.st_mode);
    snprintf(name->text, sizeof(name->text), "/proc/self/fd/%d", node->path);
    return 0;
}

/* -- reading ----------------------------------------------------------------------------------------------------------------------- */

static int share_open_node(struct share_backend *b, struct share_node *node, int flags)
{
    struct share_name name;
    bool folder;
    int error = share_use(node, &name, &folder);

    (void)b;
    if (error || (flags & O_ACCMODE) == O_ACCMODE)
        return error ? error : -EINVAL;
    node->fd = open(name.text, flags | O_CLOEXEC | O_NOCTTY | (folder ? O_DIRECTORY : 0));
    if (node->fd < 0)
        return -errno;
    if (!folder)
        return 0;
    node->folder = fdopendir(node->fd);
    if (node->folder)
        return 0;
    error = -errno;
    close(node->fd);
    node->fd = -1;
    return error;
}

static long share_read(struct share_backend *b, struct share_node *node, uint64_t offset, void *data, size_t bytes)
{
    ssize_t n = pread(node->fd, data, bytes, (off_t)offset);

    (void)b;
    return n < 0 ? -errno : n;
}

static int share_entry(struct share_backend *b, struct share_node *node, uint64_t offset, struct share_entry *out)
{
    struct dirent *e;

    (void)b;
    if (offset != node->at)
        seekdir(node->folder, (long)offset);
    node->at = UINT64_MAX;
    errno = 0;
    e = readdir(node->folder);
    if (!e)
        return -errno;
    *out = (struct share_entry){ .inode = e->d_ino, .next = (uint64_t)e->d_off, .type = e->d_type };
    g_strlcpy(out->name, e->d_name, sizeof(out->name));
    node->at = out->next;
    return 1;
}

/* -- writing ----------------------------------------------------------------------------------------------------------------------- */

static long share_write(struct share_backend *b, struct share_node *node, uint64_t offset, const void *data, size_t bytes)
{
    ssize_t n = pwrite(node->fd, data, bytes, (off_t)offset);

    (void)b;
    return n < 0 ? -errno : n;
}

static int share_sync(struct share_backend *b, struct share_node *node)
{
    (void)b;
    return share_result(fsync(node->fd));
}

static int share_set_times(const char *name, const struct share_set *s)
{
    struct timespec t[2] = { s->atime, s->mtime };

    if (!(s->what & SHARE_SET_ATIME))
        t[0].tv_nsec = UTIME_OMIT;
    if (!(s->what & SHARE_SET_MTIME))
        t[1].tv_nsec = UTIME_OMIT;
    return share_result(utimensat(AT_FDCWD, name, t, 0));
}

/* In the order that keeps the times asked for. */
static int share_set(struct share_backend *b, struct share_node *node, const struct share_set *s)
{
    uid_t uid = s->what & SHARE_SET_UID ? s->uid : (uid_t)-1;
    gid_t gid = s->what & SHARE_SET_GID ? s->gid : (gid_t)-1;
    struct share_name name;
    bool folder;
    int error = share_use(node, &name, &folder);

    (void)b;
    if (!error && s->what & (SHARE_SET_UID | SHARE_SET_GID))
        error = share_result(fchownat(node->path, "", uid, gid, AT_EMPTY_PATH));
    if (!error && s->what & SHARE_SET_MODE)
        error = share_result(chmod(name.text, s->mode));
    if (!error && s->what & SHARE_SET_SIZE)
        error = folder ? -EISDIR : share_result(truncate(name.text, (off_t)s->size));
    if (!error && s->what & (SHARE_SET_ATIME | SHARE_SET_MTIME))
        error = share_set_times(name.text, s);
    return error;
}

/* The client has applied its own umask to the mode, and ours means nothing to it. */
static int share_create(struct share_backend *b, struct share_node *in, const char *name, int flags, uint32_t mode, struct share_node **node)
{
    int fd = openat(in->path, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode), error;

    (void)b;
    if (fd < 0)
        return -errno;
    error = share_result(fchmod(fd, mode));
    if (!error)
        error = share_node(fcntl(fd, F_DUPFD_CLOEXEC, 0), node);
    if (error)
        close(fd);
    else
        (*node)->fd = fd;
    return error;
}

static int share_make_folder(struct share_backend *b, struct share_node *in, const char *name, uint32_t mode)
{
    const struct share_set set = { .what = SHARE_SET_MODE, .mode = mode };
    struct share_node *made;
    int error = share_result(mkdirat(in->path, name, mode));

    if (error || (error = share_walk(b, in, name, &made)))
        return error;
    error = share_set(b, made, &set);
    share_forget(b, made);
    return error;
}

static int share_symlink(struct share_backend *b, struct share_node *in, const char *name, const char *target)
{
    (void)b;
    return share_result(symlinkat(target, in->path, name));
}

static int share_link(struct share_backend *b, struct share_node *in, const char *name, struct share_node *to)
{
    struct share_name old;
    bool folder;
    int error = share_use(to, &old, &folder);

    (void)b;
    return error ? error : share_result(linkat(AT_FDCWD, old.text, in->path, name, AT_SYMLINK_FOLLOW));
}

static int share_rename(struct share_backend *b, struct share_node *from, const char *name, struct share_node *to, const char *new_name)
{
    (void)b;
    return share_result(renameat(from->path, name, to->path, new_name));
}

static int share_unlink(struct share_backend *b, struct share_node *in, const char *name, bool folder)
{
    (void)b;
    return share_result(unlinkat(in->path, name, folder ? AT_REMOVEDIR : 0));
}

/* -- life ------------------------------------------------------------------------------------------------------------------------------ */

static void share_close(struct share_backend *b)
{
    close(((struct share *)b)->root);
    g_free(b);
}

static const struct share_backend share_backend = {
    .root = share_root, .walk = share_walk, .forget = share_forget, .stat = share_stat, .statfs = share_statfs, .readlink = share_readlink,
    .open = share_open_node, .read = share_read, .entry = share_entry, .write = share_write, .sync = share_sync, .set = share_set,
    .create = share_create, .make_folder = share_make_folder, .symlink = share_symlink, .link = share_link, .rename = share_rename,
    .unlink = share_unlink, .close = share_close,
};

/* A guest holds many files at a time. */
static void share_raise_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= l.rlim_max)
        return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
}

struct share_backend *share_open(const struct share_options *o, struct err *err)
{
    int root = open(o->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct share *s;

    if (root < 0) {
        err_set(err, "%s: %s", o->path, strerror(errno));
        return NULL;
    }
    share_raise_limit();
    s = g_new0(struct share, 1);
    s->backend = share_backend;
    s->backend.read_only = o->read_only;
    memcpy(s->backend.tag, o->tag, sizeof(o->tag));
    s->root = root;
    return &s->backend;
}

/* -- the option ------------------------------------------------------------------------------------------------------------------------ */

static bool share_set_word(struct share_options *o, const char *word, struct err *err)
{
    const char *tag = word + strlen("tag=");

    if (!strcmp(word, "readonly")) {
        o->read_only = true;
        return true;
    }
    if (!g_str_has_prefix(word, "tag="))
        return err_set(err, "--share: no option of a share: '%s' (tag=, readonly)", word);
    if (!*tag || strlen(tag) > SHARE_TAG_BYTES)
        return err_set(err, "--share: tag= takes 1 to %d characters", SHARE_TAG_BYTES);
    memset(o->tag, 0, sizeof(o->tag));
    memcpy(o->tag, tag, strlen(tag));
    return true;
}

bool share_parse(const char *text, struct share_options *o, struct err *err)
{
    bool ok = true;

    *o = (struct share_options){ .path = words_next(&text) };
    if (!*o->path)
        ok = err_set(err, "--share: a folder first");
    while (ok && text) {
        char *word = words_next(&text);

        ok = share_set_word(o, word, err);
        g_free(word);
    }
    if (ok && !*o->tag)
        ok = err_set(err, "--share: tag= says what the guest mounts");
    if (!ok)
        share_options_free(o);
    return ok;
}

void share_options_free(struct share_options *o)
{
    g_free(o->path);
    o->path = NULL;
}
