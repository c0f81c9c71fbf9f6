/*
 * share.h - the host's end of a shared folder: files and folders below one, and what can be done with them.
 *
 * Every call is done when it returns: 0, or a negative errno (those of Linux, which 9P2000.L has on the wire).  Names are single
 * components, never empty, "." or "..", and without "/": the device has checked that.  Nothing follows a symbolic link.
 */
#ifndef DEVICES_SHARE_H
#define DEVICES_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define SHARE_TAG_BYTES 31
#define SHARE_NAME_BYTES 255

struct share_node; /* something below the folder, whatever it is called now; open or not */

struct share_entry {
    uint64_t inode, next; /* next: where the entry behind it is */
    uint8_t type;         /* DT_ of readdir(3) */
    char name[SHARE_NAME_BYTES + 1];
};

enum { SHARE_SET_MODE = 1, SHARE_SET_UID = 2, SHARE_SET_GID = 4, SHARE_SET_SIZE = 8, SHARE_SET_ATIME = 16, SHARE_SET_MTIME = 32 };
struct share_set {
    unsigned what;
    uint32_t mode, uid, gid;
    uint64_t size;
    struct timespec atime, mtime; /* tv_nsec UTIME_NOW: now */
};

struct share_backend {
    char tag[SHARE_TAG_BYTES + 1];
    bool read_only;       /* nothing below that changes anything is called */
    int (*root)(struct share_backend *b, struct share_node **node);
    int (*walk)(struct share_backend *b, struct share_node *from, const char *name, struct share_node **node); /* name NULL: the same */
    void (*forget)(struct share_backend *b, struct share_node *node);
    int (*stat)(struct share_backend *b, struct share_node *node, struct stat *out);
    int (*statfs)(struct share_backend *b, struct share_node *node, struct statfs *out);
    int (*readlink)(struct share_backend *b, struct share_node *node, char *text, size_t bytes); /* ends it with a 0 */
    /* For an open node; `flags`: access mode, O_TRUNC and O_APPEND of open(2).  Folders and plain files alone. */
    int (*open)(struct share_backend *b, struct share_node *node, int flags);
    long (*read)(struct share_backend *b, struct share_node *node, uint64_t offset, void *data, size_t bytes);
    int (*entry)(struct share_backend *b, struct share_node *node, uint64_t offset, struct share_entry *out); /* 1: there is one, 0: the end */
    long (*write)(struct share_backend *b, struct share_node *node, uint64_t offset, const void *data, size_t bytes);
    int (*sync)(struct share_backend *b, struct share_node *node);
    int (*set)(struct share_backend *b, struct share_node *node, const struct share_set *set);
    /* In a folder.  create: a new plain file, open. */
    int (*create)(struct share_backend *b, struct share_node *in, const char *name, int flags, uint32_t mode, struct share_node **node);
    int (*make_folder)(struct share_backend *b, struct share_node *in, const char *name, uint32_t mode);
    int (*symlink)(struct share_backend *b, struct share_node *in, const char *name, const char *target);
    int (*link)(struct share_backend *b, struct share_node *in, const char *name, struct share_node *to);
    int (*rename)(struct share_backend *b, struct share_node *from, const char *name, struct share_node *to, const char *new_name);
    int (*unlink)(struct share_backend *b, struct share_node *in, const char *name, bool folder);
    void (*close)(struct share_backend *b); /* and free */
};

#endif
