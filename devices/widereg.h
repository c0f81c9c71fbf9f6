/* widereg.h - our wide test device: its windows, its registers, and the transactions it remembers. */
#ifndef DEVICES_WIDEREG_H
#define DEVICES_WIDEREG_H

#include "pci.h"

extern const struct device_class widereg_class;

/* Not registered with the PCI-SIG: "wd" and a number of ours, for use inside virtual machines only. */
#define WIDEREG_VENDOR 0x7764
#define WIDEREG_DEVICE 0x0040

#define WIDEREG_WINDOW_BYTES 4096u
#define WIDEREG_WINDOWS_COUNT 16

#define WIDEREG_TYPE(t) (1 << TRANSACTION_##t)
#define WIDEREG_ATOMICS (WIDEREG_TYPE(FETCH_ADD) | WIDEREG_TYPE(SWAP) | WIDEREG_TYPE(COMPARE_SWAP))

/* One row per window, in order of address: id, name, widths, flags, types, widths of atomics, what it is for. */
#define WIDEREG_WINDOWS(X)                                                                                             \
    X(CONTROL, "control", W4 | W8, 0, 0, 0, "identification, queue, history and DMA registers")                        \
    X(BYTE, "byte", W1, 0, 0, 0, "takes bytes only")                                                                   \
    X(WORD, "word", W2, 0, 0, 0, "takes aligned 2-byte accesses only")                                                 \
    X(DWORD, "dword", W4, 0, 0, 0, "takes aligned 4-byte accesses only")                                               \
    X(QWORD, "qword", W8, 0, 0, 0, "takes aligned 8-byte accesses only")                                               \
    X(OWORD, "oword", W16, 0, 0, 0, "takes aligned 16-byte accesses only")                                             \
    X(YWORD, "yword", W32, 0, 0, 0, "takes aligned 32-byte accesses only")                                             \
    X(ZWORD, "zword", W64, 0, 0, 0, "takes aligned 64-byte accesses only")                                             \
    X(REGISTERS, "registers", W_REGISTERS, 0, 0, 0, "1, 2, 4 and 8 bytes, aligned: an ordinary device")                \
    X(ANY, "any", W_ALL, REGION_ODD | REGION_UNALIGNED, 0, 0, "every width from 1 to 64 at every offset")              \
    X(DIRECT, "direct", W64, 0, WIDEREG_TYPE(DIRECT_STORE), 0, "64 bytes whole, and direct stores (MOVDIR64B)")        \
    X(QUEUE, "queue", W64, 0, WIDEREG_TYPE(DIRECT_STORE) | WIDEREG_TYPE(ENQUEUE), 0,                                   \
      "work queue: ENQCMD appends 64 bytes or is told to retry")                                                       \
    X(ATOMIC, "atomic", W_REGISTERS | W16, 0, WIDEREG_ATOMICS, W4 | W8 | W16, "FETCH_ADD, SWAP, COMPARE_SWAP")         \
    X(ENABLES, "enables", W_ALL, REGION_ENABLES, 0, 0, "aligned powers of two with byte enables")                      \
    X(WHOLE, "whole", W_ALL, REGION_ODD | REGION_UNALIGNED | REGION_ENABLES,                                           \
      WIDEREG_ATOMICS | WIDEREG_TYPE(DIRECT_STORE) | WIDEREG_TYPE(ENQUEUE), W_REGISTERS | W16,                         \
      "takes everything as it comes")                                                                                  \
    X(HISTORY, "history", W4 | W8, 0, 0, 0, "the last 64 transactions, read-only")

enum widereg_window_id {
#define X(id, name, widths, flags, types, atomics, what) WIDEREG_##id,
    WIDEREG_WINDOWS(X)
#undef X
};

struct widereg_window_info {
    const char *name, *what;
    struct region_limits limits;
};

extern const struct widereg_window_info widereg_windows[WIDEREG_WINDOWS_COUNT];

enum widereg_register { /* offsets in the control window */
    WIDEREG_ID = 0x000,             /* "WREG" */
    WIDEREG_VERSION = 0x004,        /* 1 */
    WIDEREG_WINDOW_COUNT = 0x008,
    WIDEREG_WINDOW_SIZE = 0x00c,
    WIDEREG_CONTROL_REG = 0x010,    /* writes: enum widereg_control; reads 0 */
    WIDEREG_INTERRUPT = 0x014,      /* bit 0: level of INTA#; bit 1: also while the queue is not empty */
    WIDEREG_HISTORY_COUNT = 0x018,  /* transactions recorded since it was cleared */
    WIDEREG_HISTORY_DEPTH = 0x01c,  /* 64 */
    WIDEREG_QUEUE_COUNT = 0x020,    /* entries waiting */
    WIDEREG_QUEUE_DEPTH = 0x024,    /* 8 */
    WIDEREG_QUEUE_DRAIN = 0x028,    /* write n: the oldest n entries are done; reads 0 */
    WIDEREG_QUEUE_REFUSED = 0x02c,  /* ENQUEUEs told to retry */
    WIDEREG_QUEUE_ACCEPTED = 0x030, /* entries ever taken */
    WIDEREG_QUEUE_HEAD = 0x040,     /* 64 bytes: the oldest entry, zeros if none */
    WIDEREG_DESCRIPTION = 0x100,    /* 16 bytes per window: widths, flags, types, atomic widths, 0 x 4, name[8] */
    WIDEREG_DMA_ADDRESS = 0x200,    /* guest-physical, 64 bits */
    WIDEREG_DMA_OFFSET = 0x208,     /* into window `any` */
    WIDEREG_DMA_GO = 0x20c,         /* write: bytes in 15:0, bit 31: to guest memory; then bit 30: it failed */
};
enum widereg_control { WIDEREG_CLEAR_STATE = 1, WIDEREG_CLEAR_HISTORY = 2, WIDEREG_CLEAR_QUEUE = 4 };

#define WIDEREG_HISTORY_ENTRIES 64
#define WIDEREG_QUEUE_ENTRIES 8
#define WIDEREG_RECORD_DATA 32

/* A remembered transaction, laid out as the guest sees it in the history window. */
struct widereg_record {
    union {
        struct {
            uint32_t sequence; /* from 1; its slot is (sequence - 1) % 64; 0: empty */
            uint8_t type, width, window, result;
        };
        uint64_t head;
    };
    union {
        struct {
            uint16_t flags, offset;  /* offset within the window */
            uint32_t reserved;
        };
        uint64_t place;
    };
    uint64_t enables;
    uint64_t reserved2;
    uint8_t data[WIDEREG_RECORD_DATA]; /* stored, loaded or (atomics) old */
};

_Static_assert(sizeof(struct widereg_record) == 64, "64 records are one window");

/* Plugs it into a slot. */
void widereg_connect(struct device *device, struct device *pci, uint8_t devfn);

/* The `back`-th last transaction (0: the last) and who made it; NULL if there is none. */
const struct widereg_record *widereg_last(const struct device *device, unsigned back, struct origin *origin);

/* A window's state, WIDEREG_WINDOW_BYTES of it, for the host to set and read. */
uint8_t *widereg_bytes(const struct device *device, unsigned window);

#endif
