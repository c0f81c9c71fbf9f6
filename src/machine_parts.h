/* machine_parts.h - what making a machine (machine_parts.c), driving it (machine.c) and its processors' threads have of each other. */
#ifndef MACHINE_PARTS_H
#define MACHINE_PARTS_H

#include "machine.h"
#include "world.h"

enum { TURN_PAUSES = 16 }; /* so many in a turn end it */

/* machine.c: nanoseconds of the host's monotonic clock; of the guest's, of a struct machine. */
uint64_t machine_host_ns(void);
uint64_t machine_time(void *opaque);

/* machine_parts.c: the kernel or flat image, into memory and the boot processor.  Without one nothing happens. */
bool machine_load_image(struct machine *m, struct err *err);
/* An engine `m->runs` for each processor, which takes the state that its vcpu has.  Destroys none that are there. */
bool machine_create_engines(struct machine *m, struct err *err);
void machine_destroy_engines(struct machine *m);

/* machine.c, for whoever drives: an end there is; what has been asked for is carried out; does a triple fault reset it? */
bool machine_over(struct machine *m, enum machine_end *end);
bool machine_change_power(struct machine *m, struct err *err);
bool machine_shutdown_resets(const struct machine *m);
/* What has rung, or stirred, is looked at. */
void machine_answer(struct machine *m);
bool machine_cpu_can_run(const struct machine_cpu *cpu);
/* No processor has anything to do: can that change? */
bool machine_may_wake(struct machine *m);

/* machine_threads.c */
struct machine_threads {
    struct world world;
    bool ending, parking;
    unsigned begun, outside;    /* threads; those of them that are not inside their engine */
    pthread_cond_t parked;      /* another one is outside */
    enum stop_reason stop;      /* of a processor that cannot go on, and why */
    struct err err;
};

bool machine_can_run_threads(const struct machine *m);
enum machine_end machine_run_threads(struct machine *m, struct err *err);
/* With the lock for devices: it may have something to do.  From its own thread: it waits for another. */
void machine_wake_cpu(struct machine_cpu *cpu);
void machine_cpu_pauses(struct machine_cpu *cpu);

#endif
