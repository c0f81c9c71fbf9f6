/*
 * fw_cfg.c - the configuration device firmware reads its machine description from: selector, data port, DMA.
 *
 * A key selects an item; bytes are read from it in order, by port or by a DMA descriptor in guest memory.  Files are
 * items listed in a directory.  Items are never written by the guest here: such a DMA ends with the error bit.
 * Manual: the interface is specified in QEMU's docs/specs/fw_cfg; ports, keys and layouts follow that text.
 */
#include "fw_cfg.h"

#include <stdlib.h>
#include <string.h>

enum { SELECTOR = 0, DATA = 1, DMA_HIGH = 4, DMA_LOW = 8 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG", big endian */
#define KEYS (FW_CFG_FILE_FIRST + FW_CFG_FILES)
#define LOCAL_KEYS 8 /* the architecture's own items, 0x8000 and up */
#define DIRECTORY_ENTRY_BYTES 64

struct fw_cfg_item {
    uint8_t *data;
    size_t size;
};

struct fw_cfg {
    struct fw_cfg_item item[KEYS + LOCAL_KEYS];
    char name[FW_CFG_FILES][FW_CFG_NAME_BYTES];
    unsigned files;
    uint16_t key;
    uint64_t at;        /* next byte of the selected item */
    uint32_t dma_high;
    struct dma *dma;
};

static uint32_t fw_cfg_get_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void fw_cfg_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* Index into `item`; -1 for a key that does not exist. */
static int fw_cfg_index(uint16_t key)
{
    if (key >= FW_CFG_LOCAL && key < FW_CFG_LOCAL + LOCAL_KEYS)
        return KEYS + key - FW_CFG_LOCAL;
    return key < KEYS ? key : -1;
}

static const struct fw_cfg_item *fw_cfg_selected(const struct fw_cfg *f)
{
    static const struct fw_cfg_item none;
    int index = fw_cfg_index(f->key);

    return index >= 0 ? &f->item[index] : &none;
}

static void fw_cfg_select(struct fw_cfg *f, uint16_t key)
{
    f->key = key;
    f->at = 0;
}

/* Beyond the end of an item there are zeros. */
static uint8_t fw_cfg_next_byte(struct fw_cfg *f)
{
    const struct fw_cfg_item *item = fw_cfg_selected(f);

    return f->at < item->size ? item->data[f->at++] : 0;
}

/* False if the guest gave an address that is not memory. */
static bool fw_cfg_dma_read(struct fw_cfg *f, uint64_t gpa, uint32_t length)
{
    static const uint8_t zeros[4096];
    const struct fw_cfg_item *item = fw_cfg_selected(f);

    while (length) {
        uint64_t left = f->at < item->size ? item->size - f->at : 0;
        uint32_t chunk = (uint32_t)bits_min(length, left ? left : sizeof(zeros));

        if (!f->dma->write(f->dma, gpa, left ? item->data + f->at : zeros, chunk))
            return false;
        f->at += left ? chunk : 0;
        gpa += chunk;
        length -= chunk;
    }
    return true;
}

/* The descriptor: big-endian control, length, address; control is written back as 0, or with the error bit. */
static void fw_cfg_run_dma(struct fw_cfg *f, uint64_t gpa)
{
    uint8_t descriptor[16], status[4];
    uint32_t control, length;
    uint64_t address;
    bool ok;

    if (!f->dma)
        return;
    if (!f->dma->read(f->dma, gpa, descriptor, sizeof(descriptor))) {
        fw_cfg_put_be32(status, DMA_ERROR);
        f->dma->write(f->dma, gpa, status, sizeof(status));
        return;
    }
    control = fw_cfg_get_be32(descriptor);
    length = fw_cfg_get_be32(descriptor + 4);
    address = (uint64_t)fw_cfg_get_be32(descriptor + 8) << 32 | fw_cfg_get_be32(descriptor + 12);
    if (control & DMA_SELECT)
        fw_cfg_select(f, (uint16_t)(control >> 16));
    ok = !(control & DMA_ERROR);
    if (control & DMA_READ)
        ok = ok && fw_cfg_dma_read(f, address, length);
    else if (control & DMA_WRITE)
        ok = false; /* everything is read-only */
    else if (control & DMA_SKIP)
        f->at = bits_min(f->at + length, fw_cfg_selected(f)->size);
    fw_cfg_put_be32(status, ok ? 0 : DMA_ERROR);
    f->dma->write(f->dma, gpa, status, sizeof(status));
}

static uint64_t fw_cfg_read(void *state, uint64_t offset, unsigned width)
{
    struct fw_cfg *f = state;

    if (offset == DATA && width == 1)
        return fw_cfg_next_byte(f);
    /* The DMA register's bytes read as the signature, most significant first. */
    if (offset >= DMA_HIGH) {
        uint64_t v = 0;

        for (unsigned i = 0; i < width && offset + i < DMA_HIGH + 8; i++)
            v |= (DMA_SIGNATURE >> (56 - 8 * (offset + i - DMA_HIGH)) & 0xff) << i * 8;
        return v;
    }
    return bits_mask(width * 8);
}

static void fw_cfg_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct fw_cfg *f = state;

    if (offset == SELECTOR && width == 2)
        fw_cfg_select(f, (uint16_t)value);
    else if (offset == DMA_HIGH && width == 4)
        f->dma_high = __builtin_bswap32((uint32_t)value);
    else if (offset == DMA_LOW && width == 4) {
        uint64_t gpa = (uint64_t)f->dma_high << 32 | __builtin_bswap32((uint32_t)value);

        f->dma_high = 0;
        fw_cfg_run_dma(f, gpa);
    }
}

bool fw_cfg_add_key(struct device *device, uint16_t key, const void *data, size_t size)
{
    struct fw_cfg *f = device->state;
    int index = fw_cfg_index(key);
    uint8_t *copy;

    if (index < 0)
        return false;
    copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    free(f->item[index].data);
    f->item[index] = (struct fw_cfg_item){ copy, size };
    return true;
}

bool fw_cfg_add_u16(struct device *device, uint16_t key, uint16_t value)
{
    uint8_t bytes[2] = { (uint8_t)value, (uint8_t)(value >> 8) };

    return fw_cfg_add_key(device, key, bytes, sizeof(bytes));
}

bool fw_cfg_add_u64(struct device *device, uint16_t key, uint64_t value)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> i * 8);
    return fw_cfg_add_key(device, key, bytes, sizeof(bytes));
}

/* The directory: a big-endian count, then size, key, reserved, name[56] of every file. */
static void fw_cfg_write_directory(struct device *device)
{
    struct fw_cfg *f = device->state;
    uint8_t directory[4 + FW_CFG_FILES * DIRECTORY_ENTRY_BYTES] = { 0 };

    fw_cfg_put_be32(directory, f->files);
    for (unsigned i = 0; i < f->files; i++) {
        uint8_t *entry = directory + 4 + i * DIRECTORY_ENTRY_BYTES;

        fw_cfg_put_be32(entry, (uint32_t)f->item[FW_CFG_FILE_FIRST + i].size);
        entry[4] = 0;
        entry[5] = (uint8_t)(FW_CFG_FILE_FIRST + i);
        memcpy(entry + 8, f->name[i], FW_CFG_NAME_BYTES);
    }
    fw_cfg_add_key(device, FW_CFG_FILE_DIR, directory, 4 + f->files * DIRECTORY_ENTRY_BYTES);
}

bool fw_cfg_add_file(struct device *device, const char *name, const void *data, size_t size)
{
    struct fw_cfg *f = device->state;
    unsigned i;

    if (strlen(name) >= FW_CFG_NAME_BYTES || size > UINT32_MAX)
        return false;
    for (i = 0; i < f->files && strcmp(f->name[i], name); i++)
        ;
    if (i == FW_CFG_FILES)
        return false;
    if (i == f->files)
        memcpy(f->name[f->files++], name, strlen(name) + 1);
    fw_cfg_add_key(device, (uint16_t)(FW_CFG_FILE_FIRST + i), data, size);
    fw_cfg_write_directory(device);
    return true;
}

static void fw_cfg_reset(struct device *device)
{
    struct fw_cfg *f = device->state;

    fw_cfg_select(f, 0);
    f->dma_high = 0;
}

static void fw_cfg_create(struct device *device)
{
    static const uint8_t id[4] = { ID_TRADITIONAL | ID_DMA };
    struct fw_cfg *f = device->state;

    f->dma = device->host.dma;
    fw_cfg_add_key(device, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_key(device, FW_CFG_ID, id, sizeof(id));
    fw_cfg_write_directory(device);
}

static void fw_cfg_destroy(struct device *device)
{
    struct fw_cfg *f = device->state;

    for (unsigned i = 0; i < KEYS + LOCAL_KEYS; i++)
        free(f->item[i].data);
}

static const struct region_ops fw_cfg_ops = {
    .read = fw_cfg_read, .write = fw_cfg_write, .limits = { .widths = W1 | W2 | W4 },
};

/* The items are the board's, which makes them anew. */
#define STATE struct fw_cfg
FIELDS(fw_cfg_fields, WIRING(item), WIRING(name), WIRING(files), FIELD(key), FIELD(at), FIELD(dma_high), WIRING(dma))
#undef STATE

const struct device_class fw_cfg_class = {
    .name = "fw-cfg",
    .title = "firmware configuration with DMA (QEMU docs/specs/fw_cfg)",
    .state_size = sizeof(struct fw_cfg),
    .region = { { REGION_PIO, 0x510, 12, &fw_cfg_ops, false } },
    .create = fw_cfg_create,
    .reset = fw_cfg_reset,
    .destroy = fw_cfg_destroy,
    .fields = &fw_cfg_fields,
};
