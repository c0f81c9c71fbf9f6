/* board_parts.h - what the board (board.c) and its firmware's part of it (board_firmware.c) have of each other. */
#ifndef BOARD_PARTS_H
#define BOARD_PARTS_H

#include "board.h"

/* board.c: inputs of the I/O APIC for virtio devices off PCI, in the order of their windows. */
extern const uint8_t board_mmio_line[BOARD_MMIOS];

/* board_firmware.c.  Once, when all devices are wired: what firmware is told. */
void board_fill_cmos(struct board *b);
void board_fill_fw_cfg(struct board *b);
/* Where nothing runs before the kernel: the chipset, or that and memory, is as firmware leaves it. */
void board_place_chipset(struct board *b);
void board_stand_in_for_firmware(struct board *b);

#endif
