/* store.c - the database: three tables of what was run, and one of what was found. */
#include "fuzz/store.h"

#include "print/disasm.h"

#include <cpuid.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 20000, CASE_VERSION = 1 };

struct store {
    sqlite3 *db;
    int64_t campaign; /* the last written */
};

#define APPLICATION "1463897684" /* "WLFT" */

static const char schema[] =
    "PRAGMA application_id = " APPLICATION ";"
    "CREATE TABLE IF NOT EXISTS campaign(id INTEGER PRIMARY KEY, seed TEXT, first TEXT, step TEXT, mode INTEGER, engines TEXT, isa TEXT,"
    "  build TEXT, processor TEXT, cases INTEGER, seconds REAL, UNIQUE(seed, first, step, mode, engines, isa, build, processor));"
    "CREATE TABLE IF NOT EXISTS counter(campaign INTEGER, name TEXT, value INTEGER, PRIMARY KEY(campaign, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS coverage(campaign INTEGER, form TEXT, executed INTEGER, PRIMARY KEY(campaign, form)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS difference(id INTEGER PRIMARY KEY, cause TEXT UNIQUE, seed TEXT, number TEXT, mode INTEGER,"
    "  engine TEXT, reference TEXT, what TEXT, code TEXT, line TEXT, text TEXT, [case] BLOB);";

/* -- SQLite, tersely -------------------------------------------------------------------------------------------------------- */

static bool failed(struct store *s, const char *what, struct err *err)
{
    return err_set(err, "%s: %s", what, s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

static bool run_sql(struct store *s, const char *sql, const char *what, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || failed(s, what, err);
}

static sqlite3_stmt *prepare(struct store *s, const char *sql)
{
    sqlite3_stmt *q = NULL;

    return sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK ? q : NULL;
}

static void bind_text(sqlite3_stmt *q, int i, const char *text) { sqlite3_bind_text(q, i, text, -1, SQLITE_TRANSIENT); }

static void bind_number(sqlite3_stmt *q, int i, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    bind_text(q, i, text);
}

/* Runs it to its end and frees it. */
static bool finish(struct store *s, sqlite3_stmt *q, const char *what, struct err *err)
{
    int result = q ? sqlite3_step(q) : SQLITE_ERROR;
    bool ok = result == SQLITE_DONE || result == SQLITE_ROW || failed(s, what, err);

    sqlite3_finalize(q);
    return ok;
}

static bool is_empty(struct store *s)
{
    sqlite3_stmt *q = prepare(s, "SELECT COUNT(*) FROM sqlite_master");
    bool empty = q && sqlite3_step(q) == SQLITE_ROW && !sqlite3_column_int(q, 0);

    sqlite3_finalize(q);
    return empty;
}

static bool is_ours(struct store *s)
{
    sqlite3_stmt *q = prepare(s, "SELECT 1 FROM pragma_application_id WHERE application_id = " APPLICATION);
    bool ours = q && sqlite3_step(q) == SQLITE_ROW;

    sqlite3_finalize(q);
    return ours;
}

struct store *store_open(const char *path, bool create, struct err *err)
{
    struct store *s = calloc(1, sizeof(*s));
    const char *name = path ? path : ":memory:";
    int flags = create || !path ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;

    if (!s)
        abort();
    if (sqlite3_open_v2(name, &s->db, flags, NULL) != SQLITE_OK) {
        failed(s, name, err);
    } else {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        if (is_ours(s) || (flags != SQLITE_OPEN_READONLY && is_empty(s) && run_sql(s, schema, name, err)))
            return s;
        err_set(err, "%s: not a database of wideload fuzz", name);
    }
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    sqlite3_close(s->db);
    free(s);
}

/* -- campaigns ---------------------------------------------------------------------------------------------------------------- */

static void engine_list(unsigned mask, char *text, size_t size)
{
    *text = 0;
    for (unsigned e = 0; e < FUZZ_ENGINES; e++)
        if (mask >> e & 1)
            snprintf(text + strlen(text), size - strlen(text), "%s%s", *text ? "," : "", fuzz_engine_names[e]);
}

/* The processor's name (CPUID 80000002H to 80000004H), where it is what others are compared with. */
static void processor(const struct fuzz_config *c, char *text, size_t size)
{
    uint32_t words[13] = { 0 };

    if (c->engines & (1u << FUZZ_NATIVE | 1u << FUZZ_KVM))
        for (unsigned i = 0; i < 3; i++)
            __get_cpuid(0x80000002 + i, &words[i * 4], &words[i * 4 + 1], &words[i * 4 + 2], &words[i * 4 + 3]);
    snprintf(text, size, "%s", (const char *)words);
}

/* What makes cases: another build with the same catalogue may still draw otherwise, if its version is not raised. */
static void build(const struct catalog *k, char *text, size_t size)
{
    uint64_t hash = GENERATOR_VERSION;

    for (unsigned i = 0; i < k->templates; i++)
        for (const char *c = k->template[i].name; *c; c++)
            hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    snprintf(text, size, "%d-%08x", GENERATOR_VERSION, (uint32_t)(hash ^ hash >> 32));
}

static void bind_identity(sqlite3_stmt *q, const struct fuzz_config *c, const struct catalog *k)
{
    char text[64];

    engine_list(c->engines, text, sizeof(text));
    bind_number(q, 1, c->seed);
    bind_number(q, 2, c->first);
    bind_number(q, 3, c->step);
    sqlite3_bind_int(q, 4, (int)c->bits);
    bind_text(q, 5, text);
    bind_text(q, 6, c->isa ? c->isa : c->system ? "system" : "");
    build(k, text, sizeof(text));
    bind_text(q, 7, text);
    processor(c, text, sizeof(text));
    bind_text(q, 8, text);
}

/* *wrote: unless what is there has come further. */
static bool write_campaign(struct store *s, const struct store_campaign *c, const struct catalog *k, bool *wrote, struct err *err)
{
    sqlite3_stmt *q = prepare(s, "INSERT INTO campaign(seed, first, step, mode, engines, isa, build, processor, cases, seconds)"
                                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO UPDATE SET cases = ?9, seconds = ?10"
                                 " WHERE excluded.cases >= campaign.cases RETURNING id");

    if (!q)
        return failed(s, "campaign", err);
    bind_identity(q, c->config, k);
    sqlite3_bind_int64(q, 9, (sqlite3_int64)c->cases);
    sqlite3_bind_double(q, 10, c->seconds);
    *wrote = sqlite3_step(q) == SQLITE_ROW;
    if (*wrote)
        s->campaign = sqlite3_column_int64(q, 0);
    return finish(s, q, "campaign", err);
}

static bool write_counter(struct store *s, sqlite3_stmt *q, const char *name, uint64_t value, struct err *err)
{
    if (!value)
        return true;
    sqlite3_bind_int64(q, 1, s->campaign);
    bind_text(q, 2, name);
    sqlite3_bind_int64(q, 3, (sqlite3_int64)value);
    if (sqlite3_step(q) != SQLITE_DONE)
        return failed(s, name, err);
    sqlite3_reset(q);
    return true;
}

static bool write_ends(struct store *s, sqlite3_stmt *q, const struct fuzz_counts *n, struct err *err)
{
    static const char *const kinds[] = { "legacy", "VEX", "EVEX" };
    static const char *const names[FUZZ_VECTORS] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS", "#NP", "#SS", "#GP",
                                                     "#PF", "15", "#MF", "#AC", "#MC", "#XM", [FUZZ_VECTORS - 1] = "no exception" };
    char name[64];
    bool ok = true;

    for (unsigned k = 0; k < 3 && ok; k++)
        for (unsigned v = 0; v < FUZZ_VECTORS && ok; v++) {
            snprintf(name, sizeof(name), "ended: %s: %s", kinds[k], names[v] ? names[v] : "other");
            ok = write_counter(s, q, name, n->ended[k][v], err);
        }
    for (unsigned p = 0; p < FUZZ_PLACES && ok; p++) {
        snprintf(name, sizeof(name), "operands: %s", fuzz_place_names[p]);
        ok = write_counter(s, q, name, n->placed[p], err);
    }
    for (unsigned e = 0; e < FUZZ_ENGINES && ok; e++) {
        snprintf(name, sizeof(name), "engine: %s: cases", fuzz_engine_names[e]);
        ok = write_counter(s, q, name, n->run[e], err);
        snprintf(name, sizeof(name), "engine: %s: ns", fuzz_engine_names[e]);
        ok = ok && write_counter(s, q, name, n->ns[e], err);
    }
    return ok;
}

static bool write_counters(struct store *s, const struct fuzz_counts *n, struct err *err)
{
    sqlite3_stmt *q = prepare(s, "INSERT INTO counter VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = value + ?3");
    const struct { const char *name; uint64_t value; } rows[] = {
        { "cases", n->cases }, { "sequences", n->sequences }, { "instructions", n->instructions }, { "differences", n->differences },
        { "device: cases", n->device }, { "device: wider than 8 bytes or across a boundary", n->device_wide },
        { "device: transactions", n->transactions }, { "form: masked", n->masked }, { "form: zeroed", n->zeroed },
        { "form: broadcast", n->broadcast }, { "form: rounding or SAE", n->rounded }, { "form: LOCK", n->locked },
        { "generator: ns", n->generate_ns },
    };
    bool ok = q != NULL || failed(s, "counter", err);

    for (unsigned i = 0; i < ARRAY_LEN(rows) && ok; i++)
        ok = write_counter(s, q, rows[i].name, rows[i].value, err);
    ok = ok && write_ends(s, q, n, err);
    sqlite3_finalize(q);
    return ok;
}

static bool write_coverage(struct store *s, const struct fuzz_counts *n, const struct catalog *k, struct err *err)
{
    sqlite3_stmt *q = prepare(s, "INSERT INTO coverage VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET executed = executed + ?3");
    bool ok = q != NULL || failed(s, "coverage", err);

    for (unsigned i = 0; i < k->shapes && ok; i++) {
        sqlite3_bind_int64(q, 1, s->campaign);
        bind_text(q, 2, k->template[k->shape[i]].name);
        sqlite3_bind_int64(q, 3, (sqlite3_int64)n->executed[i]);
        ok = sqlite3_step(q) == SQLITE_DONE || failed(s, "coverage", err);
        sqlite3_reset(q);
    }
    sqlite3_finalize(q);
    return ok;
}

static bool drop_old(struct store *s, struct err *err)
{
    char sql[128];

    snprintf(sql, sizeof(sql), "DELETE FROM counter WHERE campaign = %" PRId64 "; DELETE FROM coverage WHERE campaign = %" PRId64, s->campaign,
             s->campaign);
    return run_sql(s, sql, "campaign", err);
}

bool store_campaign(struct store *s, const struct store_campaign *c, const struct fuzz_counts *n, const struct catalog *k, struct err *err)
{
    bool wrote = false, ok = run_sql(s, "BEGIN IMMEDIATE", "database", err) && write_campaign(s, c, k, &wrote, err) &&
                    (!wrote || (drop_old(s, err) && write_counters(s, n, err) && write_coverage(s, n, k, err)));

    return run_sql(s, ok ? "COMMIT" : "ROLLBACK", "database", ok ? err : &(struct err){ "" }) && ok;
}

/* -- differences -------------------------------------------------------------------------------------------------------------- */

struct blob_head {
    uint32_t version, case_bytes;
    uint64_t lines;
};

/* The case up to its lines, then those in use. */
static size_t put_case(const struct fuzz_case *c, uint8_t **out)
{
    size_t at = sizeof(struct blob_head), base = offsetof(struct fuzz_case, memory), n = c->memory.n;
    struct blob_head head = { CASE_VERSION, (uint32_t)sizeof(*c), n };

    *out = malloc(at + base + n * (LINE_BYTES + 2));
    if (!*out)
        abort();
    memcpy(*out, &head, at);
    memcpy(*out + at, c, base);
    memcpy(*out + at + base, c->memory.at, n * 2);
    memcpy(*out + at + base + n * 2, c->memory.line, n * LINE_BYTES);
    return at + base + n * (LINE_BYTES + 2);
}

static bool valid(const struct fuzz_case *c)
{
    if (!c->insns || c->insns > FUZZ_INSNS || c->bytes > FUZZ_CODE_BYTES)
        return false;
    for (unsigned i = 0; i < c->insns; i++)
        if (c->insn[i].at >= c->bytes)
            return false;
    for (unsigned i = 0; i < c->memory.n; i++)
        if (c->memory.at[i] >= FUZZ_BYTES / LINE_BYTES)
            return false;
    return true;
}

static bool take_case(const uint8_t *blob, size_t size, struct fuzz_case *c)
{
    size_t at = sizeof(struct blob_head), base = offsetof(struct fuzz_case, memory);
    struct blob_head head;

    if (size < at + base)
        return false;
    memcpy(&head, blob, at);
    if (head.version != CASE_VERSION || head.case_bytes != sizeof(*c) || head.lines > LINES_MAX || size != at + base + head.lines * (LINE_BYTES + 2))
        return false;
    memcpy(c, blob + at, base);
    c->memory.n = (unsigned)head.lines;
    memcpy(c->memory.at, blob + at + base, head.lines * 2);
    memcpy(c->memory.line, blob + at + base + head.lines * 2, head.lines * LINE_BYTES);
    return valid(c) && generate_decode(c);
}

static char *as_text(const struct fuzz_difference *d, const uint8_t *image, bool whole)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        abort();
    if (whole)
        fuzz_print_difference(d, image, f);
    else
        fuzz_print_case(&d->c, image, f);
    fclose(f);
    return text;
}

static void code_text(const struct fuzz_case *c, char *text, size_t size)
{
    char one[128];

    *text = 0;
    for (unsigned i = 0; i < c->insns; i++) {
        strcpy(one, "?");
        disasm_one(c->bits, c->code + c->insn[i].at, c->insn[i].insn.length, NATIVE_START + c->insn[i].at, one, sizeof(one));
        snprintf(text + strlen(text), size - strlen(text), "%s%s", i ? "; " : "", one);
    }
}

bool store_difference(struct store *s, const struct fuzz_difference *d, const uint8_t *image, struct err *err)
{
    sqlite3_stmt *q = prepare(s, "INSERT INTO difference(cause, seed, number, mode, engine, reference, what, code, line, text, [case])"
                                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(cause) DO NOTHING");
    char *line = as_text(d, image, false), *text = as_text(d, image, true), code[1024];
    uint8_t *blob;
    size_t size = put_case(&d->c, &blob);

    code_text(&d->c, code, sizeof(code));
    if (q) {
        bind_text(q, 1, d->cause);
        bind_number(q, 2, d->c.seed);
        bind_number(q, 3, d->c.number);
        sqlite3_bind_int(q, 4, d->c.bits);
        bind_text(q, 5, fuzz_engine_names[d->engine]);
        bind_text(q, 6, fuzz_engine_names[d->reference]);
        bind_text(q, 7, d->what);
        bind_text(q, 8, code);
        bind_text(q, 9, line);
        bind_text(q, 10, text);
        sqlite3_bind_blob(q, 11, blob, (int)size, SQLITE_TRANSIENT);
    }
    free(blob);
    free(line);
    free(text);
    return finish(s, q, "difference", err);
}

bool store_case(struct store *s, int64_t id, struct fuzz_case *out, struct err *err)
{
    sqlite3_stmt *q = prepare(s, "SELECT [case] FROM difference WHERE id = ?1");
    bool found, ok;

    if (!q)
        return failed(s, "difference", err);
    sqlite3_bind_int64(q, 1, id);
    found = sqlite3_step(q) == SQLITE_ROW;
    ok = found && take_case(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0), out);
    sqlite3_finalize(q);
    if (!found)
        return err_set(err, "--replay: no difference %" PRId64 " in this database", id);
    return ok || err_set(err, "--replay: difference %" PRId64 " was stored by another version; its seed and case number make it again", id);
}

int64_t store_next(struct store *s, int64_t after)
{
    sqlite3_stmt *q = prepare(s, "SELECT MIN(id) FROM difference WHERE id > ?1");
    int64_t id = 0;

    sqlite3_bind_int64(q, 1, after);
    if (sqlite3_step(q) == SQLITE_ROW)
        id = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return id;
}

/* -- merging ------------------------------------------------------------------------------------------------------------------- */

/* Campaigns that are new or have come further; with them, what belongs to them. */
static const char merge[] =
    "BEGIN IMMEDIATE;"
    "CREATE TEMP TABLE taken AS SELECT o.id AS other FROM o.campaign o WHERE NOT EXISTS (SELECT 1 FROM main.campaign m WHERE m.seed = o.seed AND"
    "  m.first = o.first AND m.step = o.step AND m.mode = o.mode AND m.engines = o.engines AND m.isa = o.isa AND m.build = o.build AND m.processor = o.processor AND m.cases >= o.cases);"
    "INSERT INTO main.campaign(seed, first, step, mode, engines, isa, build, processor, cases, seconds)"
    "  SELECT seed, first, step, mode, engines, isa, build, processor, cases, seconds FROM o.campaign WHERE id IN (SELECT other FROM taken)"
    "  ON CONFLICT DO UPDATE SET cases = excluded.cases, seconds = excluded.seconds;"
    "CREATE TEMP TABLE pair AS SELECT o.id AS other, m.id AS own FROM o.campaign o JOIN main.campaign m ON m.seed = o.seed AND m.first = o.first AND"
    "  m.step = o.step AND m.mode = o.mode AND m.engines = o.engines AND m.isa = o.isa AND m.build = o.build AND"
    "  m.processor = o.processor WHERE o.id IN (SELECT other FROM taken);"
    "DELETE FROM main.counter WHERE campaign IN (SELECT own FROM pair);"
    "DELETE FROM main.coverage WHERE campaign IN (SELECT own FROM pair);"
    "INSERT INTO main.counter SELECT own, name, value FROM o.counter JOIN pair ON campaign = other;"
    "INSERT INTO main.coverage SELECT own, form, executed FROM o.coverage JOIN pair ON campaign = other;"
    "INSERT INTO main.difference(cause, seed, number, mode, engine, reference, what, code, line, text, [case])"
    "  SELECT cause, seed, number, mode, engine, reference, what, code, line, text, [case] FROM o.difference WHERE true"
    "  ON CONFLICT(cause) DO NOTHING;"
    "DROP TABLE taken; DROP TABLE pair; COMMIT;";

bool store_merge(struct store *s, const char *path, struct err *err)
{
    struct store *other = store_open(path, false, err);
    sqlite3_stmt *q;
    bool ok;

    if (!other)
        return false;
    store_close(other);
    q = prepare(s, "ATTACH ?1 AS o");
    if (q)
        bind_text(q, 1, path);
    if (!finish(s, q, path, err))
        return false;
    ok = run_sql(s, merge, path, err);
    if (!ok)
        run_sql(s, "ROLLBACK", path, &(struct err){ "" });
    return run_sql(s, "DETACH o", path, ok ? err : &(struct err){ "" }) && ok;
}

/* -- reports ------------------------------------------------------------------------------------------------------------------- */

struct store_rows { sqlite3_stmt *q; };

struct store_rows *store_rows(struct store *s, enum store_query query)
{
    static const char *const sql[STORE_QUERIES] = {
        "SELECT seed, first, step, mode, engines, isa, cases, seconds, build, processor FROM campaign ORDER BY mode, CAST(seed AS INTEGER), CAST(first AS INTEGER)",
        "SELECT name, SUM(value) FROM counter GROUP BY name ORDER BY name",
        "SELECT form, SUM(executed) FROM coverage GROUP BY form ORDER BY 2, 1",
        "SELECT id, cause, seed, number, mode, engine, reference, what, code, line, text FROM difference ORDER BY id",
    };
    struct store_rows *r = malloc(sizeof(*r));

    if (!r)
        abort();
    r->q = prepare(s, sql[query]);
    return r;
}

bool store_row(struct store_rows *r) { return r->q && sqlite3_step(r->q) == SQLITE_ROW; }

const char *store_text(struct store_rows *r, int column)
{
    const char *text = (const char *)sqlite3_column_text(r->q, column);

    return text ? text : "";
}

void store_rows_free(struct store_rows *r)
{
    sqlite3_finalize(r->q);
    free(r);
}
