/* machine_parts.h - what making a machine (machine_parts.c) and driving it (machine.c) have of each other. */
#ifndef MACHINE_PARTS_H
#define MACHINE_PARTS_H

#include "machine.h"

enum { TURN_PAUSES = 16 }; /* so many in a turn end it */

/* machine.c: nanoseconds of the host's monotonic clock; of the guest's, of a struct machine. */
uint64_t machine_host_ns(void);
uint64_t machine_time(void *opaque);

/* machine_parts.c: the kernel or flat image, into memory and the boot processor.  Without one nothing happens. */
bool machine_load_image(struct machine *m, struct err *err);
/* An engine `m->runs` for each processor, which takes the state that its vcpu has.  Destroys none that are there. */
bool machine_create_engines(struct machine *m, struct err *err);
void machine_destroy_engines(struct machine *m);

#endif
