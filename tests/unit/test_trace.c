/* test_trace.c - what is written is read back; what is cut or corrupt is refused with file and line. */
#include "trace/trace.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/wideload-trace-XXXXXX";
static struct journey journey;

static void setup(void)
{
    strcpy(path + sizeof(path) - 7, "XXXXXX");
    close(mkstemp(path));
    journey_init(&journey);
}

static void teardown(void)
{
    unlink(path);
    journey_free(&journey);
}

static struct trace_header sample_header(void)
{
    return (struct trace_header){ .engine = "interp", .cpu = "a \"CPU\" \\ \x01", .guest = "-kernel \xc3\xa4" };
}

static void fill_sample(void)
{
    struct journey_access a = { .type = TRANSACTION_COMPARE_SWAP, .width = 16, .flags = TRANSACTION_LOCKED,
                                .address = 0xfedcba9876543210, .enables = 0xffff, .result = TRANSACTION_ERROR };
    const struct journey_fragment f[] = {
        { .at = 0, .width = 16, .type = TRANSACTION_LOAD, .reason = SPLIT_TYPE, .address = 0xfedcba9876543210 },
        { .at = -3, .width = 4, .type = TRANSACTION_STORE, .reason = SPLIT_PEER, .phantom = true, .address = 0x1d },
    };

    for (unsigned i = 0; i < 16; i++) {
        a.data.b[i] = i;
        a.operand.b[i] = 0x80 + i;
        a.compare.b[i] = 0xf0 + i;
    }
    journey_clear(&journey);
    journey.number = 7;
    journey.engine = ENGINE_KVM;
    journey.rip = 0xffffffff81000000;
    journey.rip_after = true;
    journey.mode = 64;
    journey.code_bytes = 3;
    memcpy(journey.code, "\xf0\x0f\xc7", 3);
    journey.gave_up = g_strdup("line one\nline two");
    journey_add(&journey, &a, f, 2);
}

static void write_sample(unsigned journeys)
{
    struct trace_header header = sample_header();
    struct err err;
    struct trace_writer *writer = trace_writer_open(path, &header, &err);

    ck_assert_ptr_nonnull(writer);
    fill_sample();
    for (unsigned i = 0; i < journeys; i++)
        trace_write(writer, &journey);
    ck_assert(trace_writer_close(writer, &err));
}

/* Reads it all; the number of journeys, or -1 with err. */
static int read_all(struct err *err)
{
    struct trace_header header;
    struct trace_reader *reader = trace_reader_open(path, &header, err);
    int n = 0, one = -1;

    if (!reader)
        return -1;
    while ((one = trace_read(reader, &journey, err)) > 0)
        n++;
    trace_reader_close(reader);
    trace_header_free(&header);
    return one < 0 ? -1 : n;
}

static void put_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");

    fwrite(text, 1, size, file);
    fclose(file);
}

START_TEST(trace_reads_back_what_was_written)
{
    struct trace_header header;
    struct err err;
    struct trace_reader *reader;
    const struct journey_access *a;
    const struct journey_fragment *f;

    write_sample(1);
    journey_clear(&journey);
    reader = trace_reader_open(path, &header, &err);
    ck_assert_ptr_nonnull(reader);
    ck_assert_str_eq(header.cpu, sample_header().cpu);
    ck_assert_str_eq(header.guest, sample_header().guest);
    ck_assert_str_eq(header.kvm, "");
    ck_assert_int_eq(trace_read(reader, &journey, &err), 1);
    ck_assert_uint_eq(journey.number, 7);
    ck_assert_int_eq(journey.engine, ENGINE_KVM);
    ck_assert(journey.rip == 0xffffffff81000000 && journey.rip_after && journey.mode == 64);
    ck_assert_uint_eq(journey.code_bytes, 3);
    ck_assert_str_eq(journey.gave_up, "line one\nline two");
    a = journey_access_at(&journey, 0);
    ck_assert_int_eq(a->type, TRANSACTION_COMPARE_SWAP);
    ck_assert_uint_eq(a->address, 0xfedcba9876543210);
    ck_assert_int_eq(a->result, TRANSACTION_ERROR);
    ck_assert_uint_eq(a->data.b[15], 15);
    ck_assert_uint_eq(a->operand.b[15], 0x8f);
    ck_assert_uint_eq(a->compare.b[15], 0xff);
    ck_assert_uint_eq(a->fragments, 2);
    f = journey_fragment_at(&journey, a, 1);
    ck_assert(f->at == -3 && f->width == 4 && f->phantom && f->reason == SPLIT_PEER && f->address == 0x1d);
    ck_assert_int_eq(trace_read(reader, &journey, &err), 0);
    ck_assert_int_eq(trace_read(reader, &journey, &err), 0);
    trace_reader_close(reader);
    trace_header_free(&header);
}
END_TEST

START_TEST(trace_cut_anywhere_is_an_error_with_file_and_line)
{
    char *text, where[64];
    size_t size;
    struct err err;

    write_sample(2);
    ck_assert(g_file_get_contents(path, &text, &size, NULL));
    snprintf(where, sizeof(where), "%s:", path);
    for (size_t cut = 0; cut < size; cut++) {
        put_file(text, cut);
        ck_assert_int_eq(read_all(&err), -1);
        ck_assert_msg(!strncmp(err.text, where, strlen(where)), "%s", err.text);
    }
    g_free(text);
}
END_TEST

START_TEST(trace_corrupt_byte_is_refused_or_another_value_never_a_crash)
{
    char *text;
    size_t size;
    struct err err;
    static const char bad[] = { 0, '"', '9', 'f', '}', '\n', '\\', (char)0xff };

    write_sample(1);
    ck_assert(g_file_get_contents(path, &text, &size, NULL));
    for (size_t i = 0; i < size; i++)
        for (unsigned k = 0; k < sizeof(bad); k++) {
            char saved = text[i];

            text[i] = bad[k];
            put_file(text, size);
            ck_assert_int_le(read_all(&err), 1);
            text[i] = saved;
        }
    g_free(text);
}
END_TEST

/* Each is what replaces the whole file. */
START_TEST(trace_refuses)
{
#define HEADER "{\"wideload-trace\":1,\"engine\":\"\",\"kernel\":\"\",\"cpu\":\"\",\"kvm\":\"\",\"cpuid\":\"\",\"guest\":\"\"}\n"
    static const struct { const char *text, *error; } files[] = {
        { "", ":1: the file ends here, without its last line" },
        { "{\"wideload-trace\":2,\"engine\":\"\"}\n", ":1: column 20: expected version 1" },
        { HEADER, ":2: the file ends here, without its last line" },
        { HEADER "{\"end\":1}\n", ":2: 1 journeys were written, 0 are here" },
        { HEADER "{\"end\":0}\n\n", ":3: text after the last line" },
        { HEADER "{\"end\":0} \n", ":2: column 10: expected the end of the line" },
        { HEADER "{\"end\":00}\n", ":2: column 9: expected a number in range" },
        { HEADER "{\"end\":18446744073709551616}\n", ":2: column 27: expected a number in range" },
        { HEADER "{\"journey\":1,\"engine\":\"qemu\"", ":2: the line is cut" },
        { HEADER "{\"journey\":1,\"engine\":\"qemu\"}\n", ":2: column 24: expected an engine" },
        { HEADER "{\"journey\":1,\"engine\":\"kvm\",\"rip\":\"x\"}\n", ":2: column 36: expected hexadecimal digits" },
    };
    struct err err;

    put_file(files[_i].text, strlen(files[_i].text));
    ck_assert_int_eq(read_all(&err), -1);
    ck_assert_msg(g_str_has_suffix(err.text, files[_i].error), "%s", err.text);
}
END_TEST

START_TEST(trace_writer_reports_a_full_device)
{
    struct trace_header header = sample_header();
    struct err err;
    struct trace_writer *writer = trace_writer_open("/dev/full", &header, &err);

    ck_assert_ptr_nonnull(writer);
    ck_assert(!trace_writer_close(writer, &err));
    ck_assert_str_eq(err.text, "/dev/full: cannot write: No space left on device");
    ck_assert_ptr_null(trace_writer_open("/nowhere/x", &header, &err));
    ck_assert_ptr_null(trace_reader_open("/nowhere/x", &header, &err));
}
END_TEST

START_TEST(trace_hundred_thousand_journeys_are_quick)
{
    struct err err;

    write_sample(100000);
    ck_assert_int_eq(read_all(&err), 100000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *all = tcase_create("trace");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, trace_reads_back_what_was_written);
    tcase_add_test(all, trace_cut_anywhere_is_an_error_with_file_and_line);
    tcase_add_test(all, trace_corrupt_byte_is_refused_or_another_value_never_a_crash);
    tcase_add_loop_test(all, trace_refuses, 0, 11);
    tcase_add_test(all, trace_writer_reports_a_full_device);
    tcase_add_test(all, trace_hundred_thousand_journeys_are_quick);
    suite_add_tcase(suite, all);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
