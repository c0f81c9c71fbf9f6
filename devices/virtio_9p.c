/*
 * virtio_9p.c - the virtio 9P transport, and a server of 9P2000.L on it.
 *
 * A request is done when its notification returns.  What the client names (fids) is the host's files held open, which a snapshot
 * does not have: behind one, every fid is unknown, and the guest has to mount anew.
 * Not modelled: authentication, extended attributes, special files; locks are granted and exclude nobody on the host.
 * Manuals: VIRTIO 1.2 section 5 (the ID alone); Linux include/uapi/linux/virtio_9p.h; 9P2000.L: the diod project's
 * protocol.md; the messages before it: Plan 9's section 5 of the manual.
 */
#include "virtio_9p.h"

#include "virtio_pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum { F_MOUNT_TAG = 0, TAG_LENGTH = 0, TAG = 2, QUEUES = 1 };
enum { MSIZE_MAX = 256 << 10, MSIZE_MIN = 4096, HEADER_BYTES = 7, IO_BYTES = 24, NAMES = 16, BUCKETS = 256, FIDS_MAX = 65536 };
enum {
    R_LERROR = 7, T_STATFS = 8, T_LOPEN = 12, T_LCREATE = 14, T_SYMLINK = 16, T_READLINK = 22, T_GETATTR = 24, T_SETATTR = 26, T_READDIR = 40,
    T_FSYNC = 50, T_LOCK = 52, T_GETLOCK = 54, T_LINK = 70, T_MKDIR = 72, T_RENAMEAT = 74, T_UNLINKAT = 76, T_VERSION = 100, T_ATTACH = 104,
    T_FLUSH = 108, T_WALK = 110, T_READ = 116, T_WRITE = 118, T_CLUNK = 120, T_REMOVE = 122, TYPES = 128,
};
enum { QID_FOLDER = 0x80, QID_SYMLINK = 0x02, GETATTR_BASIC = 0x7ff, REMOVE_FOLDER = 0x200, UNLOCKED = 2 };
enum { SET_ATIME = 0x10, SET_MTIME = 0x20, SET_ATIME_GIVEN = 0x80, SET_MTIME_GIVEN = 0x100 };
enum { MODE_MASK = 01777 }; /* no set-user-ID files for the host's users */

struct p9_fid {
    uint32_t number;
    bool open, folder;
    struct share_node *node;
    struct p9_fid *next;
};

struct virtio_9p {
    struct virtio_pci pci; /* first */
    struct share_backend *backend;
    uint32_t msize;        /* 0: no session */
    uint32_t fids;
    struct p9_fid *bucket[BUCKETS];
    uint8_t *in, *out;     /* MSIZE_MAX each */
};

/* A message as it is read; `bad` once it has been too short, or has held a text that is none. */
struct p9_in {
    const uint8_t *at;
    size_t left;
    bool bad;
};

/* ... and as it is written; `bad` once it did not fit. */
struct p9_out {
    uint8_t *start;
    size_t bytes, room;
    bool bad;
};

/* -- numbers and texts --------------------------------------------------------------------------------------------------------- */

static uint64_t p9_get(struct p9_in *m, unsigned width)
{
    uint64_t v = 0;

    if (m->left < width) {
        m->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < width; i++)
        v |= (uint64_t)m->at[i] << i * 8;
    m->at += width;
    m->left -= width;
    return v;
}

static uint32_t p9_get32(struct p9_in *m) { return (uint32_t)p9_get(m, 4); }

/* Texts have no end mark on the wire, and none within. */
static void p9_get_text(struct p9_in *m, char *text, size_t size)
{
    size_t n = p9_get(m, 2);

    *text = 0;
    if (m->bad || n > m->left || n >= size || memchr(m->at, 0, n)) {
        m->bad = true;
        return;
    }
    memcpy(text, m->at, n);
    text[n] = 0;
    m->at += n;
    m->left -= n;
}

static void p9_put(struct p9_out *m, unsigned width, uint64_t v)
{
    if (m->room - m->bytes < width) {
        m->bad = true;
        return;
    }
    for (unsigned i = 0; i < width; i++)
        m->start[m->bytes++] = (uint8_t)(v >> i * 8);
}

static void p9_put_text(struct p9_out *m, const char *text)
{
    size_t n = strlen(text);

    p9_put(m, 2, n);
    for (size_t i = 0; i < n; i++)
        p9_put(m, 1, (uint8_t)text[i]);
}

static void p9_put_qid(struct p9_out *m, const struct stat *s)
{
    p9_put(m, 1, S_ISDIR(s->st_mode) ? QID_FOLDER : S_ISLNK(s->st_mode) ? QID_SYMLINK : 0);
    p9_put(m, 4, (uint32_t)(s->st_mtim.tv_nsec ^ s->st_mtim.tv_sec << 8 ^ s->st_size));
    p9_put(m, 8, s->st_ino);
}

/* A component of a path; the session's root has no parent. */
static bool p9_is_name(const char *name) { return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/'); }

static int p9_get_name(struct p9_in *m, char name[SHARE_NAME_BYTES + 1])
{
    p9_get_text(m, name, SHARE_NAME_BYTES + 1);
    return m->bad || !p9_is_name(name) ? -EINVAL : 0;
}

/* -- fids ------------------------------------------------------------------------------------------------------------------------ */

static struct p9_fid **p9_find(struct virtio_9p *d, uint32_t number)
{
    struct p9_fid **at = &d->bucket[number % BUCKETS];

    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static struct p9_fid *p9_fid(struct virtio_9p *d, struct p9_in *m) { return *p9_find(d, p9_get32(m)); }

/* One that may be changed, or in which something may be. */
static struct p9_fid *p9_writable(struct virtio_9p *d, struct p9_in *m, int *error)
{
    struct p9_fid *f = p9_fid(d, m);

    *error = m->bad ? -EINVAL : !f ? -EBADF : d->backend->read_only ? -EROFS : 0;
    return f;
}

static int p9_add(struct virtio_9p *d, uint32_t number, struct share_node *node)
{
    struct p9_fid **at = p9_find(d, number);

    if (*at || d->fids == FIDS_MAX || !(*at = malloc(sizeof(**at)))) {
        int error = *at ? -EBADF : -EMFILE;

        d->backend->forget(d->backend, node);
        return error;
    }
    **at = (struct p9_fid){ .number = number, .node = node };
    d->fids++;
    return 0;
}

static void p9_remove(struct virtio_9p *d, struct p9_fid **at)
{
    struct p9_fid *f = *at;

    *at = f->next;
    d->backend->forget(d->backend, f->node);
    free(f);
    d->fids--;
}

static void p9_end_session(struct virtio_9p *d)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        while (d->bucket[i])
            p9_remove(d, &d->bucket[i]);
    d->msize = 0;
}

/* -- sessions and walks ------------------------------------------------------------------------------------------------------------ */

static int p9_version(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    uint32_t msize = p9_get32(in);
    char version[32];
    bool known;

    p9_get_text(in, version, sizeof(version));
    known = !in->bad && !strcmp(version, "9P2000.L");
    p9_end_session(d);
    if (msize < MSIZE_MIN)
        return -EINVAL;
    msize = (uint32_t)bits_min(msize, MSIZE_MAX);
    d->msize = known ? msize : 0;
    p9_put(out, 4, msize);
    p9_put_text(out, known ? version : "unknown");
    return 0;
}

static int p9_put_node(struct virtio_9p *d, struct share_node *node, struct p9_out *out)
{
    struct stat s;
    int error = d->backend->stat(d->backend, node, &s);

    if (!error)
        p9_put_qid(out, &s);
    return error;
}

static int p9_attach(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    uint32_t number = p9_get32(in);
    struct share_node *node;
    int error = in->bad ? -EINVAL : d->backend->root(d->backend, &node);

    if (error)
        return error;
    error = p9_put_node(d, node, out);
    if (!error)
        return p9_add(d, number, node);
    d->backend->forget(d->backend, node);
    return error;
}

/* As far as it goes; *node is what the last name that was found names.  Puts a qid for each. */
static int p9_walk_names(struct virtio_9p *d, struct p9_in *in, struct p9_out *out, unsigned names, unsigned *found, struct share_node **node)
{
    char name[SHARE_NAME_BYTES + 1];

    for (*found = 0; *found < names; (*found)++) {
        struct share_node *next;
        int error = p9_get_name(in, name);

        if (error || (error = d->backend->walk(d->backend, *node, name, &next)))
            return in->bad ? -EINVAL : error == -EINVAL ? -ENOENT : error;
        d->backend->forget(d->backend, *node);
        *node = next;
        if ((error = p9_put_node(d, next, out)))
            return error;
    }
    return 0;
}

/* A walk that ends early names nothing anew, and is an error only at its first name. */
static int p9_walk(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *from = p9_fid(d, in);
    uint32_t number = p9_get32(in);
    unsigned names = (unsigned)p9_get(in, 2), found;
    size_t count_at = out->bytes;
    struct share_node *node;
    int error;

    if (in->bad || names > NAMES)
        return -EINVAL;
    if (!from || from->open || (number != from->number && *p9_find(d, number)))
        return -EBADF;
    if ((error = d->backend->walk(d->backend, from->node, NULL, &node)))
        return error;
    p9_put(out, 2, names);
    error = p9_walk_names(d, in, out, names, &found, &node);
    if (error) {
        d->backend->forget(d->backend, node);
        if (!found || in->bad)
            return error;
        out->start[count_at] = (uint8_t)found;
        return 0;
    }
    if (number == from->number)
        p9_remove(d, p9_find(d, number));
    return p9_add(d, number, node);
}

static int p9_clunk(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid **at = p9_find(d, p9_get32(in));

    (void)out;
    if (in->bad || !*at)
        return -EBADF;
    p9_remove(d, at);
    return 0;
}

/* By a fid alone a name cannot be removed; clients use UNLINKAT then.  The fid goes. */
static int p9_remove_message(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error = p9_clunk(d, in, out);

    return error ? error : -EOPNOTSUPP;
}

static int p9_flush(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    (void)d;
    (void)in;
    (void)out;
    return 0; /* every request has been answered */
}

/* -- attributes ------------------------------------------------------------------------------------------------------------------------ */

static void p9_put_time(struct p9_out *out, const struct timespec *t)
{
    p9_put(out, 8, (uint64_t)t->tv_sec);
    p9_put(out, 8, (uint64_t)t->tv_nsec);
}

static int p9_getattr(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    static const struct timespec never;
    struct p9_fid *f = p9_fid(d, in);
    struct stat s;
    int error = in->bad || !f ? -EBADF : d->backend->stat(d->backend, f->node, &s);

    if (error)
        return error;
    p9_put(out, 8, GETATTR_BASIC);
    p9_put_qid(out, &s);
    p9_put(out, 4, s.st_mode);
    p9_put(out, 4, s.st_uid);
    p9_put(out, 4, s.st_gid);
    p9_put(out, 8, s.st_nlink);
    p9_put(out, 8, s.st_rdev);
    p9_put(out, 8, (uint64_t)s.st_size);
    p9_put(out, 8, (uint64_t)s.st_blksize);
    p9_put(out, 8, (uint64_t)s.st_blocks);
    p9_put_time(out, &s.st_atim);
    p9_put_time(out, &s.st_mtim);
    p9_put_time(out, &s.st_ctim);
    p9_put_time(out, &never); /* of birth; then generation and data version */
    p9_put_time(out, &never);
    return 0;
}

static void p9_get_time(struct p9_in *in, struct timespec *t, bool given)
{
    t->tv_sec = (time_t)p9_get(in, 8);
    t->tv_nsec = (long)p9_get(in, 8);
    if (!given || t->tv_nsec < 0 || t->tv_nsec > 999999999)
        t->tv_nsec = UTIME_NOW;
}

static int p9_setattr(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error);
    uint32_t valid = p9_get32(in);
    struct share_set s = { .what = valid & 0x3f };

    (void)out;
    s.mode = p9_get32(in) & MODE_MASK;
    s.uid = p9_get32(in);
    s.gid = p9_get32(in);
    s.size = p9_get(in, 8);
    p9_get_time(in, &s.atime, valid & SET_ATIME_GIVEN);
    p9_get_time(in, &s.mtime, valid & SET_MTIME_GIVEN);
    if (error || in->bad)
        return error ? error : -EINVAL;
    return s.size > INT64_MAX ? -EFBIG : d->backend->set(d->backend, f->node, &s);
}

static int p9_statfs(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *f = p9_fid(d, in);
    struct statfs s;
    int error = in->bad || !f ? -EBADF : d->backend->statfs(d->backend, f->node, &s);

    if (error)
        return error;
    p9_put(out, 4, (uint32_t)s.f_type);
    p9_put(out, 4, (uint32_t)s.f_bsize);
    p9_put(out, 8, s.f_blocks);
    p9_put(out, 8, s.f_bfree);
    p9_put(out, 8, s.f_bavail);
    p9_put(out, 8, s.f_files);
    p9_put(out, 8, s.f_ffree);
    p9_put(out, 8, 0);
    p9_put(out, 4, SHARE_NAME_BYTES);
    return 0;
}

static int p9_readlink(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *f = p9_fid(d, in);
    char target[4096];
    int error = in->bad || !f ? -EBADF : d->backend->readlink(d->backend, f->node, target, sizeof(target));

    if (!error)
        p9_put_text(out, target);
    return error;
}

/* -- files ------------------------------------------------------------------------------------------------------------------------------ */

static int p9_flags(uint32_t flags) { return (int)(flags & (O_ACCMODE | O_TRUNC | O_APPEND)); }

static int p9_opened(struct virtio_9p *d, struct p9_fid *f, struct p9_out *out)
{
    struct stat s;
    int error = d->backend->stat(d->backend, f->node, &s);

    if (error)
        return error;
    f->open = true;
    f->folder = S_ISDIR(s.st_mode);
    p9_put_qid(out, &s);
    p9_put(out, 4, 0); /* iounit: as msize allows */
    return 0;
}

static int p9_lopen(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *f = p9_fid(d, in);
    uint32_t flags = p9_get32(in);
    int error;

    if (in->bad || !f || f->open)
        return -EBADF;
    if (d->backend->read_only && (flags & O_ACCMODE || flags & O_TRUNC))
        return -EROFS;
    error = d->backend->open(d->backend, f->node, p9_flags(flags));
    return error ? error : p9_opened(d, f, out);
}

/* The fid is the file then, not the folder. */
static int p9_lcreate(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error);
    char name[SHARE_NAME_BYTES + 1];
    struct share_node *node;
    uint32_t flags, mode;

    if (error || (error = p9_get_name(in, name)))
        return error;
    flags = p9_get32(in);
    mode = p9_get32(in) & MODE_MASK;
    if (in->bad || f->open)
        return -EINVAL;
    error = d->backend->create(d->backend, f->node, name, p9_flags(flags), mode, &node);
    if (error)
        return error;
    d->backend->forget(d->backend, f->node);
    f->node = node;
    return p9_opened(d, f, out);
}

/* Bytes that an answer with a count in front has room for. */
static size_t p9_count(const struct p9_out *out, uint32_t asked)
{
    size_t room = out->room - out->bytes;

    return room < 4 ? 0 : bits_min(room - 4, asked);
}

static int p9_read(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *f = p9_fid(d, in);
    uint64_t offset = p9_get(in, 8);
    uint32_t asked = p9_get32(in);
    size_t at = out->bytes;
    long n;

    if (in->bad || !f || !f->open || f->folder || offset > INT64_MAX)
        return -EBADF;
    n = d->backend->read(d->backend, f->node, offset, out->start + at + 4, p9_count(out, asked));
    if (n < 0)
        return (int)n;
    p9_put(out, 4, (uint64_t)n);
    out->bytes += out->bad ? 0 : (size_t)n;
    return 0;
}

static int p9_write(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error);
    uint64_t offset = p9_get(in, 8);
    uint32_t asked = p9_get32(in);
    long n;

    if (error || in->bad || asked > in->left)
        return error ? error : -EINVAL;
    if (!f->open || f->folder || offset > INT64_MAX)
        return -EBADF;
    n = d->backend->write(d->backend, f->node, offset, in->at, asked);
    if (n < 0)
        return (int)n;
    p9_put(out, 4, (uint64_t)n);
    return 0;
}

/* False: there is no room for it. */
static bool p9_put_entry(struct p9_out *out, const struct share_entry *e, size_t end)
{
    if (out->bytes + 13 + 8 + 1 + 2 + strlen(e->name) > end)
        return false;
    p9_put(out, 1, e->type == DT_DIR ? QID_FOLDER : e->type == DT_LNK ? QID_SYMLINK : 0);
    p9_put(out, 4, 0);
    p9_put(out, 8, e->inode);
    p9_put(out, 8, e->next);
    p9_put(out, 1, e->type);
    p9_put_text(out, e->name);
    return true;
}

static int p9_readdir(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *f = p9_fid(d, in);
    uint64_t offset = p9_get(in, 8);
    uint32_t asked = p9_get32(in);
    size_t at = out->bytes, end = at + 4 + p9_count(out, asked);
    struct share_entry e;
    int got;

    if (in->bad || !f || !f->open || !f->folder)
        return -EBADF;
    p9_put(out, 4, 0);
    while ((got = d->backend->entry(d->backend, f->node, offset, &e)) > 0 && p9_put_entry(out, &e, end))
        offset = e.next;
    if (got < 0 || out->bad)
        return got < 0 ? got : -EINVAL;
    if (got && out->bytes == at + 4) /* there is one, and it does not fit */
        return -EINVAL;
    got = (int)(out->bytes - at - 4);
    for (unsigned i = 0; i < 4; i++)
        out->start[at + i] = (uint8_t)(got >> i * 8);
    return 0;
}

static int p9_fsync(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    struct p9_fid *f = p9_fid(d, in);

    (void)out;
    if (in->bad || !f || !f->open)
        return -EBADF;
    return d->backend->read_only ? 0 : d->backend->sync(d->backend, f->node);
}

/* -- locks: there is one client ------------------------------------------------------------------------------------------------------- */

static int p9_lock(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    if (!p9_fid(d, in))
        return -EBADF;
    p9_put(out, 1, 0);
    return 0;
}

/* What was asked for, and that nobody has it. */
static int p9_getlock(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    char client[256];

    if (!p9_fid(d, in))
        return -EBADF;
    p9_get(in, 1);
    p9_put(out, 1, UNLOCKED);
    p9_put(out, 8, p9_get(in, 8));
    p9_put(out, 8, p9_get(in, 8));
    p9_put(out, 4, p9_get(in, 4));
    p9_get_text(in, client, sizeof(client));
    p9_put_text(out, client);
    return in->bad ? -EINVAL : 0;
}

/* -- names ------------------------------------------------------------------------------------------------------------------------------ */

/* The qid of what has just been made there. */
static int p9_put_made(struct virtio_9p *d, struct share_node *in, const char *name, struct p9_out *out)
{
    struct share_node *node;
    int error = d->backend->walk(d->backend, in, name, &node);

    if (error)
        return error;
    error = p9_put_node(d, node, out);
    d->backend->forget(d->backend, node);
    return error;
}

static int p9_mkdir(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error);
    char name[SHARE_NAME_BYTES + 1];
    uint32_t mode;

    if (error || (error = p9_get_name(in, name)))
        return error;
    mode = p9_get32(in) & MODE_MASK;
    error = in->bad ? -EINVAL : d->backend->make_folder(d->backend, f->node, name, mode);
    return error ? error : p9_put_made(d, f->node, name, out);
}

static int p9_symlink(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error);
    char name[SHARE_NAME_BYTES + 1], target[4096];

    if (error || (error = p9_get_name(in, name)))
        return error;
    p9_get_text(in, target, sizeof(target));
    error = in->bad ? -EINVAL : d->backend->symlink(d->backend, f->node, name, target);
    return error ? error : p9_put_made(d, f->node, name, out);
}

static int p9_link(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error), *to = p9_fid(d, in);
    char name[SHARE_NAME_BYTES + 1];

    (void)out;
    if (error || (error = p9_get_name(in, name)))
        return error;
    return to ? d->backend->link(d->backend, f->node, name, to->node) : -EBADF;
}

static int p9_renameat(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    char name[SHARE_NAME_BYTES + 1], new_name[SHARE_NAME_BYTES + 1];
    struct p9_fid *from, *to;
    int error;

    (void)out;
    from = p9_writable(d, in, &error);
    if (error || (error = p9_get_name(in, name)))
        return error;
    to = p9_writable(d, in, &error);
    if (error || (error = p9_get_name(in, new_name)))
        return error;
    return d->backend->rename(d->backend, from->node, name, to->node, new_name);
}

static int p9_unlinkat(struct virtio_9p *d, struct p9_in *in, struct p9_out *out)
{
    int error;
    struct p9_fid *f = p9_writable(d, in, &error);
    char name[SHARE_NAME_BYTES + 1];
    uint32_t flags;

    (void)out;
    if (error || (error = p9_get_name(in, name)))
        return error;
    flags = p9_get32(in);
    return in->bad ? -EINVAL : d->backend->unlink(d->backend, f->node, name, flags & REMOVE_FOLDER);
}

/* -- messages ---------------------------------------------------------------------------------------------------------------------------- */

typedef int p9_message(struct virtio_9p *d, struct p9_in *in, struct p9_out *out);

static p9_message *const p9_messages[TYPES] = {
    [T_STATFS] = p9_statfs, [T_LOPEN] = p9_lopen, [T_LCREATE] = p9_lcreate, [T_SYMLINK] = p9_symlink, [T_READLINK] = p9_readlink,
    [T_GETATTR] = p9_getattr, [T_SETATTR] = p9_setattr, [T_READDIR] = p9_readdir, [T_FSYNC] = p9_fsync, [T_LOCK] = p9_lock,
    [T_GETLOCK] = p9_getlock, [T_LINK] = p9_link, [T_MKDIR] = p9_mkdir, [T_RENAMEAT] = p9_renameat, [T_UNLINKAT] = p9_unlinkat,
    [T_VERSION] = p9_version, [T_ATTACH] = p9_attach, [T_FLUSH] = p9_flush, [T_WALK] = p9_walk, [T_READ] = p9_read, [T_WRITE] = p9_write,
    [T_CLUNK] = p9_clunk, [T_REMOVE] = p9_remove_message,
};

static int p9_carry_out(struct virtio_9p *d, unsigned type, struct p9_in *in, struct p9_out *out)
{
    p9_message *message = type < TYPES ? p9_messages[type] : NULL;
    int error;

    if (!message || !d->backend)
        return -EOPNOTSUPP;
    if (!d->msize && type != T_VERSION)
        return -EPROTO;
    error = message(d, in, out);
    return error ? error : out->bad ? -EMSGSIZE : 0;
}

/* Answers the message in d->in into d->out; returns the answer's size, 0: none can be given. */
static size_t p9_answer(struct virtio_9p *d, size_t bytes, size_t room)
{
    struct p9_in in = { d->in, bytes, false };
    struct p9_out out = { d->out, HEADER_BYTES, room, false };
    uint32_t size = p9_get32(&in);
    unsigned type = (unsigned)p9_get(&in, 1), tag = (unsigned)p9_get(&in, 2);
    int error;

    if (in.bad || size < HEADER_BYTES || size > bytes || room < HEADER_BYTES + 4)
        return 0;
    in.left = size - HEADER_BYTES;
    error = p9_carry_out(d, type, &in, &out);
    if (error) {
        out = (struct p9_out){ d->out, HEADER_BYTES, room, false };
        p9_put(&out, 4, (uint64_t)-error);
    }
    size = (uint32_t)out.bytes;
    out.bytes = 0;
    p9_put(&out, 4, size);
    p9_put(&out, 1, error ? R_LERROR : type + 1);
    p9_put(&out, 2, tag);
    return size;
}

static uint32_t p9_request(struct virtio_9p *d, const struct virtio_chain *c)
{
    struct virtio *v = &d->pci.virtio;
    size_t bytes = bits_min(c->readable_bytes, MSIZE_MAX), room = bits_min(c->writable_bytes, d->msize ? d->msize : MSIZE_MIN);

    if (!virtio_read(v, c, 0, d->in, bytes))
        return 0;
    room = p9_answer(d, bytes, room);
    return virtio_write(v, c, 0, d->out, room) ? (uint32_t)room : 0;
}

static void p9_notified(struct virtio *v, unsigned n)
{
    struct virtio_chain chain;

    while (virtio_pop(v, n, &chain))
        virtio_push(v, n, &chain, p9_request((struct virtio_9p *)v, &chain));
    virtio_tell(v, n);
}

/* -- life ---------------------------------------------------------------------------------------------------------------------------------- */

static void p9_reset(struct virtio *v)
{
    struct virtio_9p *d = (struct virtio_9p *)v;
    const char *tag = d->backend ? d->backend->tag : "";

    v->offered |= BIT(F_MOUNT_TAG);
    virtio_config_set(v, TAG_LENGTH, 2, strlen(tag));
    for (unsigned i = 0; tag[i]; i++)
        virtio_config_set(v, TAG + i, 1, (uint8_t)tag[i]);
    p9_end_session(d);
}

static const struct virtio_kind p9_kind = {
    .id = VIRTIO_ID_9P, .queues = QUEUES, .config_bytes = TAG + SHARE_TAG_BYTES, .reset = p9_reset, .notified = p9_notified,
};
static const struct pci_identity p9_identity = VIRTIO_PCI_IDENTITY(VIRTIO_ID_9P, 0x000200);

static void virtio_9p_reset(struct device *device) { virtio_pci_reset(device, &p9_identity); }

static void virtio_9p_create(struct device *device)
{
    struct virtio_9p *d = device->state;

    virtio_pci_create(device, &p9_kind);
    d->in = malloc(MSIZE_MAX);
    d->out = malloc(MSIZE_MAX);
    if (!d->in || !d->out)
        abort();
}

static void virtio_9p_destroy(struct device *device)
{
    struct virtio_9p *d = device->state;

    p9_end_session(d);
    free(d->in);
    free(d->out);
}

void virtio_9p_connect(struct device *device, struct share_backend *backend)
{
    struct virtio_9p *d = device->state;

    d->backend = backend;
    virtio_reset(&d->pci.virtio);
}

#define STATE struct virtio_9p
FIELDS(virtio_9p_fields, VIRTIO_PCI_FIELDS(pci), WIRING(backend), SCRATCH(msize), SCRATCH(fids), SCRATCH(bucket), WIRING(in), WIRING(out))
#undef STATE

const struct device_class virtio_9p_class = {
    .name = "virtio_9p",
    .title = "virtio 9P shared folder (VIRTIO 1.2 section 5; 9P2000.L)",
    .state_size = sizeof(struct virtio_9p),
    .region = { VIRTIO_PCI_REGIONS },
    .create = virtio_9p_create,
    .reset = virtio_9p_reset,
    .destroy = virtio_9p_destroy,
    .fields = &virtio_9p_fields,
    .restored = virtio_pci_restored,
};
