/*
 * realmode.c - the real-mode environment of a PC whose BIOS has no services: every vector leads to an IRET, or to a handler that
 * tells the interrupt controllers that it is done.
 *
 * Addresses that software knows by heart are where they always were.  Not modelled: INT 10h to 1Ah, which return as they were
 * called; keyboard and disks, whose interrupts stay masked.
 * Manual: IBM PC AT Technical Reference (6183355), "BIOS listing": data areas, vectors, TIMER_INT and DUMMY_RETURN.
 */
#include "realmode.h"

#include "base/bits.h"

#include <string.h>

enum { VECTORS = 256, TICK = REALMODE_CODE, MASTER_DONE = 0xff00, SLAVE_DONE = 0xff10, DUMMY = 0xff53, START = 0xfff0, BOOTSTRAP = 0x19 };
enum { DATA = 0x400, DATA_COM = 0x00, DATA_EBDA = 0x0e, DATA_EQUIPMENT = 0x10, DATA_MEMORY = 0x13, DATA_KEYS_HEAD = 0x1a, DATA_KEYS_TAIL = 0x1c,
       DATA_KEYS_FIRST = 0x80, DATA_KEYS_END = 0x82, DATA_KEYBOARD = 0x96 };
enum { EQUIPMENT_FPU = 1 << 1, EQUIPMENT_MOUSE = 1 << 2, EQUIPMENT_COMS = 9 /* 11:9 */, KEYBOARD_ENHANCED = 1 << 4 };
enum { KEYS_FIRST = 0x1e, KEYS_END = 0x3e }; /* the buffer, in the data area's segment */

/* 40:6C counts ticks up to a day, 40:70 says that there was one; INT 1Ch is for who wants to know. */
static const uint8_t tick[] = {
    0x1e, 0x50,                                     /*      push ds; push ax */
    0xb8, 0x40, 0x00, 0x8e, 0xd8,                   /*      mov ax, 40h; mov ds, ax */
    0x66, 0xff, 0x06, 0x6c, 0x00,                   /*      inc dword [6ch] */
    0x66, 0x81, 0x3e, 0x6c, 0x00, 0xb0, 0, 0x18, 0, /*      cmp dword [6ch], 1800b0h */
    0x72, 0x0b,                                     /*      jb 1f */
    0x66, 0x83, 0x26, 0x6c, 0x00, 0x00,             /*      and dword [6ch], 0 */
    0xc6, 0x06, 0x70, 0x00, 0x01,                   /*      mov byte [70h], 1 */
    0xcd, 0x1c,                                     /* 1:   int 1ch */
    0xb0, 0x20, 0xe6, 0x20,                         /*      mov al, 20h; out 20h, al */
    0x58, 0x1f, 0xcf,                               /*      pop ax; pop ds; iret */
};
static const uint8_t master_done[] = { 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf };            /* push ax; mov al, 20h; out 20h, al; pop ax; iret */
static const uint8_t slave_done[] = { 0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf }; /* ... out a0h, al; out 20h, al */
static const uint8_t dummy[] = { 0xcf };                                                      /* iret */
static const uint8_t start[] = { 0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd };                  /* mov al, feh; out 64h, al; 1: hlt; jmp 1b */
static const uint8_t model_at[] = { 0xfc };                                                   /* F000:FFFE */

struct realmode_code {
    uint16_t offset; /* in segment F000 */
    const uint8_t *bytes;
    size_t size;
};
static const struct realmode_code codes[] = {
    { TICK, tick, sizeof(tick) },  { MASTER_DONE, master_done, sizeof(master_done) }, { SLAVE_DONE, slave_done, sizeof(slave_done) },
    { DUMMY, dummy, sizeof(dummy) }, { START, start, sizeof(start) },                 { 0xfffe, model_at, sizeof(model_at) },
};

static void put(uint8_t *to, uint32_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> i * 8);
}

static uint16_t handler(unsigned vector)
{
    if (vector == 8)
        return TICK;
    if (vector > 8 && vector < 0x10)
        return MASTER_DONE;
    if (vector >= 0x70 && vector < 0x78)
        return SLAVE_DONE;
    return vector == BOOTSTRAP ? START : DUMMY;
}

static void place_data(uint8_t *data, const uint16_t *com, unsigned coms)
{
    for (unsigned i = 0; i < coms; i++)
        put(data + DATA_COM + i * 2, com[i], 2);
    put(data + DATA_EBDA, REALMODE_EBDA >> 4, 2);
    put(data + DATA_EQUIPMENT, EQUIPMENT_FPU | EQUIPMENT_MOUSE | coms << EQUIPMENT_COMS, 2);
    put(data + DATA_MEMORY, REALMODE_EBDA >> 10, 2);
    put(data + DATA_KEYS_HEAD, KEYS_FIRST, 2);
    put(data + DATA_KEYS_TAIL, KEYS_FIRST, 2);
    put(data + DATA_KEYS_FIRST, KEYS_FIRST, 2);
    put(data + DATA_KEYS_END, KEYS_END, 2);
    data[DATA_KEYBOARD] = KEYBOARD_ENHANCED;
}

void realmode_place(uint8_t *ram, const uint16_t *com, unsigned coms)
{
    for (unsigned i = 0; i < VECTORS; i++)
        put(ram + i * 4, UINT32_C(0xf0000000) | handler(i), 4);
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        memcpy(ram + 0xf0000 + codes[i].offset, codes[i].bytes, codes[i].size);
    place_data(ram + DATA, com, coms);
    ram[REALMODE_EBDA] = 1; /* its size in KiB */
}
