/* crc.c - CRC-32 of 256 KiB with a table: per byte a load, a dependent table load, a shift. */
#include "guest.h"

#define BYTES (256 * 1024)
static u8 data[BYTES];
static u32 table[256];

static int crc_setup(void)
{
    for (u32 i = 0; i < 256; i++) {
        u32 c = i;

        for (unsigned k = 0; k < 8; k++)
            c = c >> 1 ^ (0xedb88320 & -(c & 1));
        table[i] = c;
    }
    for (u32 i = 0; i < BYTES; i++)
        data[i] = (u8)i;
    return 1;
}

static u32 crc_round(void)
{
    u32 c = ~0u;

    for (u32 i = 0; i < BYTES; i++)
        c = c >> 8 ^ table[(c ^ data[i]) & 0xff];
    return ~c;
}

ROW(crc, .group = "integer", .unit = "KiB", .units = BYTES / 1024, .setup = crc_setup, .round = crc_round);
