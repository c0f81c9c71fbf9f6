/* file.c - an image's bytes: open and lock, read and write with and without O_DIRECT, flush, punch holes. */
#define _GNU_SOURCE
#include "block/file.h"

#include "base/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BOUNCE_BYTES = 1 << 18, FILE_DIRECT_ALIGN = 4096, FILE_SECTOR = 512 };

/* -- opening --------------------------------------------------------------------------------------------------------------- */

static bool file_failed(struct file *f, struct err *err, int error)
{
    err_set(err, "%s: %s", f->path, strerror(error));
    file_close(f);
    return false;
}

/* A lock of the open file: one that this process has through another descriptor counts too, and none outlives us. */
static bool file_lock(struct file *f, struct err *err)
{
    struct flock lock = { .l_type = f->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

    if (fcntl(f->fd, F_OFD_SETLK, &lock) == 0)
        return true;
    if (errno != EAGAIN && errno != EACCES)
        return file_failed(f, err, errno);
    err_set(err, "%s: in use: somebody else %s", f->path, f->read_only ? "writes to it" : "has it open (readonly or snapshot share it)");
    file_close(f);
    return false;
}

static bool file_measure_device(struct file *f, struct err *err)
{
    int sector = FILE_SECTOR;

    if (ioctl(f->fd, BLKGETSIZE64, &f->bytes) < 0 || ioctl(f->fd, BLKSSZGET, &sector) < 0)
        return file_failed(f, err, errno);
    f->sector = (uint32_t)sector;
    return true;
}

static bool file_measure(struct file *f, const struct stat *st, struct err *err)
{
    f->sector = FILE_SECTOR;
    f->bytes = (uint64_t)st->st_size;
    f->device = S_ISBLK(st->st_mode);
    if (f->device)
        return file_measure_device(f, err);
    if (S_ISREG(st->st_mode))
        return true;
    err_set(err, "%s: neither a file nor a block device", f->path);
    file_close(f);
    return false;
}

static void file_prepare_direct(struct file *f)
{
    f->align = (uint32_t)bits_max(f->sector, FILE_DIRECT_ALIGN);
    f->bounce = aligned_alloc(f->align, bits_align_up(FILE_BOUNCE_BYTES, f->align));
    if (!f->bounce)
        abort();
}

/* O_NONBLOCK: a FIFO does not keep us waiting.  O_EXCL: a block device that is mounted is not written to. */
bool file_open(struct file *f, const char *path, bool read_only, bool direct, struct err *err)
{
    int flags = (read_only ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct stat st;

    *f = (struct file){ .path = g_strdup(path), .fd = -1, .read_only = read_only };
    if (stat(path, &st) < 0)
        return file_failed(f, err, errno);
    f->fd = open(path, flags | (S_ISBLK(st.st_mode) && !read_only ? O_EXCL : 0));
    if (f->fd < 0 && errno == EINVAL && direct) {
        err_set(err, "%s: its file system has no O_DIRECT: not with cache=none", path);
        file_close(f);
        return false;
    }
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return file_failed(f, err, errno);
    if (!file_measure(f, &st, err) || !file_lock(f, err))
        return false;
    if (direct)
        file_prepare_direct(f);
    return true;
}

void file_close(struct file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    free(f->bounce);
    g_free(f->path);
    f->bounce = NULL;
    f->path = NULL;
}

/* -- reading and writing ------------------------------------------------------------------------------------------------------ */

static int file_read_plain(struct file *f, uint64_t offset, uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = pread(f->fd, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0) {
            memset(data, 0, bytes);
            return 0;
        }
        data += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int file_write_plain(struct file *f, uint64_t offset, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = pwrite(f->fd, data, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -ENOSPC;
        data += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* Whole aligned pieces through the bounce buffer; a write reads what it does not cover first. */
static int file_move_direct(struct file *f, uint64_t offset, uint8_t *to, const uint8_t *from, size_t bytes)
{
    while (bytes) {
        uint64_t start = bits_align_down(offset, f->align);
        size_t skip = (size_t)(offset - start), n = bits_min(bytes, FILE_BOUNCE_BYTES - skip), whole = bits_align_up(skip + n, f->align);
        int error = to || whole != n ? file_read_plain(f, start, f->bounce, whole) : 0;

        if (error)
            return error;
        if (to)
            memcpy(to, f->bounce + skip, n);
        else
            memcpy(f->bounce + skip, from, n);
        if (!to && (error = file_write_plain(f, start, f->bounce, whole)))
            return error;
        to = to ? to + n : NULL;
        from = from ? from + n : NULL;
        offset += n;
        bytes -= n;
    }
    return 0;
}

/* Would whole pieces make the file longer than it shall be? */
static bool file_is_tail(const struct file *f, uint64_t end)
{
    return f->align && !f->device && bits_align_up(end, f->align) > bits_max(f->bytes, end);
}

/* Through the page cache for once, which takes any size. */
static int file_write_tail(struct file *f, uint64_t offset, const uint8_t *data, size_t bytes)
{
    int flags = fcntl(f->fd, F_GETFL), error;

    if (flags < 0 || fcntl(f->fd, F_SETFL, flags & ~O_DIRECT) < 0)
        return -errno;
    error = file_write_plain(f, offset, data, bytes);
    if (fcntl(f->fd, F_SETFL, flags) < 0 && !error)
        error = -errno;
    return error;
}

int file_read(struct file *f, uint64_t offset, void *data, size_t bytes)
{
    if (offset > INT64_MAX || bytes > INT64_MAX - offset)
        return -EINVAL;
    return f->align ? file_move_direct(f, offset, data, NULL, bytes) : file_read_plain(f, offset, data, bytes);
}

int file_write(struct file *f, uint64_t offset, const void *data, size_t bytes)
{
    int error;

    if (offset > INT64_MAX || bytes > INT64_MAX - offset)
        return -EFBIG;
    if (file_is_tail(f, offset + bytes))
        error = file_write_tail(f, offset, data, bytes);
    else
        error = f->align ? file_move_direct(f, offset, NULL, data, bytes) : file_write_plain(f, offset, data, bytes);
    if (!error)
        f->bytes = bits_max(f->bytes, offset + bytes);
    return error;
}

/* The kernel reports a failed write-back once, and then forgets what was lost. */
int file_flush(struct file *f)
{
    if (!f->flush_error && fdatasync(f->fd) < 0)
        f->flush_error = -errno;
    return f->flush_error;
}

/* -- zeros and holes ------------------------------------------------------------------------------------------------------------ */

/* EINVAL: a block device whose sectors are larger. */
static bool file_cannot(int error) { return error == EOPNOTSUPP || error == ENOSYS || error == ENOTTY || error == ENODEV || error == EINVAL; }

static int file_allocate(struct file *f, int mode, uint64_t offset, uint64_t bytes)
{
    int error;

    if (offset > INT64_MAX || bytes > INT64_MAX - offset)
        return -EINVAL;
    do
        error = fallocate(f->fd, mode, (off_t)offset, (off_t)bytes) < 0 ? errno : 0;
    while (error == EINTR);
    return -error;
}

static int file_write_zeros(struct file *f, uint64_t offset, uint64_t bytes)
{
    static const uint8_t zeros[65536];

    while (bytes) {
        size_t n = bits_min(bytes, sizeof(zeros));
        int error = file_write(f, offset, zeros, n);

        if (error)
            return error;
        offset += n;
        bytes -= n;
    }
    return 0;
}

int file_zero(struct file *f, uint64_t offset, uint64_t bytes, bool punch)
{
    int error = file_allocate(f, punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE, offset, bytes);

    return error && file_cannot(-error) ? file_write_zeros(f, offset, bytes) : error;
}

int file_discard(struct file *f, uint64_t offset, uint64_t bytes)
{
    int error = file_allocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);

    return error && file_cannot(-error) ? 0 : error;
}
