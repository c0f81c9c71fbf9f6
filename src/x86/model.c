/*
 * model.c - CPU models: the psABI's levels, a few processors, and what the host has.
 *
 * A model says what features there are.  Signatures of processors are those of their data sheets (Opteron: AMD 25759,
 * SH7-CG).  Where Intel and AMD read the architecture differently, all but Opteron follow Intel.
 */
#include "x86/model.h"

#include <assert.h>
#include <cpuid.h>
#include <string.h>

#define SAPPHIRE_RAPIDS 0x806f8
#define HASWELL ",+aes,+erms,+fsgsbase,+invpcid,+pcid,+pclmulqdq,+pdpe1gb,+rdrand,+rdtscp,+smep,+x2apic,+xsaveopt"

const struct model_row model_rows[] = {
    { .name = "max", .title = "everything that is implemented (the default)", .signature = SAPPHIRE_RAPIDS },
    { .name = "host", .title = "of that, what the host's processor has", .signature = SAPPHIRE_RAPIDS, .host = true },
    { .name = "x86-64-v1", .title = "the psABI's baseline", .signature = SAPPHIRE_RAPIDS, .level = 1 },
    { .name = "x86-64-v2", .title = "to SSE4.2, POPCNT and CMPXCHG16B", .signature = SAPPHIRE_RAPIDS, .level = 2 },
    { .name = "x86-64-v3", .title = "to AVX2, BMI2 and FMA", .signature = SAPPHIRE_RAPIDS, .level = 3 },
    { .name = "x86-64-v4", .title = "to AVX-512 F, BW, CD, DQ and VL", .signature = SAPPHIRE_RAPIDS, .level = 4 },
    { .name = "Nehalem", .title = "Core i7-900, 2008", .signature = 0x106a5, .level = 2, .more = ",+rdtscp" },
    { .name = "Haswell", .title = "Core i7-4000, 2013", .signature = 0x306c3, .level = 3, .more = HASWELL },
    { .name = "Skylake-Server", .title = "Xeon Scalable, 2017", .signature = 0x50654, .level = 4,
      .more = HASWELL ",+adx,+clflushopt,+clwb,+pku,+prefetchw,+rdseed,+smap,+xgetbv1,+xsavec" },
    { .name = "Opteron", .title = "AMD Opteron 200, 2003", .signature = 0xf5a, .level = 1, .vendor = VENDOR_AMD },
};
const unsigned model_count = ARRAY_LEN(model_rows);

/* -- the host ------------------------------------------------------------------------------------------------------- */

static bool model_host_has(unsigned feature)
{
    const struct feature_row *f = &feature_rows[feature];
    struct cpuid_result r = { 0 };

    return __get_cpuid_count(f->leaf, f->subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx) && cpuid_has_bit(&r, feature);
}

static void model_cut_by_host(struct feature_set *s)
{
    for (unsigned f = 1; f < FEATURES; f++)
        if (!model_host_has(f))
            feature_remove(s, f);
}

/* -- one feature -------------------------------------------------------------------------------------------------------- */

static unsigned model_find_feature(const char *name, size_t length)
{
    unsigned f = 1;

    while (f < FEATURES && !feature_same_name(feature_rows[f].name, name, length))
        f++;
    return f;
}

static bool model_is_unoffered(const char *name, size_t length)
{
    for (unsigned i = 0; feature_unoffered[i]; i++)
        if (feature_same_name(feature_unoffered[i], name, length))
            return true;
    return false;
}

/* "+avx2" or "-avx2". */
static bool model_change(struct feature_set *s, const char *text, size_t length, struct err *err)
{
    int n = (int)bits_min(length, 64);
    unsigned f;

    if (!length || (*text != '+' && *text != '-'))
        return err_set(err, "--cpu: +FEATURE or -FEATURE after the model, not '%.*s'", n, text);
    f = model_find_feature(text + 1, length - 1);
    if (f < FEATURES) {
        *text == '+' ? feature_add(s, f) : feature_remove(s, f);
        return true;
    }
    if (model_is_unoffered(text + 1, length - 1))
        return err_set(err, "the CPU feature '%.*s' is not offered (see wideload list unimplemented)", n - 1, text + 1);
    return err_set(err, "no such CPU feature '%.*s' (see wideload list cpus)", n - 1, text + 1);
}

static bool model_change_all(struct feature_set *s, const char *text, struct err *err)
{
    for (; *text == ','; text += strcspn(text, ",")) {
        text++;
        if (!model_change(s, text, strcspn(text, ","), err))
            return false;
    }
    return true;
}

/* -- the whole ------------------------------------------------------------------------------------------------------------ */

void model_of_row(const struct model_row *row, struct cpu_model *out)
{
    struct err err;
    bool ok;

    *out = (struct cpu_model){ row->signature, row->level ? feature_level(row->level) : feature_all, row->vendor };
    ok = !row->more || model_change_all(&out->features, row->more, &err);
    assert(ok);
    if (row->host)
        model_cut_by_host(&out->features);
}

bool model_parse(const char *text, struct cpu_model *out, struct err *err)
{
    size_t length = strcspn(text, ",");

    for (unsigned i = 0; i < model_count; i++)
        if (strlen(model_rows[i].name) == length && !strncmp(model_rows[i].name, text, length)) {
            model_of_row(&model_rows[i], out);
            return model_change_all(&out->features, text + length, err);
        }
    return err_set(err, "no such CPU model '%.*s' (see wideload list cpus)", (int)bits_min(length, 64), text);
}
