/* info.c - what `info` shows: each a small function that appends lines. */
#include "monitor/monitor.h"

#include "apic.h"
#include "pci.h"
#include "walk.h"

#include <inttypes.h>
#include <string.h>

static void info_registers(struct monitor *m, const char *args, GString *out)
{
    char text[4096];

    (void)args;
    cpu_dump(&monitor_vcpu(m)->cpu, text, sizeof(text));
    g_string_append(out, text);
}

static void info_cpus(struct monitor *m, const char *args, GString *out)
{
    static const char *const activities[] = { "runs", "halted", "waits to be started", "shut down" };

    (void)args;
    for (unsigned i = 0; i < m->machine->cpus; i++) {
        const struct vcpu *v = m->machine->cpu[i].v;

        g_string_append_printf(out, "%c %u: rip %016" PRIx64 " cpl %u, %s, %" PRIu64 " instructions\n", i == m->cpu ? '*' : ' ', i,
                               v->cpu.rip, v->cpu.cpl, activities[v->cpu.activity], v->retired);
    }
}

/* -- the TLB ----------------------------------------------------------------------------------------------------------------- */

static char tlb_letter(const struct tlb_entry *e, enum tlb_intent intent, char letter)
{
    return e->tag[intent] == TLB_NONE ? '-' : letter;
}

static void print_tlb_entry(const struct tlb_entry *e, const char *bank, GString *out)
{
    g_string_append_printf(out, "%016" PRIx64 " -> %012" PRIx64 "  %c%c%c  of %" PRIu64 "K  %s%s\n", e->page & ~(uint64_t)PAGE_OFFSET, e->gpa,
                           tlb_letter(e, TLB_READ, 'r'), tlb_letter(e, TLB_WRITE, 'w'), tlb_letter(e, TLB_EXECUTE, 'x'),
                           UINT64_C(1) << (tlb_shift(e) - 10), bank, e->page & TLB_GLOBAL ? ", global" : "");
}

static void info_tlb(struct monitor *m, const char *args, GString *out)
{
    static const char *const banks[BANKS] = { "supervisor", "supervisor, AC", "user" };
    struct mmu *mmu = &monitor_vcpu(m)->mmu;

    (void)args;
    if (m->machine->runs->id == ENGINE_KVM) {
        g_string_append(out, "KVM has its own, which nobody can see\n");
        return;
    }
    for (struct tlb_place at = { 0 }; tlb_next(mmu, &at);)
        if (at.log % 2 == !!(at.entry->page & TLB_GLOBAL)) /* it may be in the other log too */
            print_tlb_entry(at.entry, banks[at.log / 2], out);
    g_string_append_printf(out, "%" PRIu64 " walks, %" PRIu64 " flushes\n", mmu->walks, mmu->flushes);
}

/* -- page tables ------------------------------------------------------------------------------------------------------------- */

/* A guest's tables may lead back into themselves: so many entries are looked at, and no more. */
enum { MEM_LOOKS = 1 << 21 };

struct mem_range {
    bool present;
    uint64_t gva, gpa, size;
    unsigned rights;
};

static void print_range(const struct mem_range *r, GString *out)
{
    if (r->present)
        g_string_append_printf(out, "%016" PRIx64 "-%016" PRIx64 " -> %012" PRIx64 "  r%c%c %s\n", r->gva, r->gva + r->size - 1, r->gpa,
                               r->rights & RIGHTS_WRITABLE ? 'w' : '-', r->rights & RIGHTS_EXECUTABLE ? 'x' : '-',
                               r->rights & RIGHTS_USER ? "user" : "supervisor");
}

/* Does what is seen at the end of a range belong to it? */
static bool goes_on(const struct mem_range *r, const struct walk_seen *s)
{
    return r->present && s->present && s->rights == r->rights && s->gpa == r->gpa + r->size;
}

static void print_tables(struct mmu *mmu, GString *out)
{
    uint64_t end = mmu->efer & EFER_LMA ? 0 : UINT64_C(1) << 32, gva = 0;
    struct mem_range r = { false };
    unsigned looks = 0;

    do {
        struct walk_seen s = walk_look(mmu, gva);
        uint64_t size = UINT64_C(1) << s.shift;

        if (goes_on(&r, &s)) {
            r.size += size;
        } else {
            print_range(&r, out);
            r = (struct mem_range){ s.present, gva, s.gpa, size, s.rights };
        }
        gva = (gva & ~(size - 1)) + size;
    } while (gva != end && ++looks < MEM_LOOKS);
    print_range(&r, out);
    if (looks == MEM_LOOKS)
        g_string_append_printf(out, "... and more, from %016" PRIx64 " on\n", gva);
}

static void info_mem(struct monitor *m, const char *args, GString *out)
{
    (void)args;
    if (monitor_vcpu(m)->mmu.cr0 & CR0_PG)
        print_tables(&monitor_vcpu(m)->mmu, out);
    else
        g_string_append(out, "paging is off: linear addresses are physical ones\n");
}

/* -- devices ----------------------------------------------------------------------------------------------------------------- */

static uint64_t field_value(const struct field *f, const void *state, unsigned n)
{
    uint64_t value = 0;

    memcpy(&value, (const char *)state + fields_place(f, n), bits_min(f->size, 8));
    return value;
}

/* So many elements from `from` on, in a line; none if all are zero. */
static void print_elements(const struct field *f, const void *state, unsigned from, unsigned to, GString *out)
{
    char name[48];
    uint64_t any = 0;

    for (unsigned n = from; n < to; n++)
        any |= field_value(f, state, n);
    if (!any)
        return;
    snprintf(name, sizeof(name), fields_elements(f) > 1 ? "%s[%u]" : "%s", f->name, from);
    g_string_append_printf(out, "  %-20s", name);
    for (unsigned n = from; n < to; n++)
        g_string_append_printf(out, " %0*" PRIx64, (int)f->size * 2, field_value(f, state, n));
    g_string_append_c(out, '\n');
}

enum { LINE_BYTES = 32 };

static void print_field(const struct field *f, const void *state, GString *out)
{
    unsigned all = fields_elements(f), line = f->size < LINE_BYTES ? LINE_BYTES / f->size : 1;

    for (unsigned n = 0; n < all; n += line)
        print_elements(f, state, n, (unsigned)bits_min(n + line, all), out);
}

static void print_device(const struct device *d, GString *out)
{
    g_string_append_printf(out, "%s: %s\n", d->class->name, d->class->title);
    for (size_t i = 0; d->class->fields && i < d->class->fields->rows; i++)
        if (d->class->fields->row[i].kind == FIELD_NUMBER || d->class->fields->row[i].kind == FIELD_MOMENT)
            print_field(&d->class->fields->row[i], d->state, out);
}

static void info_irq(struct monitor *m, const char *args, GString *out)
{
    const struct board *b = m->machine->board;
    const struct cpu_pins *p = &monitor_vcpu(m)->pins;

    (void)args;
    g_string_append_printf(out, "cpu: intr %u nmi %u init %u, IF %u, TPR %02x\n", p->intr, p->nmi, p->init,
                           !!(monitor_vcpu(m)->cpu.rflags & FLAG_IF), apic_get_tpr(b->apic, m->cpu));
    print_device(b->pic, out);
    print_device(b->ioapic, out);
    print_device(b->apic, out);
}

static void info_device(struct monitor *m, const char *args, GString *out)
{
    const struct device *d;
    bool found = false;

    for (unsigned i = 0; (d = board_device(m->machine->board, i)); i++)
        if (!strcmp(d->class->name, args)) {
            print_device(d, out);
            found = true;
        }
    for (unsigned i = 0; !found && (d = board_device(m->machine->board, i)); i++)
        g_string_append_printf(out, "%s%s", i ? " " : "one of: ", d->class->name);
    if (!found)
        g_string_append_c(out, '\n');
}

static void print_bar(const struct device *d, const struct pci_bar *bar, unsigned n, GString *out)
{
    const struct region *r = &d->region[bar->first_region];

    if (bar->kind != PCI_BAR_NONE)
        g_string_append_printf(out, "        BAR%u %s %s%" PRIx64 ", %" PRIu64 " bytes\n", n, bar->kind == PCI_BAR_IO ? "ports" : "memory",
                               r->enabled ? "at " : "off, ", r->base, bar->size);
}

static void info_pci(struct monitor *m, const char *args, GString *out)
{
    (void)args;
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const struct pci_function *f = pci_function_at(m->machine->board->pci, (uint8_t)devfn);

        if (!f)
            continue;
        g_string_append_printf(out, "%02x.%u  %04x:%04x  class %06x  %s  command %04x  irq %u\n", devfn >> 3, devfn & 7,
                               f->identity->vendor, f->identity->device, f->identity->class_code, f->device->class->name,
                               pci_function_get(f, PCI_COMMAND, 2), pci_function_get(f, PCI_INTERRUPT_LINE, 1));
        for (unsigned i = 0; i < ARRAY_LEN(f->identity->bar); i++)
            print_bar(f->device, &f->identity->bar[i], i, out);
    }
}

static void info_journeys(struct monitor *m, const char *args, GString *out)
{
    (void)args;
    recent_print(&m->recent, out);
}

const struct monitor_command monitor_infos[] = {
    { "registers", "", "general, segment and control registers", info_registers },
    { "cpus", "", "the processors, and what each is at", info_cpus },
    { "tlb", "", "translations that a soft engine has cached", info_tlb },
    { "mem", "", "the guest's page tables: ranges and rights", info_mem },
    { "pci", "", "PCI functions and where their BARs are", info_pci },
    { "irq", "", "the interrupt controllers", info_irq },
    { "journeys", "", "the last device accesses, by instruction", info_journeys },
    { "device", "NAME", "all of a device's state that is not zero", info_device },
    { NULL, NULL, NULL, NULL },
};
