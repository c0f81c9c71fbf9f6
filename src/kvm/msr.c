/*
 * msr.c - model-specific registers that KVM leaves to us (Documentation/virt/kvm/api.rst: KVM_CAP_X86_USER_SPACE_MSR,
 * KVM_X86_SET_MSR_FILTER).
 *
 * The local APIC is ours, and so are its registers: KVM, which has none, would answer them with #GP, and keep IA32_APIC_BASE to
 * itself.  Registers that KVM does not know are as they are on a soft engine.
 */
#include "kvm/kvm.h"

#include "x86/msr.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_X2APIC_LAST = 0x8ff };

bool kvm_leaves_msrs(int system)
{
    return ioctl(system, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR) > 0 && ioctl(system, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) > 0;
}

bool kvm_take_msrs(int system, int vm, struct err *err)
{
    const uint64_t reasons = KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER;
    struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { reasons } };
    uint8_t none[8] = { 0 };
    struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };
    static const uint32_t ours[] = { MSR_APIC_BASE, MSR_TSC_DEADLINE };

    if (!kvm_leaves_msrs(system))
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(ours); i++)
        filter.ranges[i] = (struct kvm_msr_filter_range){ .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = 1, .base = ours[i],
                                                          .bitmap = none };
    return (ioctl(vm, KVM_ENABLE_CAP, &cap) == 0 && ioctl(vm, KVM_X86_SET_MSR_FILTER, &filter) == 0) ||
           err_set(err, "KVM_X86_SET_MSR_FILTER: %s", strerror(errno));
}

/* What KVM refuses of a register that it has stays refused. */
static bool is_ours(const struct kvm_run *r)
{
    return r->msr.reason != KVM_MSR_EXIT_REASON_INVAL || (r->msr.index >= MSR_X2APIC && r->msr.index <= MSR_X2APIC_LAST);
}

void kvm_exit_msr(struct kvm_cpu *k)
{
    struct kvm_run *r = k->run;
    struct vcpu *v = k->v;
    uint64_t value = 0;

    kvm_peek_state(k, &v->cpu);
    if (r->exit_reason == KVM_EXIT_X86_RDMSR) {
        r->msr.error = !is_ours(r) || !msr_read(v, r->msr.index, &value);
        r->msr.data = value;
        return;
    }
    r->msr.error = !is_ours(r) || !msr_write(v, r->msr.index, r->msr.data);
    if (r->msr.index == MSR_APIC_BASE && !r->msr.error) { /* CPUID says whether the APIC is on */
        r->s.regs.sregs.apic_base = v->cpu.msr.apic_base;
        memset(r->s.regs.sregs.interrupt_bitmap, 0, sizeof(r->s.regs.sregs.interrupt_bitmap));
        r->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
    }
}
