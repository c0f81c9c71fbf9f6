/*
 * split_pcie.c - requests as a PCIe root port could send them.
 *
 * A fragment is one request: its doubleword address and its first and last byte enables follow from `at`, `width`
 * and `enables`.  A request stays within a 64-byte line (so never crosses 4 KiB); what is neither a vector nor a
 * direct store has at most 8 bytes.  Byte enables with gaps exist only within one aligned quadword; elsewhere the
 * enabled bytes go run by run.  Atomics are taken typed where the region does, which wants them naturally aligned.
 */
#include "split.h"

#define LINE_BYTES 64u
#define QUAD_BYTES 8u

/* May the form be sent as one line?  General registers, x87 and tables go in quadwords at most. */
static bool pcie_is_wide(const struct access *access)
{
    return access->form == FORM_VECTOR || access->form == FORM_MASKED || access->form == FORM_MASKMOV ||
           access->form == FORM_DIRECT || access->flags & (TRANSACTION_NON_TEMPORAL | TRANSACTION_DMA) ||
           access->type > TRANSACTION_STORE;
}

/* The bytes of a masked access that one request can name: a run, or whatever is in this quadword. */
static unsigned pcie_masked_reach(const struct access *access, uint64_t gpa, unsigned from, unsigned left)
{
    bool enabled;
    unsigned quad = bits_min(left, QUAD_BYTES - gpa % QUAD_BYTES);
    unsigned run = split_run(access->enables, from, from + left, &enabled);

    return enabled && run < quad ? quad : run;
}

static unsigned pcie_reach(const struct access *access, const struct piece *piece, unsigned from, unsigned left,
                           unsigned arg, enum split_reason *reason)
{
    uint64_t gpa = piece->gpa + (from - piece->at);
    unsigned n = bits_min(left, LINE_BYTES - gpa % LINE_BYTES);

    (void)arg;
    if (!pcie_is_wide(access))
        n = bits_min(n, QUAD_BYTES);
    if (n < left)
        *reason = SPLIT_WIDTH;
    if (access->flags & TRANSACTION_MASKED) {
        unsigned masked = pcie_masked_reach(access, gpa, from, n);

        if (masked < n)
            *reason = SPLIT_ENABLES;
        n = masked;
    }
    return n;
}

static void pcie_split(const struct access *access, unsigned arg, struct split_list *out)
{
    split_exactly(access, arg, pcie_reach, out);
}

const struct split_policy split_pcie = { "pcie", "PCIe requests with byte enables", pcie_split };
