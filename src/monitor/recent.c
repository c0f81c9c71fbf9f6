/* recent.c - device accesses in a ring. */
#include "monitor/recent.h"

#include "trace/journey.h"

#include <inttypes.h>

void recent_observe(void *opaque, const struct dispatch_report *report)
{
    struct recent *r = opaque;
    const struct access *a = report->access;

    if (a->flags & TRANSACTION_DMA)
        return;
    r->access[r->n++ % RECENT_ACCESSES] = (struct recent_access){
        .rip = report->origin->rip, .instruction = machine_retired(r->machine),
        .address = a->pieces ? a->piece[0].gpa - a->piece[0].at : a->gva, .data = a->data, .space = a->space, .type = a->type,
        .width = a->width, .fragments = (uint8_t)report->split->n, .result = report->whole,
    };
}

static void print_access(const struct recent_access *a, GString *out)
{
    g_string_append_printf(out, "  %-12s %2u bytes  %s %0*" PRIx64 "  ", journey_type_names[a->type], a->width,
                           journey_space_names[a->space], a->space == REGION_PIO ? 4 : 10, a->address);
    for (unsigned i = a->width; i--;)
        g_string_append_printf(out, "%02x", a->data.b[i]);
    if (a->fragments > 1)
        g_string_append_printf(out, "  in %u", a->fragments);
    if (a->result != TRANSACTION_OK)
        g_string_append_printf(out, "  %s", journey_result_names[a->result]);
    g_string_append_c(out, '\n');
}

void recent_print(const struct recent *r, GString *out)
{
    uint64_t first = r->n > RECENT_ACCESSES ? r->n - RECENT_ACCESSES : 0;
    const struct recent_access *before = NULL;

    for (uint64_t i = first; i < r->n; i++) {
        const struct recent_access *a = &r->access[i % RECENT_ACCESSES];

        if (!before || before->rip != a->rip || before->instruction != a->instruction)
            g_string_append_printf(out, "rip %016" PRIx64 "  instruction %" PRIu64 "\n", a->rip, a->instruction);
        print_access(a, out);
        before = a;
    }
    if (!r->n)
        g_string_append(out, "no device has been touched\n");
}
