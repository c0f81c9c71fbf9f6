/* keyboard.h - which keys of a PC's keyboard make a character. */
#ifndef DISPLAY_KEYBOARD_H
#define DISPLAY_KEYBOARD_H

#include <stddef.h>
#include <stdint.h>

enum { KEYBOARD_CODES = 16 };

/* Codes of set 2 that press and release what gives an ASCII byte on a US keyboard; so many of KEYBOARD_CODES. */
size_t keyboard_byte(uint8_t byte, uint8_t *codes);

/* ... and of a key by its code, behind E0 if it is `extended`. */
size_t keyboard_press(uint8_t code, int extended, uint8_t *codes);

#endif
