/*
 * split_kvm.c - KVM's exits to user space, Linux 6.18 (tests/vectors/kvm-6.18-mmio.tsv).
 *
 * The instruction emulator cuts at the page end only; each part then leaves in chunks of eight bytes counted from
 * the part's start, aligned or not, the remainder last.  LOCK is dropped.  A merged run of INS elements is one
 * operand to it, so describe the run as one access to see what KVM makes of it.
 *
 * Its phantoms: CLFLUSH reads a byte, SLDT and STR read four bytes before they store two.  It gives up on
 * CMPXCHG16B after both reads, and on LGDT and LIDT never gets past the first four bytes; SGDT and SIDT spin
 * without an exit.  It gives up before any exit on everything vectorial but plain moves of up to 16 bytes, on
 * gathers and scatters, direct stores, x87 loads and stores, and saved state.
 */
#include "split.h"

#define EXIT_BYTES 8u

static void kvm_chunks(const struct access *access, enum transaction_type type, unsigned from, unsigned end,
                       struct split_list *out)
{
    enum split_reason reason = end - from > EXIT_BYTES ? SPLIT_WIDTH : SPLIT_WHOLE;
    unsigned n;

    if (reason == SPLIT_WHOLE && access->flags & TRANSACTION_MASKED)
        reason = SPLIT_ENABLES;
    for (; from < end; from += n) {
        n = bits_min(EXIT_BYTES, end - from);
        split_peer(access, type, from, n, reason, false, out);
    }
}

/* Enabled bytes [from, end), page by page. */
static void kvm_parts(const struct access *access, enum transaction_type type, unsigned from, unsigned end,
                      struct split_list *out)
{
    unsigned n;

    for (; from < end; from += n) {
        n = split_page_part(access, from, end - from);
        kvm_chunks(access, type, from, from + n, out);
    }
}

static void kvm_carry(const struct access *access, enum transaction_type type, struct split_list *out)
{
    unsigned n;

    if (access->form == FORM_SELECTOR && type == TRANSACTION_STORE)
        split_peer(access, TRANSACTION_LOAD, 0, 4, SPLIT_PEER, true, out);
    if (access->form == FORM_CMPXCHG16B && type == TRANSACTION_STORE)
        split_gives_up(out);
    for (unsigned from = 0; from < access->width; from += n) {
        bool enabled;

        n = split_run(access->enables, from, access->width, &enabled);
        if (enabled)
            kvm_parts(access, type, from, from + n, out);
    }
}

static bool kvm_cannot(const struct access *access)
{
    switch (access->form) {
    case FORM_MASKED:
    case FORM_MASKMOV:
    case FORM_ELEMENT:
    case FORM_DIRECT:
    case FORM_SAVE:
    case FORM_FETCH:
        return true;
    case FORM_X87:
        return access->width != 2;
    case FORM_VECTOR:
        return access->width > 16;
    case FORM_TABLE:
        return access->type != TRANSACTION_LOAD;
    default:
        return false;
    }
}

static void kvm_split(const struct access *access, unsigned arg, struct split_list *out)
{
    (void)arg;
    if (access->form == FORM_HINT) {
        split_peer(access, TRANSACTION_LOAD, 0, 1, SPLIT_PEER, true, out);
        return;
    }
    if (access->form == FORM_TABLE && access->type == TRANSACTION_LOAD) {
        split_peer(access, TRANSACTION_LOAD, 0, 4, SPLIT_PEER, true, out);
        split_gives_up(out);
    }
    if (kvm_cannot(access))
        split_gives_up(out);
    split_phases(access, out, kvm_carry);
}

const struct split_policy split_kvm = { "kvm", "KVM's exits (Linux 6.18)", kvm_split };
