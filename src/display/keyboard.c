/* keyboard.c - a US keyboard's characters as codes of set 2 (IBM PS/2 Hardware Interface, "Keyboards"). */
#include "display/keyboard.h"

#include <string.h>

enum { SHIFT = 0x12, CONTROL = 0x14, BREAK = 0xf0, EXTENDED = 0xe0 };

/* The characters of a key, without and with Shift, are at the same place. */
static const char plain[] = "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./ \r\t\b\x1b";
static const char shifted[] = "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>? \r\t\b\x1b";
static const uint8_t codes_of[] = {
    0x0e, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x15,
    0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5d, 0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52,
    0x1a, 0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x29,
    0x5a, 0x0d, 0x66, 0x76,
};
_Static_assert(sizeof(codes_of) == sizeof(plain) - 1 && sizeof(plain) == sizeof(shifted), "a code for each key");

size_t keyboard_press(uint8_t code, int extended, uint8_t *codes)
{
    size_t n = 0;

    for (int release = 0; release < 2; release++) {
        if (extended)
            codes[n++] = EXTENDED;
        if (release)
            codes[n++] = BREAK;
        codes[n++] = code;
    }
    return n;
}

static size_t keyboard_with(uint8_t modifier, uint8_t code, uint8_t *codes)
{
    const uint8_t sequence[] = { modifier, code, BREAK, code, BREAK, modifier };

    memcpy(codes, sequence, sizeof(sequence));
    return sizeof(sequence);
}

static const char *find(const char *keys, uint8_t byte) { return byte ? strchr(keys, byte) : NULL; }

size_t keyboard_byte(uint8_t byte, uint8_t *codes)
{
    const char *p;

    if (byte == '\n')
        byte = '\r';
    if (byte == 0x7f)
        byte = '\b';
    if ((p = find(plain, byte)))
        return keyboard_press(codes_of[p - plain], 0, codes);
    if ((p = find(shifted, byte)))
        return keyboard_with(SHIFT, codes_of[p - shifted], codes);
    if (byte < 32 && (p = find(plain, byte | 0x60)))
        return keyboard_with(CONTROL, codes_of[p - plain], codes);
    return 0;
}
