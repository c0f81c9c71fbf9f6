/*
 * realmode.h - what a BIOS leaves in the first megabyte, for guests that no firmware ran before: interrupt vectors, their handlers,
 * the data area.
 */
#ifndef REALMODE_H
#define REALMODE_H

#include <stdbool.h>
#include <stdint.h>

enum { REALMODE_CODE = 0xfea5, REALMODE_EBDA = 0x9f000 }; /* in segment F000, to its end; the extended data area, up to 640 KiB */

/* `ram` is the first megabyte.  com: ports, of `coms` serial ports, up to 4. */
void realmode_place(uint8_t *ram, const uint16_t *com, unsigned coms);

#endif
