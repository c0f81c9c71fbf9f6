/*
 * test_cases.c - the lines of tests/insn on every engine.
 *
 * test_cases [FILE...]            run them; without files, all in $SRCDIR/tests/insn
 * test_cases --record FILE...     run them on the host processor and write what it did as the third field
 *
 * What a line says is in tests/lib/cases.h.  An engine that this host has not got is skipped.
 */
#include "lib/assemble.h"
#include "lib/cases.h"
#include "fuzz/guest.h"
#include "lib/which_engine.h"

#include "jit/options.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET = 10000, SPACES = 64 };

/* Everything loaded: cases, and their code. */
static struct test_case *cases;
static struct snippet *code;
static size_t n_cases;

static bool assemble_cases(void)
{
    code = calloc(n_cases + 1, sizeof(*code));
    if (!code)
        abort();
    for (size_t i = 0; i < n_cases; i++)
        code[i] = (struct snippet){ .text = cases[i].text, .code32 = cases[i].code32 };
    return assemble(code, n_cases);
}

static uint64_t defined_flags(size_t i, const struct case_state *before)
{
    return (FLAGS_ARITHMETIC | FLAG_DF) &
           ~case_undefined_flags(&cases[i], &before->cpu, code[i].bytes, code[i].length);
}

/* -- an engine -------------------------------------------------------------------------------------------------------- */

/* An address space for each set of page permissions; engines may cache translations. */
struct space { enum native_page page[CASE_PAGES]; uint64_t root; };

struct runner {
    struct guest g;
    bool pvm;                  /* KVM on a PVM host: it cannot run 32-bit code at CPL 3, and more */
    struct space space[SPACES];
    unsigned spaces;
};

static void use_space(struct runner *r, const struct test_case *c)
{
    struct space *s = r->space;

    for (; s < r->space + r->spaces; s++)
        if (!memcmp(s->page, c->page, sizeof(s->page))) {
            r->g.root = s->root;
            return;
        }
    if (r->spaces == SPACES)
        abort();
    r->spaces++;
    guest_new_root(&r->g);
    s->root = r->g.root;
    memcpy(s->page, c->page, sizeof(s->page));
    for (unsigned i = 0; i < CASE_PAGES; i++) {
        uint64_t at = CASE_DATA + i * PAGE_BYTES;

        guest_map(&r->g, at, at, c->page[i] == NATIVE_NONE ? 0 : GUEST_PRESENT | (c->page[i] == NATIVE_RW ? GUEST_WRITABLE : 0));
    }
}

static void copy_state(struct cpu *to, const struct cpu *from)
{
    memcpy(to->slot, from->slot, GPRS * 8);
    memcpy(to->zmm, from->zmm, sizeof(to->zmm));
    memcpy(to->k, from->k, sizeof(to->k));
    to->mxcsr = from->mxcsr;
    memcpy(to->x87.significand, from->x87.significand, sizeof(to->x87.significand));
    to->rip = from->rip;
    cpu_set_rflags(to, cpu_rflags(from));
}

/* `after` is what `before` became; false: it did not end. */
static bool run_on_engine(struct runner *r, size_t i, const struct case_state *before, struct case_state *after)
{
    struct guest_end end;

    use_space(r, &cases[i]);
    guest_reset(&r->g, cases[i].code32 ? GUEST_CPL3_32 : GUEST_CPL3);
    guest_set_code(&r->g, CASE_CODE, code[i].bytes, code[i].length);
    memcpy(r->g.ram + CASE_STACK, before->memory, CASE_BYTES);
    copy_state(&r->g.vcpu.cpu, &before->cpu);
    end = guest_run(&r->g, BUDGET);
    copy_state(&after->cpu, &r->g.vcpu.cpu);
    memcpy(after->memory, r->g.ram + CASE_STACK, CASE_BYTES);
    after->vector = end.vector;
    after->error = end.error;
    after->cr2 = end.cr2;
    return !end.stuck;
}

static unsigned failures, number;

static void fail(size_t i, const char *engine, const char *got)
{
    failures++;
    printf("not ok %u - %s.case:%u on %s\n# %s | %s\n#   expected %s\n#   got      %s\n", ++number, cases[i].file,
           cases[i].line, engine, cases[i].text, cases[i].inputs, cases[i].expected, got);
}

/* warm: translations are there before the first instruction, and the JIT's windows hold. */
static bool run_case(struct runner *r, size_t i, const char *engine, bool warm)
{
    static struct case_state before, after;
    char text[CASE_LINE * 2];

    if (!case_begin(&cases[i], &before)) {
        fail(i, engine, "an input that is none");
        return false;
    }
    after = before;
    r->g.warm = CASE_STACK;
    r->g.warm_pages = warm ? CASE_PAGES + 1 : 0;
    if (!run_on_engine(r, i, &before, &after))
        snprintf(text, sizeof(text), "did not end");
    else
        case_describe(&cases[i], &before, &after, code[i].length, defined_flags(i, &before), text, sizeof(text));
    if (strcmp(text, cases[i].expected)) {
        fail(i, engine, text);
        return false;
    }
    return true;
}

/* Does a NOP of 32-bit code reach the byte behind it? */
static bool can_code32(struct guest *g)
{
    static const uint8_t nop = 0x90;
    struct guest_end end;

    guest_reset(g, GUEST_CPL3_32);
    guest_set_code(g, GUEST_CODE, &nop, 1);
    end = guest_run(g, BUDGET);
    return !end.stuck && end.vector < 0 && g->vcpu.cpu.rip == GUEST_CODE + 1;
}

static bool left_out(const struct runner *r, size_t i, const char *engine)
{
    return strstr(cases[i].not, engine) || (r->pvm && (cases[i].code32 || strstr(cases[i].not, "pvm")));
}

/* One family: a TAP line if all of it passes, else one for each case that does not. */
static size_t run_family(struct runner *r, size_t i, const char *engine)
{
    const char *file = cases[i].file;
    unsigned passed = 0, excluded = 0, before = failures;

    for (; i < n_cases && cases[i].file == file; i++)
        if (left_out(r, i, engine))
            excluded++;
        else
            passed += run_case(r, i, engine, false) && (r->g.engine->id != ENGINE_JIT || run_case(r, i, engine, true));
    if (failures == before)
        printf("ok %u - %s on %s: %u cases, %u left out\n", ++number, file, engine, passed, excluded);
    return i;
}

/* The JIT may leave code to the interpreter; here there is hardly a reason to. */
static void check_translated(const struct runner *r)
{
    const struct jit_stats *s = jit_engine_stats(r->g.self);
    bool ok = s->blocks > n_cases && s->entries > n_cases * 9 / 10;

    failures += !ok;
    printf("%sok %u - translated code ran: %llu blocks made, %llu times entered\n", ok ? "" : "not ", ++number,
           (unsigned long long)s->blocks, (unsigned long long)s->entries);
}

static void run_engine(const struct engine *engine)
{
    static struct runner r;
    struct err err;

    memset(&r, 0, sizeof(r));
    if (!test_engine_usable(engine, &err) || !guest_create(&r.g, engine, &err)) {
        printf("ok %u - all cases on %s # SKIP %s\n", ++number, engine->name, err.text);
        return;
    }
    r.pvm = !can_code32(&r.g);
    if (r.pvm)
        printf("ok %u - 32-bit code on %s # SKIP not on this host: a PVM, no 32-bit code at CPL 3\n", ++number, engine->name);
    for (size_t i = 0; i < n_cases;)
        i = run_family(&r, i, engine->name);
    if (engine->id == ENGINE_JIT)
        check_translated(&r);
    guest_destroy(&r.g);
}

/* -- the host processor ------------------------------------------------------------------------------------------------- */

/* Runs a case in a child of its own, which may end with it.  False and err: nothing came back. */
static bool run_on_host(size_t i, const struct case_state *before, struct case_state *after, struct err *err)
{
    enum native_page page[NATIVE_PAGES] = { NATIVE_RW };
    struct native_case *slot;
    struct native *n;
    bool ok;

    memcpy(page + 1, cases[i].page, sizeof(cases[i].page));
    n = native_create(page, NATIVE_PAGES, before->memory, err);
    if (!n)
        return false;
    slot = native_slot(n, 0);
    native_put(&slot->r, &before->cpu);
    slot->memory.n = 0; /* the image is what it begins with */
    memcpy(slot->code, code[i].bytes, code[i].length);
    slot->code_bytes = (uint16_t)code[i].length;
    slot->bits = cases[i].code32 ? 32 : 64;
    ok = native_run(n, 1, err);
    if (ok && slot->timed_out)
        ok = err_set(err, "did not end");
    native_take(&slot->r, &after->cpu);
    lines_read(&slot->memory, before->memory, 0, after->memory, CASE_BYTES);
    after->vector = slot->vector;
    after->error = slot->error;
    after->cr2 = slot->cr2;
    native_destroy(n);
    return ok;
}

/* The third field, or a question mark and why there is none. */
static void record_case(size_t i, char *text, size_t size)
{
    static struct case_state before, after;
    struct err err = { .text = "an input that is none" };

    if (!case_begin(&cases[i], &before) || (after = before, !run_on_host(i, &before, &after, &err))) {
        snprintf(text, size, "? %s", err.text);
        return;
    }
    if (after.vector == EXCEPTION_BP && after.cpu.rip - 1 != CASE_CODE) { /* it branched to an INT3 around the code */
        after.vector = -1;
        after.cpu.rip--;
    }
    case_describe(&cases[i], &before, &after, code[i].length, defined_flags(i, &before), text, size);
}

/* Rewrites a file; its cases are i and those that follow. */
static bool record_file(const char *path, size_t *i)
{
    char *line = NULL, text[CASE_LINE * 2], temporary[1024];
    FILE *in = fopen(path, "r"), *out;
    size_t size = 0;

    snprintf(temporary, sizeof(temporary), "%s.new", path);
    out = fopen(temporary, "w");
    if (!in || !out)
        return false;
    for (unsigned n = 1; getline(&line, &size, in) > 0; n++) {
        if (*i >= n_cases || cases[*i].line != n) {
            fputs(line, out);
            continue;
        }
        record_case(*i, text, sizeof(text));
        fprintf(out, "%s | %s%s| %s\n", cases[*i].text, cases[*i].inputs, *cases[*i].inputs ? " " : "", text);
        ++*i;
    }
    free(line);
    fclose(in);
    return !fclose(out) && !rename(temporary, path);
}

/* -- all of it ---------------------------------------------------------------------------------------------------------- */

static int record(int n, char **path)
{
    size_t i = 0;

    for (int k = 0; k < n; k++)
        if (!cases_load(path[k], &cases, &n_cases))
            return 1;
    if (!assemble_cases())
        return 1;
    for (int k = 0; k < n; k++)
        if (!record_file(path[k], &i))
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    const char *source = getenv("SRCDIR");
    char pattern[1024];
    glob_t found = { 0 };
    bool ok = true;

    if (argc > 2 && !strcmp(argv[1], "--record"))
        return record(argc - 2, argv + 2);
    if (!assemble_available()) {
        printf("1..0 # SKIP no assembler (as) on this host\n");
        return 0;
    }
    snprintf(pattern, sizeof(pattern), "%s/tests/insn/*.case", source ? source : ".");
    if (argc < 2)
        glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++)
        ok &= cases_load(found.gl_pathv[i], &cases, &n_cases);
    for (int i = 1; i < argc; i++)
        ok &= cases_load(argv[i], &cases, &n_cases);
    globfree(&found);
    if (!ok || !n_cases || !assemble_cases()) {
        printf("1..1\nnot ok 1 - cases cannot be read or assembled\n");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; engines[i]; i++)
        run_engine(engines[i]);
    printf("# summary %zu cases\n1..%u\n", n_cases, number);
    return failures ? 1 : 0;
}
