/*
 * widereg.c - a PCI device of our own that takes wide accesses, and remembers what it has seen.
 *
 * Its one memory BAR holds sixteen windows of 4 KiB, each declaring other limits (see widereg.h), each backed by 4 KiB
 * of state that reads as last written.  Whatever a window does not take is turned by the dispatcher into what it does,
 * so the history shows what reached the device.  The control and history windows are not themselves recorded, and a
 * record holds nothing that differs between engines running the same guest; the host can ask for the origin as well.
 * A PCI Express capability says that it completes AtomicOps of 4, 8 and 16 bytes.
 * Manual: ours, docs/devices/widereg.md; the capability: PCI Express Base 3.0 section 7.8.
 */
#include "widereg.h"

#include <string.h>

#define EXPRESS 0x40 /* PCI Express capability */

struct widereg;

struct widereg_window {
    uint8_t bytes[WIDEREG_WINDOW_BYTES + 8]; /* a word may be read and written back around each of the first */
    unsigned n;
    struct widereg *all;
} __attribute__((aligned(16)));

struct widereg {
    struct widereg_window window[WIDEREG_WINDOWS_COUNT];
    struct widereg_record history[WIDEREG_HISTORY_ENTRIES];
    struct pci_function function;
    struct device *device;
    struct origin origin[WIDEREG_HISTORY_ENTRIES];
    uint32_t recorded;
    uint8_t queue[WIDEREG_QUEUE_ENTRIES][64];
    uint32_t queue_first, queue_count, queue_refused, queue_accepted;
    uint32_t interrupt;
    uint64_t dma_address;
    uint32_t dma_offset, dma_status;
    bool dma_busy;
};

const struct widereg_window_info widereg_windows[WIDEREG_WINDOWS_COUNT] = {
#define X(id, name, widths, flags, types, atomics, what)                                                               \
    [WIDEREG_##id] = { name, what, { widths, flags, types, atomics } },
    WIDEREG_WINDOWS(X)
#undef X
};

static const struct pci_identity widereg_identity = {
    .vendor = WIDEREG_VENDOR, .device = WIDEREG_DEVICE, .revision = 1, .class_code = 0xff0000, .pin = 1,
    .subsystem_vendor = WIDEREG_VENDOR, .subsystem = WIDEREG_DEVICE, .express = true,
    .bar[0] = { .kind = PCI_BAR_MEMORY64, .size = WIDEREG_WINDOWS_COUNT * WIDEREG_WINDOW_BYTES,
                .first_region = 0, .regions = WIDEREG_WINDOWS_COUNT },
};

static void widereg_update_interrupt(struct widereg *w)
{
    pci_function_interrupt(&w->function, w->interrupt & 1 || (w->interrupt & 2 && w->queue_count));
}

/* -- history ------------------------------------------------------------------------------------------------------ */

/* In few, whole stores: this is what most of a device's access costs. */
static inline void widereg_record(struct widereg_window *win, const struct transaction *t, enum transaction_result result)
{
    struct widereg *w = win->all;
    unsigned slot = w->recorded++ % WIDEREG_HISTORY_ENTRIES;
    struct widereg_record *r = &w->history[slot];
    uint64_t kind = (uint64_t)t->type | (uint64_t)t->width << 8 | (uint64_t)win->n << 16 | (uint64_t)result << 24;

    r->head = w->recorded | kind << 32;
    r->place = (uint64_t)t->flags | (t->offset & 0xffff) << 16;
    r->enables = t->enables;
    if (t->width <= 8) { /* what is beyond the width is zero, but a word is loaded as it was stored */
        memcpy(r->data, &t->data.q[0], 8);
        memset(r->data + 8, 0, sizeof(r->data) - 8);
    } else {
        memcpy(r->data, t->data.b, sizeof(r->data));
    }
    origin_copy(&w->origin[slot], t->origin);
}

/* -- the queue ---------------------------------------------------------------------------------------------------- */

static enum transaction_result widereg_enqueue(struct widereg *w, const struct transaction *t)
{
    if (w->queue_count == WIDEREG_QUEUE_ENTRIES) {
        w->queue_refused++;
        return TRANSACTION_RETRY;
    }
    memcpy(w->queue[(w->queue_first + w->queue_count++) % WIDEREG_QUEUE_ENTRIES], t->data.b, 64);
    w->queue_accepted++;
    widereg_update_interrupt(w);
    return TRANSACTION_OK;
}

static void widereg_drain(struct widereg *w, uint32_t n)
{
    n = (uint32_t)bits_min(n, w->queue_count);
    w->queue_first = (w->queue_first + n) % WIDEREG_QUEUE_ENTRIES;
    w->queue_count -= n;
    widereg_update_interrupt(w);
}

/* -- data windows ------------------------------------------------------------------------------------------------- */

/* Up to 8 bytes, as part of a word. */
static inline void widereg_word(uint8_t *at, struct transaction *t)
{
    uint64_t word, mask = bits_mask(t->width * 8u);

    memcpy(&word, at, 8);
    if (t->type == TRANSACTION_LOAD) {
        t->data.q[0] = word & mask;
        return;
    }
    word = (word & ~mask) | (t->data.q[0] & mask);
    memcpy(at, &word, 8);
}

/* More; constant sizes, which the compiler does not call a function for. */
static inline void widereg_copy(uint8_t *to, const uint8_t *from, unsigned width)
{
    switch (width) {
    case 16: memcpy(to, from, 16); break;
    case 32: memcpy(to, from, 32); break;
    case 64: memcpy(to, from, 64); break;
    default: memcpy(to, from, width); break;
    }
}

/* With byte enables. */
static void widereg_masked(uint8_t *at, struct transaction *t)
{
    for (unsigned i = 0; i < t->width; i++) {
        bool enabled = t->enables >> i & 1;

        if (t->type == TRANSACTION_LOAD)
            t->data.b[i] = enabled ? at[i] : 0;
        else if (enabled)
            at[i] = t->data.b[i];
    }
}

/* Old value out, new value in. */
static void widereg_atomic(uint8_t *at, struct transaction *t)
{
    unsigned __int128 old = 0, new = 0;
    unsigned width = t->width <= 16 ? t->width : 16;

    memcpy(&old, at, width);
    memcpy(&new, t->data.b, width);
    if (t->type == TRANSACTION_FETCH_ADD)
        new += old;
    if (t->type != TRANSACTION_COMPARE_SWAP || !memcmp(at, t->compare.b, width))
        memcpy(at, &new, width);
    memcpy(t->data.b, &old, width);
}

/* What is no plain load or store; out of line, so that those are quick. */
static __attribute__((noinline)) enum transaction_result widereg_special(struct widereg_window *win, uint8_t *at, struct transaction *t)
{
    enum transaction_result result = TRANSACTION_OK;

    if (t->flags & TRANSACTION_MASKED)
        widereg_masked(at, t);
    else if (t->type == TRANSACTION_DIRECT_STORE)
        memcpy(at, t->data.b, t->width);
    else if (t->type == TRANSACTION_ENQUEUE)
        result = widereg_enqueue(win->all, t);
    else
        widereg_atomic(at, t);
    widereg_record(win, t, result);
    return result;
}

static enum transaction_result widereg_transact(void *state, struct transaction *t)
{
    struct widereg_window *win = state;
    uint8_t *at = win->bytes + t->offset;

    if (t->width > 64 || t->offset > WIDEREG_WINDOW_BYTES - t->width || t->type > TRANSACTION_ENQUEUE)
        return TRANSACTION_ERROR;
    if (t->type > TRANSACTION_STORE || t->flags & TRANSACTION_MASKED)
        return widereg_special(win, at, t);
    if (t->width <= 8)
        widereg_word(at, t);
    else if (t->type == TRANSACTION_LOAD)
        widereg_copy(t->data.b, at, t->width);
    else
        widereg_copy(at, t->data.b, t->width);
    widereg_record(win, t, TRANSACTION_OK);
    return TRANSACTION_OK;
}

/* -- control window ----------------------------------------------------------------------------------------------- */

static void widereg_clear(struct widereg *w, uint32_t what)
{
    if (what & WIDEREG_CLEAR_STATE)
        for (unsigned n = 0; n < WIDEREG_WINDOWS_COUNT; n++)
            memset(w->window[n].bytes, 0, sizeof(w->window[n].bytes));
    if (what & WIDEREG_CLEAR_HISTORY) {
        memset(w->history, 0, sizeof(w->history));
        w->recorded = 0;
    }
    if (what & WIDEREG_CLEAR_QUEUE) {
        w->queue_first = w->queue_refused = w->queue_accepted = 0;
        widereg_drain(w, w->queue_count);
    }
}

/* Copies between window `any` and guest memory; only a bus master may.  Its own registers are no place to copy to. */
static void widereg_run_dma(struct widereg *w, uint32_t go)
{
    struct dma *dma = w->device->host.dma;
    uint32_t size = go & 0xffff;
    uint8_t *at;
    bool ok = false;

    if (w->dma_busy)
        return;
    w->dma_busy = true;
    if (pci_function_get(&w->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER && dma && size <= WIDEREG_WINDOW_BYTES &&
        w->dma_offset <= WIDEREG_WINDOW_BYTES - size) {
        at = w->window[WIDEREG_ANY].bytes + w->dma_offset;
        ok = go >> 31 ? dma->write(dma, w->dma_address, at, size) : dma->read(dma, w->dma_address, at, size);
    }
    w->dma_busy = false;
    w->dma_status = (go & 0x8000ffff) | (ok ? 0 : UINT32_C(1) << 30);
}

static uint32_t widereg_read_description(unsigned offset)
{
    const struct widereg_window_info *info = &widereg_windows[(offset - WIDEREG_DESCRIPTION) / 16];
    char name[8] = { 0 };
    uint32_t v;

    switch (offset & 0xc) {
    case 0x0:
        return info->limits.widths | info->limits.flags << 8 | info->limits.types << 16 |
               (uint32_t)info->limits.atomic_widths << 24;
    case 0x4: return 0;
    default: break;
    }
    for (unsigned i = 0; i < 8 && info->name[i]; i++)
        name[i] = info->name[i];
    memcpy(&v, name + ((offset & 0xc) - 8), 4);
    return v;
}

static uint32_t widereg_read_dword(struct widereg *w, unsigned offset)
{
    uint32_t v = 0;

    switch (offset) {
    case WIDEREG_ID: return 0x47455257;
    case WIDEREG_VERSION: return 1;
    case WIDEREG_WINDOW_COUNT: return WIDEREG_WINDOWS_COUNT;
    case WIDEREG_WINDOW_SIZE: return WIDEREG_WINDOW_BYTES;
    case WIDEREG_INTERRUPT: return w->interrupt;
    case WIDEREG_HISTORY_COUNT: return w->recorded;
    case WIDEREG_HISTORY_DEPTH: return WIDEREG_HISTORY_ENTRIES;
    case WIDEREG_QUEUE_COUNT: return w->queue_count;
    case WIDEREG_QUEUE_DEPTH: return WIDEREG_QUEUE_ENTRIES;
    case WIDEREG_QUEUE_REFUSED: return w->queue_refused;
    case WIDEREG_QUEUE_ACCEPTED: return w->queue_accepted;
    case WIDEREG_DMA_ADDRESS: return (uint32_t)w->dma_address;
    case WIDEREG_DMA_ADDRESS + 4: return (uint32_t)(w->dma_address >> 32);
    case WIDEREG_DMA_OFFSET: return w->dma_offset;
    case WIDEREG_DMA_GO: return w->dma_status;
    default: break;
    }
    if (offset >= WIDEREG_QUEUE_HEAD && offset < WIDEREG_QUEUE_HEAD + 64 && w->queue_count)
        memcpy(&v, w->queue[w->queue_first] + (offset - WIDEREG_QUEUE_HEAD), 4);
    if (offset >= WIDEREG_DESCRIPTION && offset < WIDEREG_DESCRIPTION + 16 * WIDEREG_WINDOWS_COUNT)
        return widereg_read_description(offset);
    return v;
}

static void widereg_write_dword(struct widereg *w, unsigned offset, uint32_t v)
{
    switch (offset) {
    case WIDEREG_CONTROL_REG: widereg_clear(w, v); break;
    case WIDEREG_INTERRUPT:
        w->interrupt = v & 3;
        widereg_update_interrupt(w);
        break;
    case WIDEREG_QUEUE_DRAIN: widereg_drain(w, v); break;
    case WIDEREG_DMA_ADDRESS: w->dma_address = (w->dma_address & ~UINT64_C(0xffffffff)) | v; break;
    case WIDEREG_DMA_ADDRESS + 4: w->dma_address = (w->dma_address & 0xffffffff) | (uint64_t)v << 32; break;
    case WIDEREG_DMA_OFFSET: w->dma_offset = v; break;
    case WIDEREG_DMA_GO: widereg_run_dma(w, v); break;
    default: break; /* read-only or reserved */
    }
}

static uint64_t widereg_read_control(void *state, uint64_t offset, unsigned width)
{
    struct widereg *w = ((struct widereg_window *)state)->all;
    unsigned at = (unsigned)offset & (WIDEREG_WINDOW_BYTES - 4);
    uint64_t v = widereg_read_dword(w, at);

    if (width == 8)
        v |= (uint64_t)widereg_read_dword(w, at + 4) << 32;
    return v;
}

static void widereg_write_control(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct widereg *w = ((struct widereg_window *)state)->all;
    unsigned at = (unsigned)offset & (WIDEREG_WINDOW_BYTES - 4);

    widereg_write_dword(w, at, (uint32_t)value);
    if (width == 8)
        widereg_write_dword(w, at + 4, (uint32_t)(value >> 32));
}

static uint64_t widereg_read_history(void *state, uint64_t offset, unsigned width)
{
    struct widereg *w = ((struct widereg_window *)state)->all;
    uint64_t v = 0;

    if (offset <= sizeof(w->history) - width)
        memcpy(&v, (const uint8_t *)w->history + offset, width);
    return v;
}

static void widereg_write_history(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state;
    (void)offset;
    (void)width;
    (void)value;
}

/* -- life --------------------------------------------------------------------------------------------------------- */

/* PCI Express capability version 2 of a root complex integrated endpoint. */
static void widereg_init_express(struct pci_function *f)
{
    pci_function_capability(f, PCI_CAPABILITY_EXPRESS, EXPRESS);
    pci_function_register(f, EXPRESS + 0x02, 2, 0x0092, 0);
    pci_function_register(f, EXPRESS + 0x04, 4, 0x00008000, 0);           /* role-based error reporting */
    pci_function_register(f, EXPRESS + 0x08, 2, 0x2810, 0x78ff);          /* device control */
    pci_function_register(f, EXPRESS + 0x24, 4, 1 << 7 | 1 << 8 | 1 << 9, 0); /* AtomicOp completer: 32, 64, 128 bits */
}

static void widereg_reset(struct device *device)
{
    struct widereg *w = device->state;

    pci_function_init(&w->function, device, &widereg_identity);
    widereg_init_express(&w->function);
    w->interrupt = w->dma_offset = w->dma_status = 0;
    w->dma_address = 0;
    w->dma_busy = false;
    widereg_clear(w, WIDEREG_CLEAR_STATE | WIDEREG_CLEAR_HISTORY | WIDEREG_CLEAR_QUEUE);
}

static void widereg_create(struct device *device)
{
    struct widereg *w = device->state;

    w->device = device;
    for (unsigned n = 0; n < WIDEREG_WINDOWS_COUNT; n++) {
        w->window[n].all = w;
        w->window[n].n = n;
        device->region[n].state = &w->window[n];
        device->region[n].name = widereg_windows[n].name;
    }
}

void widereg_connect(struct device *device, struct device *pci, uint8_t devfn)
{
    struct widereg *w = device->state;

    pci_add(pci, &w->function, devfn);
}

const struct widereg_record *widereg_last(const struct device *device, unsigned back, struct origin *origin)
{
    const struct widereg *w = device->state;
    unsigned slot = (w->recorded - 1 - back) % WIDEREG_HISTORY_ENTRIES;

    if (back >= w->recorded || back >= WIDEREG_HISTORY_ENTRIES)
        return NULL;
    if (origin)
        *origin = w->origin[slot];
    return &w->history[slot];
}

uint8_t *widereg_bytes(const struct device *device, unsigned window)
{
    struct widereg *w = device->state;

    return w->window[window].bytes;
}

static const struct region_ops widereg_ops[WIDEREG_WINDOWS_COUNT] = {
#define X(id, name, w, f, t, a, what)                                                                                  \
    [WIDEREG_##id] = {                                                                                                 \
        .read = WIDEREG_##id == WIDEREG_CONTROL ? widereg_read_control : widereg_read_history,                         \
        .write = WIDEREG_##id == WIDEREG_CONTROL ? widereg_write_control : widereg_write_history,                      \
        .transact = WIDEREG_##id == WIDEREG_CONTROL || WIDEREG_##id == WIDEREG_HISTORY ? NULL : widereg_transact,      \
        .limits = { w, f, t, a },                                                                                      \
    },
    WIDEREG_WINDOWS(X)
#undef X
};

/* Who made the transactions of the history is for the host, and of engines that may have gone. */
#define STATE struct widereg
FIELDS(widereg_fields, FIELD_EACH_ARRAY(window, bytes), WIRING_EACH(window, n), WIRING_EACH(window, all), FIELD_EACH(history, head),
       FIELD_EACH(history, place), FIELD_EACH(history, enables), FIELD_EACH(history, reserved2), FIELD_EACH_ARRAY(history, data),
       PCI_FUNCTION_FIELDS(function), WIRING(device), SCRATCH(origin), FIELD(recorded), FIELD_GRID(queue),
       FIELD_MAX(queue_first, WIDEREG_QUEUE_ENTRIES - 1), FIELD_MAX(queue_count, WIDEREG_QUEUE_ENTRIES), FIELD(queue_refused),
       FIELD(queue_accepted), FIELD_MAX(interrupt, 3), FIELD(dma_address), FIELD(dma_offset), FIELD(dma_status), SCRATCH(dma_busy))
#undef STATE

static bool widereg_restored(struct device *device, struct err *err)
{
    (void)err;
    pci_function_restored(&((struct widereg *)device->state)->function);
    return true;
}

const struct device_class widereg_class = {
    .name = "widereg",
    .title = "wide access test device (docs/devices/widereg.md)",
    .state_size = sizeof(struct widereg),
    .region = {
#define X(id, name, w, f, t, a, what)                                                                                  \
    { REGION_MMIO, WIDEREG_##id * WIDEREG_WINDOW_BYTES, WIDEREG_WINDOW_BYTES, &widereg_ops[WIDEREG_##id], true },
        WIDEREG_WINDOWS(X)
#undef X
    },
    .create = widereg_create,
    .reset = widereg_reset,
    .fields = &widereg_fields,
    .restored = widereg_restored,
};
