/*
 * snapshot.c - what a snapshot has, section by section; the same order for both directions.
 *
 * Numbers are checked against their rows (tables.c, each device's own), then each device checks what rows cannot say and
 * recomputes what follows.  RAM is written as pages, those of zeros left out.
 */
#include "snapshot/snapshot.h"

#include "snapshot/pages.h"
#include "snapshot/stream.h"
#include "snapshot/tables.h"
#include "x86/model.h"

#include <glib.h>
#include <string.h>

enum { TEXT_MAX = 8192, PROGRESS_PAGES = 1024, FLASH_MAX = 16 << 20 };

struct snapshot {
    char *path;
    struct snapshot_in *in;
    struct snapshot_guest guest;
    uint64_t pdpte[APIC_CPUS][4];
};

#define STATE struct snapshot_guest
FIELDS(guest_fields, FIELD_MAX(ram_bytes, GIB(1024)), FIELD_MAX(bios_bytes, FLASH_MAX), FIELD(retired), FIELD(journeys),
       FIELD_MAX(clock, MACHINE_CLOCK_JOURNEY), FIELD_MAX(disks, MACHINE_IMAGES), FIELD_MAX(nets, BOARD_NETS), FIELD_MAX(shares, BOARD_SHARES),
       FIELD_MAX(smp, APIC_CPUS), FIELD(vga), FIELD(testdev), FIELD(edu), FIELD(iommu), FIELD_ARRAY(virtio), FIELD(virtio_mmio),
       FIELD(signature),
       WIRING(model), WIRING(features), WIRING(cpuid))
#undef STATE

/* A section that is one table's state. */
struct part {
    const char *name;
    const struct fields *fields;
    void *state;
};

/* The clock comes first: moments are no later than its time. */
enum { PARTS = 3 };
static void machine_parts(struct machine *m, struct part *part)
{
    const struct part all[PARTS] = {
        { "clock", &clock_fields, &m->clock }, { "machine", &machine_fields, m }, { "board", &board_fields, m->board },
    };

    memcpy(part, all, sizeof(all));
}

/* -- features as text: a name that this program does not know is refused ------------------------------------------------ */

static char *features_print(const struct feature_set *set)
{
    GString *s = g_string_new(NULL);

    for (unsigned f = 1; f < FEATURES; f++)
        if (feature_has(set, f))
            g_string_append_printf(s, "%s,", feature_rows[f].name);
    return g_string_free(s, FALSE);
}

static unsigned feature_find(const char *name)
{
    unsigned f = 1;

    while (f < FEATURES && strcmp(feature_rows[f].name, name) != 0)
        f++;
    return f;
}

static bool features_parse(const char *text, struct feature_set *set)
{
    char **list = g_strsplit(text, ",", -1);
    bool ok = true;

    *set = (struct feature_set){ { 0 } };
    for (char **name = list; *name && ok; name++) {
        unsigned f = feature_find(*name);

        ok = f < FEATURES || (!**name && !name[1]); /* nothing behind the last comma */
        if (f < FEATURES)
            set->bits[f >> 6] |= BIT(f & 63);
    }
    g_strfreev(list);
    return ok;
}

/* -- saving ------------------------------------------------------------------------------------------------------------------ */

static void save_text(struct snapshot_out *out, const char *name, const char *text)
{
    out_section(out, name, strlen(text));
    out_write(out, text, strlen(text));
}

static void save_features(struct snapshot_out *out, const char *name, const struct feature_set *set)
{
    char *text = features_print(set);

    save_text(out, name, text);
    g_free(text);
}

static void save_fields(struct snapshot_out *out, const char *name, const struct fields *fields, const void *state)
{
    size_t bytes = fields_size(fields);
    uint8_t *data = g_malloc(bytes + 1);

    fields_save(fields, state, data);
    out_section(out, name, bytes);
    out_write(out, data, bytes);
    g_free(data);
}

static void save_guest(struct snapshot_out *out, const struct machine *m)
{
    const struct machine_config *c = &m->config;
    struct cpu_model model = c->cpu;
    struct snapshot_guest guest;
    char cpuid_text[TEXT_MAX];

    if (!model.signature)
        model_of_row(&model_rows[0], &model);
    guest = (struct snapshot_guest){ .ram_bytes = c->ram_bytes, .bios_bytes = m->board->config.bios_bytes, .retired = machine_retired(m), .smp = m->cpus,
                                     .journeys = m->journeys, .clock = c->clock, .disks = c->disks, .nets = c->nets, .shares = c->shares, .vga = c->vga,
                                     .testdev = c->testdev, .edu = c->edu, .iommu = c->iommu, .virtio_mmio = c->virtio_mmio,
                                     .signature = model.signature };
    memcpy(guest.virtio, c->virtio, sizeof(guest.virtio));
    cpuid_print(&m->vcpu.cpuid, cpuid_text, sizeof(cpuid_text));
    save_fields(out, "guest", &guest_fields, &guest);
    save_features(out, "model", &model.features);
    save_features(out, "features", &m->vcpu.features);
    save_text(out, "cpuid", cpuid_text);
    out_section(out, "bios", guest.bios_bytes);
    out_write(out, m->board->flash, guest.bios_bytes);
}

static void save_cpu(struct snapshot_out *out, const struct cpu *cpu)
{
    struct cpu *c = g_memdup2(cpu, sizeof(*cpu));

    c->rflags = cpu_rflags(cpu);
    save_fields(out, "cpu", &cpu_fields, c);
    g_free(c);
}

static void save_device(struct snapshot_out *out, const struct device *device)
{
    save_fields(out, device->class->name, device->class->fields, device->state);
}

static void save_ram(struct snapshot_out *out, const struct board *b, void (*progress)(uint64_t done, uint64_t of))
{
    uint64_t pages = b->config.ram_bytes / PAGE_BYTES, used, done = 0;
    uint8_t *map = pages_used(b->ram, pages, &used);

    out_section(out, "ram", used * (8 + PAGE_BYTES));
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t number = GUINT64_TO_LE(i);

        if (!map[i])
            continue;
        if (progress && done++ % PROGRESS_PAGES == 0)
            progress(done, used);
        out_write(out, &number, sizeof(number));
        out_write(out, b->ram + i * PAGE_BYTES, PAGE_BYTES);
    }
    g_free(map);
}

bool snapshot_possible(const char *path, struct err *err) { return out_possible(path, err); }

bool snapshot_save(struct machine *m, const char *path, void (*progress)(uint64_t done, uint64_t of), struct err *err)
{
    struct snapshot_out *out;
    struct part part[PARTS];

    for (unsigned i = 0; i < m->cpus; i++)
        if (!m->runs->get_state(m->cpu[i].engine, err))
            return false;
    if (!(out = out_open(path, err)))
        return false;
    clock_now(&m->clock);
    machine_parts(m, part);
    save_guest(out, m);
    for (unsigned i = 0; i < PARTS; i++)
        save_fields(out, part[i].name, part[i].fields, part[i].state);
    for (unsigned i = 0; i < m->cpus; i++) {
        save_fields(out, "vcpu", &vcpu_fields, m->cpu[i].v);
        save_cpu(out, &m->cpu[i].v->cpu);
    }
    for (unsigned i = 0; board_device(m->board, i); i++)
        save_device(out, board_device(m->board, i));
    save_ram(out, m->board, progress);
    out_section(out, "end", 0);
    return out_commit(out, err);
}

/* -- loading: before there is a machine --------------------------------------------------------------------------------------- */

static bool load_fields(struct snapshot *s, const char *name, const struct fields *fields, void *state, struct clock *clock, struct err *err)
{
    size_t bytes = fields_size(fields);
    uint8_t *data = g_malloc(bytes + 1);
    struct err why;
    uint64_t n;
    bool ok = in_section(s->in, name, bytes, &n, err) && in_read(s->in, data, n, err);

    if (ok && !fields_load(fields, state, clock, data, n, &why))
        ok = err_set(err, "%s: the section '%s': %s", s->path, name, why.text);
    g_free(data);
    return ok;
}

static bool load_text(struct snapshot *s, const char *name, char text[TEXT_MAX], struct err *err)
{
    uint64_t n;

    if (!in_section(s->in, name, TEXT_MAX - 1, &n, err) || !in_read(s->in, text, n, err))
        return false;
    text[n] = 0;
    return strlen(text) == n || err_set(err, "%s: the section '%s' is not text", s->path, name);
}

static bool load_features(struct snapshot *s, const char *name, struct feature_set *set, struct err *err)
{
    char text[TEXT_MAX];

    if (!load_text(s, name, text, err))
        return false;
    return features_parse(text, set) || err_set(err, "%s: the section '%s' has features that this program does not know", s->path, name);
}

static bool load_cpuid(struct snapshot *s, struct err *err)
{
    char text[TEXT_MAX];

    if (!load_text(s, "cpuid", text, err))
        return false;
    return cpuid_parse(text, &s->guest.cpuid) || err_set(err, "%s: the section 'cpuid' is not a table of CPUID", s->path);
}

static bool load_guest(struct snapshot *s, struct err *err)
{
    return load_fields(s, "guest", &guest_fields, &s->guest, NULL, err) && load_features(s, "model", &s->guest.model, err) &&
           load_features(s, "features", &s->guest.features, err) && load_cpuid(s, err);
}

struct snapshot *snapshot_open(const char *path, struct err *err)
{
    struct snapshot *s = g_new0(struct snapshot, 1);

    s->path = g_strdup(path);
    s->in = in_open(path, err);
    if (s->in && load_guest(s, err))
        return s;
    snapshot_close(s);
    return NULL;
}

const struct snapshot_guest *snapshot_guest(const struct snapshot *s) { return &s->guest; }

void snapshot_close(struct snapshot *s)
{
    if (!s)
        return;
    in_close(s->in);
    g_free(s->path);
    g_free(s);
}

/* -- loading: into the machine -------------------------------------------------------------------------------------------------- */

bool snapshot_bios(struct snapshot *s, uint8_t **bios, size_t *bytes, struct err *err)
{
    uint64_t n;

    *bios = NULL;
    *bytes = (size_t)s->guest.bios_bytes;
    if (!in_section(s->in, "bios", *bytes, &n, err))
        return false;
    if (n != *bytes)
        return err_set(err, "%s: the section 'bios' is too short", s->path);
    *bios = n ? g_malloc(n) : NULL;
    if (!n || in_read(s->in, *bios, n, err))
        return true;
    g_free(*bios);
    *bios = NULL;
    return false;
}

static bool load_cpu(struct snapshot *s, struct cpu *c, struct err *err)
{
    struct err why;

    if (!load_fields(s, "cpu", &cpu_fields, c, NULL, err))
        return false;
    flags_put(c, c->rflags);
    c->rflags = (c->rflags & ~(uint64_t)FLAGS_ARITHMETIC) | FLAG_ONE;
    return cpu_check(c, &why) || err_set(err, "%s: the section 'cpu': %s", s->path, why.text);
}

/* What the guest clocks of a machine are made of has to add up. */
static bool check_time(const struct snapshot *s, struct machine *m, struct err *err)
{
    if (m->config.clock != MACHINE_CLOCK_HOST && m->clock.source(m->clock.opaque) != m->clock.ns)
        return err_set(err, "%s: its clock and its counts do not agree", s->path);
    if (machine_retired(m) != s->guest.retired || m->journeys != s->guest.journeys)
        return err_set(err, "%s: its counts do not agree", s->path);
    return m->at < m->cpus || err_set(err, "%s: it is the turn of a processor that is not there", s->path);
}

static bool load_devices(struct snapshot *s, struct machine *m, struct err *err)
{
    struct device *device;

    for (unsigned i = 0; (device = board_device(m->board, i)); i++)
        if (!load_fields(s, device->class->name, device->class->fields, device->state, &m->clock, err))
            return false;
    for (unsigned i = 0; (device = board_device(m->board, i)); i++) {
        struct err why;

        if (!device_restored(device, &why))
            return err_set(err, "%s: the section '%s': %s", s->path, device->class->name, why.text);
    }
    return true;
}

/* Pages in ascending order, so that each is there once. */
static bool load_ram(struct snapshot *s, struct board *b, struct err *err)
{
    uint64_t pages = b->config.ram_bytes / PAGE_BYTES, number, next = 0, bytes;

    if (!in_section(s->in, "ram", pages * (8 + PAGE_BYTES), &bytes, err))
        return false;
    for (; bytes >= 8 + PAGE_BYTES; bytes -= 8 + PAGE_BYTES) {
        if (!in_read(s->in, &number, sizeof(number), err))
            return false;
        number = GUINT64_FROM_LE(number);
        if (number < next || number >= pages)
            return err_set(err, "%s: the section 'ram' has a page where there is none", s->path);
        if (!in_read(s->in, b->ram + number * PAGE_BYTES, PAGE_BYTES, err))
            return false;
        next = number + 1;
    }
    return !bytes || err_set(err, "%s: the section 'ram' has a part of a page", s->path);
}

static bool load_end(struct snapshot *s, struct err *err)
{
    uint64_t bytes;

    return in_section(s->in, "end", 0, &bytes, err) && in_ends(s->in, err);
}

/* What PAE paging has loaded is looked up anew when the engine gets the CPU. */
static bool load_vcpu(struct snapshot *s, struct vcpu *v, struct machine *m, struct err *err)
{
    vcpu_set_both(v, &s->guest.features, &s->guest.cpuid);
    cpuid_place(&v->cpuid, v->id, m->cpus);
    if (!load_fields(s, "vcpu", &vcpu_fields, v, &m->clock, err))
        return false;
    memcpy(s->pdpte[v->id], v->mmu.pdpte, sizeof(s->pdpte[0]));
    return load_cpu(s, &v->cpu, err);
}

bool snapshot_restore(struct snapshot *s, struct machine *m, struct err *err)
{
    struct part part[PARTS];

    machine_parts(m, part);
    for (unsigned i = 0; i < PARTS; i++)
        if (!load_fields(s, part[i].name, part[i].fields, part[i].state, &m->clock, err))
            return false;
    for (unsigned i = 0; i < m->cpus; i++)
        if (!load_vcpu(s, m->cpu[i].v, m, err))
            return false;
    return check_time(s, m, err) && load_devices(s, m, err) && load_ram(s, m->board, err) &&
           load_end(s, err);
}

void snapshot_resume(const struct snapshot *s, struct machine *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        memcpy(m->cpu[i].v->mmu.pdpte, s->pdpte[i], sizeof(s->pdpte[0]));
}
