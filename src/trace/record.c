/* record.c - a machine's device accesses, collected into journeys. */
#include "trace/record.h"

#include "kvm/kvm.h"
#include "x86/decode.h"

#include <string.h>

void recorder_init(struct recorder *r)
{
    *r = (struct recorder){ .machine = NULL };
    journey_init(&r->journey);
}

void recorder_free(struct recorder *r) { journey_free(&r->journey); }

static uint8_t recorder_mode(const struct cpu *c) { return c->mode & MODE_CODE64 ? 64 : c->mode & MODE_CODE32 ? 32 : 16; }

/* The instruction's bytes, as far as its pages are in the TLB and plain memory: nothing is walked for a trace. */
static void recorder_code(struct recorder *r, struct vcpu *v)
{
    struct journey *j = &r->journey;
    uint64_t linear = v->cpu.mode & MODE_CODE64 ? v->cpu.rip : (uint32_t)(v->cpu.seg[SEG_CS].base + v->cpu.rip);
    const uint8_t *host = tlb_hit(&v->mmu, linear, 1, TLB_EXECUTE);
    size_t n = bits_min(JOURNEY_CODE_BYTES, PAGE_BYTES - (linear & PAGE_OFFSET));
    struct insn insn;

    j->mode = recorder_mode(&v->cpu);
    if (!host || decode(v->cpu.mode, host, n, &insn) != DECODE_OK)
        return;
    j->code_bytes = insn.length;
    memcpy(j->code, host, insn.length);
}

void recorder_observe(void *opaque, const struct dispatch_report *report)
{
    struct recorder *r = opaque;
    struct journey *j = &r->journey;

    if (report->access->flags & TRANSACTION_DMA || !r->machine)
        return;
    if (!journey_accesses(j)) {
        j->engine = r->machine->vcpu.bus.origin.engine;
        j->rip = report->origin->rip;
        if (j->engine != ENGINE_KVM)
            recorder_code(r, &r->machine->vcpu);
    }
    journey_add_report(j, report);
}

void recorder_finish(struct recorder *r)
{
    struct machine *m = r->machine;
    struct journey *j = &r->journey;

    j->number = m->journeys - 1;
    if (m->vcpu.assist.gave_up[0])
        j->gave_up = g_strdup(m->vcpu.assist.gave_up);
    if (j->engine == ENGINE_KVM) {
        j->rip_after = m->vcpu.rip_after;
        j->code_bytes = m->vcpu.insn_bytes;
        j->mode = m->vcpu.insn_bytes ? recorder_mode(&m->vcpu.cpu) : 0;
        memcpy(j->code, m->vcpu.insn, m->vcpu.insn_bytes);
    }
}

void recorder_header(struct trace_header *h, const struct machine *m, const char *guest)
{
    const struct engine *engine = m->config.engine;
    struct kvm_probe probe;
    char cpuid_text[8192];

    kvm_probe(&probe);
    cpuid_print(&m->vcpu.cpuid, cpuid_text, sizeof(cpuid_text));
    *h = (struct trace_header){
        .engine = g_strdup(engine->name), .kernel = g_strdup(probe.kernel), .cpu = g_strdup(probe.cpu),
        .kvm = g_strdup(engine->id == ENGINE_KVM ? kvm_kind_names[probe.kind] : ""), .cpuid = g_strdup(cpuid_text), .guest = g_strdup(guest),
    };
}
