/* fw_cfg.h - filling the firmware configuration device. */
#ifndef DEVICES_FW_CFG_H
#define DEVICES_FW_CFG_H

#include "device.h"

extern const struct device_class fw_cfg_class;

enum { /* keys below the file directory's that firmware asks for by number */
    FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_RAM_SIZE = 0x03, FW_CFG_CPUS = 0x05, FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f, FW_CFG_FILE_DIR = 0x19, FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_LOCAL = 0x8000, FW_CFG_IRQ0_OVERRIDE = 0x8002,
};

#define FW_CFG_FILES 64
#define FW_CFG_NAME_BYTES 56

/* Copies `data`; replaces what was there.  False if the key is out of range. */
bool fw_cfg_add_key(struct device *device, uint16_t key, const void *data, size_t size);
bool fw_cfg_add_u16(struct device *device, uint16_t key, uint16_t value);
bool fw_cfg_add_u64(struct device *device, uint16_t key, uint64_t value);

/* A named file; false if there is no room or the name is longer than 55 characters.  Replaces one of that name. */
bool fw_cfg_add_file(struct device *device, const char *name, const void *data, size_t size);

#endif
