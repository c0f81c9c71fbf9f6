/* inspect.c - what the JIT made, for people: --log out_asm, --perf-map, --jitdump, and the figures of --stats. */
#include "jit/jit.h"

#include "base/log.h"
#include "print/disasm.h"

#include <inttypes.h>

static void log_block(struct jit *j, const struct jit_block *b)
{
    const uint8_t *at = b->checked, *end = b->checked + b->bytes;
    char text[128];
    unsigned insn = 0;

    (void)j;
    log_printf(LOG_OUT_ASM, "%016" PRIx64 ", %u instructions, %zu bytes\n", b->rip, b->insns, b->bytes);
    while (at < end) {
        unsigned n;

        for (; insn < b->insns && b->boundary[insn].code <= at; insn++)
            log_printf(LOG_OUT_ASM, "  -- %016" PRIx64 "\n", b->insn[insn].rip);
        n = disasm_one(64, at, (size_t)(end - at), (uint64_t)(uintptr_t)at, text, sizeof(text));
        log_printf(LOG_OUT_ASM, "  %p  %s\n", (const void *)at, text);
        at += n ? n : 1;
    }
}

void jit_inspect_block(struct jit *j, const struct jit_block *b)
{
    if (log_on(LOG_OUT_ASM))
        log_block(j, b);
}

void jit_inspect_open(struct jit *j) { (void)j; }
void jit_inspect_close(struct jit *j) { (void)j; }
