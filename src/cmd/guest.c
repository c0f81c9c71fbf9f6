/* guest.c - options shared by the commands that run a guest. */
#include "cmd/guest.h"

#include "base/log.h"
#include "console/terminal.h"
#include "jit/options.h"
#include "x86/model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct guest_options guest_options;

const GOptionEntry guest_entries[] = {
    { "cpu", 0, 0, G_OPTION_ARG_STRING, &guest_options.cpu, "MODEL[,+FEATURE,-FEATURE] (see list cpus; default: max)", "CPU" },
    { "memory", 'm', 0, G_OPTION_ARG_STRING, &guest_options.memory, "Guest RAM, e.g. 128M (default)", "SIZE" },
    { "bios", 0, 0, G_OPTION_ARG_FILENAME, &guest_options.bios, "Firmware image, mapped below 4 GiB", "FILE" },
    { "boot", 0, 0, G_OPTION_ARG_STRING, &guest_options.boot, "Firmware boots from c disks, d CD-ROMs, n network, in this order", "ORDER[,menu=on]" },
    { "kernel", 0, 0, G_OPTION_ARG_FILENAME, &guest_options.kernel, "Linux (bzImage), multiboot 1, PVH, ELF64 or ELF32 image", "FILE" },
    { "initrd", 0, 0, G_OPTION_ARG_FILENAME, &guest_options.initrd, "A Linux kernel's initial RAM disk", "FILE" },
    { "append", 0, 0, G_OPTION_ARG_STRING, &guest_options.append, "The kernel's command line", "TEXT" },
    { "disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &guest_options.disk, "A disk on an image (see the manual page); once for each", "FILE[,...]" },
    { "cdrom", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &guest_options.cdrom, "A SATA CD-ROM drive with an image in it; once for each", "FILE" },
    { "smp", 0, 0, G_OPTION_ARG_STRING, &guest_options.smp, "So many processors, 1 to 16; threads on --clock host, else in turns", "N" },
    { "virtio", 0, 0, G_OPTION_ARG_STRING, &guest_options.virtio, "Where virtio devices are: pci (default) or mmio", "BUS" },
    { "rng", 0, 0, G_OPTION_ARG_NONE, &guest_options.rng, "A virtio source of random bytes; on the host's clock they are", NULL },
    { "balloon", 0, 0, G_OPTION_ARG_NONE, &guest_options.balloon, "A virtio balloon, for the monitor's command of that name", NULL },
    { "virtio-console", 0, 0, G_OPTION_ARG_STRING, &guest_options.hvc, "A virtio console (hvc0): stdio, none or a file", "TO" },
    { "testdev", 0, 0, G_OPTION_ARG_NONE, &guest_options.testdev, "The test device that kvm-unit-tests expect", NULL },
    { "edu", 0, 0, G_OPTION_ARG_NONE, &guest_options.edu, "A PCI device to write a first driver for", NULL },
    { "iommu", 0, 0, G_OPTION_ARG_NONE, &guest_options.iommu, "An IOMMU: what functions reach, and their interrupts, go through it", NULL },
    { "display", 0, 0, G_OPTION_ARG_STRING, &guest_options.display, "A VGA, and where its picture goes: none (no VGA), curses, png:FILE", "WHERE" },
    { "vgabios", 0, 0, G_OPTION_ARG_FILENAME, &guest_options.vgabios, "The VGA's firmware (default: vgabios-stdvga.bin beside --bios)", "FILE" },
    { "serial", 0, 0, G_OPTION_ARG_STRING, &guest_options.serial, "stdio (default), none or a file", "TO" },
    { "debugcon", 0, 0, G_OPTION_ARG_STRING, &guest_options.debugcon, "Ports 0xe9 and 0x402: stdio, none (default) or a file", "TO" },
    { "split", 0, 0, G_OPTION_ARG_STRING, &guest_options.split, "How wide accesses are cut (see list policies)", "POLICY" },
    { "clock", 0, 0, G_OPTION_ARG_STRING, &guest_options.clock, "virtual (default: reproducible), host (default for kvm) or journey", "CLOCK" },
    { "log", 0, 0, G_OPTION_ARG_STRING, &guest_options.log, "Categories: in_asm,op,int,mmu,access,guest,...", "LIST" },
    { "log-file", 0, 0, G_OPTION_ARG_FILENAME, &guest_options.log_file, "Where the log goes (default: standard error)", "FILE" },
    { "limit", 0, 0, G_OPTION_ARG_STRING, &guest_options.limit, "Stop after so many instructions (K, M, G)", "INSNS" },
    { "until", 0, 0, G_OPTION_ARG_STRING, &guest_options.until, "Stop after the console has printed this", "TEXT" },
    { "jit-cache", 0, 0, G_OPTION_ARG_STRING, &guest_options.jit_cache, "Memory for translated code, at least 1M, all processors together (256M)", "SIZE" },
    { "jit-off", 0, 0, G_OPTION_ARG_STRING, &guest_options.jit_off, "What the JIT shall not do (see list jit-switches)", "LIST" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* -- numbers and names ----------------------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t unit, uint64_t *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 0);
    if (errno)
        return false;
    for (const char *suffix = "KMGT"; *end && *suffix; suffix++) {
        if (__builtin_mul_overflow(*value, unit, value))
            return false;
        if ((*end & ~32) == *suffix) {
            end++;
            break;
        }
    }
    return !*end;
}

bool guest_parse_size(const char *text, uint64_t *bytes) { return parse_number(text, 1024, bytes); }
bool guest_parse_count(const char *text, uint64_t *n) { return parse_number(text, 1000, n); }

bool guest_parse_assist(const char *text, enum assist_mode *mode, struct err *err)
{
    if (!strcmp(text, "off"))
        *mode = ASSIST_OFF;
    else if (!strcmp(text, "instruction"))
        *mode = ASSIST_INSTRUCTION;
    else if (!strcmp(text, "burst"))
        *mode = ASSIST_BURST;
    else
        return err_set(err, "--assist: off, instruction or burst, not '%s'", text);
    return true;
}

static bool parse_clock(const char *text, enum machine_clock *clock, struct err *err)
{
    if (!strcmp(text, "virtual"))
        *clock = MACHINE_CLOCK_VIRTUAL;
    else if (!strcmp(text, "host"))
        *clock = MACHINE_CLOCK_HOST;
    else if (!strcmp(text, "journey"))
        *clock = MACHINE_CLOCK_JOURNEY;
    else
        return err_set(err, "no such clock '%s' (virtual, host, journey)", text);
    return true;
}

const struct engine *guest_find_engine(const char *name, struct err *err)
{
    const struct engine *engine = engine_find(name);

    if (!engine)
        err_set(err, "no such engine '%s' (see wideload list engines)", name);
    return engine;
}

/* -- output files ------------------------------------------------------------------------------------------------------ */

/* A file we made is removed, and one that was there is not cut, unless guest_keep_outputs() says that the guest runs. */
struct output {
    FILE *file;
    const char *path;
    bool created;
};

static struct output outputs[4]; /* serial, debugcon, virtio console, log */
static unsigned outputs_open;

static FILE *output_open(const char *path, struct err *err)
{
    struct output *o = &outputs[outputs_open];
    int fd;

    for (unsigned i = 0; i < outputs_open; i++)
        if (!strcmp(outputs[i].path, path))
            return outputs[i].file;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    *o = (struct output){ .path = path, .created = fd >= 0 };
    if (fd < 0 && errno == EEXIST)
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    o->file = fd < 0 ? NULL : fdopen(fd, "wb");
    if (o->file)
        outputs_open++;
    else
        err_set(err, "%s: %s", path, strerror(errno));
    return o->file;
}

void guest_keep_outputs(void)
{
    for (unsigned i = 0; i < outputs_open; i++)
        if (ftruncate(fileno(outputs[i].file), 0) == 0 || errno == EINVAL) /* EINVAL: a terminal, a pipe */
            outputs[i].created = false;
}

static void outputs_close(void)
{
    for (unsigned i = 0; i < outputs_open; i++) {
        fclose(outputs[i].file);
        if (outputs[i].created)
            unlink(outputs[i].path);
    }
    outputs_open = 0;
}

static bool configure_log(struct err *err)
{
    char bad[64];

    if (guest_options.log && !log_enable(guest_options.log, bad, sizeof(bad)))
        return err_set(err, "no such log category '%s'", bad);
    if (guest_options.log_file) {
        FILE *f = output_open(guest_options.log_file, err);

        if (!f)
            return false;
        log_to(f);
    }
    return true;
}

/* -- the JIT ------------------------------------------------------------------------------------------------------------- */

enum { JIT_CACHE_LEAST = 1 << 20 };
static const uint64_t jit_cache_most = UINT64_C(1) << 30; /* code reaches its vcpu and itself with 32 bits */

static bool configure_jit(struct err *err)
{
    const struct guest_options *o = &guest_options;
    uint64_t *cache = &jit_options.cache_bytes;
    const char *bad;
    char **off;
    bool ok;

    if (o->jit_cache && (!guest_parse_size(o->jit_cache, cache) || *cache < JIT_CACHE_LEAST || *cache > jit_cache_most))
        return err_set(err, "--jit-cache: from 1M to 1G, not '%s'", o->jit_cache);
    *cache = (*cache + PAGE_BYTES - 1) & ~(uint64_t)PAGE_OFFSET;
    if (!o->jit_off)
        return true;
    off = g_strsplit(o->jit_off, ",", -1);
    bad = *off ? NULL : "";
    for (unsigned i = 0; off[i] && !bad; i++)
        bad = jit_switch_off(off[i]) ? NULL : off[i];
    if (bad)
        err_set(err, "no such switch of the JIT: '%s' (see wideload list jit-switches)", bad);
    ok = !bad;
    g_strfreev(off);
    return ok;
}

/* -- a snapshot's guest ---------------------------------------------------------------------------------------------------- */

static const char *const clock_names[] = {
    [MACHINE_CLOCK_VIRTUAL] = "virtual", [MACHINE_CLOCK_HOST] = "host", [MACHINE_CLOCK_JOURNEY] = "journey",
};

static const char *const virtio_names[BOARD_VIRTIOS] = {
    [BOARD_RNG] = "source of random bytes (--rng)", [BOARD_HVC] = "virtio console (--virtio-console)", [BOARD_BALLOON] = "balloon (--balloon)",
};

static bool same_model(const struct cpu_model *m, const struct snapshot_guest *g)
{
    for (unsigned f = 1; f < FEATURES; f++)
        if (feature_has(&m->features, f) != feature_has(&g->model, f))
            return false;
    return m->signature == g->signature;
}

/* What the guest has already, an option may say again, but not otherwise. */
static bool agrees_with_snapshot(const struct machine_config *c, const struct snapshot_guest *g, struct err *err)
{
    const struct guest_options *o = &guest_options;

    if (o->append)
        return err_set(err, "--append is for a kernel that starts, and --load goes on with a guest");
    if (o->memory && c->ram_bytes != g->ram_bytes)
        return err_set(err, "--memory %s: the snapshot's guest has %" G_GUINT64_FORMAT "K", o->memory, g->ram_bytes >> 10);
    if (o->cpu && !same_model(&c->cpu, g))
        return err_set(err, "--cpu %s: the snapshot's guest has another CPU", o->cpu);
    if (o->clock && c->clock != g->clock)
        return err_set(err, "--clock %s: the snapshot's guest is on the %s clock", o->clock, clock_names[g->clock]);
    if (o->smp && c->smp != g->smp)
        return err_set(err, "--smp %s: the snapshot's guest has %u", o->smp, g->smp);
    if (o->testdev != g->testdev)
        return err_set(err, "the snapshot's guest has %s test device (--testdev)", g->testdev ? "a" : "no");
    if (o->edu != g->edu)
        return err_set(err, "the snapshot's guest has %s device to learn with (--edu)", g->edu ? "a" : "no");
    if (o->iommu != g->iommu)
        return err_set(err, "the snapshot's guest has %s IOMMU (--iommu)", g->iommu ? "an" : "no");
    for (unsigned i = 0; i < BOARD_VIRTIOS; i++)
        if (c->virtio[i] != g->virtio[i])
            return err_set(err, "the snapshot's guest has %s %s", g->virtio[i] ? "a" : "no", virtio_names[i]);
    if (c->virtio_mmio != g->virtio_mmio)
        return err_set(err, "the snapshot's guest has its virtio devices on %s (--virtio)", g->virtio_mmio ? "mmio" : "pci");
    if (c->disks != g->disks)
        return err_set(err, "the snapshot's guest has %u disks and CD-ROMs: --disk or --cdrom for each, not %u", g->disks, c->disks);
    if (c->vga != g->vga)
        return err_set(err, "the snapshot's guest has %s VGA (--display)", g->vga ? "a" : "no");
    if (c->engine->id == ENGINE_KVM && g->clock == MACHINE_CLOCK_VIRTUAL)
        return err_set(err, "the snapshot's guest is on the virtual clock, which counts instructions, and KVM cannot");
    if (o->limit && c->limit <= g->retired)
        return err_set(err, "--limit %s: the snapshot's guest has retired %" G_GUINT64_FORMAT " instructions", o->limit, g->retired);
    return true;
}

static bool configure_snapshot(struct machine_config *c, struct snapshot *load, struct err *err)
{
    const struct snapshot_guest *g = snapshot_guest(load);

    if (!agrees_with_snapshot(c, g, err))
        return false;
    c->load = load;
    c->ram_bytes = g->ram_bytes;
    c->clock = (enum machine_clock)g->clock;
    c->smp = g->smp;
    c->cpu = (struct cpu_model){ g->signature, g->model, cpuid_vendor(&g->cpuid) };
    return true;
}

/* -- disks ------------------------------------------------------------------------------------------------------------- */

static struct image_options disks[MACHINE_IMAGES];
static unsigned disks_given;

static bool take_image(const char *text, bool cdrom, struct err *err)
{
    struct image_options o;
    bool on_sata;
    unsigned same = 0;

    if (!(cdrom ? image_parse_cdrom : image_parse)(text, &o, err))
        return false;
    on_sata = o.ahci;
    for (unsigned i = 0; i < disks_given; i++)
        same += disks[i].ahci == on_sata;
    if (same == (on_sata ? AHCI_PORTS : BOARD_DISKS)) {
        image_options_free(&o);
        return on_sata ? err_set(err, "--disk and --cdrom: at most %u of them on SATA", AHCI_PORTS)
                      : err_set(err, "--disk: at most %u of them", BOARD_DISKS);
    }
    disks[disks_given++] = o;
    return true;
}

static bool configure_disks(struct machine_config *c, struct err *err)
{
    for (char **text = guest_options.disk; text && *text; text++)
        if (!take_image(*text, false, err))
            return false;
    for (char **text = guest_options.cdrom; text && *text; text++)
        if (!take_image(*text, true, err))
            return false;
    c->disk = disks;
    c->disks = disks_given;
    return true;
}

/* -- the display ----------------------------------------------------------------------------------------------------------- */

static char *vgabios_beside;

const char *guest_picture(void)
{
    const char *text = guest_options.display;

    return text && g_str_has_prefix(text, "png:") ? text + strlen("png:") : NULL;
}

bool guest_display_is_curses(void) { return guest_options.display && !strcmp(guest_options.display, "curses"); }

static bool is_stdio(const char *to) { return to && !strcmp(to, "stdio"); }

static bool serial_is_stdio(void)
{
    return guest_options.serial ? is_stdio(guest_options.serial) : !guest_display_is_curses();
}

static bool configure_display(struct machine_config *c, struct err *err)
{
    const struct guest_options *o = &guest_options;
    char *folder;

    c->vga = o->display && strcmp(o->display, "none") != 0;
    if (c->vga && !guest_display_is_curses() && !(guest_picture() && *guest_picture()))
        return err_set(err, "--display: none, curses or png:FILE, not '%s'", o->display);
    if (guest_display_is_curses() && (serial_is_stdio() || is_stdio(o->debugcon) || is_stdio(o->hvc)))
        return err_set(err, "--display curses has the terminal: nothing else with stdio beside it");
    if (o->vgabios && !c->vga)
        return err_set(err, "--vgabios is for a VGA: with --display");
    c->vgabios = o->vgabios;
    if (!c->vga || o->vgabios || !c->bios)
        return true;
    folder = g_path_get_dirname(c->bios);
    g_free(vgabios_beside);
    c->vgabios = vgabios_beside = g_build_filename(folder, "vgabios-stdvga.bin", NULL);
    g_free(folder);
    return true;
}

/* -- what it boots from -------------------------------------------------------------------------------------------------- */

/* ORDER, menu=on or menu=off, or both. */
static bool configure_boot(struct machine_config *c, struct err *err)
{
    static char order[4];
    char **words = g_strsplit(guest_options.boot ? guest_options.boot : "", ",", -1);
    bool ok = !guest_options.boot || *words;

    for (unsigned i = 0; words[i] && ok; i++) {
        size_t n = strspn(words[i], "cdn");

        if (!strcmp(words[i], "menu=on") || !strcmp(words[i], "menu=off"))
            c->boot_menu = words[i][6] == 'n';
        else if (i == 0 && n && n < sizeof(order) && !words[i][n])
            c->boot = memcpy(order, words[i], n + 1);
        else
            ok = false;
    }
    g_strfreev(words);
    if (!ok)
        return err_set(err, "--boot: up to three letters of c, d, n, and menu=on, not '%s'", guest_options.boot);
    return !guest_options.boot || c->bios || err_set(err, "--boot is for firmware: with --bios");
}

void guest_throw_away_writes(void)
{
    for (unsigned i = 0; i < disks_given; i++)
        disks[i].snapshot = !disks[i].read_only;
}

void guest_free_disks(void)
{
    for (unsigned i = 0; i < disks_given; i++)
        image_options_free(&disks[i]);
    disks_given = 0;
    g_strfreev(guest_options.disk);
    guest_options.disk = NULL;
    g_free(vgabios_beside);
    vgabios_beside = NULL;
    g_strfreev(guest_options.cdrom);
    guest_options.cdrom = NULL;
}

static bool parse_smp(const char *text, unsigned *n)
{
    uint64_t v;

    if (!parse_number(text, 1000, &v) || !v || v > APIC_CPUS)
        return false;
    *n = (unsigned)v;
    return true;
}

static bool parse_virtio(const char *text, bool *mmio)
{
    *mmio = !strcmp(text, "mmio");
    return *mmio || !strcmp(text, "pci");
}

/* -- the configuration -------------------------------------------------------------------------------------------------- */

bool guest_configure(struct machine_config *c, const char *flat, struct snapshot *load, struct err *err)
{
    const struct guest_options *o = &guest_options;

    *c = (struct machine_config){ .ram_bytes = MIB(128), .limit = UINT64_MAX, .bios = o->bios, .kernel = o->kernel,
                                  .append = o->append, .initrd = o->initrd, .flat = flat, .until = o->until, .testdev = o->testdev,
                                  .edu = o->edu, .iommu = o->iommu };
    c->virtio[BOARD_RNG] = o->rng;
    c->virtio[BOARD_BALLOON] = o->balloon;
    c->virtio[BOARD_HVC] = o->hvc;
    c->input_to_hvc = o->hvc && !strcmp(o->hvc, "stdio");
    if (load && (o->bios || o->kernel || flat))
        return err_set(err, "--load goes on with a guest: no --bios, --kernel or flat image beside it");
    if (!load && !!o->bios + !!o->kernel + !!flat != 1)
        return err_set(err, "what to run: one of --bios FILE, --kernel FILE, or a flat image");
    if (o->initrd && !o->kernel)
        return err_set(err, "--initrd is for a --kernel");
    c->engine = guest_find_engine(o->engine ? o->engine : "interp", err);
    if (!c->engine)
        return false;
    if (o->cpu && !model_parse(o->cpu, &c->cpu, err))
        return false;
    if (o->memory && !guest_parse_size(o->memory, &c->ram_bytes))
        return err_set(err, "not a size: '%s'", o->memory);
    if (o->smp && !parse_smp(o->smp, &c->smp))
        return err_set(err, "--smp: not a number of processors from 1 to %u: '%s'", APIC_CPUS, o->smp);
    if (o->virtio && !parse_virtio(o->virtio, &c->virtio_mmio))
        return err_set(err, "--virtio: pci or mmio, not '%s'", o->virtio);
    if (o->limit && !parse_number(o->limit, 1000, &c->limit))
        return err_set(err, "not a number of instructions: '%s'", o->limit);
    if (o->until && !*o->until)
        return err_set(err, "--until needs some text");
    if (o->split && !(c->policy = split_find(o->split, &c->policy_arg)))
        return err_set(err, "no such split policy '%s' (see wideload list policies)", o->split);
    if (c->engine->id == ENGINE_KVM) /* it cannot count instructions */
        c->clock = MACHINE_CLOCK_HOST;
    if (o->clock && !parse_clock(o->clock, &c->clock, err))
        return false;
    if (!configure_disks(c, err) || !configure_boot(c, err) || !configure_display(c, err))
        return false;
    if (load && !configure_snapshot(c, load, err))
        return false;
    if (c->engine->id == ENGINE_KVM && c->clock == MACHINE_CLOCK_VIRTUAL)
        return err_set(err, "--clock virtual counts instructions, which KVM cannot: host or journey");
    if (c->engine->id == ENGINE_KVM && o->limit)
        return err_set(err, "--limit counts instructions, which KVM cannot");
    if (c->smp > 1 && c->clock == MACHINE_CLOCK_JOURNEY)
        return err_set(err, "--smp %u: on the virtual or the host's clock alone", c->smp);
    return configure_jit(err) && configure_log(err);
}

/* -- consoles --------------------------------------------------------------------------------------------------------- */

static struct char_backend consoles[3];

static void console_write(void *opaque, const uint8_t *data, size_t size)
{
    fwrite(data, 1, size, opaque);
    fflush(opaque);
}

static bool console_open(unsigned i, const char *to, struct char_backend **out, struct err *err)
{
    FILE *file;

    if (!strcmp(to, "none"))
        return true;
    file = !strcmp(to, "stdio") ? stdout : output_open(to, err);
    if (!file)
        return false;
    consoles[i] = (struct char_backend){ .output = console_write, .opaque = file };
    *out = &consoles[i];
    return true;
}

bool guest_open_console(struct machine_config *c, struct err *err)
{
    const struct guest_options *o = &guest_options;

    return console_open(0, o->serial ? o->serial : guest_display_is_curses() ? "none" : "stdio", &c->serial, err) &&
           console_open(1, o->debugcon ? o->debugcon : "none", &c->debugcon, err) &&
           console_open(2, o->hvc ? o->hvc : "none", &c->hvc, err);
}

bool guest_reads_stdio(void) { return serial_is_stdio() || is_stdio(guest_options.hvc); }

void guest_close_console(void)
{
    log_to(NULL);
    outputs_close();
}

/* -- the command line ------------------------------------------------------------------------------------------------------ */

static bool is_option(const char *arg, const char *name, char letter)
{
    return !strcmp(arg, name) || (letter && arg[0] == '-' && arg[1] == letter && !arg[2]);
}

char *guest_command_line(int argc, char **argv, const char *skip, char letter)
{
    GString *s = g_string_new(argv[0]);
    size_t length = strlen(skip);

    for (int i = 1; i < argc; i++) {
        char *quoted;

        if (is_option(argv[i], skip, letter) && ++i)
            continue;
        if (!strncmp(argv[i], skip, length) && argv[i][length] == '=')
            continue;
        quoted = strpbrk(argv[i], " \t\n\"'$\\*?;&|<>()`") || !*argv[i] ? g_shell_quote(argv[i]) : g_strdup(argv[i]);
        g_string_append_printf(s, " %s", quoted);
        g_free(quoted);
    }
    return g_string_free(s, FALSE);
}

/* -- signals ------------------------------------------------------------------------------------------------------------ */

static struct machine *signal_machine[2];

/* The second ends the program at once. */
static void on_signal(int number)
{
    static volatile sig_atomic_t again;

    if (again) {
        terminal_restore();
        signal(number, SIG_DFL);
        raise(number);
    }
    again = 1;
    for (unsigned i = 0; i < ARRAY_LEN(signal_machine); i++)
        if (signal_machine[i])
            machine_interrupt(signal_machine[i]);
}

void guest_catch_signals(struct machine *m, struct machine *other)
{
    struct sigaction action = { .sa_handler = m || other ? on_signal : SIG_DFL };

    signal_machine[0] = m;
    signal_machine[1] = other;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
