/*
 * screen.h - a guest's text screen in the host's terminal, and keys from there to its keyboard: `--display curses`.
 *
 * The terminal is raw already (console/terminal.h) when a screen opens.
 */
#ifndef DISPLAY_SCREEN_H
#define DISPLAY_SCREEN_H

#include "device.h"

struct screen;

/* NULL: this terminal cannot. */
struct screen *screen_open(const struct device *vga, struct device *keyboard);
void screen_close(struct screen *screen);

/* Leaves the terminal to somebody else, and takes it back. */
void screen_hide(struct screen *screen);
void screen_show(struct screen *screen);

/* What the guest shows now, if some time has passed since the last look; and keys that its keyboard had no room for. */
void screen_update(struct screen *screen);

/* The next key that was typed: a byte, or a number above 255 for screen_type() alone; -1: none. */
int screen_key(struct screen *screen);

/* Presses and releases the key that gives this byte (on a keyboard of the US), or that has this number. */
void screen_type(struct screen *screen, int key);

#endif
