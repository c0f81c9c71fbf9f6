/*
 * vga.h - a VGA with Bochs's VBE registers, as a PCI function; and what is on its screen.
 */
#ifndef DEVICES_VGA_H
#define DEVICES_VGA_H

#include "device.h"

extern const struct device_class vga_class;

#define VGA_MEMORY_BYTES (8u << 20)
#define VGA_WINDOW_BASE 0xa0000
#define VGA_WINDOW_BYTES 0x10000
#define VGA_WIDTH_MOST 2560
#define VGA_HEIGHT_MOST 1600

/* Where its memory is plain memory at the moment, and accesses need not come to the device. */
struct vga_mapping {
    uint8_t *linear;       /* VGA_MEMORY_BYTES, on a page */
    uint64_t linear_base;
    bool linear_enabled;
    uint8_t *window;       /* VGA_WINDOW_BYTES at VGA_WINDOW_BASE; NULL: not now */
};

struct vga_sink {
    void (*map)(void *opaque, const struct vga_mapping *mapping);
    void *opaque;
};

/* Plugs it in.  The sink is told of every change. */
void vga_connect(struct device *device, struct device *pci, uint8_t devfn, const struct vga_sink *sink);

/* -- the screen (vga_draw.c) -------------------------------------------------------------------------------------------- */

/* Pixels; both 0: there is no picture. */
void vga_size(const struct device *device, unsigned *width, unsigned *height);

/* RGB, three bytes each, of `width` times `height` pixels as vga_size() says. */
void vga_draw(const struct device *device, uint8_t *rgb);

/* A text mode's screen, as characters of the font's numbers and attributes. */
#define VGA_TEXT_COLUMNS 256
#define VGA_TEXT_ROWS 128
struct vga_text {
    unsigned columns, rows;
    int cursor_column, cursor_row; /* -1: not shown */
    struct { uint8_t character, attribute; } cell[VGA_TEXT_ROWS][VGA_TEXT_COLUMNS];
};

/* False: no text mode. */
bool vga_text(const struct device *device, struct vga_text *text);

#endif
