/* vcpu.c - one virtual CPU put together. */
#include "vcpu.h"

#include "walk.h"
#include "x86/model.h"

#include <string.h>

static enum mmu_bank vcpu_bank(const struct cpu *c)
{
    return c->cpl == 3 ? BANK_USER : c->rflags & FLAG_AC ? BANK_SUPERVISOR_AC : BANK_SUPERVISOR;
}

/* DR7 to the soft-MMU's data breakpoints (SDM 3A 19.2.4): RW 1 writes, 3 reads and writes; LEN 0, 1, 3, 2 = 1, 2, 4, 8. */
static void vcpu_update_watches(struct vcpu *v)
{
    static const uint8_t sizes[] = { 1, 2, 8, 4 };
    bool changed = false, any = v->cpu.dr[7] & 0xff;

    if (!any && !v->watching)
        return;
    v->watching = any;
    for (unsigned i = 0; i < WATCHES; i++) {
        unsigned rw = v->cpu.dr[7] >> (16 + i * 4) & 3, size = sizes[v->cpu.dr[7] >> (18 + i * 4) & 3];
        bool on = v->cpu.dr[7] >> (i * 2) & 3 && rw & 1;
        struct watch w = { .gva = v->cpu.dr[i] & ~(uint64_t)(size - 1), .size = on ? (uint8_t)size : 0, .writes_only = rw == 1 };

        changed |= w.size != v->mmu.watch[i].size || w.gva != v->mmu.watch[i].gva;
        v->mmu.watch[i] = w;
    }
    if (changed)
        tlb_flush(&v->mmu);
}

static void vcpu_update_mmu(struct vcpu *v)
{
    v->mmu.bank = vcpu_bank(&v->cpu);
    v->mmu.align_check = v->cpu.mode & MODE_ALIGN;
}

void vcpu_update(struct vcpu *v)
{
    cpu_update(&v->cpu);
    mmu_set_registers(&v->mmu, v->cpu.cr0, v->cpu.cr3, v->cpu.cr4, v->cpu.efer, v->cpu.pkru | v->cpu.msr.pkrs << 32);
    vcpu_update_mmu(v);
    vcpu_update_watches(v);
}

void vcpu_update_flow_any(struct vcpu *v)
{
    cpu_update_flow(&v->cpu);
    vcpu_update_mmu(v);
}

void vcpu_sync(struct vcpu *v)
{
    vcpu_update(v);
    if (v->cpu.cr0 & CR0_PG && v->cpu.cr4 & CR4_PAE && !(v->cpu.efer & EFER_LMA))
        mmu_load_pdptes(&v->mmu, v->cpu.cr3);
    tlb_flush(&v->mmu);
}

uint64_t vcpu_tsc(struct vcpu *v)
{
    uint64_t ns = v->host.time_ns ? v->host.time_ns(v->host.opaque) : vcpu_retired(v);

    return v->cpu.tsc_base + (likely(v->tsc_khz == TSC_KHZ) ? ns : (uint64_t)((unsigned __int128)ns * v->tsc_khz / 1000000));
}

void vcpu_set_tsc_khz(struct vcpu *v, uint32_t khz)
{
    uint64_t now = vcpu_tsc(v);

    v->tsc_khz = khz;
    v->cpu.tsc_base += now - vcpu_tsc(v);
}

static void vcpu_wrote(void *opaque, uint64_t gpa, unsigned width)
{
    struct vcpu *v = opaque;

    mmu_written(&v->mmu, gpa, width);
}

/* `cpuid` is set. */
static void vcpu_set_features(struct vcpu *v, const struct feature_set *features)
{
    v->vendor = cpuid_vendor(&v->cpuid);
    v->features = *features;
    mmu_set_gigabyte_pages(&v->mmu, feature_has(features, FEATURE_pdpe1gb));
}

void vcpu_set_model(struct vcpu *v, const struct cpu_model *model)
{
    cpuid_build(&v->cpuid, model);
    vcpu_set_features(v, &model->features);
}

void vcpu_set_cpuid(struct vcpu *v, const struct cpuid_table *table)
{
    struct feature_set features = v->features;

    for (unsigned f = 1; f < FEATURES; f++)
        if (cpuid_offers(table, f))
            feature_add(&features, f);
    v->cpuid = *table;
    vcpu_set_features(v, &features);
}

void vcpu_set_both(struct vcpu *v, const struct feature_set *features, const struct cpuid_table *table)
{
    v->cpuid = *table;
    vcpu_set_features(v, features);
}

void vcpu_init(struct vcpu *v, struct phys *phys)
{
    struct cpu_model model;

    memset(v, 0, sizeof(*v));
    v->cpus = 1;
    v->tsc_khz = TSC_KHZ;
    v->fault.vector = -1;
    v->first_fault = -1;
    v->bus = (struct bus){ .phys = phys, .policy = &split_whole, .wrote = vcpu_wrote, .wrote_opaque = v };
    v->mmu.bus = &v->bus;
    v->mmu.code = &v->code;
    v->mmu.physical_bits = CPUID_PHYSICAL_BITS;
    model_of_row(&model_rows[0], &model);
    vcpu_set_model(v, &model);
    code_init(&v->code, NULL, NULL);
    vcpu_reset(v);
}

/* RDX is the processor's signature (SDM 3A table 10-1), and all but the bootstrap processor wait (SDM 3A 11.4.2). */
static void vcpu_begin(struct vcpu *v)
{
    v->cpu.slot[RDX] = cpuid(&v->cpuid, &v->cpu, 1, 0).eax;
    if (!v->id)
        return;
    v->cpu.activity = CPU_WAIT_SIPI;
    v->cpu.msr.apic_base &= ~UINT64_C(0x100); /* BSP */
}

void vcpu_reset(struct vcpu *v)
{
    bool watched = v->cpu.watched;

    cpu_reset(&v->cpu);
    v->cpu.watched = watched;
    v->fault.vector = -1;
    v->again = false;
    vcpu_begin(v);
    vcpu_sync(v);
}

void vcpu_init_signal(struct vcpu *v)
{
    cpu_init(&v->cpu);
    vcpu_begin(v);
    vcpu_sync(v);
}

void vcpu_start(struct vcpu *v, uint8_t vector)
{
    struct segment *cs = &v->cpu.seg[SEG_CS];

    cs->selector = (uint16_t)(vector << 8);
    cs->base = (uint64_t)vector << 12;
    v->cpu.rip = 0;
    v->cpu.activity = CPU_RUNNING;
    vcpu_sync(v);
}

void vcpu_place(struct vcpu *v, unsigned id, unsigned cpus, struct vcpu *first)
{
    v->id = id;
    v->cpus = cpus;
    v->bus.origin.vcpu = (uint8_t)id;
    cpuid_place(&v->cpuid, id, cpus);
    if (v != first)
        mmu_join(&first->mmu, &v->mmu);
    vcpu_reset(v);
}

void vcpu_free(struct vcpu *v) { code_free(&v->code); }

/* -- asking for a fault ------------------------------------------------------------------------------------------ */

bool vcpu_raise(struct vcpu *v, int vector)
{
    v->fault = (struct fault){ .vector = (int16_t)vector };
    return false;
}

bool vcpu_raise_error(struct vcpu *v, int vector, uint32_t error)
{
    v->fault = (struct fault){ .vector = (int16_t)vector, .has_error = true, .error = error };
    return false;
}

bool vcpu_raise_mmu(struct vcpu *v)
{
    const struct mmu_fault *f = &v->mmu.fault;

    v->fault = (struct fault){ .vector = f->vector, .has_error = true, .error = f->error, .address = f->address };
    return false;
}
