/*
 * vm.c - a guest's VM: what its processors share under KVM.  Memory slots follow the physical map.
 */
#include "kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IDENTITY_MAP UINT64_C(0xfeffc000)

static struct kvm_vm *vms;

/* -- memory slots --------------------------------------------------------------------------------------------------- */

static void slots_changed(struct phys_listener *listener) { ((struct kvm_vm *)(void *)listener)->slots_stale = true; }

static bool slot_wanted(const struct phys_range *r, struct kvm_slot *s)
{
    if (r->kind != PIECE_MEMORY || !r->read || r->base % PAGE_BYTES || r->size % PAGE_BYTES)
        return false;
    *s = (struct kvm_slot){ .gpa = r->base, .size = r->size, .host = r->read, .read_only = r->write != r->read };
    return true;
}

static bool slot_set(struct kvm_vm *vm, unsigned i, const struct kvm_slot *s, struct err *err)
{
    struct kvm_userspace_memory_region m = {
        .slot = i, .flags = s->read_only ? KVM_MEM_READONLY : 0, .guest_phys_addr = s->gpa, .memory_size = s->size,
        .userspace_addr = (uintptr_t)s->host,
    };

    return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &m) == 0 ||
           err_set(err, "KVM memory slot at %#" PRIx64 ": %s", s->gpa, strerror(errno));
}

static bool slot_equal(const struct kvm_slot *a, const struct kvm_slot *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->host == b->host && a->read_only == b->read_only;
}

/* Slots that stay are not touched; those that go are removed before the new ones come. */
bool kvm_sync_slots(struct kvm_vm *vm, struct err *err)
{
    size_t n;
    const struct phys_range *range = phys_ranges(vm->phys, REGION_MMIO, &n);
    struct kvm_slot wanted[KVM_SLOTS_MAX], none = { 0 };
    unsigned count = 0;

    if (!vm->slots_stale)
        return true;
    for (size_t i = 0; i < n && count < KVM_SLOTS_MAX; i++)
        count += slot_wanted(&range[i], &wanted[count]);
    for (unsigned i = 0; i < vm->slots; i++)
        if (vm->slot[i].size && (i >= count || !slot_equal(&vm->slot[i], &wanted[i])) && !slot_set(vm, i, &none, err))
            return false;
    for (unsigned i = 0; i < count; i++)
        if ((i >= vm->slots || !slot_equal(&vm->slot[i], &wanted[i])) && !slot_set(vm, i, &wanted[i], err))
            return false;
    memcpy(vm->slot, wanted, sizeof(wanted[0]) * count);
    vm->slots = count;
    vm->slots_stale = false;
    return true;
}

/* KVM drops what it has of a slot that goes. */
static bool slots_replace(struct kvm_vm *vm, bool read_only, struct err *err)
{
    struct kvm_slot none = { 0 };

    for (unsigned i = 0; i < vm->slots; i++) {
        struct kvm_slot s = vm->slot[i];

        s.read_only |= read_only;
        if (!slot_set(vm, i, &none, err) || !slot_set(vm, i, &s, err))
            return false;
    }
    return true;
}

bool kvm_forget_tables(struct kvm_vm *vm, struct err *err) { return slots_replace(vm, false, err); }

bool kvm_protect_memory(struct kvm_vm *vm, bool on, struct err *err) { return slots_replace(vm, on, err); }

/* -- the VM ------------------------------------------------------------------------------------------------------------ */

static bool vm_open(struct kvm_vm *vm, struct err *err)
{
    vm->system = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (vm->system < 0)
        return err_set(err, "/dev/kvm: %s", strerror(errno));
    if (ioctl(vm->system, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        return err_set(err, "/dev/kvm: not KVM API version %d", KVM_API_VERSION);
    if (ioctl(vm->system, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) <= 0 ||
        ioctl(vm->system, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
        return err_set(err, "/dev/kvm: this KVM lacks KVM_CAP_SYNC_REGS or KVM_CAP_IMMEDIATE_EXIT");
    vm->fd = ioctl(vm->system, KVM_CREATE_VM, 0);
    return vm->fd >= 0 || err_set(err, "KVM_CREATE_VM: %s", strerror(errno));
}

static bool vm_set_up(struct kvm_vm *vm, struct err *err)
{
    uint64_t identity = IDENTITY_MAP;
    struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };

    ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity); /* VMX alone needs these two */
    ioctl(vm->fd, KVM_SET_TSS_ADDR, IDENTITY_MAP + 0x1000);
    if (ioctl(vm->system, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0)
        ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
    return kvm_take_msrs(vm->system, vm->fd, err);
}

static void vm_free(struct kvm_vm *vm)
{
    phys_unlisten(vm->phys, &vm->listener);
    if (vm->fd >= 0)
        close(vm->fd);
    if (vm->system >= 0)
        close(vm->system);
    free(vm);
}

static struct kvm_vm *vm_create(struct phys *phys, struct err *err)
{
    struct kvm_vm *vm = calloc(1, sizeof(*vm));

    if (!vm)
        abort();
    *vm = (struct kvm_vm){ .phys = phys, .listener = { .changed = slots_changed }, .slots_stale = true, .system = -1, .fd = -1 };
    phys_listen(phys, &vm->listener);
    if (vm_open(vm, err) && vm_set_up(vm, err))
        return vm;
    vm_free(vm);
    return NULL;
}

struct kvm_vm *kvm_vm_get(struct phys *phys, struct err *err)
{
    struct kvm_vm *vm = vms;

    while (vm && vm->phys != phys)
        vm = vm->next;
    if (!vm) {
        vm = vm_create(phys, err);
        if (!vm)
            return NULL;
        vm->next = vms;
        vms = vm;
    }
    vm->users++;
    return vm;
}

void kvm_vm_put(struct kvm_vm *vm)
{
    struct kvm_vm **at = &vms;

    if (--vm->users)
        return;
    while (*at != vm)
        at = &(*at)->next;
    *at = vm->next;
    vm_free(vm);
}
