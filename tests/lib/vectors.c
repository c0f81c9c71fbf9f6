/* vectors.c - tab-separated rows, and lists such as "R+0:8 W+8:2x3 IOR:2*5 IOW:61.1". */
#include "lib/vectors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vectors_path(char *path, size_t size, const char *name)
{
    const char *source = getenv("SRCDIR");

    snprintf(path, size, "%s/%s", source ? source : ".", name);
}

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    long n;

    if (!f)
        return NULL;
    if (!fseek(f, 0, SEEK_END) && (n = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET) && (text = calloc(1, (size_t)n + 1)) &&
        fread(text, 1, (size_t)n, f) != (size_t)n) {
        free(text);
        text = NULL;
    }
    fclose(f);
    return text;
}

static unsigned cut(char *line, char **column)
{
    unsigned n = 0;

    while (line && n < VECTOR_COLUMNS)
        column[n++] = strsep(&line, "\t");
    return n;
}

static bool take_row(struct vector_row *row, char **c, unsigned n, enum vector_table table)
{
    char *end;

    *row = (struct vector_row){ .id = (unsigned)strtoul(c[0], &end, 10) };
    if (*end || end == c[0] || n < 9)
        return false;
    row->category = c[1];
    row->width = (unsigned)strtoul(c[2], NULL, 10);
    row->insn = c[3];
    row->setup = c[4];
    row->kind = row->device = row->write_data = row->outcome[1] = row->exits[1] = "-";
    switch (table) {
    case VECTORS_KVM:
        row->placement = c[5];
        row->outcome[0] = c[6], row->exits[0] = c[7], row->outcome[1] = c[8], row->exits[1] = c[9];
        row->write_data = c[10], row->ram_changed = c[11];
        break;
    case VECTORS_QEMU:
        row->kind = c[5], row->device = c[6], row->placement = c[8], row->outcome[0] = c[9], row->exits[0] = c[10];
        row->ram_changed = c[11];
        break;
    case VECTORS_BOCHS:
        row->kind = c[5], row->placement = c[6], row->outcome[0] = c[7], row->exits[0] = c[8];
        row->ram_changed = n > 9 ? c[9] : "-";
        break;
    }
    return true;
}

bool vectors_load(struct vectors *v, enum vector_table table)
{
    static const char *const names[] = {
        "tests/vectors/kvm-6.18-mmio.tsv", "tests/vectors/qemu-10.0.2-mmio.tsv", "tests/vectors/bochs-unicorn-mmio.tsv",
    };
    char path[1024], *column[VECTOR_COLUMNS], *rest;

    vectors_path(path, sizeof(path), names[table]);
    *v = (struct vectors){ .text = read_text(path) };
    if (!v->text)
        return false;
    rest = v->text;
    while (rest) {
        char *line = strsep(&rest, "\n");

        if (!*line || *line == '#')
            continue;
        if (v->n % 1024 == 0 && !(v->row = realloc(v->row, (v->n + 1024) * sizeof(*v->row))))
            abort();
        for (unsigned i = 0; i < VECTOR_COLUMNS; i++)
            column[i] = "-";
        v->n += take_row(&v->row[v->n], column, cut(line, column), table);
    }
    return v->n;
}

void vectors_free(struct vectors *v)
{
    free(v->text);
    free(v->row);
}

const struct vector_row *vectors_find(const struct vectors *v, unsigned id, const char *placement, const char *kind)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->row[i].id == id && !strcmp(v->row[i].placement, placement) && (!kind || !strcmp(v->row[i].kind, kind)))
            return &v->row[i];
    return NULL;
}

void vectors_append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    if (used && used + 1 < size) {
        text[used++] = ' ';
        text[used] = 0;
    }
    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

static bool parse_token(const char *text, struct vector_token *t)
{
    unsigned port;

    *t = (struct vector_token){ .count = 1 };
    if (sscanf(text, "IO%c:%u*%u", &t->direction, &t->width, &t->count) == 3) {
        t->port = true;
        return true;
    }
    t->count = 1;
    if (sscanf(text, "IO%c:%x.%u", &t->direction, &port, &t->width) == 3) {
        t->port = true;
        t->at = (int)port;
        return true;
    }
    return sscanf(text, "%c%d:%ux%u", &t->direction, &t->at, &t->width, &t->count) >= 3 &&
           (t->direction == 'R' || t->direction == 'W');
}

const char *vectors_next(const char *text, struct vector_token *token)
{
    while (text && *text) {
        bool good = parse_token(text, token);
        const char *space = strchr(text, ' ');

        text = space ? space + 1 : text + strlen(text);
        if (good)
            return text;
    }
    return NULL;
}

void vectors_expand(const char *text, char *out, size_t size)
{
    struct vector_token t;

    *out = 0;
    while ((text = vectors_next(text, &t))) {
        if (t.port && t.at)
            vectors_append(out, size, "IO%c:%x.%u", t.direction, (unsigned)t.at, t.width);
        else if (t.port)
            vectors_append(out, size, "IO%c:%u*%u", t.direction, t.width, t.count);
        for (unsigned i = 0; i < t.count && !t.port; i++)
            vectors_append(out, size, "%c%+d:%u", t.direction, t.at + (int)(i * t.width), t.width);
    }
}

bool vectors_has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p += n)
        if ((p == text || p[-1] == ' ') && (!p[n] || p[n] == ' '))
            return true;
    return false;
}
