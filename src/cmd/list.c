/* list.c - wideload list: what there is. */
#include "cmd/cmd.h"

#include "devices.h"
#include "jit/options.h"
#include "kvm/kvm.h"
#include "split.h"
#include "unimp.h"
#include "x86/coverage.h"
#include "x86/model.h"

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

/* -- CPUs ------------------------------------------------------------------------------------------------------------ */

static const char *register_name(const struct feature_row *f)
{
    static const char *const names[] = { "eax", "ebx", "ecx", "edx" };

    return names[f->reg / 4];
}

/* A feature, where CPUID says it, and the models that have it. */
static void print_feature(unsigned feature)
{
    const struct feature_row *f = &feature_rows[feature];

    printf("%-17s %8x.%u %s %2u ", f->name, f->leaf, f->subleaf, register_name(f), f->bit);
    for (unsigned i = 0; i < model_count; i++) {
        struct cpu_model m;

        model_of_row(&model_rows[i], &m);
        if (feature_has(&m.features, feature))
            printf(" %s", model_rows[i].name);
    }
    putchar('\n');
}

static int list_cpus(void)
{
    for (unsigned i = 0; i < model_count; i++)
        printf("%-15s %s\n", model_rows[i].name, model_rows[i].title);
    printf("\nfeature           leaf, register, bit  models that have it\n");
    for (unsigned f = 1; f < FEATURES; f++)
        print_feature(f);
    return 0;
}

static int print_cpuid(const char *cpu)
{
    struct cpuid_table t;
    struct cpu_model m;
    struct err err;

    if (!model_parse(cpu, &m, &err)) {
        fprintf(stderr, "wideload list: %s\n", err.text);
        return 2;
    }
    cpuid_build(&t, &m);
    printf("leaf      sub      eax      ebx      ecx      edx\n");
    for (unsigned i = 0; i < t.n; i++)
        printf("%08x %4x %08x %08x %08x %08x\n", t.row[i].leaf, t.row[i].subleaf, t.row[i].r.eax, t.row[i].r.ebx,
               t.row[i].r.ecx, t.row[i].r.edx);
    return 0;
}

static int list_cpuid(void) { return print_cpuid(model_rows[0].name); }

/* "--cpu MODEL" or "--cpu=MODEL": the model; NULL: something else. */
static const char *cpu_option(int n, char **args)
{
    if (n == 1 && !strncmp(args[0], "--cpu=", 6))
        return args[0] + 6;
    return n == 2 && !strcmp(args[0], "--cpu") ? args[1] : NULL;
}

/* -- what is missing ------------------------------------------------------------------------------------------------- */

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
    { "unimplemented", list_unimplemented }, { "cpus", list_cpus }, { "cpuid", list_cpuid },
    { "jit-switches", list_jit_switches },
};

enum { LISTS = sizeof(lists) / sizeof(lists[0]) };

static void usage(void)
{
    printf("Usage: wideload list WHAT\n\nWHAT:");
    for (unsigned i = 0; i < LISTS; i++)
        printf(" %s", lists[i].name);
    printf("\n\nlist cpuid --cpu MODEL[,+FEATURE,-FEATURE]: of that CPU\n");
}

int cmd_list(int argc, char **argv)
{
    const char *cpu = argc > 2 && !strcmp(argv[1], "cpuid") ? cpu_option(argc - 2, argv + 2) : NULL;

    if (cpu)
        return print_cpuid(cpu);
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
