/*
 * keys.h - what a person types at the console: bytes for the guest, and Ctrl-A with a key for us.
 */
#ifndef CONSOLE_KEYS_H
#define CONSOLE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

enum { KEY_ESCAPE = 1 /* Ctrl-A */ };

enum key_action {
    KEY_NOTHING, /* taken, and nothing comes of it yet */
    KEY_BYTE,    /* for whoever has the keyboard */
    KEY_QUIT, KEY_SWITCH, KEY_HELP,
};

struct keys {
    bool escaped; /* the last one was Ctrl-A */
};

/* The next byte; KEY_BYTE: *byte is it. */
enum key_action keys_take(struct keys *keys, uint8_t *byte);

extern const char keys_help[];

#endif
