/*
 * machine.c - a guest put together and driven: budgets between device deadlines, halts, stops; handed from engine to engine;
 * looked after by who is attached (console, monitor, gdb).
 */
#define _GNU_SOURCE
#include "machine.h"

#include "load/load.h"
#include "snapshot/snapshot.h"
#include "widereg.h"

#include "apic.h"
#include "base/log.h"
#include "base/low.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { BIOS_MAX = 16 << 20, VGABIOS_MAX = 128 << 10 };
enum { JOURNEY_NS = 1000, HOST_SLICE = 200000, SPIN_INSNS = 200000000, ATTEND_INSNS = 1 << 18, ATTEND_WAITS = 1024 };
enum { SLEEP_NS = 10000000, TURN_INSNS = 50000, TURN_PAUSES = 16, DEVICE_NS = 250 };

/* -- time --------------------------------------------------------------------------------------------------------- */

static uint64_t host_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t machine_retired(const struct machine *m)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < m->cpus; i++)
        n += vcpu_retired(m->cpu[i].v);
    return n;
}

static uint64_t machine_time(void *opaque)
{
    struct machine *m = opaque;

    switch (m->config.clock) {
    case MACHINE_CLOCK_HOST: return host_ns() - m->host_start_ns;
    case MACHINE_CLOCK_JOURNEY: return m->journeys * JOURNEY_NS + m->skipped_ns;
    default: return machine_retired(m) + m->skipped_ns;
    }
}

static uint64_t cpu_time(void *opaque) { return machine_time(((struct machine_cpu *)opaque)->machine); }

/* The processor whose turn it is comes back soon. */
static void machine_attention(struct machine *m) { m->cpu[m->at].v->attention = true; }

/* The virtual clock goes on without instructions: what is due is that much nearer.  Who pauses often waits for another. */
static void cpu_dawdle(void *opaque, uint64_t ns, bool waits)
{
    struct machine_cpu *cpu = opaque;
    struct machine *m = cpu->machine;

    if (waits && m->cpus > 1 && ++m->pauses >= TURN_PAUSES)
        cpu->v->attention = true;
    if (m->config.clock != MACHINE_CLOCK_VIRTUAL)
        return;
    m->skipped_ns += ns;
    vcpu_end_sooner(cpu->v, ns);
}

/* About what a register of a device takes on a PC's chipset. */
static void cpu_waits(void *opaque) { cpu_dawdle(opaque, DEVICE_NS, false); }

/* -- what the board asks of the machine ------------------------------------------------------------------------------ */

/* A deadline that the budget has not taken into account. */
static void machine_sooner(void *opaque) { machine_attention(opaque); }

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

static void on_wake(void *opaque) { ((struct machine *)opaque)->woken = true; }

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

/* -- what a CPU asks of the board -------------------------------------------------------------------------------------- */

static struct device *cpu_apic(const struct machine_cpu *cpu) { return cpu->machine->board->apic; }

static bool cpu_read_msr(void *opaque, uint32_t index, uint64_t *value)
{
    const struct machine_cpu *cpu = opaque;

    return apic_msr_read(cpu_apic(cpu), cpu->v->id, index, value);
}

static bool cpu_write_msr(void *opaque, uint32_t index, uint64_t value)
{
    const struct machine_cpu *cpu = opaque;

    return apic_msr_write(cpu_apic(cpu), cpu->v->id, index, value);
}

static uint64_t cpu_read_cr8(void *opaque)
{
    const struct machine_cpu *cpu = opaque;

    return apic_get_tpr(cpu_apic(cpu), cpu->v->id) >> 4;
}

static void cpu_write_cr8(void *opaque, uint64_t value)
{
    const struct machine_cpu *cpu = opaque;

    apic_set_tpr(cpu_apic(cpu), cpu->v->id, (uint8_t)(value << 4));
}

/* Another than the one whose turn it is has something to do: turns get short. */
static void cpu_pin_changed(void *opaque)
{
    const struct machine_cpu *cpu = opaque;

    if (cpu != &cpu->machine->cpu[cpu->machine->at])
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
        .random = m->config.clock == MACHINE_CLOCK_HOST ? host_random : NULL, .testdev = m->config.testdev,
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

static bool machine_load_image(struct machine *m, struct err *err)
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
            return err_set(err, "kvm: it runs one processor, not %u", m->cpus);
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

static bool machine_create_engines(struct machine *m, struct err *err)
{
    if (m->cpus > 1 && m->runs->id == ENGINE_KVM)
        return err_set(err, "kvm: it runs one processor, not %u", m->cpus);
    for (unsigned i = 0; i < m->cpus; i++) {
        m->cpu[i].engine = m->runs->create(m->cpu[i].v, err);
        if (!m->cpu[i].engine || !m->runs->set_state(m->cpu[i].engine, err))
            return false;
    }
    return true;
}

static void machine_destroy_engines(struct machine *m)
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
        m->host_start_ns = host_ns() - m->clock.ns;
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
    m->host_start_ns = host_ns();
    m->clock.source = machine_time;
    m->clock.opaque = m;
    m->clock.sooner = machine_sooner;
    m->dma = (struct dma){ dma_read, dma_write };
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

/* -- the loop ----------------------------------------------------------------------------------------------------------- */

/* A string instruction has told devices only a part of its journey: the rest comes first. */
static bool machine_within_journey(const struct machine *m)
{
    const struct vcpu *v = m->cpu[m->at].v;

    return v->again && v->bus.touched && v->stop_on_touch && machine_retired(m) < m->config.limit;
}

static bool machine_can_reset(const struct machine *m)
{
    return !m->config.no_reboot && (m->board->config.bios_bytes || m->config.kernel || m->config.flat);
}

/* A reset that the machine goes on from is no end: machine_drive() carries it out before the next instruction. */
static bool machine_over(struct machine *m, enum machine_end *end)
{
    if (machine_within_journey(m))
        return false;
    if (m->interrupted)
        *end = MACHINE_INTERRUPTED;
    else if (m->debug_exited)
        *end = MACHINE_DEBUG_EXIT;
    else if (m->powered_off)
        *end = MACHINE_POWERED_OFF;
    else if (m->panicked)
        *end = MACHINE_PANIC;
    else if (m->reset_requested && !machine_can_reset(m))
        *end = MACHINE_RESET;
    else if (m->until_seen)
        *end = MACHINE_UNTIL;
    else if (machine_retired(m) >= m->config.limit)
        *end = MACHINE_LIMIT;
    else
        return false;
    return true;
}

/* What a soft engine has made of memory so far goes with it. */
static bool machine_reset_engines(struct machine *m, struct err *err)
{
    if (m->runs->id == ENGINE_KVM)
        return m->runs->set_state(m->cpu[0].engine, err);
    machine_destroy_engines(m);
    return machine_create_engines(m, err);
}

/* No processor runs, and no device but the clock that may wake them. */
static void machine_fall_asleep(struct machine *m)
{
    m->sleep_requested = false;
    m->asleep = true;
    board_sleep(m->board);
}

/* ACPI 16.2.4: firmware, or the guest itself where its FACS says, in real mode. */
static bool machine_wake(struct machine *m, struct err *err)
{
    struct cpu *c = &m->vcpu.cpu;
    uint32_t vector = board_wake(m->board);

    m->asleep = m->woken = false;
    m->at = 0;
    for (unsigned i = 0; i < m->cpus; i++)
        vcpu_reset(m->cpu[i].v);
    if (!m->board->config.bios_bytes) {
        c->seg[SEG_CS].selector = (uint16_t)(vector >> 4);
        c->seg[SEG_CS].base = (uint32_t)c->seg[SEG_CS].selector << 4;
        c->rip = vector & 15;
    }
    vcpu_sync(&m->vcpu);
    return machine_reset_engines(m, err);
}

/* Firmware finds RAM as it was; a guest without any is loaded anew. */
static bool machine_reset(struct machine *m, struct err *err)
{
    bool image = m->config.kernel || m->config.flat;

    m->reset_requested = false;
    if (image)
        board_clear_ram(m->board);
    board_reset(m->board);
    m->at = 0;
    for (unsigned i = 0; i < m->cpus; i++)
        vcpu_reset(m->cpu[i].v);
    if (image) {
        phys_forget_memory(&m->phys);
        if (!machine_load_image(m, err))
            return false;
        vcpu_sync(&m->vcpu);
    }
    return machine_reset_engines(m, err);
}

/* What has been asked for within the last instruction. */
static bool machine_change_power(struct machine *m, struct err *err)
{
    if (m->sleep_requested)
        machine_fall_asleep(m);
    if (m->woken && !machine_wake(m, err))
        return false;
    return !m->reset_requested || !machine_can_reset(m) || machine_reset(m, err);
}

/* -- hand-overs ---------------------------------------------------------------------------------------------------------- */

static const struct machine_switch *machine_next_switch(const struct machine *m)
{
    return m->switched < m->config.switch_count ? &m->config.switches[m->switched] : NULL;
}

/* Instructions; UINT64_MAX: not to be counted yet. */
static uint64_t machine_until_switch(struct machine *m)
{
    const struct machine_switch *next = machine_next_switch(m);
    uint64_t at;

    if (!next || m->journeys < next->journeys)
        return UINT64_MAX;
    if (!m->switch_counts)
        m->switch_from = next->journeys ? machine_retired(m) : 0;
    m->switch_counts = true;
    at = m->switch_from + next->insns;
    return at > machine_retired(m) ? at - machine_retired(m) : 0;
}

/* Between two instructions: all of the state is in each vcpu.cpu, and the next engine takes it from there. */
static bool machine_hand_over(struct machine *m, const struct engine *to, struct err *err)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (!m->runs->get_state(m->cpu[i].engine, err))
            return false;
    machine_destroy_engines(m);
    m->runs = to;
    return machine_create_engines(m, err);
}

static bool machine_switch_due(struct machine *m, struct err *err)
{
    while (machine_until_switch(m) == 0) {
        m->switch_counts = false;
        if (!machine_hand_over(m, m->config.switches[m->switched++].to, err))
            return false;
    }
    m->vcpu.exact = m->switch_counts || m->vcpu.debug.step; /* KVM, which has but one */
    return true;
}

static bool machine_counts_journeys(const struct machine *m)
{
    for (unsigned i = m->switched; i < m->config.switch_count; i++)
        if (m->config.switches[i].journeys)
            return true;
    return false;
}

/* -- turns ----------------------------------------------------------------------------------------------------------------- */

static bool cpu_can_run(const struct machine_cpu *cpu)
{
    const struct vcpu *v = cpu->v;

    return v->cpu.activity == CPU_RUNNING || vcpu_wakes(v);
}

static bool machine_others_wait(const struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (i != m->at && cpu_can_run(&m->cpu[i]))
            return true;
    return false;
}

void machine_give_turn(struct machine *m, unsigned cpu)
{
    m->at = cpu;
    m->turn_ends = machine_retired(m) + TURN_INSNS;
    m->pauses = 0;
}

/* The next that has something to do, maybe the same.  Not within an instruction that is to be one journey. */
static void machine_next_turn(struct machine *m)
{
    unsigned i = m->at;

    if (m->cpus == 1 || machine_within_journey(m))
        return;
    do
        i = (i + 1) % m->cpus;
    while (i != m->at && !cpu_can_run(&m->cpu[i]));
    machine_give_turn(m, i);
}

static bool machine_turn_is_over(const struct machine *m)
{
    return m->cpus > 1 && (m->pauses >= TURN_PAUSES || machine_retired(m) >= m->turn_ends || !cpu_can_run(&m->cpu[m->at]));
}

/* -- budgets --------------------------------------------------------------------------------------------------------------- */

/* Instructions until something has to be looked at. */
static uint64_t machine_budget(struct machine *m)
{
    uint64_t retired = machine_retired(m), left = m->config.limit - retired, next = clock_next(&m->clock), now = clock_now(&m->clock);

    if (m->cpu[m->at].v->debug.step)
        return bits_min(left, 1);
    left = bits_min(left, machine_until_switch(m));
    if (m->config.attendant && m->runs->id != ENGINE_KVM)
        left = bits_min(left, m->attend_at - retired);
    if (m->cpus > 1 && machine_others_wait(m))
        left = bits_min(left, m->turn_ends - retired);
    if (m->nets.count)
        left = bits_min(left, HOST_SLICE);
    if (m->config.clock == MACHINE_CLOCK_HOST)
        return bits_min(left, HOST_SLICE);
    if (m->config.clock == MACHINE_CLOCK_JOURNEY)
        return bits_min(left, SPIN_INSNS);
    m->clock.horizon_ns = next;
    return next == CLOCK_NEVER ? left : bits_min(left, next > now ? next - now : 1);
}

/* -- whoever looks after the guest --------------------------------------------------------------------------------------- */

static void machine_look(struct machine *m, uint64_t wait_ns)
{
    m->attend_at = machine_retired(m) + ATTEND_INSNS;
    m->idle_waits = 0;
    m->config.attendant->look(m->config.attendant->opaque, wait_ns);
}

void machine_ring(void *machine)
{
    struct machine *m = machine;

    m->rung = true;
    for (unsigned i = 0; i < m->cpus; i++)
        m->cpu[i].v->attention = true;
    eventfd_write(m->bell, 1);
}

/* In this order: what comes behind a step is seen by the next, or rings again. */
static void machine_answer(struct machine *m)
{
    eventfd_t count;

    m->rung = false;
    eventfd_read(m->bell, &count);
    nets_look(&m->nets);
}

static void machine_attend(struct machine *m)
{
    if (m->rung || nets_stirred(&m->nets))
        machine_answer(m);
    if (m->config.attendant && (m->runs->id == ENGINE_KVM || machine_retired(m) >= m->attend_at || m->idle_waits >= ATTEND_WAITS))
        machine_look(m, 0);
}

static bool machine_takes_interrupts(const struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->cpu[i].v->cpu.rflags & FLAG_IF)
            return true;
    return false;
}

static bool machine_expects(struct machine *m)
{
    const struct machine_attendant *a = m->config.attendant;

    /* The board's wires lead to the first processor, a card's messages to any. */
    return (a && a->expects(a->opaque, m->vcpu.cpu.rflags & FLAG_IF)) || (nets_expect(&m->nets) && machine_takes_interrupts(m));
}

bool machine_show_state(struct machine *m, struct err *err)
{
    if (!m->runs->get_state(m->cpu[0].engine, err))
        return false;
    if (m->runs->id == ENGINE_KVM) /* the soft-MMU has not been asked yet */
        vcpu_sync(&m->vcpu);
    return true;
}

bool machine_take_state(struct machine *m, struct err *err)
{
    vcpu_update(&m->vcpu);
    return m->runs->id != ENGINE_KVM || m->runs->set_state(m->cpu[0].engine, err);
}

/* A step ends with an instruction, whatever else that has done. */
static void machine_debug(struct machine *m, enum stop_reason stop)
{
    const struct machine_attendant *a = m->config.attendant;
    bool step = m->cpu[m->at].v->debug.step && (stop == STOP_BUDGET || stop == STOP_TOUCHED);

    if (a && (step || stop == STOP_DEBUG))
        a->stopped(a->opaque, step);
}

void machine_stood_still(struct machine *m, uint64_t ns)
{
    if (m->config.clock == MACHINE_CLOCK_HOST)
        m->host_start_ns += ns;
}

/* -- HLT ----------------------------------------------------------------------------------------------------------------- */

static void machine_sleep(struct machine *m, uint64_t ns)
{
    struct pollfd bell = { .fd = m->bell, .events = POLLIN };
    struct timespec t = { 0, (long)ns };

    if (m->config.attendant)
        machine_look(m, ns);
    else
        ppoll(&bell, 1, &t, NULL);
}

/* On the virtual clock too, who waits for the network waits as long as the host does. */
static void machine_sleep_counted(struct machine *m, uint64_t ns)
{
    uint64_t since = host_ns();

    machine_sleep(m, ns);
    if (m->config.clock == MACHINE_CLOCK_VIRTUAL)
        m->skipped_ns += bits_min(host_ns() - since, ns);
}

/* Is what a deadline brings an interrupt that somebody takes? */
static bool machine_is_woken(const struct machine *m) { return m->asleep || machine_takes_interrupts(m) || board_has_unmaskable(m->board); }

/* Time goes to the next deadline.  False if there is none and nothing else can happen: nothing will ever wake the CPU. */
static bool machine_wait(struct machine *m)
{
    uint64_t next = m->asleep ? clock_next(&m->clock) : board_next_interrupt(m->board), now = clock_now(&m->clock);

    if (nets_stirred(&m->nets)) /* an answer may be there already */
        return true;
    if ((next == CLOCK_NEVER || !machine_is_woken(m)) && !machine_expects(m))
        return false;
    m->idle_waits++;
    if (next > now && nets_expect(&m->nets))
        machine_sleep_counted(m, bits_min(next - now, SLEEP_NS));
    else if (next == CLOCK_NEVER || (next > now && m->config.clock == MACHINE_CLOCK_HOST))
        machine_sleep(m, bits_min(next - now, SLEEP_NS));
    else if (next > now)
        m->skipped_ns += next - now;
    clock_run(&m->clock);
    return true;
}

/* Nobody has anything to do.  False: nor ever will. */
static bool machine_idle(struct machine *m) { return machine_others_wait(m) || cpu_can_run(&m->cpu[m->at]) || machine_wait(m); }

/* Runs out of instructions on the journey clock, where only a device access would have let time pass. */
static bool machine_spins(struct machine *m)
{
    return m->config.clock == MACHINE_CLOCK_JOURNEY && !m->config.attendant && machine_retired(m) < m->config.limit && machine_until_switch(m);
}

static void machine_watch_touches(struct machine *m, bool one_journey)
{
    bool stop = one_journey || m->config.counts || m->config.clock == MACHINE_CLOCK_JOURNEY || machine_counts_journeys(m);

    for (unsigned i = 0; i < m->cpus; i++)
        m->cpu[i].v->stop_on_touch = stop;
}

static enum machine_end machine_drive(struct machine *m, bool one_journey, struct err *err)
{
    enum machine_end end;

    machine_watch_touches(m, one_journey);
    for (;;) {
        enum stop_reason stop;

        machine_attend(m);
        if (!machine_change_power(m, err) || !machine_switch_due(m, err))
            return MACHINE_FAILED;
        if (machine_over(m, &end))
            return end;
        if (m->asleep) {
            if (!machine_wait(m))
                return MACHINE_HALTED_FOREVER;
            continue;
        }
        clock_run(&m->clock);
        if (machine_turn_is_over(m))
            machine_next_turn(m);
        stop = m->runs->run(m->cpu[m->at].engine, machine_budget(m), err);
        m->clock.horizon_ns = 0;
        machine_debug(m, stop);
        switch (stop) {
        case STOP_FAILED: return MACHINE_FAILED;
        case STOP_SHUTDOWN:
            if (!m->config.shutdown_resets || !machine_can_reset(m))
                return MACHINE_SHUTDOWN;
            m->reset_requested = true;
            break;
        case STOP_HALT:
            if (!machine_idle(m))
                return MACHINE_HALTED_FOREVER;
            break;
        case STOP_TOUCHED:
            m->journeys++;
            clock_run(&m->clock);
            if (one_journey)
                return machine_over(m, &end) ? end : MACHINE_JOURNEY;
            break;
        case STOP_BUDGET:
            if (machine_spins(m))
                return MACHINE_SPINNING;
            break;
        default: break;
        }
    }
}

enum machine_end machine_run(struct machine *m, struct err *err) { return machine_drive(m, false, err); }
enum machine_end machine_step(struct machine *m, struct err *err) { return machine_drive(m, true, err); }

void machine_interrupt(struct machine *m)
{
    m->interrupted = true;
    for (unsigned i = 0; i < m->cpus; i++)
        if (m->cpu[i].engine)
            m->runs->kick(m->cpu[i].engine);
}

const char *machine_end_name(enum machine_end end)
{
    static const char *const names[] = {
        [MACHINE_LIMIT] = "instruction limit reached", [MACHINE_UNTIL] = "text seen", [MACHINE_DEBUG_EXIT] = "debug exit",
        [MACHINE_SHUTDOWN] = "triple fault", [MACHINE_HALTED_FOREVER] = "halted, and nothing will wake it",
        [MACHINE_POWERED_OFF] = "powered off", [MACHINE_INTERRUPTED] = "interrupted", [MACHINE_FAILED] = "failed",
        [MACHINE_SPINNING] = "spins on memory: no device access brings the interrupt it waits for",
        [MACHINE_JOURNEY] = "journey", [MACHINE_PANIC] = "the guest has panicked",
        [MACHINE_RESET] = "reset by the guest",
    };

    return names[end];
}
