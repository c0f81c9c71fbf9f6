/*
 * minivmm.c - the smallest KVM host that uses libwideload-assist: one CPU, 16 MiB, a device of 64 KiB.
 *
 * usage: minivmm [--plain] GUEST       (--plain: KVM alone)
 *
 * cc minivmm.c $(pkg-config --cflags --libs wideload-assist) -o minivmm
 *
 * What a VMM adds for the library is marked "assist".
 */
#include <wideload-assist.h> /* assist */

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEMORY_BYTES = 16 << 20, TABLES = 0x1000, LOAD_AT = 0x100000, DEVICE_BYTES = 0x10000, PORT_PRINT = 0xe9, PORT_EXIT = 0xf4 };
#define DEVICE_AT UINT64_C(0xd0000000)

struct vmm {
    int system, vm, vcpu;
    struct kvm_run *run;
    uint8_t *memory;
    uint8_t device[DEVICE_BYTES];
    unsigned accesses, widest;
    struct wideload_assist *assist; /* assist */
};

static void fail(const char *what)
{
    fprintf(stderr, "minivmm: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* -- the device ------------------------------------------------------------------------------------------------------- */

/* Bytes that can be loaded and stored. */
static int device_access(struct vmm *vmm, uint64_t address, int store, void *data, unsigned width)
{
    if (address < DEVICE_AT || address - DEVICE_AT > DEVICE_BYTES - width)
        return 0;
    vmm->accesses++;
    vmm->widest = width > vmm->widest ? width : vmm->widest;
    if (store)
        memcpy(vmm->device + (address - DEVICE_AT), data, width);
    else
        memcpy(data, vmm->device + (address - DEVICE_AT), width);
    return 1;
}

/* assist: the same device, whole and typed.  An atomic gives the old value back. */
static void atomic(const struct wideload_assist_access *a, const uint8_t *old, uint8_t *new)
{
    unsigned carry = 0;

    memcpy(new, a->data, a->width);
    if (a->type == WIDELOAD_ASSIST_COMPARE_SWAP && memcmp(old, a->compare, a->width) != 0)
        memcpy(new, old, a->width);
    for (unsigned i = 0; i < a->width && a->type == WIDELOAD_ASSIST_FETCH_ADD; i++) {
        carry += old[i] + a->data[i];
        new[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

static int assist_access(void *opaque, struct wideload_assist_access *a)
{
    struct vmm *vmm = opaque;
    uint8_t old[64], new[64];

    if (a->flags & WIDELOAD_ASSIST_PORT || !device_access(vmm, a->address, 0, old, a->width))
        return WIDELOAD_ASSIST_NOBODY;
    if (a->type == WIDELOAD_ASSIST_LOAD) {
        memcpy(a->data, old, a->width);
        return WIDELOAD_ASSIST_OK;
    }
    atomic(a, old, new);
    memcpy(vmm->device + (a->address - DEVICE_AT), new, a->width);
    memcpy(a->data, old, a->width);
    return WIDELOAD_ASSIST_OK;
}

/* -- the machine -------------------------------------------------------------------------------------------------------- */

static void create_vm(struct vmm *vmm)
{
    struct kvm_userspace_memory_region slot = { .memory_size = MEMORY_BYTES };
    int bytes;

    vmm->system = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vmm->system < 0)
        fail("/dev/kvm");
    vmm->vm = ioctl(vmm->system, KVM_CREATE_VM, 0);
    vmm->memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vmm->vm < 0 || vmm->memory == MAP_FAILED)
        fail("virtual machine");
    slot.userspace_addr = (uintptr_t)vmm->memory;
    if (ioctl(vmm->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
        fail("memory");
    vmm->vcpu = ioctl(vmm->vm, KVM_CREATE_VCPU, 0);
    bytes = ioctl(vmm->system, KVM_GET_VCPU_MMAP_SIZE, 0);
    vmm->run = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vmm->vcpu, 0);
    if (vmm->vcpu < 0 || vmm->run == MAP_FAILED)
        fail("virtual CPU");
}

/* The guest's CPU is what this KVM can offer. */
static void set_cpuid(struct vmm *vmm)
{
    enum { ENTRIES = 256 };
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));

    if (!cpuid)
        fail("memory");
    cpuid->nent = ENTRIES;
    if (ioctl(vmm->system, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 || ioctl(vmm->vcpu, KVM_SET_CPUID2, cpuid) < 0)
        fail("CPUID");
    free(cpuid);
}

/* 64-bit mode, the first 4 GiB mapped one to one in pages of 2 MiB. */
static void enter_long_mode(struct vmm *vmm)
{
    const struct kvm_segment code = { .limit = ~0u, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1 };
    const struct kvm_segment data = { .limit = ~0u, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1 };
    struct kvm_regs regs = { .rip = LOAD_AT, .rflags = 2 };
    uint64_t *pml4 = (uint64_t *)(void *)(vmm->memory + TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
    struct kvm_sregs sregs;

    pml4[0] = (TABLES + 0x1000) | 3;
    for (uint64_t i = 0; i < 4; i++)
        pdpt[i] = (TABLES + 0x2000 + i * 0x1000) | 3;
    for (uint64_t i = 0; i < 4 * 512; i++)
        pd[i] = i << 21 | 0x83;
    if (ioctl(vmm->vcpu, KVM_GET_SREGS, &sregs) < 0)
        fail("registers");
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr0 = 0x80000033; /* PG, NE, ET, MP, PE */
    sregs.cr3 = TABLES;
    sregs.cr4 = 0x20;       /* PAE */
    sregs.efer = 0x500;     /* LMA, LME */
    if (ioctl(vmm->vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vmm->vcpu, KVM_SET_REGS, &regs) < 0)
        fail("registers");
}

static void load(struct vmm *vmm, const char *path)
{
    FILE *f = fopen(path, "rb");

    if (!f || !fread(vmm->memory + LOAD_AT, 1, MEMORY_BYTES - LOAD_AT, f))
        fail(path);
    fclose(f);
}

/* assist: the CPU, the memory, the device that takes more than KVM can say, and who answers for it. */
static void create_assist(struct vmm *vmm)
{
    const struct wideload_assist_memory memory = { .address = 0, .bytes = MEMORY_BYTES, .host = vmm->memory };
    const struct wideload_assist_range range = {
        .address = DEVICE_AT, .bytes = DEVICE_BYTES,
        .takes = WIDELOAD_ASSIST_TAKES_WIDE | WIDELOAD_ASSIST_TAKES_ATOMICS | WIDELOAD_ASSIST_TAKES_DIRECT,
    };
    const struct wideload_assist_config config = {
        .size = sizeof(config), .system = vmm->system, .vm = vmm->vm, .vcpu = vmm->vcpu, .run = vmm->run, .memory = &memory, .memories = 1,
        .range = &range, .ranges = 1, .access = assist_access, .opaque = vmm,
    };
    char error[256];

    vmm->assist = wideload_assist_create(&config, error, sizeof(error));
    if (!vmm->assist) {
        fprintf(stderr, "minivmm: %s\n", error);
        exit(1);
    }
}

/* -- running ---------------------------------------------------------------------------------------------------------------- */

/* The guest's status; -1: it goes on. */
static int handle_port(const struct kvm_run *run)
{
    const uint8_t *data = (const uint8_t *)run + run->io.data_offset;

    if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT_PRINT)
        fwrite(data, run->io.size, run->io.count, stdout);
    return run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT_EXIT ? data[0] : -1;
}

static void handle_mmio(struct vmm *vmm)
{
    struct kvm_run *run = vmm->run;

    if (!device_access(vmm, run->mmio.phys_addr, run->mmio.is_write, run->mmio.data, run->mmio.len) && !run->mmio.is_write)
        memset(run->mmio.data, 0xff, run->mmio.len);
}

/* What the VMM has always done with an exit. */
static int handle_exit(struct vmm *vmm)
{
    switch (vmm->run->exit_reason) {
    case KVM_EXIT_IO: return handle_port(vmm->run);
    case KVM_EXIT_MMIO: handle_mmio(vmm); return -1;
    case KVM_EXIT_INTERNAL_ERROR: fprintf(stderr, "minivmm: KVM cannot emulate an instruction\n"); return 1;
    case KVM_EXIT_HLT: fprintf(stderr, "minivmm: the guest has halted\n"); return 1;
    case KVM_EXIT_SHUTDOWN: fprintf(stderr, "minivmm: triple fault\n"); return 1;
    default: fprintf(stderr, "minivmm: exit %u\n", vmm->run->exit_reason); return 1;
    }
}

/* assist: it looks at every exit first. */
static int handle_with_assist(struct vmm *vmm)
{
    switch (wideload_assist_exit(vmm->assist)) {
    case WIDELOAD_ASSIST_NOT_MINE: return handle_exit(vmm);
    case WIDELOAD_ASSIST_DONE: return -1;
    case WIDELOAD_ASSIST_FAILED: fprintf(stderr, "minivmm: %s\n", wideload_assist_error(vmm->assist)); return 1;
    default: fprintf(stderr, "minivmm: the guest has stopped\n"); return 1;
    }
}

static int run_guest(struct vmm *vmm)
{
    int status = -1;

    while (status < 0) {
        if (ioctl(vmm->vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
            fail("KVM_RUN");
        status = vmm->assist ? handle_with_assist(vmm) : handle_exit(vmm);
    }
    return status;
}

int main(int argc, char **argv)
{
    static struct vmm vmm;
    int plain = argc > 1 && !strcmp(argv[1], "--plain"), status;

    if (argc != 2 + plain) {
        fprintf(stderr, "usage: minivmm [--plain] GUEST\n");
        return 2;
    }
    create_vm(&vmm);
    set_cpuid(&vmm);
    load(&vmm, argv[1 + plain]);
    enter_long_mode(&vmm);
    if (!plain)
        create_assist(&vmm); /* assist: after KVM_SET_CPUID2 */
    status = run_guest(&vmm);
    fflush(stdout);
    fprintf(stderr, "minivmm: %u accesses of the device, the widest of %u bytes", vmm.accesses, vmm.widest);
    if (vmm.assist)
        fprintf(stderr, ", %llu instructions by wideload", (unsigned long long)wideload_assist_instructions(vmm.assist));
    fprintf(stderr, "\n");
    wideload_assist_destroy(vmm.assist); /* assist */
    return status;
}
