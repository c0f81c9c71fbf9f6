/* vga_state.h - the registers and memory of vga.c, for vga_draw.c too. */
#ifndef DEVICES_VGA_STATE_H
#define DEVICES_VGA_STATE_H

#include "pci.h"
#include "vga.h"

enum {
    VBE_ID, VBE_XRES, VBE_YRES, VBE_BPP, VBE_ENABLE, VBE_BANK, VBE_VIRT_WIDTH, VBE_VIRT_HEIGHT, VBE_X_OFFSET, VBE_Y_OFFSET, VBE_MEMORY,
    VBE_REGISTERS,
};
enum { VBE_ENABLED = 1, VBE_CAPABILITIES = 2, VBE_DAC_8BIT = 0x20, VBE_LINEAR = 0x40, VBE_KEEP = 0x80 };

/*
 * Byte p of dword n is plane p's byte n, so that modes of four pixels a dword (chain 4) are linear in memory.
 */
struct vga {
    _Alignas(4096) uint8_t memory[VGA_MEMORY_BYTES];
    struct pci_function function;
    struct vga_sink sink;
    struct clock *clock;
    uint8_t misc, feature, enable;
    uint8_t sequencer_index, sequencer[8], crtc_index, crtc[32], graphics_index, graphics[16];
    uint8_t attribute_index, attribute[32];
    bool attribute_data;           /* the next write of port 0x3c0 is data */
    uint8_t dac[768], dac_mask, dac_read, dac_write, dac_state, dac_part;
    uint8_t latch[4];
    uint16_t vbe_index, vbe[VBE_REGISTERS];
};

/* What is shown by the VBE registers, in bytes; false: the VGA's own registers say. */
struct vga_linear {
    unsigned width, height, bits;
    uint64_t start, pitch;
};
bool vga_linear_mode(const struct vga *v, struct vga_linear *mode);

#endif
