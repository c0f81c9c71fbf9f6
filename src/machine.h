/*
 * machine.h - a guest to run: RAM, board, CPU, engine, clock, and the loop that drives them.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "block/image.h"
#include "board.h"
#include "engine.h"
#include "net/nets.h"
#include "share/folder.h"
#include "vcpu.h"

#include <pthread.h>

enum machine_clock {
    MACHINE_CLOCK_VIRTUAL, /* a nanosecond an instruction, PAUSE, RDTSC and devices more; HLT skips to the next deadline */
    MACHINE_CLOCK_HOST,    /* the host's monotonic clock */
    MACHINE_CLOCK_JOURNEY, /* a microsecond a journey: what two engines under comparison can agree on */
};

/*
 * Another engine runs the guest once so many journeys are complete and, from there on, so many instructions have retired;
 * without journeys: so many since reset.  KVM counts instructions by single-stepping, and only where a switch asks for it.
 */
struct machine_switch {
    uint64_t journeys, insns;
    const struct engine *to;
};

/*
 * Who looks after the guest while it runs: its console's input, a monitor, a debugger.  Called between two instructions; on the
 * soft engines after every so many, so that what comes from a file comes at the same instruction in every run.
 */
struct machine_attendant {
    /* Takes what has come in.  The guest waits for something, and may be let wait for so long. */
    void (*look)(void *opaque, uint64_t wait_ns);
    /* While processors run: waits so long, or until the bell rings or something has come in.  True: look() has something to do. */
    bool (*wait)(void *opaque, uint64_t wait_ns);
    /* May something still come in that wakes the guest?  Not by an interrupt, unless it takes any. */
    bool (*expects)(void *opaque, bool interruptible);
    /* vcpu.debug: a breakpoint, watched data, or a step that was asked for. */
    void (*stopped)(void *opaque, bool step);
    void *opaque;
};

struct snapshot;

#define MACHINE_IMAGES (BOARD_DISKS + AHCI_PORTS)

struct machine_config {
    const struct engine *engine;      /* ... at first */
    const struct machine_switch *switches; /* in this order; the caller keeps them */
    unsigned switch_count;
    struct cpu_model cpu;             /* signature 0: everything that is implemented */
    uint64_t ram_bytes;
    const char *bios, *kernel, *flat; /* at most one; file names */
    struct snapshot *load;            /* ... or this guest goes on; `ram_bytes`, `clock` and `cpu` are its own */
    bool counts;                      /* journeys are to be counted, whoever asks for them later */
    const char *boot;                 /* board.h */
    bool boot_menu;
    bool vga;
    const char *vgabios;              /* a file; NULL: none */
    const char *append;               /* the kernel's command line */
    const struct image_options *disk; /* so many; the caller keeps them */
    unsigned disks;
    const struct net_options *net;    /* likewise, of network cards */
    unsigned nets;
    const struct share_options *share; /* likewise, of shared folders */
    unsigned shares;
    bool virtio[BOARD_VIRTIOS];       /* likewise, each of the others */
    bool virtio_mmio;                 /* all of them on MMIO, not on PCI */
    bool input_to_hvc;                /* what is typed goes to BOARD_HVC, not to the first serial port */
    bool testdev, edu, iommu;         /* the board has one */
    bool panic_continues;             /* a panic does not end the run */
    bool debugged;                    /* breakpoints may come: processors take turns */
    bool no_reboot;                   /* a reset ends the run */
    bool shutdown_resets;             /* ... and a triple fault is one */
    unsigned smp;                     /* processors; 0 is 1 */
    const char *initrd;               /* a Linux kernel's; NULL: none */
    enum machine_clock clock;
    const struct split_policy *policy;
    unsigned policy_arg;
    uint64_t limit;                   /* instructions; UINT64_MAX: none */
    const char *until;                /* stop after the console has printed this; NULL: never */
    struct char_backend *serial, *debugcon, *hvc;
    enum assist_mode assist;
    /* Told of every device access; NULL: nobody. */
    void (*observe)(void *opaque, const struct dispatch_report *report);
    void *observer;
    const struct machine_attendant *attendant; /* NULL: nobody */
};

enum machine_end {
    MACHINE_LIMIT, MACHINE_UNTIL, MACHINE_DEBUG_EXIT, MACHINE_SHUTDOWN, MACHINE_HALTED_FOREVER, MACHINE_POWERED_OFF,
    MACHINE_INTERRUPTED, MACHINE_FAILED,
    MACHINE_PANIC,
    MACHINE_RESET, /* and is not to go on, or cannot: it came from a snapshot, without the image that it began with */
    MACHINE_SPINNING, /* journey clock: it waits in memory for an interrupt that only a device access would bring */
    MACHINE_JOURNEY, /* machine_step() has finished one */
};

/* One of its processors, as what the vcpu calls needs to know it. */
struct machine_cpu {
    struct machine *machine;
    struct vcpu *v;
    void *engine;               /* of `runs`; NULL for a moment, while it changes */
    /* While threads run: */
    pthread_t thread;
    pthread_cond_t wake;        /* it may have something to do */
    unsigned pauses;
};

/*
 * On the virtual clock processors take turns on one thread, so that a run is reproducible: a turn ends after so many instructions, at
 * HLT, or when PAUSE says that it waits for another.  Time is that of all instructions, whoever ran them.  On the host's clock
 * each has a thread (machine_threads.c), but on KVM.
 */
struct machine {
    struct machine_config config;
    struct phys phys;
    struct clock clock;
    struct dma dma;
    struct bus dma_bus;
    struct vcpu vcpu;           /* the bootstrap processor */
    struct machine_cpu cpu[APIC_CPUS]; /* all; [0] is it */
    unsigned cpus, at;          /* so many; whose turn it is */
    struct machine_threads *threads; /* they run at the same time; NULL: they take turns */
    uint64_t turn_ends, turn_ends_ns; /* machine_retired() then; on KVM the host's time */
    unsigned pauses;            /* in this turn */
    struct board *board;
    const struct engine *runs;  /* now */
    unsigned switched;          /* how many of config.switches */
    uint64_t switch_from;       /* instructions when the next one's journeys were complete */
    bool switch_counts;         /* ... and they are */
    uint64_t skipped_ns;        /* virtual time that passed in HLT, PAUSE, RDTSC and at devices */
    uint64_t journeys;
    int exit_code;              /* as the debug-exit device asked */
    bool debug_exited, powered_off, panicked, reset_requested, until_seen;
    bool sleep_requested, asleep, woken; /* suspended to RAM; woken: to be carried out */
    volatile bool interrupted;
    size_t until_matched;
    uint64_t host_start_ns;
    struct block_backend *disk[MACHINE_IMAGES]; /* in the order of config.disk */
    unsigned disks;             /* open ones */
    struct share_backend *share[BOARD_SHARES];
    unsigned shares;            /* open ones */
    struct nets nets;
    int bell;                   /* eventfd: readable once somebody has rung */
    volatile bool rung;
    uint64_t attend_at;         /* instructions when config.attendant looks again */
    unsigned idle_waits;        /* since it has */
    /* the console's own backend, in front of the configured one: looks for `until` */
    struct char_backend console[3];
};

/* NULL and err: bad images, no memory, no such engine here.  Nothing is left behind. */
struct machine *machine_create(const struct machine_config *config, struct err *err);
void machine_destroy(struct machine *m);

/* Runs to an end; err for MACHINE_FAILED. */
enum machine_end machine_run(struct machine *m, struct err *err);

/* Runs until one journey is complete (MACHINE_JOURNEY) or to an end: diff's step. */
enum machine_end machine_step(struct machine *m, struct err *err);

/* Between two instructions: it is this one's turn. */
void machine_give_turn(struct machine *m, unsigned cpu);

/* Instructions of all processors since reset. */
uint64_t machine_retired(const struct machine *m);

/* From a signal handler. */
void machine_interrupt(struct machine *m);

/* From any thread: something has come for the guest.  Wakes it from HLT, or brings it to where nets_look() is called. */
void machine_ring(void *machine);

/* Between two instructions: each vcpu.cpu becomes what the guest has, for somebody to look at; or the guest gets what is there. */
bool machine_show_state(struct machine *m, struct err *err);
bool machine_take_state(struct machine *m, struct err *err);

/* The one that gets what is typed. */
struct char_backend *machine_input(struct machine *m);

/* The guest was not let run for a while: on the host's clock no time has passed for it. */
void machine_stood_still(struct machine *m, uint64_t ns);

const char *machine_end_name(enum machine_end end);

#endif
