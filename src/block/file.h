/*
 * file.h - an image's bytes: a file or a host's block device, locked against a second writer.
 *
 * Any offset and size may be read and written, with O_DIRECT too: what is not aligned goes through a buffer that is.
 */
#ifndef BLOCK_FILE_H
#define BLOCK_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file {
    char *path;
    int fd;
    uint64_t bytes;      /* when it was opened, or grown through file_write() since */
    uint32_t sector;     /* of a block device; 512 for a file */
    uint32_t align;      /* 0, or of every O_DIRECT access: a power of two */
    uint8_t *bounce;     /* FILE_BOUNCE_BYTES; NULL without O_DIRECT */
    bool read_only, device;
    int flush_error;     /* once a flush has failed, nobody knows what is safe */
};

/* False and err, in one line with the path in it, where it cannot be opened or somebody else writes to it. */
bool file_open(struct file *f, const char *path, bool read_only, bool direct, struct err *err);
void file_close(struct file *f);

/* 0 or a negative errno.  Beyond the file's end zeros are read. */
int file_read(struct file *f, uint64_t offset, void *data, size_t bytes);
int file_write(struct file *f, uint64_t offset, const void *data, size_t bytes);
int file_flush(struct file *f);
/* Zeros from now on, if `punch` without taking room where that can be. */
int file_zero(struct file *f, uint64_t offset, uint64_t bytes, bool punch);
/* Gives room back, where that can be. */
int file_discard(struct file *f, uint64_t offset, uint64_t bytes);

#endif
