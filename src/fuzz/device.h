/*
 * device.h - widereg where a case's memory operands may come to lie, and whether what reaches it is as it should be.
 *
 * An access to it must be the instruction's operand, whole; its fragments those of split(); and the transactions that the
 * device has recorded the same fragments.
 */
#ifndef FUZZ_DEVICE_H
#define FUZZ_DEVICE_H

#include "fuzz/case.h"

#include "device.h"
#include "dispatch.h"

struct fuzz_device {
    struct device *widereg;
    const struct fuzz_case *c;         /* under way */
    struct fuzz_outcome *out;          /* NULL: this case has none of it */
    uint32_t before;                   /* transactions recorded so far */
};

enum { FUZZ_DEVICE_GPA = 0x40000000 }; /* window n is n pages from here */

/*
 * Does what the window cannot take leave results that memory would not?  One that takes no single bytes answers all ones to
 * some of what it is asked.
 */
bool fuzz_device_refuses(unsigned window);

void fuzz_device_create(struct fuzz_device *d, const uint8_t *image, struct phys *phys);
void fuzz_device_destroy(struct fuzz_device *d);

/*
 * A window holds the image but while a case runs.  It begins: what its lines say; it ends: what the window holds now, and what
 * has reached it, go to `out`.
 */
void fuzz_device_begin(struct fuzz_device *d, const struct fuzz_case *c, struct fuzz_outcome *out);
void fuzz_device_end(struct fuzz_device *d, const uint8_t *image);

/* For bus.observe, with the device as its opaque: looks at each access.  Without it only what reached the device is known. */
void fuzz_device_observe(void *device, const struct dispatch_report *report);

#endif
