/*
 * snapshot.h - a whole machine to a file, and back: `run --save` and `run --load`.
 *
 * Between two instructions everything of a guest is in the vcpu, the board's devices and RAM, whichever engine runs it;
 * so any engine can go on with it.  Nothing in a file is trusted: docs/snapshot.md.
 */
#ifndef SNAPSHOT_SNAPSHOT_H
#define SNAPSHOT_SNAPSHOT_H

#include "machine.h"

/* What has to be known before there is a machine. */
struct snapshot_guest {
    uint64_t ram_bytes, bios_bytes; /* bios_bytes 0: no firmware */
    uint64_t retired, journeys;     /* so far */
    uint32_t clock;                 /* enum machine_clock */
    uint32_t disks, nets, shares, smp; /* smp: processors */
    bool vga, testdev, edu, iommu, virtio[BOARD_VIRTIOS], virtio_mmio;
    uint32_t signature;             /* of the CPU model asked for */
    struct feature_set model;       /* ... and its features */
    struct feature_set features;    /* what the guest has seen */
    struct cpuid_table cpuid;
};

struct snapshot;

/*
 * snapshot_save - between two runs of the machine's engine.
 *
 * progress   told now and then how many of the pages to be written are; NULL: nobody
 * False and err, and whatever was at `path` is still there, if it cannot be written.
 */
bool snapshot_save(struct machine *m, const char *path, void (*progress)(uint64_t done, uint64_t of), struct err *err);
/* Could it?  For before the guest runs. */
bool snapshot_possible(const char *path, struct err *err);

/* NULL and err for what is not a whole snapshot. */
struct snapshot *snapshot_open(const char *path, struct err *err);
const struct snapshot_guest *snapshot_guest(const struct snapshot *s);
void snapshot_close(struct snapshot *s);

/* For machine_create(), in this order.  The firmware image; *bios is NULL without one; g_free() it. */
bool snapshot_bios(struct snapshot *s, uint8_t **bios, size_t *bytes, struct err *err);
/* Everything else, into a machine of that RAM and firmware which has no engine yet. */
bool snapshot_restore(struct snapshot *s, struct machine *m, struct err *err);
/* What an engine's set_state() has looked up anew, as it was. */
void snapshot_resume(const struct snapshot *s, struct machine *m);

#endif
