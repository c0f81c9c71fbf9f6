/*
 * ahci.c - a SATA controller of six ports: registers, command lists, received FISes, PRDs, errors; INTx# or MSI.
 *
 * A command is done when the write to PxCI that issues it returns; drives are ata.c's.  What a list, table or FIS in guest memory
 * says is checked where it is used: no memory there is a host bus error (HBFS), a short PRD table an overflow (OFS).  While a
 * command is carried out, DMA that hits these registers themselves is dropped.
 * Not modelled: port multipliers, FIS-based switching, command completion coalescing, enclosure management, link power states,
 * hot plug, the legacy task-file interface.
 * Manual: AHCI 1.3.1; Serial ATA 3.1 chapter 10 for FISes.
 */
#include "ahci.h"

#include "ata.h"
#include "msi.h"

#include <stdlib.h>

enum { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10, CAP2 = 0x24, PORT_BASE = 0x100, PORT_BYTES = 0x80 }; /* section 3.1 */
enum { GHC_RESET = 1u << 0, GHC_INTERRUPT = 1u << 1, GHC_AHCI = 1u << 31 };
enum { SLOTS = 32, CAP_SLOTS = (SLOTS - 1) << 8, CAP_GEN3 = 3 << 20, CAP_AHCI_ONLY = 1 << 18, CAP_CLO = 1 << 24, CAP_NCQ = 1 << 30 };
#define CAP_64 (1u << 31)

enum { /* section 3.3 */
    CLB = 0x00, CLBU = 0x04, FB = 0x08, FBU = 0x0c, PORT_IS = 0x10, PORT_IE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24, SSTS = 0x28, SCTL = 0x2c,
    SERR = 0x30, SACT = 0x34, CI = 0x38,
};
enum { /* 3.3.5 */
    IS_D2H = 1 << 0, IS_PIO = 1 << 1, IS_BITS = 1 << 3, IS_PRD = 1 << 5, IS_CHANGE = 1 << 6, IS_PHY = 1 << 22, IS_OVERFLOW = 1 << 24,
    IS_HOST = 1 << 29, IS_TASK_FILE = 1 << 30,
};
#define IS_WRITABLE 0x7d80003fu /* to clear; PCS and PRCS follow SERR */
#define IE_WRITABLE 0x7dc0007fu
enum { /* 3.3.7 */
    CMD_START = 1 << 0, CMD_UP = 3 << 1, CMD_CLO = 1 << 3, CMD_FRE = 1 << 4, CMD_FR = 1 << 14, CMD_CR = 1 << 15, CMD_ATAPI = 1 << 24,
    CMD_DLAE = 1 << 25,
};
enum { SERR_EXCHANGED = 1 << 26, SERR_PHY = 1 << 16, SSTS_ACTIVE_GEN3 = 0x133, SCTL_WRITABLE = 0xfff, DET_RESET = 1, DET_OFF = 4 };
enum { TFD_NOTHING = 0x7f };

enum { HEADER_BYTES = 32, CFIS_BYTES = 64, ACMD_AT = 64, PRD_AT = 128, PRD_BYTES = 16 }; /* section 4.2 */
enum { HEADER_ATAPI = 1 << 5, HEADER_WRITE = 1 << 6 };
enum { FIS_H2D = 0x27, FIS_D2H = 0x34, FIS_DMA_SETUP = 0x41, FIS_PIO_SETUP = 0x5f, FIS_BITS = 0xa1 };
enum { FIS_INTERRUPT = 1 << 6, FIS_TO_HOST = 1 << 5, FIS_COMMAND = 1 << 7, CONTROL_RESET = 1 << 2 };
enum { AT_DMA_SETUP = 0x00, AT_PIO_SETUP = 0x20, AT_D2H = 0x40, AT_BITS = 0x58 }; /* 4.2.1 */

enum { MSI_AT = 0x80, READ_QUEUED = 0x60 };

struct ahci_port {
    uint32_t clb, clbu, fb, fbu, is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
    bool halted;        /* by an error, until ST is cleared (6.2.2) */
    bool signature_due; /* the drive has sent its first FIS, and nobody has taken it */
    bool soft_reset;    /* SRST is set */
    struct ata_drive drive;
    uint8_t kind;       /* of the drive, and its medium's size: what a driver knows */
    uint64_t bytes;
};

struct ahci {
    struct pci_function function;
    struct msi msi;
    struct ahci_port port[AHCI_PORTS];
    uint32_t ghc, is;
    struct dma *dma;
    bool busy;          /* a command is being carried out */
    uint8_t *bounce;
};

static const struct pci_identity ahci_identity = {
    .vendor = 0x8086, .device = 0x2922, .revision = 2, .class_code = 0x010601, .pin = 1, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    .bar[AHCI_BAR] = { .kind = PCI_BAR_MEMORY, .size = AHCI_BAR_BYTES, .first_region = 0, .regions = 1 },
};

/* -- guest memory ------------------------------------------------------------------------------------------------------------ */

static bool dma_in(const struct ahci *h, uint64_t gpa, void *data, size_t bytes)
{
    return h->dma && gpa + bytes >= gpa && h->dma->read(h->dma, gpa, data, bytes);
}

static bool dma_out(const struct ahci *h, uint64_t gpa, const void *data, size_t bytes)
{
    return h->dma && gpa + bytes >= gpa && h->dma->write(h->dma, gpa, data, bytes);
}

static uint32_t get32(const uint8_t *from) { return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24; }
static uint64_t get64(const uint8_t *from) { return get32(from) | (uint64_t)get32(from + 4) << 32; }
static uint64_t address(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }

/* -- interrupts: section 10.7 ---------------------------------------------------------------------------------------------------- */

static uint32_t port_is(const struct ahci_port *p)
{
    return p->is | (p->serr & SERR_EXCHANGED ? IS_CHANGE : 0) | (p->serr & SERR_PHY ? IS_PHY : 0);
}

/* A port whose bit has been cleared while it still has something to say sets it again; each setting is a message. */
static void ahci_update(struct ahci *h)
{
    uint32_t before = h->is;

    for (unsigned n = 0; n < AHCI_PORTS; n++)
        if (port_is(&h->port[n]) & h->port[n].ie)
            h->is |= 1u << n;
    if (!msi_enabled(&h->msi))
        pci_function_interrupt(&h->function, h->is && h->ghc & GHC_INTERRUPT);
    else if (h->is & ~before && h->ghc & GHC_INTERRUPT)
        msi_send(&h->msi);
}

/* -- received FISes: 4.2.1, and SATA 10.5 ------------------------------------------------------------------------------------------ */

static void port_receive(struct ahci *h, struct ahci_port *p, unsigned at, const uint8_t *fis, size_t bytes)
{
    if (p->cmd & CMD_FRE && !dma_out(h, address(p->fb, p->fbu) + at, fis, bytes)) {
        p->is |= IS_HOST;
        p->halted = true;
    }
}

/* 3.3.8: the task file as the last FIS has it; an error is an interrupt of its own, and stops the list. */
static void port_set_task_file(struct ahci_port *p, uint8_t status, uint8_t error)
{
    p->tfd = status | (uint32_t)error << 8;
    if (status & ATA_ERR) {
        p->is |= IS_TASK_FILE;
        p->halted = true;
    }
}

static void fis_registers(uint8_t *fis, const struct ata_task *t)
{
    fis[2] = t->status;
    fis[3] = t->error;
    ata_put(fis + 4, 3, t->lba);
    fis[7] = t->device;
    ata_put(fis + 8, 3, t->lba >> 24);
    ata_put(fis + 12, 2, t->count);
}

static void port_send_d2h(struct ahci *h, struct ahci_port *p, const struct ata_task *t, bool interrupt)
{
    uint8_t fis[20] = { FIS_D2H, interrupt ? FIS_INTERRUPT : 0 };

    fis_registers(fis, t);
    port_receive(h, p, AT_D2H, fis, sizeof(fis));
    port_set_task_file(p, t->status, t->error);
    p->is |= interrupt ? IS_D2H : 0;
}

static void port_send_pio_setup(struct ahci *h, struct ahci_port *p, const struct ata_task *t, bool to_host, uint32_t bytes)
{
    uint8_t fis[20] = { FIS_PIO_SETUP, (uint8_t)(FIS_INTERRUPT | (to_host ? FIS_TO_HOST : 0)) };

    fis_registers(fis, t);
    fis[2] = ATA_READY | ATA_DRQ;
    fis[15] = t->status;
    ata_put(fis + 16, 2, bytes);
    port_receive(h, p, AT_PIO_SETUP, fis, sizeof(fis));
    p->is |= IS_PIO;
}

static void port_send_dma_setup(struct ahci *h, struct ahci_port *p, unsigned tag, bool to_host, uint32_t bytes)
{
    uint8_t fis[28] = { FIS_DMA_SETUP, to_host ? FIS_TO_HOST : 0, [4] = (uint8_t)tag };

    ata_put(fis + 20, 4, bytes);
    port_receive(h, p, AT_DMA_SETUP, fis, sizeof(fis));
}

/* SATA 10.5.7: status without BSY and DRQ, error, and which queued commands are done.  After an error SActive tells which are not. */
static void port_send_bits(struct ahci *h, struct ahci_port *p, const struct ata_task *t, unsigned tag)
{
    bool failed = t->status & ATA_ERR;
    uint8_t fis[8] = { FIS_BITS, FIS_INTERRUPT, t->status & 0x77, t->error };

    if (!failed) {
        ata_put(fis + 4, 4, UINT64_C(1) << tag);
        p->sact &= ~(1u << tag);
    }
    port_receive(h, p, AT_BITS, fis, sizeof(fis));
    port_set_task_file(p, t->status & 0x77, t->error);
    p->is |= IS_BITS;
}

/* The first FIS after a reset, once somebody receives FISes: 10.4. */
static void port_send_signature(struct ahci *h, struct ahci_port *p)
{
    struct ata_task t = { .command = 0 };

    if (!p->signature_due || !(p->cmd & CMD_FRE))
        return;
    p->signature_due = false;
    ata_signature(&p->drive, &t);
    p->sig = (uint32_t)t.lba << 8 | t.count;
    port_send_d2h(h, p, &t, false);
}

/* -- data: 4.2.3.3 ------------------------------------------------------------------------------------------------------------------- */

struct prd_walk {
    struct ahci *h;
    struct ahci_port *port;
    uint64_t next;   /* the entry that follows */
    unsigned left;   /* entries from there on */
    uint64_t gpa;    /* the next byte of the current entry */
    uint32_t bytes;  /* that it still has */
    bool tells;      /* it has the I bit */
    bool writes;     /* the list says that the drive is written to */
};

/* Nothing of the current entry is left: false at the end of the table. */
static bool prd_next(struct prd_walk *w)
{
    uint8_t prd[PRD_BYTES];
    uint32_t last;

    if (!w->left) {
        w->port->is |= IS_OVERFLOW;
        w->port->halted = true;
        return false;
    }
    if (!dma_in(w->h, w->next, prd, sizeof(prd))) {
        w->port->is |= IS_HOST;
        w->port->halted = true;
        return false;
    }
    last = get32(prd + 12);
    w->left--;
    w->next += PRD_BYTES;
    w->gpa = get64(prd) & ~UINT64_C(1);
    w->bytes = (last & 0x3ffffe) + 2; /* bit 0 is always one */
    w->tells = last >> 31;
    return true;
}

static bool prd_move(void *opaque, void *data, size_t bytes, bool to_host)
{
    struct prd_walk *w = opaque;
    uint8_t *at = data;

    while (bytes) {
        size_t n;

        if (!w->bytes && !prd_next(w))
            return false;
        n = bits_min(bytes, w->bytes);
        if (to_host ? !dma_out(w->h, w->gpa, at, n) : !dma_in(w->h, w->gpa, at, n)) {
            w->port->is |= IS_HOST;
            w->port->halted = true;
            return false;
        }
        at += n;
        bytes -= n;
        w->gpa += n;
        w->bytes -= (uint32_t)n;
        if (!w->bytes && w->tells)
            w->port->is |= IS_PRD;
    }
    return true;
}

/* -- commands -------------------------------------------------------------------------------------------------------------------------- */

static void port_soft_reset(struct ahci *h, struct ahci_port *p, uint8_t control)
{
    bool reset = control & CONTROL_RESET;

    if (p->soft_reset && !reset) {
        ata_reset(&p->drive);
        p->signature_due = true;
        port_send_signature(h, p);
    }
    p->soft_reset = reset;
}

static void task_from_fis(struct ata_task *t, const uint8_t *fis, const uint8_t *packet)
{
    t->command = fis[2];
    t->device = fis[7];
    t->features = (uint16_t)(fis[3] | fis[11] << 8);
    t->count = (uint16_t)(fis[12] | fis[13] << 8);
    t->lba = (get32(fis + 4) & 0xffffff) | (uint64_t)(get32(fis + 8) & 0xffffff) << 24;
    t->packet = packet;
}

/* What the drive sends when it is done. */
static void port_complete(struct ahci *h, struct ahci_port *p, struct ata_task *t, unsigned tag)
{
    bool to_host = t->protocol == ATA_PIO_IN, failed = t->status & ATA_ERR;

    switch (t->protocol) {
    case ATA_QUEUED: port_send_bits(h, p, t, tag); break;
    case ATA_PIO_IN: case ATA_PIO_OUT:
        if (t->moved)
            port_send_pio_setup(h, p, t, to_host, (uint32_t)bits_min(t->moved, ATA_SECTOR));
        if (failed || !to_host || !t->moved)
            port_send_d2h(h, p, t, true);
        else
            port_set_task_file(p, t->status, t->error);
        break;
    case ATA_PACKET:
        if (t->moved && !(t->features & 1))
            port_send_pio_setup(h, p, t, true, (uint32_t)bits_min(t->moved, 0xfffe));
        port_send_d2h(h, p, t, true);
        break;
    default: port_send_d2h(h, p, t, true); break;
    }
}

/* A command whose data found no place is never done: 6.2.2. */
static void port_run_task(struct ahci *h, struct ahci_port *p, struct ata_task *t, unsigned slot, uint64_t header)
{
    unsigned tag = t->count >> 3 & (SLOTS - 1);
    uint8_t moved[4];

    ata_run(&p->drive, t);
    if (p->halted)
        return;
    ata_put(moved, 4, t->moved);
    dma_out(h, header + 4, moved, sizeof(moved));
    p->ci &= ~(1u << slot);
    if (t->protocol == ATA_QUEUED)
        port_send_dma_setup(h, p, tag, t->command == READ_QUEUED, t->moved);
    port_complete(h, p, t, tag);
}

/* A list entry: its FIS, packet and PRD table are fetched, and what was moved goes back into it. */
static void port_run_slot(struct ahci *h, struct ahci_port *p, unsigned slot)
{
    uint64_t at = address(p->clb, p->clbu) + slot * HEADER_BYTES, table;
    uint8_t header[HEADER_BYTES], fis[CFIS_BYTES], packet[ATA_PACKET_BYTES];
    struct prd_walk walk = { .h = h, .port = p };
    struct ata_task task = { .move = prd_move, .opaque = &walk };
    uint32_t flags;
    bool ok;

    p->cmd = (p->cmd & ~0x1f00u) | slot << 8;
    ok = dma_in(h, at, header, sizeof(header));
    flags = get32(header);
    table = get64(header + 8) & ~UINT64_C(127);
    ok = ok && dma_in(h, table, fis, sizeof(fis)) && (!(flags & HEADER_ATAPI) || dma_in(h, table + ACMD_AT, packet, sizeof(packet)));
    if (!ok || fis[0] != FIS_H2D || (flags & 31) < 2) {
        p->is |= ok ? 0 : IS_HOST;
        p->halted = true;
        return;
    }
    if (!(fis[1] & FIS_COMMAND)) {
        p->ci &= ~(1u << slot);
        port_soft_reset(h, p, fis[15]);
        return;
    }
    walk.next = table + PRD_AT;
    walk.left = flags >> 16;
    task_from_fis(&task, fis, flags & HEADER_ATAPI ? packet : NULL);
    port_run_task(h, p, &task, slot, at);
}

/* In the order of slots; an error keeps the others waiting. */
static void port_run(struct ahci *h, struct ahci_port *p)
{
    if (h->busy || !pci_function_is_master(&h->function))
        return;
    h->busy = true;
    while (p->ci && p->cmd & CMD_START && !p->halted && p->drive.kind != ATA_NOTHING)
        port_run_slot(h, p, (unsigned)__builtin_ctz(p->ci));
    h->busy = false;
}

/* -- a port's registers -------------------------------------------------------------------------------------------------------------- */

/* The link has come up: 10.4.2. */
static void port_link_up(struct ahci *h, struct ahci_port *p)
{
    bool drive = p->drive.kind != ATA_NOTHING;

    ata_reset(&p->drive);
    p->ssts = drive ? SSTS_ACTIVE_GEN3 : 0;
    p->serr |= drive ? SERR_EXCHANGED | SERR_PHY : 0;
    p->tfd = TFD_NOTHING;
    p->sig = UINT32_MAX;
    p->soft_reset = false;
    p->signature_due = drive;
    port_send_signature(h, p);
}

static void port_reset(struct ahci *h, struct ahci_port *p)
{
    p->clb = p->clbu = p->fb = p->fbu = p->is = p->ie = p->sctl = p->serr = p->sact = p->ci = 0;
    p->cmd = CMD_UP;
    p->halted = false;
    port_link_up(h, p);
}

static void port_write_control(struct ahci *h, struct ahci_port *p, uint32_t value)
{
    uint32_t before = p->sctl & 15, now = value & 15;

    p->sctl = value & SCTL_WRITABLE;
    if (now == DET_RESET || now == DET_OFF) {
        p->ssts = now == DET_OFF ? DET_OFF : 0;
        p->tfd = TFD_NOTHING;
        p->signature_due = false;
    } else if (before == DET_RESET || before == DET_OFF) {
        port_link_up(h, p);
    }
}

/* 3.3.7, and 5.3: clearing ST forgets what was issued, and what stopped the list. */
static void port_write_command(struct ahci *h, struct ahci_port *p, uint32_t value)
{
    uint32_t kept = CMD_START | CMD_FRE | CMD_ATAPI | CMD_DLAE;

    if (value & CMD_CLO && !(value & CMD_START))
        p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
    p->cmd = (p->cmd & 0x1f00) | CMD_UP | (value & kept) | (value & CMD_START ? CMD_CR : 0) | (value & CMD_FRE ? CMD_FR : 0);
    if (!(value & CMD_START)) {
        p->cmd &= ~0x1f00u;
        p->ci = p->sact = 0;
        p->halted = false;
    }
    port_send_signature(h, p);
}

static uint32_t port_read(const struct ahci_port *p, unsigned offset)
{
    switch (offset) {
    case CLB: return p->clb;
    case CLBU: return p->clbu;
    case FB: return p->fb;
    case FBU: return p->fbu;
    case PORT_IS: return port_is(p);
    case PORT_IE: return p->ie;
    case CMD: return p->cmd;
    case TFD: return p->tfd;
    case SIG: return p->sig;
    case SSTS: return p->ssts;
    case SCTL: return p->sctl;
    case SERR: return p->serr;
    case SACT: return p->sact;
    case CI: return p->ci;
    default: return 0;
    }
}

static void port_write(struct ahci *h, struct ahci_port *p, unsigned offset, uint32_t value)
{
    switch (offset) {
    case CLB: p->clb = value & ~0x3ffu; break;
    case CLBU: p->clbu = value; break;
    case FB: p->fb = value & ~0xffu; break;
    case FBU: p->fbu = value; break;
    case PORT_IS: p->is &= ~(value & IS_WRITABLE); break;
    case PORT_IE: p->ie = value & IE_WRITABLE; break;
    case CMD: port_write_command(h, p, value); break;
    case SCTL: port_write_control(h, p, value); break;
    case SERR: p->serr &= ~value; break;
    case SACT: p->sact |= p->cmd & CMD_START ? value : 0; break;
    case CI: p->ci |= p->cmd & CMD_START ? value : 0; break;
    default: break;
    }
    port_run(h, p);
}

/* -- the controller's registers --------------------------------------------------------------------------------------------------------- */

/* GHC.HR: 10.4.3. */
static void ahci_reset_registers(struct ahci *h)
{
    h->ghc = GHC_AHCI;
    h->is = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++)
        port_reset(h, &h->port[n]);
}

static uint32_t ahci_read_dword(struct ahci *h, unsigned offset)
{
    if (offset >= PORT_BASE)
        return offset < PORT_BASE + AHCI_PORTS * PORT_BYTES ? port_read(&h->port[(offset - PORT_BASE) / PORT_BYTES], offset % PORT_BYTES) : 0;
    switch (offset) {
    case CAP: return CAP_64 | CAP_NCQ | CAP_CLO | CAP_GEN3 | CAP_AHCI_ONLY | CAP_SLOTS | (AHCI_PORTS - 1);
    case GHC: return h->ghc;
    case IS: return h->is;
    case PI: return (1u << AHCI_PORTS) - 1;
    case VS: return 0x00010301;
    default: return 0;
    }
}

static void ahci_write_dword(struct ahci *h, unsigned offset, uint32_t value)
{
    if (offset >= PORT_BASE && offset < PORT_BASE + AHCI_PORTS * PORT_BYTES)
        port_write(h, &h->port[(offset - PORT_BASE) / PORT_BYTES], offset % PORT_BYTES, value);
    else if (offset == GHC && value & GHC_RESET)
        ahci_reset_registers(h);
    else if (offset == GHC)
        h->ghc = GHC_AHCI | (value & GHC_INTERRUPT);
    else if (offset == IS)
        h->is &= ~value;
    ahci_update(h);
}

static uint64_t ahci_read(void *state, uint64_t offset, unsigned width)
{
    uint64_t v = ahci_read_dword(state, (unsigned)offset & ~3u);

    if (width == 8)
        return v | (uint64_t)ahci_read_dword(state, (unsigned)offset + 4) << 32;
    return v >> (offset & 3) * 8 & bits_mask(width * 8);
}

/* Registers are written as dwords or pairs of them; narrower writes are dropped, and so is DMA of the command that runs. */
static void ahci_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct ahci *h = state;

    if (h->busy || width < 4)
        return;
    ahci_write_dword(h, (unsigned)offset, (uint32_t)value);
    if (width == 8)
        ahci_write_dword(h, (unsigned)offset + 4, (uint32_t)(value >> 32));
}

static const struct region_ops ahci_ops = { .read = ahci_read, .write = ahci_write, .limits = { .widths = W_REGISTERS } };

/* -- life -------------------------------------------------------------------------------------------------------------------------------- */

static void ahci_written(struct device *device, unsigned offset, unsigned width)
{
    struct ahci *h = device->state;

    (void)offset;
    (void)width;
    if (msi_enabled(&h->msi))
        pci_function_interrupt(&h->function, false);
    else
        ahci_update(h);
}

static void ahci_reset(struct device *device)
{
    struct ahci *h = device->state;

    pci_function_init(&h->function, device, &ahci_identity);
    msi_init(&h->msi, &h->function, MSI_AT);
    h->busy = false;
    ahci_reset_registers(h);
}

static void ahci_create(struct device *device)
{
    struct ahci *h = device->state;

    h->dma = device->host.dma;
    h->function.written = ahci_written;
    h->bounce = aligned_alloc(4096, ATA_BOUNCE_BYTES);
    if (!h->bounce)
        abort();
}

static void ahci_destroy(struct device *device) { free(((struct ahci *)device->state)->bounce); }

void ahci_connect(struct device *device, struct device *pci, uint8_t devfn, const struct ahci_drive *drive, unsigned drives)
{
    struct ahci *h = device->state;

    for (unsigned n = 0; n < drives && n < AHCI_PORTS; n++)
        h->port[n].drive = (struct ata_drive){ .backend = drive[n].backend, .kind = drive[n].cdrom ? ATA_CDROM : ATA_DISK,
                                               .bounce = h->bounce, .number = n };
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        h->port[n].kind = (uint8_t)h->port[n].drive.kind;
        h->port[n].bytes = h->port[n].drive.backend ? h->port[n].drive.backend->bytes : 0;
    }
    ahci_reset_registers(h);
    pci_add(pci, &h->function, devfn);
}

#define STATE struct ahci
FIELDS(ahci_fields, PCI_FUNCTION_FIELDS(function), MSI_FIELDS(msi), FIELD_EACH(port, clb), FIELD_EACH(port, clbu), FIELD_EACH(port, fb),
       FIELD_EACH(port, fbu), FIELD_EACH(port, is), FIELD_EACH(port, ie), FIELD_EACH(port, cmd), FIELD_EACH(port, tfd),
       FIELD_EACH(port, sig),
       FIELD_EACH(port, ssts), FIELD_EACH(port, sctl), FIELD_EACH(port, serr), FIELD_EACH(port, sact), FIELD_EACH(port, ci),
       FIELD_EACH(port, halted), FIELD_EACH(port, signature_due), FIELD_EACH(port, soft_reset), ATA_FIELDS_EACH(port, drive),
       FIELD_EACH(port, kind),
       FIELD_EACH(port, bytes), FIELD(ghc),
       FIELD(is), WIRING(dma), SCRATCH(busy), WIRING(bounce))
#undef STATE

static bool ahci_restored(struct device *device, struct err *err)
{
    struct ahci *h = device->state;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        const struct ahci_port *p = &h->port[n];
        uint64_t here = p->drive.backend ? p->drive.backend->bytes : 0;

        if (p->kind != p->drive.kind || p->bytes != here)
            return err_set(err, "the guest's SATA port %u has another drive, or one of %llu bytes and not %llu", n,
                           (unsigned long long)p->bytes, (unsigned long long)here);
    }
    pci_function_restored(&h->function);
    return true;
}

const struct device_class ahci_class = {
    .name = "ahci",
    .title = "SATA controller with disks and CD-ROMs (AHCI 1.3.1, ACS-3, MMC-6)",
    .state_size = sizeof(struct ahci),
    .region = { { REGION_MMIO, 0, AHCI_BAR_BYTES, &ahci_ops, true } },
    .create = ahci_create,
    .reset = ahci_reset,
    .destroy = ahci_destroy,
    .fields = &ahci_fields,
    .restored = ahci_restored,
};
