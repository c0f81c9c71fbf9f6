/* cases.c - lines to states, and states back to lines. */
#include "lib/cases.h"

#include "fuzz/undefined.h"
#include "x86/decode.h"
#include "x86/flags.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* -- lines ------------------------------------------------------------------------------------------------------------ */

static void trim(const char *from, size_t n, char *to, size_t size)
{
    while (n && isspace((unsigned char)*from))
        from++, n--;
    while (n && isspace((unsigned char)from[n - 1]))
        n--;
    snprintf(to, size, "%.*s", (int)n, from);
}

static bool parse_page(struct test_case *c, const char *text)
{
    unsigned long at = strtoul(text, NULL, 16), page = (at - CASE_DATA) / 4096;
    const char *kind = strchr(text, '=');

    if (!kind || at % 4096 || page >= CASE_PAGES)
        return false;
    c->page[page] = !strncmp(kind, "=none", 5) ? NATIVE_NONE : !strncmp(kind, "=ro", 3) ? NATIVE_RO : NATIVE_RW;
    return true;
}

bool case_parse(const char *line, struct test_case *c, bool *bad)
{
    const char *first = strchr(line, '|'), *second = first ? strchr(first + 1, '|') : NULL, *p;

    *bad = false;
    memset(c, 0, sizeof(*c));
    while (isspace((unsigned char)*line))
        line++;
    if (!*line || *line == '#')
        return false;
    *bad = !second;
    if (!second)
        return false;
    trim(line, (size_t)(first - line), c->text, sizeof(c->text));
    trim(first + 1, (size_t)(second - first - 1), c->inputs, sizeof(c->inputs));
    trim(second + 1, strlen(second + 1), c->expected, sizeof(c->expected));
    c->code32 = strstr(c->inputs, "mode=32") != NULL;
    p = strstr(c->inputs, "not=");
    if (p)
        trim(p + 4, strcspn(p + 4, " "), c->not, sizeof(c->not));
    for (p = c->inputs; (p = strstr(p, "page ")); p += 5)
        *bad |= !parse_page(c, p + 5);
    return !*bad;
}

static char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strndup(slash ? slash + 1 : path, strcspn(slash ? slash + 1 : path, "."));
}

bool cases_load(const char *path, struct test_case **cases, size_t *n)
{
    char *line = NULL, *name = base_name(path);
    FILE *f = fopen(path, "r");
    size_t size = 0;
    bool bad = !f;

    if (!f)
        perror(path);
    for (unsigned i = 1; f && !bad && getline(&line, &size, f) > 0; i++) {
        if (*n % 256 == 0 && !(*cases = realloc(*cases, (*n + 256) * sizeof(**cases))))
            abort();
        if (case_parse(line, &(*cases)[*n], &bad)) {
            (*cases)[*n].file = name;
            (*cases)[(*n)++].line = i;
        }
        if (bad)
            fprintf(stderr, "%s:%u: not a case: %s", path, i, line);
    }
    free(line);
    if (f)
        fclose(f);
    return !bad;
}

/* -- before ----------------------------------------------------------------------------------------------------------- */

/* Every byte differs from its neighbours, and every register from every other. */
static void fill(const struct test_case *c, struct case_state *s)
{
    memset(s, 0, sizeof(*s));
    s->vector = -1;
    for (unsigned i = 0; i < CASE_BYTES; i++)
        s->memory[i] = (uint8_t)(i * 29 ^ i >> 8);
    for (unsigned i = 0; i < GPRS; i++)
        s->cpu.slot[i] = c->code32 ? 0x80808000u + i * 0x01010111u : UINT64_C(0xc0c0c0c0a0a0a000) + i * UINT64_C(0x0101010101010111);
    s->cpu.slot[RSP] = CASE_STACK + 0x800;
    s->cpu.rip = CASE_CODE;
    s->cpu.mxcsr = 0x1f80;
    s->cpu.x87.control = 0x37f;
    cpu_set_rflags(&s->cpu, FLAG_ONE | FLAG_IF);
}

static unsigned hex_digit(char c) { return (unsigned)(isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10); }

/* Hexadecimal, most significant digit first, any number of bytes. */
static void parse_wide(const char *text, uint8_t *bytes, unsigned size)
{
    size_t n;

    if (text[0] == '0' && text[1] == 'x')
        text += 2;
    n = strspn(text, "0123456789abcdefABCDEF");
    memset(bytes, 0, size);
    for (size_t i = 0; i < n && i / 2 < size; i++)
        bytes[i / 2] |= (uint8_t)(hex_digit(text[n - 1 - i]) << (i % 2 * 4));
}

static const char flag_letters[] = "c.p.a.zs..do"; /* by bit */

static bool parse_flags(struct cpu *c, const char *text)
{
    uint64_t flags = FLAG_ONE | FLAG_IF;

    for (; *text && *text != ' '; text++) {
        const char *at = *text == '-' || *text == '.' ? NULL : strchr(flag_letters, *text);

        if (!at && *text != '-')
            return false;
        flags |= at ? BIT(at - flag_letters) : 0;
    }
    cpu_set_rflags(c, flags);
    return true;
}

static bool parse_memory(struct case_state *s, const char *text)
{
    char *p;
    unsigned long at = strtoul(text, &p, 16) - CASE_STACK;

    if (*p != '=')
        return false;
    for (p++; isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1]); p += 2, at++) {
        if (at >= CASE_BYTES)
            return false;
        s->memory[at] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
    }
    return !*p || *p == ' ';
}

static bool parse_numbered(struct cpu *c, const char *name, const char *value)
{
    char *stop;
    unsigned n = (unsigned)strtoul(name + strcspn(name, "0123456789"), &stop, 10);

    if (*stop != '=')
        return false;
    if (strchr("xyz", name[0]) && !strncmp(name + 1, "mm", 2) && n < 32)
        parse_wide(value, c->zmm[n].b, 64);
    else if (name[0] == 'k' && n < 8)
        c->k[n] = strtoull(value, NULL, 16);
    else if (!strncmp(name, "mm", 2) && n < 8)
        c->x87.significand[n] = strtoull(value, NULL, 16);
    else
        return false;
    return true;
}

static bool parse_register(struct cpu *c, const char *name)
{
    size_t n = strcspn(name, "=");

    if (name[n] != '=')
        return false;
    if (!strncmp(name, "mxcsr=", 6)) {
        c->mxcsr = (uint32_t)strtoul(name + 6, NULL, 16);
        return true;
    }
    for (unsigned i = 0; i < GPRS; i++)
        if (strlen(cpu_gpr_names[i]) == n && !strncmp(name, cpu_gpr_names[i], n)) {
            c->slot[i] = strtoull(name + n + 1, NULL, 16);
            return true;
        }
    return parse_numbered(c, name, name + n + 1);
}

bool case_begin(const struct test_case *c, struct case_state *s)
{
    fill(c, s);
    for (const char *p = c->inputs; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
        bool ok = true;

        if (!strncmp(p, "mem ", 4)) {
            ok = parse_memory(s, p += 4);
        } else if (!strncmp(p, "page ", 5)) {
            p += 5;
        } else if (!strncmp(p, "flags=", 6)) {
            ok = parse_flags(&s->cpu, p + 6);
        } else if (strncmp(p, "mode=", 5) && strncmp(p, "not=", 4)) {
            ok = parse_register(&s->cpu, p);
        }
        if (!ok)
            return false;
    }
    return true;
}

/* -- after ------------------------------------------------------------------------------------------------------------ */

struct text { char *at; size_t left; };

static void say(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->at, t->left, format, args);
    va_end(args);
    if (n > 0) {
        size_t used = (size_t)n < t->left ? (size_t)n : t->left - 1;

        t->at += used;
        t->left -= used;
    }
}

static void say_general(struct text *t, const struct test_case *c, const struct cpu *before, const struct cpu *after)
{
    unsigned n = c->code32 ? R8 : GPRS;
    uint64_t mask = c->code32 ? UINT32_MAX : UINT64_MAX;

    for (unsigned i = 0; i < n; i++)
        if ((before->slot[i] ^ after->slot[i]) & mask)
            say(t, " %s=%llx", cpu_gpr_names[i], (unsigned long long)(after->slot[i] & mask));
}

static void say_vectors(struct text *t, const struct cpu *before, const struct cpu *after)
{
    for (unsigned i = 0; i < 32; i++) {
        const uint8_t *b = after->zmm[i].b;
        unsigned n = 64;

        if (!memcmp(b, before->zmm[i].b, 64))
            continue;
        while (n > 16 && !b[n - 1])
            n--;
        n = n > 32 ? 64 : n > 16 ? 32 : 16;
        say(t, " %cmm%u=", n == 64 ? 'z' : n == 32 ? 'y' : 'x', i);
        while (n--)
            say(t, "%02x", b[n]);
    }
    for (unsigned i = 0; i < 8; i++)
        if (before->k[i] != after->k[i])
            say(t, " k%u=%llx", i, (unsigned long long)after->k[i]);
    for (unsigned i = 0; i < 8; i++)
        if (before->x87.significand[i] != after->x87.significand[i])
            say(t, " mm%u=%016llx", i, (unsigned long long)after->x87.significand[i]);
}

static void say_flags(struct text *t, const struct cpu *before, const struct cpu *after, uint64_t defined)
{
    uint64_t flags = cpu_rflags(after) & defined;

    if (!((cpu_rflags(before) ^ flags) & defined))
        return;
    say(t, " flags=%s", flags ? "" : "-");
    for (unsigned i = 0; flag_letters[i]; i++)
        if (flags >> i & 1)
            say(t, "%c", flag_letters[i]);
}

/* The end of a run of changes that begins at i; a byte or two that happen to be the same do not end it. */
static unsigned changes_end(const uint8_t *before, const uint8_t *after, unsigned i)
{
    unsigned end = i;

    for (; i < CASE_BYTES && i < end + 3; i++)
        if (before[i] != after[i])
            end = i + 1;
    return end;
}

static void say_memory(struct text *t, const uint8_t *before, const uint8_t *after)
{
    for (unsigned i = 0; i < CASE_BYTES; i++) {
        unsigned end = changes_end(before, after, i);

        if (before[i] == after[i])
            continue;
        say(t, " mem %x=", CASE_STACK + i);
        for (; i < end; i++)
            say(t, "%02x", after[i]);
    }
}

static const char *const vector_names[] = {
    [EXCEPTION_DE] = "#DE", [EXCEPTION_DB] = "#DB", [EXCEPTION_BP] = "#BP", [EXCEPTION_OF] = "#OF", [EXCEPTION_BR] = "#BR",
    [EXCEPTION_UD] = "#UD", [EXCEPTION_NM] = "#NM", [EXCEPTION_DF] = "#DF", [EXCEPTION_TS] = "#TS", [EXCEPTION_NP] = "#NP",
    [EXCEPTION_SS] = "#SS", [EXCEPTION_GP] = "#GP", [EXCEPTION_PF] = "#PF", [EXCEPTION_MF] = "#MF", [EXCEPTION_AC] = "#AC",
    [EXCEPTION_XM] = "#XM",
};

static void say_end(struct text *t, const struct case_state *after)
{
    const char *name = (size_t)after->vector < ARRAY_LEN(vector_names) ? vector_names[after->vector] : NULL;

    say(t, " %s", name ? name : "#?");
    if (BIT(after->vector) & (BIT(EXCEPTION_TS) | BIT(EXCEPTION_NP) | BIT(EXCEPTION_SS) | BIT(EXCEPTION_GP) | BIT(EXCEPTION_PF)))
        say(t, " err=%x", after->error);
    if (after->vector == EXCEPTION_PF)
        say(t, " cr2=%llx", (unsigned long long)after->cr2);
}

void case_describe(const struct test_case *c, const struct case_state *before, const struct case_state *after,
                   unsigned length, uint64_t flags, char *text, size_t size)
{
    struct text t = { text, size };
    uint64_t usual = after->vector < 0 ? before->cpu.rip + length : before->cpu.rip;

    *text = 0;
    if (after->vector >= 0)
        say_end(&t, after);
    say_general(&t, c, &before->cpu, &after->cpu);
    say_vectors(&t, &before->cpu, &after->cpu);
    if (before->cpu.mxcsr != after->cpu.mxcsr)
        say(&t, " mxcsr=%x", after->cpu.mxcsr);
    say_flags(&t, &before->cpu, &after->cpu, flags);
    if (after->cpu.rip != usual)
        say(&t, " rip=%llx", (unsigned long long)after->cpu.rip);
    say_memory(&t, before->memory, after->memory);
    if (*text)
        memmove(text, text + 1, strlen(text));
    else
        snprintf(text, size, "same");
}

uint64_t case_undefined_flags(const struct test_case *c, const struct cpu *before, const uint8_t *bytes, unsigned n)
{
    uint32_t mode = MODE_PROTECTED | MODE_LONG | (c->code32 ? MODE_CODE32 : MODE_CODE64);
    uint64_t flags = 0;
    struct insn insn;

    for (unsigned at = 0; at < n && decode(mode, bytes + at, n - at, &insn) == DECODE_OK; at += insn.length)
        flags |= undefined_flags(&insn, before);
    return flags;
}
