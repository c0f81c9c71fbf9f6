/* list.c - wideload list: what there is. */
#include "cmd/cmd.h"

#include "devices.h"
#include "jit/options.h"
#include "kvm/kvm.h"
#include "split.h"
#include "unimp.h"
#include "x86/coverage.h"
#include "x86/cpuid.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int list_devices(void)
{
    for (unsigned i = 0; device_classes[i]; i++)
        printf("%-12s %s\n", device_classes[i]->name, device_classes[i]->title);
    return 0;
}

static int list_engines(void)
{
    struct kvm_probe probe;
    struct err err;
    bool jit = jit_usable(&err);
    char text[256];

    kvm_probe(&probe);
    kvm_describe(&probe, text, sizeof(text));
    printf("%-8s usable; threaded code over the IR, portable C\n", engine_interp.name);
    printf("%-8s %s%s\n", engine_jit.name, jit ? "usable; x86-64 host code from the same IR" : "not here: ", jit ? "" : err.text);
    printf("%-8s %s%s\n", engine_kvm.name, probe.kind == KVM_KIND_NONE ? "not here: " : "usable; ", text);
    return 0;
}

static int list_jit_switches(void)
{
#define X(name, text) printf("%-8s %s\n", #name, text);
    JIT_SWITCHES(X)
#undef X
    return 0;
}

static int list_policies(void)
{
    for (unsigned i = 0; split_policies[i]; i++)
        printf("%-8s %s\n", split_policies[i]->name, split_policies[i]->summary);
    return 0;
}

static int list_cpuid(void)
{
    struct cpuid_table t;

    cpuid_default(&t);
    printf("leaf      sub      eax      ebx      ecx      edx\n");
    for (unsigned i = 0; i < t.n; i++)
        printf("%08x %4x %08x %08x %08x %08x\n", t.row[i].leaf, t.row[i].subleaf, t.row[i].r.eax, t.row[i].r.ebx,
               t.row[i].r.ecx, t.row[i].r.edx);
    return 0;
}

/* Mnemonics of one extension on as many lines as they need. */
static void print_missing(const struct coverage *c)
{
    for (unsigned i = 0, column = 0; i < c->missing; i++) {
        bool first = !i || strcmp(c->row[i].extension, c->row[i - 1].extension) != 0;

        if (first || column > 84)
            column = (unsigned)printf("%s%-14s", i ? "\n" : "", first ? c->row[i].extension : "");
        column += (unsigned)printf(" %s", c->row[i].mnemonic);
    }
    putchar('\n');
}

static int list_unimplemented(void)
{
    struct coverage c;

    for (unsigned i = 0; i < unimp_count; i++)
        printf("%-10s %-34s %s\n", unimp_rows[i].area, unimp_rows[i].name, unimp_rows[i].instead);
    coverage_collect(&c);
    printf("\n%u mnemonics have a row in src/x86/insns.def; these have none and raise #UD:\n\n", c.covered);
    print_missing(&c);
    coverage_free(&c);
    return 0;
}

static const struct {
    const char *name;
    int (*list)(void);
} lists[] = {
    { "devices", list_devices }, { "engines", list_engines }, { "policies", list_policies },
    { "unimplemented", list_unimplemented }, { "cpuid", list_cpuid }, { "jit-switches", list_jit_switches },
};

enum { LISTS = sizeof(lists) / sizeof(lists[0]) };

static void usage(void)
{
    printf("Usage: wideload list WHAT\n\nWHAT:");
    for (unsigned i = 0; i < LISTS; i++)
        printf(" %s", lists[i].name);
    putchar('\n');
}

int cmd_list(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        usage();
        return 0;
    }
    for (unsigned i = 0; argc == 2 && i < LISTS; i++)
        if (!strcmp(lists[i].name, argv[1]))
            return lists[i].list();
    if (argc == 2)
        fprintf(stderr, "wideload list: no such list '%s' (see wideload list --help)\n", argv[1]);
    else
        fprintf(stderr, "wideload list: which list? One of them (see wideload list --help)\n");
    return 2;
}
