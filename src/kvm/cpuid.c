/*
 * cpuid.c - the CPUID that a guest sees under KVM (Documentation/virt/kvm/api.rst: KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2).
 *
 * The model's table, without what KVM does not carry out, and with what KVM adds all the same.
 */
#include "kvm/kvm.h"

#include "base/log.h"
#include "x86/cpuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { SUPPORTED_MAX = 256 };

static struct kvm_cpuid2 *cpuid_new(unsigned entries)
{
    struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + entries * sizeof(c->entries[0]));

    if (!c)
        abort();
    c->nent = entries;
    return c;
}

/* -- what KVM has ----------------------------------------------------------------------------------------------------------- */

static void cpuid_in(struct cpuid_table *t, const struct kvm_cpuid2 *c)
{
    t->n = (unsigned)bits_min(c->nent, CPUID_ROWS);
    for (unsigned i = 0; i < t->n; i++) {
        const struct kvm_cpuid_entry2 *e = &c->entries[i];

        t->row[i] = (struct cpuid_row){ .leaf = e->function, .subleaf = e->index, .r = { e->eax, e->ebx, e->ecx, e->edx },
                                        .indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX };
    }
}

/* The features that a guest sees in spite of its model, and those that it does not. */
static void log_differences(const struct vcpu *v, const struct cpuid_table *seen)
{
    for (unsigned f = 1; f < FEATURES; f++)
        if (cpuid_offers(seen, f) && !feature_has(&v->features, f))
            log_printf(LOG_KVM, "CPUID offers %s all the same\n", feature_rows[f].name);
        else if (!cpuid_offers(seen, f) && cpuid_offers(&v->cpuid, f))
            log_printf(LOG_KVM, "CPUID does not offer %s, which KVM has not\n", feature_rows[f].name);
}

bool kvm_adopt_cpuid(struct kvm_cpu *k, struct err *err)
{
    struct kvm_cpuid2 *c = cpuid_new(CPUID_ROWS);
    struct cpuid_table seen;
    bool ok = ioctl(k->fd, KVM_GET_CPUID2, c) == 0 || err_set(err, "KVM_GET_CPUID2: %s", strerror(errno));
    if (ok) {
        cpuid_in(&seen, c);
        if (log_on(LOG_KVM))
            log_differences(k->v, &seen);
        vcpu_set_cpuid(k->v, &seen);
    }
    free(c);
    return ok;
}

/* -- what it is told -------------------------------------------------------------------------------------------------------- */

static bool supports(const struct kvm_cpuid2 *c, unsigned feature)
{
    const struct feature_row *f = &feature_rows[feature];

    for (const struct kvm_cpuid_entry2 *e = c->entries; e < c->entries + c->nent; e++) {
        struct cpuid_result r = { e->eax, e->ebx, e->ecx, e->edx };

        if (e->function == f->leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == f->subleaf))
            return cpuid_has_bit(&r, feature);
    }
    return false;
}

/*
 * A guest that believes its CPUID would do what KVM has no part of: set CR4.PCIDE, and meet #GP.  Some of it KVM shows all the
 * same, where the host's processor does it without KVM.
 */
static bool withdraw(int system, struct cpuid_table *t, struct err *err)
{
    struct kvm_cpuid2 *c = cpuid_new(SUPPORTED_MAX);
    bool ok = ioctl(system, KVM_GET_SUPPORTED_CPUID, c) == 0 || err_set(err, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));

    for (unsigned f = 1; f < FEATURES && ok; f++)
        if (cpuid_offers(t, f) && !(supports(c, f) && (f != FEATURE_x2apic || kvm_leaves_msrs(system))))
            cpuid_withdraw(t, f);
    free(c);
    return ok;
}

static void cpuid_out(const struct cpuid_table *t, struct kvm_cpuid2 *c)
{
    c->nent = t->n;
    for (unsigned i = 0; i < t->n; i++)
        c->entries[i] = (struct kvm_cpuid_entry2){
            .function = t->row[i].leaf, .index = t->row[i].subleaf, .eax = t->row[i].r.eax, .ebx = t->row[i].r.ebx,
            .ecx = t->row[i].r.ecx, .edx = t->row[i].r.edx, .flags = t->row[i].indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        };
}

/* Gives KVM our table and takes back what the guest will see: some KVMs add what the host cannot hide. */
bool kvm_create_cpuid(struct kvm_cpu *k, int system, struct err *err)
{
    struct kvm_cpuid2 *c = cpuid_new(CPUID_ROWS);
    struct cpuid_table table = k->v->cpuid;
    bool ok = withdraw(system, &table, err);

    cpuid_out(&table, c);
    ok = ok && (ioctl(k->fd, KVM_SET_CPUID2, c) == 0 || err_set(err, "KVM_SET_CPUID2: %s", strerror(errno)));
    free(c);
    return ok && kvm_adopt_cpuid(k, err);
}
