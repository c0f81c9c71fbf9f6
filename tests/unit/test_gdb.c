/*
 * test_gdb.c - the GDB remote protocol: frames as the manual has them, whatever else may come instead, and that no packet can do
 * harm.  (Stock gdb: tests/cli/gdb.sh.)
 *
 * Manual: "Debugging with GDB", appendix E.
 */
#include "gdb/server.h"

#include "lib/which_engine.h"

#include <check.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAMES = 3000, NOISE = 2000000, SEEDS = 6, PACKETS = 3000 };

static GRand *numbers;
static struct gdb_parser parser;

static int below(int n) { return g_rand_int_range(numbers, 0, n); }

static void setup(void)
{
    numbers = g_rand_new_with_seed(1);
    memset(&parser, 0, sizeof(parser));
}

static void teardown(void) { g_rand_free(numbers); }

/* The last event of these bytes that is one. */
static enum gdb_event parse(const char *bytes, size_t n)
{
    enum gdb_event last = GDB_NOTHING;

    for (size_t i = 0; i < n; i++) {
        enum gdb_event e = gdb_parse(&parser, (uint8_t)bytes[i]);

        last = e ? e : last;
    }
    return last;
}

/* Section E.1: the checksum is the sum of all characters modulo 256; '}' is followed by one XOR 0x20. */
static const struct {
    const char *bytes;
    enum gdb_event event;
    const char *data;
} frames[] = {
    { "$OK#9a", GDB_PACKET, "OK" },           { "$#00", GDB_PACKET, "" },
    { "$OK#9A", GDB_PACKET, "OK" },           { "$OK#9b", GDB_DAMAGED, NULL },
    { "$OK#g0", GDB_DAMAGED, NULL },          { "$OK#0", GDB_NOTHING, NULL },
    { "$OK", GDB_NOTHING, NULL },             { "\x03", GDB_INTERRUPT, NULL },
    { "-", GDB_AGAIN, NULL },                 { "+", GDB_NOTHING, NULL },
    { "frob", GDB_NOTHING, NULL },            { "$lost$OK#9a", GDB_PACKET, "OK" },
    { "$X}\x03}]#b2", GDB_PACKET, "X#}" },    { "$}\x04#81", GDB_PACKET, "$" },
    { "$a\x03#64", GDB_PACKET, "a\x03" },     { "$-#2d", GDB_PACKET, "-" },
    { "$OK#9a$?#3f", GDB_PACKET, "?" },       { "$}#7d", GDB_NOTHING, NULL },
};

START_TEST(gdb_frames_are_as_the_manual_has_them)
{
    ck_assert_int_eq(parse(frames[_i].bytes, strlen(frames[_i].bytes)), frames[_i].event);
    if (frames[_i].data)
        ck_assert_str_eq(parser.data, frames[_i].data);
}
END_TEST

static size_t random_bytes(char *bytes, size_t most)
{
    size_t n = (size_t)below((int)most + 1);

    for (size_t i = 0; i < n; i++)
        bytes[i] = below(4) ? (char)below(256) : "$#}*+-\x03"[below(7)];
    return n;
}

START_TEST(gdb_any_bytes_go_through_a_frame)
{
    static char bytes[GDB_PACKET_BYTES];
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < FRAMES; i++) {
        size_t n = random_bytes(bytes, i % 100 ? 200 : sizeof(bytes));

        g_string_truncate(out, 0);
        gdb_frame(out, bytes, n);
        ck_assert_int_eq(parse(out->str, out->len), GDB_PACKET);
        ck_assert_uint_eq(parser.n, n);
        ck_assert(!memcmp(parser.data, bytes, n));
    }
    g_string_free(out, TRUE);
}
END_TEST

/* One byte that is another: the packet is damaged, or goes on, but is not taken for what it was not. */
START_TEST(gdb_a_wrong_byte_is_seen)
{
    char bytes[64];
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < FRAMES; i++) {
        size_t n = random_bytes(bytes, sizeof(bytes));

        g_string_truncate(out, 0);
        gdb_frame(out, bytes, n);
        out->str[below((int)out->len)] ^= (char)(1 << below(7));
        memset(&parser, 0, sizeof(parser));
        if (parse(out->str, out->len) == GDB_PACKET)
            ck_assert(parser.n != n || !memcmp(parser.data, bytes, n));
    }
    g_string_free(out, TRUE);
}
END_TEST

START_TEST(gdb_noise_is_no_harm)
{
    for (unsigned i = 0; i < NOISE; i++) {
        gdb_parse(&parser, (uint8_t)(below(3) ? below(256) : "$#}\x03"[below(4)]));
        ck_assert_uint_le(parser.n, GDB_PACKET_BYTES);
    }
}
END_TEST

START_TEST(gdb_a_packet_too_long_is_damaged)
{
    GString *long_one = g_string_new("$");

    for (unsigned i = 0; i <= GDB_PACKET_BYTES; i++)
        g_string_append_c(long_one, 'a');
    g_string_append_printf(long_one, "#%02x", (uint8_t)('a' * (GDB_PACKET_BYTES + 1)));
    ck_assert_int_eq(parse(long_one->str, long_one->len), GDB_DAMAGED);
    ck_assert_int_eq(parse("$OK#9a", 6), GDB_PACKET);
    g_string_free(long_one, TRUE);
}
END_TEST

START_TEST(gdb_numbers_are_hexadecimal_and_end_somewhere)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t address, length;
    } rows[] = {
        { "1000,10:", true, 0x1000, 0x10 },  { "ffffffffffffffff,0:", true, UINT64_MAX, 0 }, { "10000000000000000,1:", false, 0, 0 },
        { ",1:", false, 0, 0 },              { "1,:", false, 0, 0 },                          { "1,1", false, 0, 0 },
        { "1", false, 0, 0 },                { "", false, 0, 0 },                             { "-1,1:", false, 0, 0 },
        { "0x1,1:", false, 0, 0 },
    };
    uint64_t address, length;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const char *text = rows[i].text;

        ck_assert_uint_eq(gdb_get_range(&text, &address, &length, ':'), rows[i].ok);
        ck_assert(!rows[i].ok || (address == rows[i].address && length == rows[i].length && !*text));
    }
}
END_TEST

/* -- the server ------------------------------------------------------------------------------------------------------------ */

static const uint8_t guest[] = { 0x40, 0xa3, 0x00, 0x90, 0xe7, 0x80, 0xeb, 0xf8 }; /* inc ax; mov [0x9000], ax; out 0x80, ax; again */

struct session {
    char *folder, *image, *socket;
    struct gdb *g;
    struct machine *m;
    struct monitor monitor;
    int client;
};

static void connect_client(struct session *s)
{
    int pair[2];

    ck_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    s->g->fd = pair[0];
    s->client = pair[1];
    s->g->holds = true;
}

static void begin(struct session *s)
{
    struct machine_config c = { .engine = test_engine(), .ram_bytes = MIB(1), .limit = UINT64_MAX };
    struct err err;

    s->folder = g_dir_make_tmp("wideload-gdb-XXXXXX", NULL);
    c.flat = s->image = g_build_filename(s->folder, "guest", NULL);
    s->socket = g_build_filename(s->folder, "socket", NULL);
    ck_assert(g_file_set_contents(s->image, (const char *)guest, sizeof(guest), NULL));
    s->m = machine_create(&c, &err);
    ck_assert_msg(s->m != NULL, "%s", err.text);
    s->g = gdb_listen(s->socket, &err);
    ck_assert_msg(s->g != NULL, "%s", err.text);
    monitor_init(&s->monitor, s->m);
    gdb_start(s->g, s->m, &s->monitor, true);
    connect_client(s);
}

static void end(struct session *s)
{
    close(s->client);
    gdb_close(s->g);
    ck_assert(!g_file_test(s->socket, G_FILE_TEST_EXISTS));
    machine_destroy(s->m);
    g_unlink(s->image);
    g_rmdir(s->folder);
    g_free(s->image);
    g_free(s->socket);
    g_free(s->folder);
}

/* Sends a packet and takes the answer without its frame; NULL: there is none. */
static char *ask(struct session *s, const char *packet, size_t n)
{
    static char answer[4 * GDB_PACKET_BYTES];
    GString *out = g_string_new(NULL);
    ssize_t got;
    char *data;

    gdb_frame(out, packet, n);
    ck_assert_int_eq(write(s->client, out->str, out->len), (ssize_t)out->len);
    g_string_free(out, TRUE);
    while (s->g->fd >= 0 && recv(s->g->fd, answer, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        gdb_look(s->g);
    got = recv(s->client, answer, sizeof(answer) - 1, MSG_DONTWAIT);
    answer[got > 0 ? got : 0] = 0;
    data = strchr(answer, '$');
    if (data && strrchr(data, '#'))
        *strrchr(data, '#') = 0;
    return data ? data + 1 : NULL;
}

static char *says(struct session *s, const char *packet) { return ask(s, packet, strlen(packet)); }

START_TEST(gdb_server_answers)
{
    static const struct {
        const char *packet, *answer;
    } rows[] = {
        { "?", "T02thread:01;" },     { "qC", "QC01" },           { "vMustReplyEmpty", "" }, { "frob", "" },
        { "m7c00,4", "40a30090" },    { "mfe000000,4", "E0e" },   { "m7c00", "E0e" },
        { "M7c00,1:4", "E.not an address, a length and bytes" },
        { "M7c00,1:40", "OK" },       { "m7c00,0", "" },          { "pffff", "E16" },        { "P0=0", "E.not a value of that register" },
        { "Z0,7c00,1", "OK" },        { "Z0,7c00,1", "OK" },      { "z0,7c00,1", "OK" },     { "z0,7c00,1", "E.there is none such" },
        { "Z9,0,1", "E.not a type, an address and a size" },      { "Z2,9000,0", "E.1 to 64 bytes can be watched" },
        { "Z2,fffffffffffffff0,20", "E.1 to 64 bytes can be watched" }, { "P0=0807060504030201", "OK" }, { "p0", "0807060504030201" },
        { "G00", "E.not all registers" }, { "qRcmd,zz", "E16" },  { "vCont?", "vCont;c;C;s;S;t" }, { "vCont;x", "E.not an action" },
        { "qXfer:features:read:target.xml:ffffff,10", "E.not an offset and a length" },
        { "P10=0000000000000080", "OK" }, { "QStartNoAckMode", "OK" },
    };
    struct session s;

    begin(&s);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const char *answer = says(&s, rows[i].packet);

        ck_assert_msg(answer != NULL && !strcmp(answer, rows[i].answer), "%s: %s, not %s", rows[i].packet, answer ? answer : "(nothing)",
                      rows[i].answer);
    }
    end(&s);
}
END_TEST

/* Section E.5: a byte of 3 while the guest runs stops it; while it stands still, it means nothing. */
START_TEST(gdb_interrupt_stops_a_guest_that_runs)
{
    struct session s;
    char answer[64] = "";

    begin(&s);
    says(&s, "QStartNoAckMode");
    ck_assert_int_eq(write(s.client, "\x03", 1), 1);
    gdb_look(s.g);
    ck_assert_int_lt(recv(s.client, answer, sizeof(answer), MSG_DONTWAIT), 0);
    ck_assert_ptr_null(says(&s, "vCont;c"));
    ck_assert(!gdb_holds(s.g));
    ck_assert_int_eq(write(s.client, "\x03", 1), 1);
    gdb_look(s.g);
    ck_assert(gdb_holds(s.g));
    ck_assert_int_gt(recv(s.client, answer, sizeof(answer) - 1, MSG_DONTWAIT), 0);
    ck_assert(g_str_has_prefix(answer, "$T02thread:01;#"));
    close(s.client);
    gdb_look(s.g);
    ck_assert(!gdb_holds(s.g) && !gdb_connected(s.g));
    s.client = dup(STDERR_FILENO);
    end(&s);
}
END_TEST

/* What a register was set to it has, whichever it is; those that are only shown refuse. */
START_TEST(gdb_registers_keep_what_they_are_given)
{
    struct session s;

    begin(&s);
    for (unsigned i = 0; i < s.g->registers.n; i++) {
        const struct gdb_register *row = &s.g->registers.row[i];
        GString *set = g_string_new(NULL);
        char get[16], *answer;

        if (!strchr("xyzrk", row->name[0]) && strncmp(row->name, "st", 2))
            continue;
        for (unsigned k = 0; k < row->bytes; k++)
            g_string_append_printf(set, "%02x", below(256));
        g_snprintf(get, sizeof(get), "p%x", i);
        g_string_prepend(set, "=");
        g_string_prepend(set, get);
        set->str[0] = 'P';
        answer = says(&s, set->str);
        if (!strcmp(row->name, "k_gs_base") || !strcmp(row->name, "xcr0")) {
            ck_assert(g_str_has_prefix(answer, "E."));
        } else {
            ck_assert_str_eq(answer, "OK");
            ck_assert_str_eq(says(&s, get), strchr(set->str, '=') + 1);
        }
        g_string_free(set, TRUE);
    }
    ck_assert_uint_eq(strlen(says(&s, "g")) % 2, 0);
    end(&s);
}
END_TEST

/* Anything that looks like a packet, with any arguments; in between the guest runs, with whatever registers it has by then. */
static size_t random_packet(struct session *s, char *to)
{
    static const char *const prefixes[] = {
        "g", "G", "p", "P", "m7c00,", "m", "M7c00,4:", "M", "x9000,", "X7c00,2:", "X", "Z0,7c0", "Z1,", "Z2,90", "Z3,9000,", "Z4,",
        "z0,", "z2,", "c", "s", "C05;", "S05", "vCont;s", "vCont;c:1", "vCont;t", "?", "qSupported:", "qXfer:features:read:target.xml:",
        "qRcmd,", "H", "T", "D", "k", "vKill;", "QStartNoAckMode", "",
    };
    const char *prefix = prefixes[below(ARRAY_LEN(prefixes))];
    size_t n = strlen(prefix), all = n + (size_t)below(below(20) ? 40 : 2000);

    memcpy(to, prefix, n);
    if (*prefix == 'G' && below(2)) { /* all registers */
        for (unsigned i = 0; i < s->g->registers.n; i++)
            for (unsigned k = 0; k < s->g->registers.row[i].bytes * 2u; k++)
                to[n++] = "0123456789abcdef"[below(16)];
        return n;
    }
    while (n < all)
        to[n++] = below(30) ? "0123456789abcdef,:;=="[below(21)] : (char)below(256);
    return n;
}

START_TEST(gdb_no_packet_does_harm)
{
    static char packet[GDB_PACKET_BYTES];
    struct session s;
    struct err err;

    g_rand_set_seed(numbers, (guint32)_i + 1);
    begin(&s);
    for (unsigned i = 0; i < PACKETS; i++) {
        ask(&s, packet, random_packet(&s, packet));
        if (s.g->fd < 0) {
            close(s.client);
            connect_client(&s);
        }
        if (s.g->holds)
            continue;
        s.m->runs->run(s.m->cpu[0].engine, s.m->vcpu.debug.step ? 1 : 200, &err);
        gdb_stopped(s.g, s.m->vcpu.debug.step);
        s.g->holds = true;
    }
    end(&s);
}
END_TEST

/* -- where to listen ---------------------------------------------------------------------------------------------------------- */

START_TEST(gdb_listens_where_it_is_told_or_says_why_not)
{
    static const char *const bad[] = { "", "0", "65536", "99999999999999999999", "frob", "-1", "12x", "/", "/nonexistent/socket" };
    char *folder = g_dir_make_tmp("wideload-gdb-XXXXXX", NULL), *path = g_build_filename(folder, "socket", NULL);
    struct gdb *g;
    struct err err;

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!gdb_listen(bad[i], &err) && g_str_has_prefix(err.text, "--gdb"), "%s", bad[i]);
    g = gdb_listen(path, &err);
    ck_assert_ptr_nonnull(g);
    ck_assert_ptr_null(gdb_listen(path, &err)); /* somebody is there */
    close(g->listener);
    g->listener = -1;
    ck_assert(g_file_test(path, G_FILE_TEST_EXISTS)); /* as if it had been killed */
    g->listener = gdb_socket(g);
    gdb_close(g);
    g_rmdir(folder);
    g_free(path);
    g_free(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gdb");
    TCase *all = tcase_create("gdb");
    SRunner *runner;
    int failed;

    if (test_engine_skips())
        return 0;
    tcase_set_timeout(all, 120);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, gdb_frames_are_as_the_manual_has_them, 0, ARRAY_LEN(frames));
    tcase_add_test(all, gdb_any_bytes_go_through_a_frame);
    tcase_add_test(all, gdb_a_wrong_byte_is_seen);
    tcase_add_test(all, gdb_noise_is_no_harm);
    tcase_add_test(all, gdb_a_packet_too_long_is_damaged);
    tcase_add_test(all, gdb_numbers_are_hexadecimal_and_end_somewhere);
    tcase_add_test(all, gdb_server_answers);
    tcase_add_test(all, gdb_interrupt_stops_a_guest_that_runs);
    tcase_add_test(all, gdb_registers_keep_what_they_are_given);
    tcase_add_loop_test(all, gdb_no_packet_does_harm, 0, SEEDS);
    tcase_add_test(all, gdb_listens_where_it_is_told_or_says_why_not);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
