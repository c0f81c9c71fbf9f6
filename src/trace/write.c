/* write.c - journeys as JSON lines.  Numbers that may need 64 bits are strings of hexadecimal digits. */
#include "trace.h"

#include "zfile.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct trace_writer {
    FILE *file;
    char *path;
    GString *line;
    uint64_t journeys;
    int error; /* the first errno */
};

void trace_header_free(struct trace_header *header)
{
    g_free(header->engine);
    g_free(header->kernel);
    g_free(header->cpu);
    g_free(header->kvm);
    g_free(header->cpuid);
    g_free(header->guest);
    *header = (struct trace_header){ 0 };
}

/* -- values --------------------------------------------------------------------------------------------------- */

static void write_text(GString *line, const char *key, const char *text)
{
    char *valid = g_utf8_make_valid(text ? text : "", -1);

    g_string_append_printf(line, "\"%s\":\"", key);
    for (const char *p = valid; *p; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_printf(line, "\\%c", *p);
        else if ((unsigned char)*p < 0x20)
            g_string_append_printf(line, "\\u%04x", *p);
        else
            g_string_append_c(line, *p);
    }
    g_string_append_c(line, '"');
    g_free(valid);
}

/* Bytes in memory order. */
static void write_bytes(GString *line, const char *key, const uint8_t *bytes, unsigned n)
{
    static const char digits[] = "0123456789abcdef";

    g_string_append_printf(line, "\"%s\":\"", key);
    for (unsigned i = 0; i < n; i++) {
        g_string_append_c(line, digits[bytes[i] >> 4]);
        g_string_append_c(line, digits[bytes[i] & 15]);
    }
    g_string_append_c(line, '"');
}

/* -- records -------------------------------------------------------------------------------------------------- */

static void write_fragment(GString *line, const struct journey_fragment *f)
{
    g_string_append_printf(line, "{\"at\":%d,\"width\":%u,\"type\":\"%s\",\"reason\":\"%s\",\"address\":\"%" PRIx64
                           "\"%s}", f->at, f->width, journey_type_names[f->type], split_reason_name(f->reason),
                           f->address, f->phantom ? ",\"phantom\":true" : "");
}

static void write_access(GString *line, const struct journey *journey, const struct journey_access *a)
{
    bool atomic = a->type == TRANSACTION_FETCH_ADD || a->type == TRANSACTION_SWAP ||
                  a->type == TRANSACTION_COMPARE_SWAP;

    g_string_append_printf(line, "{\"space\":\"%s\",\"type\":\"%s\",\"width\":%u,\"flags\":%u,\"address\":\"%" PRIx64
                           "\",\"enables\":\"%" PRIx64 "\",", journey_space_names[a->space],
                           journey_type_names[a->type], a->width, a->flags, a->address, a->enables);
    write_bytes(line, "data", a->data.b, a->width);
    if (atomic) {
        g_string_append_c(line, ',');
        write_bytes(line, "operand", a->operand.b, a->width);
    }
    if (a->type == TRANSACTION_COMPARE_SWAP) {
        g_string_append_c(line, ',');
        write_bytes(line, "compare", a->compare.b, a->width);
    }
    g_string_append_printf(line, ",\"result\":\"%s\",\"fragments\":[", journey_result_names[a->result]);
    for (unsigned i = 0; i < a->fragments; i++) {
        if (i)
            g_string_append_c(line, ',');
        write_fragment(line, journey_fragment_at(journey, a, i));
    }
    g_string_append(line, "]}");
}

static void write_journey(GString *line, const struct journey *j)
{
    g_string_append_printf(line, "{\"journey\":%" PRIu64 ",\"engine\":\"%s\",\"rip\":\"%" PRIx64 "\",", j->number,
                           journey_engine_names[j->engine], j->rip);
    if (j->rip_after)
        g_string_append(line, "\"after\":true,");
    write_bytes(line, "code", j->code, j->code_bytes);
    g_string_append_printf(line, ",\"mode\":%u,", j->mode);
    if (j->gave_up) {
        write_text(line, "gave_up", j->gave_up);
        g_string_append_c(line, ',');
    }
    g_string_append(line, "\"accesses\":[");
    for (unsigned i = 0; i < journey_accesses(j); i++) {
        if (i)
            g_string_append_c(line, ',');
        write_access(line, j, journey_access_at(j, i));
    }
    g_string_append(line, "]}\n");
}

static void write_header(GString *line, const struct trace_header *header)
{
    g_string_append_printf(line, "{\"wideload-trace\":%d,", TRACE_VERSION);
    write_text(line, "engine", header->engine);
    g_string_append_c(line, ',');
    write_text(line, "kernel", header->kernel);
    g_string_append_c(line, ',');
    write_text(line, "cpu", header->cpu);
    g_string_append_c(line, ',');
    write_text(line, "kvm", header->kvm);
    g_string_append_c(line, ',');
    write_text(line, "cpuid", header->cpuid);
    g_string_append_c(line, ',');
    write_text(line, "guest", header->guest);
    g_string_append(line, "}\n");
}

/* -- the file ------------------------------------------------------------------------------------------------- */

static void writer_flush_line(struct trace_writer *writer)
{
    if (fwrite(writer->line->str, 1, writer->line->len, writer->file) != writer->line->len && !writer->error)
        writer->error = errno;
    g_string_truncate(writer->line, 0);
}

struct trace_writer *trace_writer_open(const char *path, const struct trace_header *header, struct err *err)
{
    FILE *file = zfile_open(path, "w");
    struct trace_writer *writer;

    if (!file) {
        err_set(err, "%s: cannot create: %s", path, strerror(errno));
        return NULL;
    }
    writer = g_new0(struct trace_writer, 1);
    writer->file = file;
    writer->path = g_strdup(path);
    writer->line = g_string_new(NULL);
    write_header(writer->line, header);
    writer_flush_line(writer);
    return writer;
}

void trace_write(struct trace_writer *writer, const struct journey *journey)
{
    write_journey(writer->line, journey);
    writer_flush_line(writer);
    writer->journeys++;
}

bool trace_writer_close(struct trace_writer *writer, struct err *err)
{
    bool ok;

    g_string_append_printf(writer->line, "{\"end\":%" PRIu64 "}\n", writer->journeys);
    writer_flush_line(writer);
    if (fclose(writer->file) && !writer->error)
        writer->error = errno;
    ok = !writer->error;
    if (!ok)
        err_set(err, "%s: cannot write: %s", writer->path, strerror(writer->error));
    g_string_free(writer->line, TRUE);
    g_free(writer->path);
    g_free(writer);
    return ok;
}
