/*
 * read.c - a strict reader for what write.c writes.
 *
 * Keys come in one order and nothing stands between tokens, so the parser is a walk along the line: every step
 * either eats what it expects or sets `wrong`, after which all further steps do nothing.
 */
#include "trace.h"

#include "zfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trace_reader {
    FILE *file;
    char *path, *line;
    size_t size;
    uint64_t lines, journeys;
    bool ended;
};

/* Where the walk is; `wrong` is what was expected there, NULL while all is well. */
struct walk {
    const char *start, *at;
    const char *wrong;
};

/* -- tokens --------------------------------------------------------------------------------------------------- */

/* Eats `token` if it stands here. */
static bool walk_try(struct walk *w, const char *token)
{
    size_t length = strlen(token);

    if (w->wrong || strncmp(w->at, token, length))
        return false;
    w->at += length;
    return true;
}

static void walk_expect(struct walk *w, const char *token)
{
    if (!walk_try(w, token) && !w->wrong)
        w->wrong = token;
}

static void walk_fail(struct walk *w, const char *expected)
{
    if (!w->wrong)
        w->wrong = expected;
}

/* A decimal number without sign, leading zero or overflow. */
static uint64_t walk_number(struct walk *w, uint64_t max)
{
    uint64_t value = 0;
    const char *from = w->at;

    for (; !w->wrong && g_ascii_isdigit(*w->at); w->at++) {
        unsigned digit = *w->at - '0';

        if (digit > max || value > (max - digit) / 10 || (w->at > from && *from == '0')) {
            walk_fail(w, "a number in range");
            break;
        }
        value = value * 10 + digit;
    }
    if (w->at == from)
        walk_fail(w, "a number");
    return value;
}

static int walk_signed(struct walk *w, uint64_t max)
{
    return walk_try(w, "-") ? -(int)walk_number(w, max) : (int)walk_number(w, max);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1f": up to 16 hexadecimal digits in quotes. */
static uint64_t walk_hex(struct walk *w)
{
    uint64_t value = 0;
    unsigned n = 0;

    walk_expect(w, "\"");
    for (; !w->wrong && hex_digit(*w->at) >= 0 && n < 16; w->at++, n++)
        value = value << 4 | (unsigned)hex_digit(*w->at);
    if (!n)
        walk_fail(w, "hexadecimal digits");
    walk_expect(w, "\"");
    return value;
}

/* "0011..": at most `max` bytes; returns how many. */
static unsigned walk_bytes(struct walk *w, uint8_t *bytes, unsigned max)
{
    unsigned n = 0;

    walk_expect(w, "\"");
    for (; !w->wrong && n < max && hex_digit(w->at[0]) >= 0 && hex_digit(w->at[1]) >= 0; w->at += 2)
        bytes[n++] = hex_digit(w->at[0]) << 4 | hex_digit(w->at[1]);
    walk_expect(w, "\"");
    return n;
}

static void walk_exact_bytes(struct walk *w, uint8_t *bytes, unsigned n)
{
    if (walk_bytes(w, bytes, n) != n)
        walk_fail(w, "one byte for each of the width");
}

/* A quoted word of a table. */
static unsigned walk_name(struct walk *w, const char *(*name)(unsigned), unsigned count, const char *expected)
{
    walk_expect(w, "\"");
    for (unsigned i = 0; i < count && !w->wrong; i++) {
        size_t length = strlen(name(i));

        if (!strncmp(w->at, name(i), length) && w->at[length] == '"') {
            w->at += length + 1;
            return i;
        }
    }
    walk_fail(w, expected);
    return 0;
}

/* The character a backslash stands before; control characters are \u00xx, as written. */
static char walk_escape(struct walk *w)
{
    int high, low;

    if (*w->at == '"' || *w->at == '\\')
        return *w->at++;
    walk_expect(w, "u00");
    if (w->wrong || (high = hex_digit(w->at[0])) < 0 || high > 1 || (low = hex_digit(w->at[1])) < 0 ||
        (!high && !low)) {
        walk_fail(w, "an escape");
        return 0;
    }
    w->at += 2;
    return high << 4 | low;
}

/* A quoted text; caller frees. */
static char *walk_text(struct walk *w)
{
    GString *text = g_string_new(NULL);

    walk_expect(w, "\"");
    while (!w->wrong && *w->at && *w->at != '"') {
        char c = *w->at++;

        if ((unsigned char)c < 0x20)
            walk_fail(w, "an escaped control character");
        g_string_append_c(text, c == '\\' ? walk_escape(w) : c);
    }
    walk_expect(w, "\"");
    if (!w->wrong && !g_utf8_validate(text->str, text->len, NULL))
        walk_fail(w, "valid UTF-8");
    return g_string_free(text, FALSE);
}

/* -- records -------------------------------------------------------------------------------------------------- */

static const char *name_engine(unsigned i) { return journey_engine_names[i]; }
static const char *name_space(unsigned i) { return journey_space_names[i]; }
static const char *name_type(unsigned i) { return journey_type_names[i]; }
static const char *name_result(unsigned i) { return journey_result_names[i]; }
static const char *name_reason(unsigned i) { return split_reason_name(i); }

static unsigned walk_width(struct walk *w)
{
    unsigned width = walk_number(w, WIDE_BYTES);

    if (!width)
        walk_fail(w, "a width of 1 to 64");
    return width;
}

static void walk_fragment(struct walk *w, struct journey *journey)
{
    struct journey_fragment f = { 0 };

    walk_expect(w, "{\"at\":");
    f.at = walk_signed(w, 2 * WIDE_BYTES);
    walk_expect(w, ",\"width\":");
    f.width = walk_width(w);
    walk_expect(w, ",\"type\":");
    f.type = walk_name(w, name_type, TRANSACTION_TYPES, "a transaction type");
    walk_expect(w, ",\"reason\":");
    f.reason = walk_name(w, name_reason, SPLIT_PEER + 1, "a reason");
    walk_expect(w, ",\"address\":");
    f.address = walk_hex(w);
    f.phantom = walk_try(w, ",\"phantom\":true");
    walk_expect(w, "}");
    if (!w->wrong && !f.phantom && f.type > TRANSACTION_STORE && f.at)
        walk_fail(w, "a typed transaction that is the whole access");
    g_array_append_val(journey->fragment, f);
}

static void walk_fragments(struct walk *w, struct journey *journey, struct journey_access *a)
{
    a->first = journey->fragment->len;
    walk_expect(w, ",\"fragments\":[");
    if (!walk_try(w, "]")) {
        do
            walk_fragment(w, journey);
        while (walk_try(w, ","));
        walk_expect(w, "]");
    }
    a->fragments = journey->fragment->len - a->first;
}

static void walk_access(struct walk *w, struct journey *journey)
{
    struct journey_access a = { 0 };

    walk_expect(w, "{\"space\":");
    a.space = walk_name(w, name_space, REGION_SPACES, "mmio or port");
    walk_expect(w, ",\"type\":");
    a.type = walk_name(w, name_type, TRANSACTION_TYPES, "a transaction type");
    walk_expect(w, ",\"width\":");
    a.width = walk_width(w);
    walk_expect(w, ",\"flags\":");
    a.flags = walk_number(w, UINT16_MAX);
    walk_expect(w, ",\"address\":");
    a.address = walk_hex(w);
    walk_expect(w, ",\"enables\":");
    a.enables = walk_hex(w);
    if (a.enables & ~bits_mask(a.width))
        walk_fail(w, "enables within the width");
    walk_expect(w, ",\"data\":");
    walk_exact_bytes(w, a.data.b, a.width);
    if (a.type == TRANSACTION_FETCH_ADD || a.type == TRANSACTION_SWAP || a.type == TRANSACTION_COMPARE_SWAP) {
        walk_expect(w, ",\"operand\":");
        walk_exact_bytes(w, a.operand.b, a.width);
    }
    if (a.type == TRANSACTION_COMPARE_SWAP) {
        walk_expect(w, ",\"compare\":");
        walk_exact_bytes(w, a.compare.b, a.width);
    }
    walk_expect(w, ",\"result\":");
    a.result = walk_name(w, name_result, TRANSACTION_RETRY + 1, "a result");
    walk_fragments(w, journey, &a);
    walk_expect(w, "}");
    g_array_append_val(journey->access, a);
}

static unsigned walk_mode(struct walk *w)
{
    unsigned mode = walk_number(w, 64);

    if (mode && mode != 16 && mode != 32 && mode != 64)
        walk_fail(w, "mode 16, 32, 64 or 0");
    return mode;
}

static void walk_journey(struct walk *w, struct journey *j)
{
    walk_expect(w, "{\"journey\":");
    j->number = walk_number(w, UINT64_MAX);
    walk_expect(w, ",\"engine\":");
    j->engine = walk_name(w, name_engine, ENGINE_COUNT, "an engine");
    walk_expect(w, ",\"rip\":");
    j->rip = walk_hex(w);
    j->rip_after = walk_try(w, ",\"after\":true");
    walk_expect(w, ",\"code\":");
    j->code_bytes = walk_bytes(w, j->code, JOURNEY_CODE_BYTES);
    walk_expect(w, ",\"mode\":");
    j->mode = walk_mode(w);
    if (walk_try(w, ",\"gave_up\":"))
        j->gave_up = walk_text(w);
    walk_expect(w, ",\"accesses\":[");
    if (!walk_try(w, "]")) {
        do
            walk_access(w, j);
        while (walk_try(w, ","));
        walk_expect(w, "]");
    }
    walk_expect(w, "}");
}

static void walk_header(struct walk *w, struct trace_header *h)
{
    walk_expect(w, "{\"wideload-trace\":");
    if (walk_number(w, UINT32_MAX) != TRACE_VERSION)
        walk_fail(w, "version 1");
    walk_expect(w, ",\"engine\":");
    h->engine = walk_text(w);
    walk_expect(w, ",\"kernel\":");
    h->kernel = walk_text(w);
    walk_expect(w, ",\"cpu\":");
    h->cpu = walk_text(w);
    walk_expect(w, ",\"kvm\":");
    h->kvm = walk_text(w);
    walk_expect(w, ",\"cpuid\":");
    h->cpuid = walk_text(w);
    walk_expect(w, ",\"guest\":");
    h->guest = walk_text(w);
    walk_expect(w, "}");
}

/* -- the file ------------------------------------------------------------------------------------------------- */

enum { LINE_MAX_BYTES = 4 << 20 }; /* a REP string over a page makes journeys of some hundred kilobytes */

/* getline(3) with a limit: LINE_MAX_BYTES for a longer line, -1 at the end of the file or for an error. */
static ssize_t reader_getline(struct trace_reader *r)
{
    ssize_t n = 0;
    int c;

    if (!r->line)
        r->line = g_malloc(r->size = 4096);
    while ((c = getc_unlocked(r->file)) != EOF) {
        if ((size_t)n + 2 > r->size)
            r->line = g_realloc(r->line, r->size *= 2);
        r->line[n++] = (char)c;
        if (c == '\n' || n == LINE_MAX_BYTES)
            break;
    }
    r->line[n] = 0;
    return n && !ferror(r->file) ? n : -1;
}

/* The next line without its newline; NULL and err at the end of the file or when the line is cut. */
static const char *reader_line(struct trace_reader *r, struct err *err)
{
    ssize_t n;

    errno = 0;
    n = reader_getline(r);
    r->lines++;
    if (n == LINE_MAX_BYTES) {
        err_set(err, "%s:%" PRIu64 ": a line of more than %d bytes", r->path, r->lines, LINE_MAX_BYTES - 1);
        return NULL;
    }
    if (n < 0 && errno)
        err_set(err, "%s:%" PRIu64 ": cannot read: %s", r->path, r->lines, strerror(errno));
    else if (n < 0)
        err_set(err, "%s:%" PRIu64 ": the file ends here, without its last line", r->path, r->lines);
    else if (r->line[n - 1] != '\n')
        err_set(err, "%s:%" PRIu64 ": the line is cut", r->path, r->lines);
    else if (strlen(r->line) != (size_t)n)
        err_set(err, "%s:%" PRIu64 ": a zero byte", r->path, r->lines);
    else {
        r->line[n - 1] = 0;
        return r->line;
    }
    return NULL;
}

/* Did the walk reach the line's end? */
static bool reader_finish(struct trace_reader *r, struct walk *w, struct err *err)
{
    if (!w->wrong && *w->at)
        w->wrong = "the end of the line";
    if (!w->wrong)
        return true;
    return err_set(err, "%s:%" PRIu64 ": column %zu: expected %s", r->path, r->lines, (size_t)(w->at - w->start) + 1,
                   w->wrong);
}

struct trace_reader *trace_reader_open(const char *path, struct trace_header *header, struct err *err)
{
    FILE *file = zfile_open(path, "r");
    struct trace_reader *r;
    struct walk w = { 0 };

    *header = (struct trace_header){ 0 };
    if (!file) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    r = g_new0(struct trace_reader, 1);
    r->file = file;
    r->path = g_strdup(path);
    w.start = w.at = reader_line(r, err);
    if (w.at) {
        walk_header(&w, header);
        if (reader_finish(r, &w, err))
            return r;
    }
    trace_header_free(header);
    trace_reader_close(r);
    return NULL;
}

/* The last line says how many journeys there are; nothing follows it. */
static int reader_end(struct trace_reader *r, struct walk *w, struct err *err)
{
    uint64_t journeys = walk_number(w, UINT64_MAX);

    walk_expect(w, "}");
    if (!reader_finish(r, w, err))
        return -1;
    if (journeys != r->journeys) {
        err_set(err, "%s:%" PRIu64 ": %" PRIu64 " journeys were written, %" PRIu64 " are here", r->path, r->lines,
                journeys, r->journeys);
        return -1;
    }
    if (getc(r->file) != EOF) {
        err_set(err, "%s:%" PRIu64 ": text after the last line", r->path, r->lines + 1);
        return -1;
    }
    r->ended = true;
    return 0;
}

int trace_read(struct trace_reader *r, struct journey *journey, struct err *err)
{
    struct walk w = { 0 };

    journey_clear(journey);
    if (r->ended)
        return 0;
    w.start = w.at = reader_line(r, err);
    if (!w.at)
        return -1;
    if (walk_try(&w, "{\"end\":"))
        return reader_end(r, &w, err);
    walk_journey(&w, journey);
    if (!reader_finish(r, &w, err))
        return -1;
    r->journeys++;
    return 1;
}

void trace_reader_close(struct trace_reader *r)
{
    fclose(r->file);
    free(r->line);
    g_free(r->path);
    g_free(r);
}
