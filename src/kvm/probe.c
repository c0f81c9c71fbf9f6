/*
 * probe.c - what kind of KVM this host has.
 *
 * A nested "PVM" host has neither VMX nor SVM in CPUID: guest CPL 0 runs in KVM's instruction emulator, guest CPL 3
 * natively.  The module that provides it is loaded beside kvm.ko.
 */
#include "kvm/kvm.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *const kvm_kind_names[] = { "", "vmx", "svm", "pvm", "unknown" };

static void probe_cpu(char *text, size_t size)
{
    uint32_t r[13] = { 0 };

    if (__get_cpuid_max(0x80000000, NULL) >= 0x80000004)
        for (unsigned i = 0; i < 3; i++)
            __cpuid(0x80000002 + i, r[i * 4], r[i * 4 + 1], r[i * 4 + 2], r[i * 4 + 3]);
    snprintf(text, size, "%.48s", (const char *)r);
    for (size_t n = strlen(text); n && text[n - 1] == ' '; n--)
        text[n - 1] = 0;
}

static enum kvm_kind probe_kind(void)
{
    uint32_t a, b, c = 0, d;

    if (__get_cpuid(1, &a, &b, &c, &d) && c >> 5 & 1)
        return KVM_KIND_VMX;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) && c >> 2 & 1)
        return KVM_KIND_SVM;
    return KVM_KIND_PVM;
}

void kvm_probe(struct kvm_probe *p)
{
    struct utsname u;
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    *p = (struct kvm_probe){ .kind = KVM_KIND_NONE };
    uname(&u);
    snprintf(p->kernel, sizeof(p->kernel), "%.*s", (int)strcspn(u.release, "-"), u.release); /* no local suffix */
    probe_cpu(p->cpu, sizeof(p->cpu));
    if (fd < 0) {
        snprintf(p->why, sizeof(p->why), "/dev/kvm: %s", strerror(errno));
        return;
    }
    if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        snprintf(p->why, sizeof(p->why), "/dev/kvm: not KVM API version %d", KVM_API_VERSION);
    else
        p->kind = probe_kind();
    close(fd);
}

void kvm_describe(const struct kvm_probe *p, char *text, size_t size)
{
    static const char *const what[] = {
        [KVM_KIND_VMX] = "guest code runs natively, device accesses go through KVM's emulator",
        [KVM_KIND_SVM] = "guest code runs natively, device accesses go through KVM's emulator",
        [KVM_KIND_PVM] = "guest CPL 0 runs in KVM's instruction emulator, CPL 3 natively",
    };

    if (p->kind == KVM_KIND_NONE)
        snprintf(text, size, "no KVM (%s)", p->why);
    else
        snprintf(text, size, "KVM %s, kernel %s, %s: %s", kvm_kind_names[p->kind], p->kernel, p->cpu, what[p->kind]);
}
