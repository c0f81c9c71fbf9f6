/*
 * machine_parts.c - a guest put together: images opened, a board and processors made and wired to the machine, engines.
 */
#define _GNU_SOURCE
#include "machine_parts.h"

#include "load/load.h"
#include "snapshot/snapshot.h"

#include "apic.h"
#include "base/low.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { BIOS_MAX = 16 << 20, VGABIOS_MAX = 128 << 10, DEVICE_NS = 250 };

/* -- what the board asks of the machine ------------------------------------------------------------------------------ */

/* The processor whose turn it is comes back soon, or all do. */
static void machine_attention(struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->threads || i == m->at)
            m->cpu[i].v->attention = true;
    if (m->threads)
        machine_ring(m);
}

/* A deadline that the budget has not taken into account. */
static void machine_sooner(void *opaque)
{
    struct machine *m = opaque;

    if (m->threads)
        machine_ring(m);
    else
        machine_attention(m);
}

static void on_reset(void *opaque)
{
    struct machine *m = opaque;

    m->reset_requested = true;
    machine_attention(m);
}

static void on_power_off(void *opaque)
{
    struct machine *m = opaque;

    m->powered_off = true;
    machine_attention(m);
}

static void on_sleep(void *opaque)
{
    struct machine *m = opaque;

    m->sleep_requested = true;
    machine_attention(m);
}

static void on_wake(void *opaque) { ((struct machine *)opaque)->woken = true; } /* nobody runs */

static void on_panic(void *opaque)
{
    struct machine *m = opaque;

    m->panicked = !m->config.panic_continues;
    machine_attention(m);
}

static void on_debug_exit(void *opaque, uint32_t value)
{
    struct machine *m = opaque;

    m->debug_exited = true;
    m->exit_code = (int)(value & 0x7f);
    machine_attention(m);
}

static bool dma_transfer(struct dma *dma, uint64_t gpa, void *data, size_t size, bool write)
{
    struct machine *m = (struct machine *)(void *)((char *)dma - offsetof(struct machine, dma));
    uint8_t *bytes = data;
    bool ok = true;

    while (size) {
        unsigned n = (unsigned)bits_min(bits_min(size, 64), PAGE_BYTES - (gpa & PAGE_OFFSET));
        struct access a;

        access_begin(&a, write ? TRANSACTION_STORE : TRANSACTION_LOAD, gpa, n);
        a.flags = TRANSACTION_DMA;
        if (write)
            memcpy(&a.data, bytes, n);
        ok &= dispatch_physical(&m->dma_bus, &a, gpa) == TRANSACTION_OK;
        if (!write)
            memcpy(bytes, &a.data, n);
        gpa += n;
        bytes += n;
        size -= n;
    }
    return ok;
}

static bool dma_read(struct dma *dma, uint64_t gpa, void *data, size_t size)
{
    return dma_transfer(dma, gpa, data, size, false);
}

static bool dma_write(struct dma *dma, uint64_t gpa, const void *data, size_t size)
{
    return dma_transfer(dma, gpa, (void *)(uintptr_t)data, size, true);
}

/* -- what a CPU asks of the machine and the board ------------------------------------------------------------------------ */

static uint64_t cpu_time(void *opaque) { return machine_time(((struct machine_cpu *)opaque)->machine); }

/* The virtual clock goes on without instructions: what is due is that much nearer.  Who pauses often waits for another. */
static void cpu_dawdle(void *opaque, uint64_t ns, bool waits)
{
    struct machine_cpu *cpu = opaque;
    struct machine *m = cpu->machine;

    if (waits && m->threads)
        machine_cpu_pauses(cpu);
    else if (waits && m->cpus > 1 && ++m->pauses >= TURN_PAUSES)
        cpu->v->attention = true;
    if (m->config.clock != MACHINE_CLOCK_VIRTUAL)
        return;
    m->skipped_ns += ns;
    vcpu_end_sooner(cpu->v, ns);
}

/* About what a register of a device takes on a PC's chipset. */
static void cpu_waits(void *opaque) { cpu_dawdle(opaque, DEVICE_NS, false); }

static struct device *cpu_apic(const struct machine_cpu *cpu) { return cpu->machine->board->apic; }

static bool cpu_read_msr(void *opaque, uint32_t index, uint64_t *value)
{
    const struct machine_cpu *cpu = opaque;
    bool known;

    exclusion_devices(cpu->v->bus.exclusion, true);
    known = apic_msr_read(cpu_apic(cpu), cpu->v->id, index, value);
    exclusion_devices(cpu->v->bus.exclusion, false);
    return known;
}

static bool cpu_write_msr(void *opaque, uint32_t index, uint64_t value)
{
    const struct machine_cpu *cpu = opaque;
    bool known;

    exclusion_devices(cpu->v->bus.exclusion, true);
    known = apic_msr_write(cpu_apic(cpu), cpu->v->id, index, value);
    exclusion_devices(cpu->v->bus.exclusion, false);
    return known;
}

static uint64_t cpu_read_cr8(void *opaque)
{
    const struct machine_cpu *cpu = opaque;
    uint8_t tpr;

    exclusion_devices(cpu->v->bus.exclusion, true);
    tpr = apic_get_tpr(cpu_apic(cpu), cpu->v->id);
    exclusion_devices(cpu->v->bus.exclusion, false);
    return tpr >> 4;
}

static void cpu_write_cr8(void *opaque, uint64_t value)
{
    const struct machine_cpu *cpu = opaque;

    exclusion_devices(cpu->v->bus.exclusion, true);
    apic_set_tpr(cpu_apic(cpu), cpu->v->id, (uint8_t)(value << 4));
    exclusion_devices(cpu->v->bus.exclusion, false);
}

/* Another than the one whose turn it is has something to do: turns get short. */
static void cpu_pin_changed(void *opaque)
{
    struct machine_cpu *cpu = opaque;

    if (cpu->machine->threads)
        machine_wake_cpu(cpu);
    else if (cpu != &cpu->machine->cpu[cpu->machine->at])
        machine_attention(cpu->machine);
}

/* -- the console: passes bytes on and looks for a text ----------------------------------------------------------------- */

static void console_output(void *opaque, const uint8_t *data, size_t size)
{
    struct machine *m = opaque;
    const char *until = m->config.until;

    for (size_t i = 0; until && i < size; i++) {
        m->until_matched = data[i] == (uint8_t)until[m->until_matched] ? m->until_matched + 1 : data[i] == (uint8_t)until[0];
        if (!until[m->until_matched]) {
            m->until_seen = true;
            m->until_matched = 0;
            machine_attention(m);
        }
    }
}

static void console_serial(void *opaque, const uint8_t *data, size_t size)
{
    console_output(opaque, data, size);
    backend_output(((struct machine *)opaque)->config.serial, data, size);
}

static void console_debug(void *opaque, const uint8_t *data, size_t size)
{
    console_output(opaque, data, size);
    backend_output(((struct machine *)opaque)->config.debugcon, data, size);
}

static void console_hvc(void *opaque, const uint8_t *data, size_t size)
{
    console_output(opaque, data, size);
    backend_output(((struct machine *)opaque)->config.hvc, data, size);
}

struct char_backend *machine_input(struct machine *m) { return &m->console[m->config.input_to_hvc ? 2 : 0]; }

/* -- creation --------------------------------------------------------------------------------------------------------- */

static bool machine_check_memory(uint64_t bytes, struct err *err)
{
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    if (bytes < MIB(1) || bytes % PAGE_BYTES)
        return err_set(err, "memory must be at least 1M and a multiple of 4K");
    if (bytes > host)
        return err_set(err, "memory of %" G_GUINT64_FORMAT " MiB is more than this host's %" G_GUINT64_FORMAT " MiB",
                       bytes >> 20, host >> 20);
    return true;
}

/* Pieces of up to 256 bytes come whole (getrandom(2)). */
static void host_random(void *data, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += bits_min(bytes - at, 256))
        if (getrandom((uint8_t *)data + at, bits_min(bytes - at, 256), 0) < 0)
            abort();
}

_Static_assert(NETS == BOARD_NETS, "a card for each network");

struct machine_roms {
    uint8_t *bios, *vga;
    size_t bios_bytes, vga_bytes;
};

static struct board *machine_board(struct machine *m, const struct machine_roms *roms, struct err *err)
{
    struct block_backend *disk[MACHINE_IMAGES];
    struct ahci_drive drive[MACHINE_IMAGES];
    struct net_backend *net[NETS];
    struct board_config c = {
        .ram_bytes = m->config.ram_bytes, .bios = roms->bios, .bios_bytes = roms->bios_bytes, .vga = m->config.vga,
        .vgabios = roms->vga, .vgabios_bytes = roms->vga_bytes, .start_time = 946684800,
        .clock = &m->clock, .dma = &m->dma, .cpus = m->cpus, .com = { &m->console[0] },
        .debugcon = &m->console[1], .reset_requested = on_reset, .powered_off = on_power_off, .fell_asleep = on_sleep, .woken = on_wake,
        .debug_exited = on_debug_exit, .panicked = on_panic, .opaque = m, .disk = disk, .drive = drive, .net = net, .nets = m->nets.count,
        .share = m->share, .shares = m->shares, .hvc = &m->console[2],
        .random = m->config.clock == MACHINE_CLOCK_HOST ? host_random : NULL, .testdev = m->config.testdev, .virtio_mmio = m->config.virtio_mmio,
        .edu = m->config.edu, .iommu = m->config.iommu,
        .boot = m->config.boot, .boot_menu = m->config.boot_menu,
    };

    for (unsigned i = 0; i < m->disks; i++) {
        const struct image_options *o = &m->config.disk[i];

        if (o->ahci)
            drive[c.drives++] = (struct ahci_drive){ m->disk[i], o->cdrom };
        else
            disk[c.disks++] = m->disk[i];
    }
    for (unsigned i = 0; i < m->cpus; i++)
        c.pins[i] = &m->cpu[i].v->pins;
    for (unsigned i = 0; i < m->nets.count; i++)
        net[i] = &m->nets.link[i]->backend;
    memcpy(c.virtio, m->config.virtio, sizeof(c.virtio));

    if (m->config.clock == MACHINE_CLOCK_HOST)
        c.start_time = time(NULL);
    return board_create(&c, &m->phys, err);
}

static bool machine_load_kernel(struct machine *m, struct err *err)
{
    const struct load_kernel k = { .path = m->config.kernel, .append = m->config.append, .initrd = m->config.initrd,
                                   .ram_bytes = m->config.ram_bytes, .rsdp = BOARD_RSDP };
    struct cpu *c = &m->vcpu.cpu;

    if (!load_kernel(&m->phys, c, &k, err))
        return false;
    c->cr4 &= cpuid_cr4_mask(&m->vcpu.features);
    if (c->efer & ~cpuid_efer_mask(&m->vcpu.features))
        return err_set(err, "%s: needs 64-bit mode, which the CPU has not", k.path);
    return true;
}

bool machine_load_image(struct machine *m, struct err *err)
{
    if (m->config.kernel)
        return machine_load_kernel(m, err);
    if (m->config.flat)
        return load_flat(&m->phys, &m->vcpu.cpu, m->config.flat, err);
    return true;
}

static bool machine_load(struct machine *m, struct err *err)
{
    return m->config.load ? snapshot_restore(m->config.load, m, err) : machine_load_image(m, err);
}

/* KVM has its own mind about CPUID: a guest that will come there sees that from the start. */
static bool machine_meet_kvm(struct machine *m, struct err *err)
{
    for (unsigned i = 0; i < m->config.switch_count; i++) {
        void *kvm;

        if (m->config.switches[i].to->id != ENGINE_KVM)
            continue;
        if (m->cpus > 1)
            return err_set(err, "kvm: a guest of one processor alone is handed over to it, not of %u", m->cpus);
        kvm = engine_kvm.create(&m->vcpu, err);
        if (kvm)
            engine_kvm.destroy(kvm);
        return kvm;
    }
    return true;
}

/* The firmware image; NULL without err: there is none. */
static bool machine_bios(struct machine *m, uint8_t **bios, size_t *bytes, struct err *err)
{
    const struct machine_config *c = &m->config;

    *bios = NULL;
    *bytes = 0;
    if (c->load)
        return snapshot_bios(c->load, bios, bytes, err);
    return !c->bios || (*bios = load_file(c->bios, BIOS_MAX, bytes, err));
}

static bool machine_roms(struct machine *m, struct machine_roms *roms, struct err *err)
{
    const char *vga = m->config.vga ? m->config.vgabios : NULL;

    *roms = (struct machine_roms){ NULL };
    return machine_bios(m, &roms->bios, &roms->bios_bytes, err) && (!vga || (roms->vga = load_file(vga, VGABIOS_MAX, &roms->vga_bytes, err)));
}

static bool machine_open_disks(struct machine *m, struct err *err)
{
    const struct machine_config *c = &m->config;

    if (c->disks > MACHINE_IMAGES)
        return err_set(err, "%u disks: %u at most", c->disks, MACHINE_IMAGES);
    for (; m->disks < c->disks; m->disks++)
        if (!(m->disk[m->disks] = image_open(&c->disk[m->disks], err)))
            return false;
    return true;
}

static void machine_set_cpu(struct machine_cpu *cpu)
{
    const struct machine_config *c = &cpu->machine->config;
    struct vcpu *v = cpu->v;

    vcpu_sync(v);
    v->bus.policy = c->policy ? c->policy : &split_whole;
    v->bus.policy_arg = c->policy_arg;
    v->bus.observe = c->observe;
    v->bus.opaque = c->observer;
    v->assist.mode = c->assist;
    if (c->clock == MACHINE_CLOCK_VIRTUAL) {
        v->bus.waits = cpu_waits;
        v->bus.waits_opaque = cpu;
    }
}

bool machine_create_engines(struct machine *m, struct err *err)
{
    if (m->cpus > 1 && m->runs->id == ENGINE_KVM && m->config.clock != MACHINE_CLOCK_HOST) /* whose turn it is depends on the host */
        return err_set(err, "kvm: %u processors on the host's clock alone", m->cpus);
    for (unsigned i = 0; i < m->cpus; i++) {
        m->cpu[i].engine = m->runs->create(m->cpu[i].v, err);
        if (!m->cpu[i].engine || !m->runs->set_state(m->cpu[i].engine, err))
            return false;
    }
    return true;
}

void machine_destroy_engines(struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++) {
        void *engine = m->cpu[i].engine;

        m->cpu[i].engine = NULL;
        if (engine)
            m->runs->destroy(engine);
    }
}

static bool machine_open_shares(struct machine *m, struct err *err)
{
    for (; m->shares < m->config.shares; m->shares++)
        if (!(m->share[m->shares] = share_open(&m->config.share[m->shares], err)))
            return false;
    return true;
}

static bool machine_open_nets(struct machine *m, struct err *err)
{
    m->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->bell < 0)
        return err_set(err, "eventfd: %s", g_strerror(errno));
    m->rung = true; /* the first look is due at once */
    m->nets.ring = machine_ring;
    m->nets.opaque = m;
    return nets_open(&m->nets, m->config.net, m->config.nets, &m->clock, err);
}

static bool machine_assemble(struct machine *m, struct err *err)
{
    const struct machine_config *c = &m->config;
    struct machine_roms roms = { NULL };

    if (!machine_check_memory(c->ram_bytes, err) || !machine_open_disks(m, err) || !machine_open_nets(m, err) || !machine_open_shares(m, err))
        return false;
    m->board = machine_roms(m, &roms, err) ? machine_board(m, &roms, err) : NULL;
    g_free(roms.bios);
    g_free(roms.vga);
    if (!m->board)
        return false;
    if (!machine_load(m, err))
        return false;
    for (unsigned i = 0; i < m->cpus; i++)
        machine_set_cpu(&m->cpu[i]);
    m->runs = c->engine;
    if (!machine_meet_kvm(m, err) || !machine_create_engines(m, err))
        return false;
    if (c->load) {
        snapshot_resume(c->load, m);
        m->host_start_ns = machine_host_ns() - m->clock.ns;
    }
    return true;
}

static void machine_create_cpus(struct machine *m)
{
    const struct machine_config *c = &m->config;

    m->cpus = c->smp ? c->smp : 1;
    for (unsigned i = 0; i < m->cpus; i++) {
        struct vcpu *v = i ? low_alloc(sizeof(*v)) : &m->vcpu;

        m->cpu[i] = (struct machine_cpu){ .machine = m, .v = v };
        vcpu_init(v, &m->phys);
        if (c->cpu.signature && !c->load)
            vcpu_set_model(v, &c->cpu);
        vcpu_place(v, i, m->cpus, &m->vcpu);
        v->host = (struct vcpu_host){ cpu_time, cpu_dawdle, cpu_read_msr, cpu_write_msr, cpu_read_cr8, cpu_write_cr8, &m->cpu[i] };
        v->pins.changed = cpu_pin_changed;
        v->pins.engine = &m->cpu[i];
    }
}

struct machine *machine_create(const struct machine_config *config, struct err *err)
{
    struct machine *m = low_alloc(sizeof(*m)); /* the JIT wants its vcpu there */

    m->config = *config;
    m->bell = -1;
    m->host_start_ns = machine_host_ns();
    m->clock.source = machine_time;
    m->clock.opaque = m;
    m->clock.sooner = machine_sooner;
    m->dma = (struct dma){ .read = dma_read, .write = dma_write };
    m->console[0] = (struct char_backend){ .output = console_serial, .opaque = m };
    m->console[1] = (struct char_backend){ .output = console_debug, .opaque = m };
    m->console[2] = (struct char_backend){ .output = console_hvc, .opaque = m };
    phys_init(&m->phys);
    machine_create_cpus(m);
    m->dma_bus = m->vcpu.bus;
    m->dma_bus.policy = &split_whole;
    if (machine_assemble(m, err))
        return m;
    machine_destroy(m);
    return NULL;
}

void machine_destroy(struct machine *m)
{
    if (!m)
        return;
    machine_destroy_engines(m);
    for (unsigned i = 0; i < m->cpus; i++)
        vcpu_free(m->cpu[i].v);
    phys_free(&m->phys);
    board_destroy(m->board);
    for (unsigned i = 0; i < m->disks; i++)
        m->disk[i]->close(m->disk[i]);
    for (unsigned i = 1; i < m->cpus; i++)
        low_free(m->cpu[i].v, sizeof(struct vcpu));
    for (unsigned i = 0; i < m->shares; i++)
        m->share[i]->close(m->share[i]);
    nets_close(&m->nets);
    if (m->bell >= 0)
        close(m->bell);
    low_free(m, sizeof(*m));
}
