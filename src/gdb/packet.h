/*
 * packet.h - the frames of the GDB remote serial protocol: $DATA#CHECKSUM, and single bytes between them.
 *
 * Manual: "Debugging with GDB", appendix E, "GDB Remote Serial Protocol", section E.1, "Overview".
 */
#ifndef GDB_PACKET_H
#define GDB_PACKET_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GDB_PACKET_BYTES = 16384 };

enum gdb_event {
    GDB_NOTHING,
    GDB_PACKET,    /* `data` has it, unescaped, with a zero behind it */
    GDB_DAMAGED,   /* one whose checksum is wrong, or that is too long */
    GDB_INTERRUPT, /* Ctrl-C */
    GDB_AGAIN,     /* '-': the last answer has not arrived whole */
};

struct gdb_parser {
    enum { GDB_BETWEEN, GDB_WITHIN, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW } state;
    uint8_t sum, said;   /* of the bytes so far; as the packet has it */
    bool damaged;
    size_t n;
    char data[GDB_PACKET_BYTES + 1];
};

/* The next byte.  Any bytes are allowed: what is no packet is passed over. */
enum gdb_event gdb_parse(struct gdb_parser *p, uint8_t byte);

/* A packet of these bytes onto `out`, escaped where the protocol wants it. */
void gdb_frame(GString *out, const char *data, size_t n);

/* -- hexadecimal: two digits a byte; numbers with the highest digit first ----------------------------------------- */

void gdb_put_hex(GString *out, const void *bytes, size_t n);
/* Exactly n bytes; false: there are not so many digits at `text`. */
bool gdb_get_hex(const char *text, void *bytes, size_t n);
/* A number of at most 16 digits at *text, which goes behind it; false: there is none. */
bool gdb_get_number(const char **text, uint64_t *value);
/* "ADDRESS,LENGTH" and then `end`, which *text goes behind; '\0': nothing more. */
bool gdb_get_range(const char **text, uint64_t *address, uint64_t *length, char end);

#endif
