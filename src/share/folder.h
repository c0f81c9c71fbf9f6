/* folder.h - folders of the host for the guest: what `--share` says, and the backend of it (devices/share.h). */
#ifndef SHARE_FOLDER_H
#define SHARE_FOLDER_H

#include "base/err.h"
#include "share.h"

struct share_options {
    char *path; /* of the heap */
    char tag[SHARE_TAG_BYTES + 1];
    bool read_only;
};

/* FOLDER,tag=TAG[,readonly]; ",," is a comma. */
bool share_parse(const char *text, struct share_options *options, struct err *err);
void share_options_free(struct share_options *options);

/* NULL and one line in err.  End it with its own `close`. */
struct share_backend *share_open(const struct share_options *options, struct err *err);

#endif
