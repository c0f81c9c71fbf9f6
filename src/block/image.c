/* image.c - what `--disk` says, and the backend of it. */
#include "block/image.h"

#include "block/file.h"
#include "words.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

#define QCOW_MAGIC "QFI\xfb"

/* -- the option ------------------------------------------------------------------------------------------------------------ */

static bool image_set_serial(struct image_options *o, const char *value, struct err *err)
{
    if (!*value || strlen(value) > BLOCK_SERIAL_BYTES)
        return err_set(err, "--disk: serial= takes 1 to %d characters", BLOCK_SERIAL_BYTES);
    for (const char *p = value; *p; p++)
        if (!g_ascii_isprint(*p))
            return err_set(err, "--disk: serial= takes characters that print");
    g_free(o->serial);
    o->serial = g_strdup(value);
    return true;
}

static bool image_set_word(struct image_options *o, const char *word, struct err *err)
{
    if (!strcmp(word, "format=raw"))
        o->format = IMAGE_RAW;
    else if (!strcmp(word, "format=qcow2"))
        o->format = IMAGE_QCOW2;
    else if (!strcmp(word, "snapshot"))
        o->snapshot = true;
    else if (!strcmp(word, "readonly"))
        o->read_only = true;
    else if (!strcmp(word, "cache=none") || !strcmp(word, "cache=writeback"))
        o->direct = word[6] == 'n';
    else if (!strcmp(word, "if=ahci") || !strcmp(word, "if=virtio"))
        o->ahci = word[3] == 'a';
    else if (g_str_has_prefix(word, "backing=") && word[strlen("backing=")])
        g_free(o->backing), o->backing = g_strdup(word + strlen("backing="));
    else if (g_str_has_prefix(word, "serial="))
        return image_set_serial(o, word + strlen("serial="), err);
    else
        return err_set(err, "--disk: no option of a disk: '%s' (format=raw|qcow2, snapshot, readonly, cache=none|writeback, serial=, "
                            "backing=, if=virtio|ahci)", word);
    return true;
}

bool image_parse(const char *text, struct image_options *o, struct err *err)
{
    bool ok = true;

    *o = (struct image_options){ .path = words_next(&text) };
    if (!o->path || !*o->path)
        ok = err_set(err, "--disk: a file first");
    while (ok && text) {
        char *word = words_next(&text);

        ok = image_set_word(o, word, err);
        g_free(word);
    }
    if (ok && o->snapshot && o->read_only)
        ok = err_set(err, "--disk: readonly, or snapshot, which can be written to; not both");
    if (!ok)
        image_options_free(o);
    return ok;
}

bool image_parse_cdrom(const char *text, struct image_options *o, struct err *err)
{
    if (!image_parse(text, o, err))
        return false;
    if (o->snapshot) {
        image_options_free(o);
        return err_set(err, "--cdrom: a CD-ROM is only read: no snapshot");
    }
    o->read_only = o->ahci = o->cdrom = true;
    return true;
}

void image_options_free(struct image_options *o)
{
    g_free(o->path);
    g_free(o->serial);
    g_free(o->backing);
    *o = (struct image_options){ NULL };
}

/* -- opening ----------------------------------------------------------------------------------------------------------------- */

/* What a guest has put at the beginning of its raw disk shall not make it another image the next time. */
static bool image_is_certain(const struct image_options *o, struct block_backend *b, struct err *err)
{
    uint8_t sector[BLOCK_SECTOR_BYTES];

    if (o->format == IMAGE_RAW || b->read(b, 0, sector, sizeof(sector)) || memcmp(sector, QCOW_MAGIC, 4) != 0)
        return true;
    return err_set(err, "%s: begins as a qcow2 image does: say format=raw or format=qcow2", o->path);
}

static struct block_backend *image_open_raw(const struct image_options *o, bool read_only, struct err *err)
{
    struct block_backend *b = raw_open(o->path, read_only, o->direct, err);

    if (!b || image_is_certain(o, b, err))
        return b;
    b->close(b);
    return NULL;
}

static struct block_backend *image_open_format(const struct image_options *o, struct err *err)
{
    struct qcow2_options qcow2 = { .read_only = o->read_only || o->snapshot, .direct = o->direct, .backing = o->backing };

    if (o->format == IMAGE_QCOW2 || (o->format == IMAGE_BY_NAME && g_str_has_suffix(o->path, ".qcow2")))
        return qcow2_open(o->path, &qcow2, err);
    if (!o->backing)
        return image_open_raw(o, qcow2.read_only, err);
    err_set(err, "%s: backing= is for qcow2 images", o->path);
    return NULL;
}

struct block_backend *image_open(const struct image_options *o, struct err *err)
{
    struct block_backend *b;

    signal(SIGXFSZ, SIG_IGN); /* a limit on files' sizes is an error of a write, and the guest's */
    b = image_open_format(o, err);
    if (b && o->serial)
        g_strlcpy(b->serial, o->serial, sizeof(b->serial));
    return b && o->snapshot ? overlay_open(b, err) : b;
}
