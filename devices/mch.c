/*
 * mch.c - the host bridge of a Q35: PAM registers, PCIEXBAR, and the identity firmware looks for.
 *
 * Not modelled: SMRAM and TSEG (there is no system management mode; their registers are storage that locks), DRAM
 * timing, the graphics port, TOLUD and REMAP (the board fixes the memory map), MCHBAR, DMIBAR, EPBAR.
 * Manual: Intel 3 Series Express Chipset Family data sheet (316966) section 5.1, "DRAM Controller".
 * The subsystem ID is the one SeaBIOS takes for "an emulated board: read fw_cfg".
 */
#include "mch.h"

enum { PCIEXBAR = 0x60, PAM0 = 0x90, SMRAM = 0x9d, ESMRAMC = 0x9e };
enum { PCIEXBAR_ENABLE = 1, SMRAM_LOCK = 1 << 4, SMRAM_OPEN = 1 << 6 };
enum { PAM_READ = 1, PAM_WRITE = 2 };

struct mch {
    struct pci_function function;
    struct device *pci;
    struct shadow_sink shadow;
};

static const struct pci_identity mch_identity = {
    .vendor = 0x8086, .device = 0x29c0, .revision = 0, .class_code = 0x060000,
    .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
};

/* PAM0 bits 5:4 are 0xf0000; PAM1..6 have 16 KiB in bits 1:0 and the next 16 KiB in bits 5:4. */
static void mch_update_shadow(struct mch *m)
{
    if (!m->shadow.set)
        return;
    for (unsigned segment = 0; segment < SHADOW_SEGMENTS; segment++) {
        unsigned half = segment ? segment - 1 : 1, at = segment ? PAM0 + 1 + half / 2 : PAM0;
        unsigned bits = m->function.config[at] >> (half & 1) * 4;

        m->shadow.set(m->shadow.opaque, segment, bits & PAM_READ, bits & PAM_WRITE);
    }
}

/* Bits 2:1: 256, 128 or 64 MiB, which also decides how many address bits count. */
static void mch_update_ecam(struct mch *m)
{
    uint32_t low = pci_function_get(&m->function, PCIEXBAR, 4), high = pci_function_get(&m->function, PCIEXBAR + 4, 4);
    unsigned length = low >> 1 & 3;
    uint64_t size = MIB(256) >> (length == 3 ? 0 : length);

    if (m->pci)
        pci_place_ecam(m->pci, bits_align_down((uint64_t)high << 32 | (low & 0xfc000000), size), size,
                       low & PCIEXBAR_ENABLE && length != 3);
}

static void mch_written(struct device *device, unsigned offset, unsigned width)
{
    struct mch *m = device->state;
    unsigned end = offset + width;

    if (offset < PCIEXBAR + 8 && end > PCIEXBAR)
        mch_update_ecam(m);
    if (offset <= PAM0 + 6 && end > PAM0)
        mch_update_shadow(m);
    if (m->function.config[SMRAM] & SMRAM_LOCK) { /* D_LCK: the SMRAM registers are read-only until reset */
        m->function.config[SMRAM] &= ~SMRAM_OPEN;
        m->function.writable[SMRAM] = m->function.writable[ESMRAMC] = 0;
    }
}

static void mch_reset(struct device *device)
{
    struct mch *m = device->state;
    struct pci_function *f = &m->function;

    pci_function_init(f, device, &mch_identity);
    pci_function_register(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 0x0100);
    pci_function_register(f, PCIEXBAR, 4, 0xe0000000, 0xfc000007);
    pci_function_register(f, PCIEXBAR + 4, 4, 0, 0x0000000f);
    pci_function_register(f, PAM0, 1, 0, 0x30);
    for (unsigned i = 1; i <= 6; i++)
        pci_function_register(f, PAM0 + i, 1, 0, 0x33);
    pci_function_register(f, SMRAM, 1, 0x02, 0x78);
    pci_function_register(f, ESMRAMC, 1, 0x38, 0x87);
    mch_update_ecam(m);
    mch_update_shadow(m);
}

static void mch_create(struct device *device)
{
    struct mch *m = device->state;

    m->function.written = mch_written;
}

void mch_connect(struct device *device, struct device *pci, const struct shadow_sink *shadow)
{
    struct mch *m = device->state;

    m->pci = pci;
    m->shadow = *shadow;
    pci_add(pci, &m->function, PCI_DEVFN(0, 0));
    mch_update_ecam(m);
    mch_update_shadow(m);
}

#define STATE struct mch
FIELDS(mch_fields, PCI_FUNCTION_FIELDS(function), WIRING(pci), WIRING(shadow))
#undef STATE

static bool mch_restored(struct device *device, struct err *err)
{
    (void)err;
    mch_update_ecam(device->state);
    mch_update_shadow(device->state);
    return true;
}

const struct device_class mch_class = {
    .name = "mch",
    .title = "Q35 host bridge (Intel 316966)",
    .state_size = sizeof(struct mch),
    .create = mch_create,
    .reset = mch_reset,
    .fields = &mch_fields,
    .restored = mch_restored,
};
