/*
 * image.h - images: what `--disk` names, opened as backends of disks (devices/block.h).
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include "base/err.h"
#include "block.h"

enum image_format { IMAGE_BY_NAME, IMAGE_RAW, IMAGE_QCOW2 };

struct image_options {
    char *path, *serial, *backing; /* NULL: none; of the program's heap */
    enum image_format format;      /* IMAGE_BY_NAME: qcow2 where the path ends so, otherwise raw; never by what is in it */
    bool snapshot;                 /* what is written is thrown away in the end */
    bool read_only;
    bool direct;                   /* O_DIRECT */
    bool ahci;                     /* a drive of the SATA controller, otherwise a virtio disk */
    bool cdrom;                    /* ... and a CD-ROM in it */
};

/* FILE[,format=raw|qcow2][,snapshot][,readonly][,cache=none|writeback][,serial=TEXT][,backing=FILE][,if=virtio|ahci]; ",," is a comma. */
bool image_parse(const char *text, struct image_options *options, struct err *err);
/* The same for a CD-ROM, which is only read. */
bool image_parse_cdrom(const char *text, struct image_options *options, struct err *err);
void image_options_free(struct image_options *options);

/* NULL and one line in err.  End it with its own `close`. */
struct block_backend *image_open(const struct image_options *options, struct err *err);

/* The formats: an open image of `path`, for reading alone if `read_only`. */
struct block_backend *raw_open(const char *path, bool read_only, bool direct, struct err *err);

struct qcow2_options {
    bool read_only, direct;
    const char *backing; /* this is its backing file, whatever the image says; NULL: the image says */
    unsigned depth;      /* of images that this one is the backing file of */
};
struct block_backend *qcow2_open(const char *path, const struct qcow2_options *options, struct err *err);

/* Writes go to a temporary file without a name; `base` is read alone, and closed with it, or at once where this fails. */
struct block_backend *overlay_open(struct block_backend *base, struct err *err);

#endif
