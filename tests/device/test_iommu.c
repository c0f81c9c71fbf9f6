/*
 * test_iommu.c - an IOMMU driven by hand, as Intel's VT-d specification (D51397) says: formats of section 9, faults of 7.1.3,
 * registers of 10.4, descriptors of 6.5.2.  Every constant stands here anew.
 *
 * The function that asks is 00:03.0.  Its address 0x7fe01000 is mapped in each of the tables' shapes.
 */
#include "ioapic.h"
#include "iommu.h"

#include "lib/bench.h"

#include <string.h>

enum { SOURCE = 0x18, UNIT = 0xfed90000 };
enum { ROOT = 0x1000, CONTEXTS = 0x2000, LEVEL4 = 0x3000, LEVEL3 = 0x4000, LEVEL2 = 0x5000, LEVEL1 = 0x6000, PAGE = 0x7000,
       LIST = 0x8000, IRTES = 0x9000, STATUS = 0xb000, CONTEXT = CONTEXTS + SOURCE * 16 };
#define ADDRESS UINT64_C(0x7fe01000)
enum { GCMD = 0x18, GSTS = 0x1c, RTADDR = 0x20, CCMD = 0x28, FSTS = 0x34, FECTL = 0x38, FEDATA = 0x3c, FEADDR = 0x40, IQH = 0x80, IQT = 0x88,
       IQA = 0x90, ICS = 0x9c, IECTL = 0xa0, IEDATA = 0xa4, IEADDR = 0xa8, IRTA = 0xb8 };
#define TE UINT32_C(0x80000000)
#define SRTP UINT32_C(0x40000000)
#define QIE UINT32_C(0x04000000)
#define IRE UINT32_C(0x02000000)
#define SIRTP UINT32_C(0x01000000)
#define CFI UINT32_C(0x00800000)

static struct device *iommu;
static struct dma *port;

static uint64_t reg(unsigned at, unsigned width) { return bench_load(UNIT + at, width); }
static void set(unsigned at, unsigned width, uint64_t v) { bench_store(UNIT + at, width, v); }
static unsigned records(void) { return (unsigned)(reg(8, 8) >> 24 & 0x3ff) * 16; } /* CAP.FRO */
static unsigned record_count(void) { return (unsigned)(reg(8, 8) >> 40 & 0xff) + 1; }
static uint64_t record(unsigned n, bool high) { return reg(records() + n * 16 + (high ? 8 : 0), 8); }
static unsigned reason(unsigned n) { return (unsigned)(record(n, true) >> 32 & 0xff); }
static bool there(unsigned n) { return record(n, true) >> 63; }

static void plug(void)
{
    iommu = bench_plug(&iommu_class);
    port = iommu_dma(iommu, SOURCE);
}

/* ADDRESS leads to PAGE, by tables of 4 or 3 levels. */
static void map(bool four)
{
    bench_put(ROOT, 8, CONTEXTS | 1);
    bench_put(CONTEXT, 8, (four ? LEVEL4 : LEVEL3) | 1);
    bench_put(CONTEXT + 8, 8, 0x4200 | (four ? 2 : 1));
    bench_put(LEVEL4, 8, LEVEL3 | 3);
    bench_put(LEVEL3 + 1 * 8, 8, LEVEL2 | 3);
    bench_put(LEVEL2 + 511 * 8, 8, LEVEL1 | 3);
    bench_put(LEVEL1 + 1 * 8, 8, PAGE | 3);
}

static void translate(bool four)
{
    plug();
    map(four);
    set(RTADDR, 8, ROOT);
    set(GCMD, 4, SRTP);
    set(GCMD, 4, TE);
}

static bool get32(uint64_t at, uint32_t *v) { return port->read(port, at, v, 4); }
static bool put32(uint64_t at, uint32_t v) { return port->write(port, at, &v, 4); }

/* -- capabilities and commands ----------------------------------------------------------------------------------------- */

START_TEST(iommu_offers_what_drivers_look_for)
{
    uint64_t cap, ecap;

    plug();
    cap = reg(8, 8);
    ecap = reg(0x10, 8);
    ck_assert_uint_eq(reg(0, 4), 0x10);
    ck_assert_uint_eq(cap & 7, 6);             /* domains of 16 bits */
    ck_assert_uint_eq(cap >> 8 & 31, 6);       /* SAGAW: 39 and 48 bits */
    ck_assert_uint_eq(cap >> 16 & 63, 47);     /* MGAW */
    ck_assert_uint_eq(cap >> 34 & 15, 3);      /* 2 MiB, 1 GiB */
    ck_assert_uint_eq(cap >> 7 & 1, 0);        /* nothing absent is cached */
    ck_assert_uint_eq(ecap & 0x4b, 0x4b);      /* coherent, queue, interrupts, pass-through */
    ck_assert_uint_eq(ecap >> 4 & 1, 1);       /* extended interrupt mode */
    ck_assert_uint_ge(records(), 0xc0);
    ck_assert_uint_le(records() + record_count() * 16, 0x1000);
}
END_TEST

START_TEST(iommu_command_bits_show_in_status)
{
    static const uint32_t bits[] = { TE, QIE, IRE, CFI };

    plug();
    for (unsigned i = 0; i < ARRAY_LEN(bits); i++) {
        set(GCMD, 4, bits[i]);
        ck_assert_uint_eq(reg(GSTS, 4), bits[i]);
        ck_assert_uint_eq(reg(GCMD, 4), 0);
    }
    set(GCMD, 4, SRTP);
    set(GCMD, 4, SIRTP);
    ck_assert_uint_eq(reg(GSTS, 4), SRTP | SIRTP);
    set(GSTS, 4, UINT32_MAX);
    set(8, 8, 0);
    ck_assert_uint_eq(reg(GSTS, 4), SRTP | SIRTP);
    ck_assert_uint_ne(reg(8, 8), 0);
    device_reset(iommu);
    ck_assert_uint_eq(reg(GSTS, 4), 0);
}
END_TEST

/* 6.5.1: done as soon as asked for, with the granularity that was asked for. */
START_TEST(iommu_registers_invalidate_at_once)
{
    unsigned iotlb;

    plug();
    iotlb = (unsigned)(reg(0x10, 8) >> 8 & 0x3ff) * 16 + 8; /* ECAP.IRO */
    for (uint64_t g = 1; g <= 3; g++) {
        set(CCMD, 8, UINT64_C(1) << 63 | g << 61 | 0x00180042);
        ck_assert_uint_eq(reg(CCMD, 8), g << 61 | g << 59 | 0x00180042);
        set(iotlb, 8, UINT64_C(1) << 63 | g << 60 | UINT64_C(0x42) << 32);
        ck_assert_uint_eq(reg(iotlb, 8), g << 60 | g << 57 | UINT64_C(0x42) << 32);
    }
}
END_TEST

/* -- DMA --------------------------------------------------------------------------------------------------------------- */

START_TEST(iommu_off_changes_no_address)
{
    uint32_t v;

    plug();
    ck_assert(put32(0x7123, 0x12345678));
    ck_assert_uint_eq(bench_get(0x7123, 4), 0x12345678);
    ck_assert(get32(0x7123, &v) && v == 0x12345678);
    ck_assert(port->translates && !bench.dma.translates);
}
END_TEST

START_TEST(iommu_tables_of_three_and_four_levels_lead_to_the_page)
{
    for (unsigned four = 0; four < 2; four++) {
        uint32_t v = 0;

        bench_init();
        translate(four);
        bench_put(PAGE + 0x24, 4, 0xabcdef01);
        ck_assert(get32(ADDRESS + 0x24, &v));
        ck_assert_uint_eq(v, 0xabcdef01);
        ck_assert(put32(ADDRESS + 0xffc, 0x55667788));
        ck_assert_uint_eq(bench_get(PAGE + 0xffc, 4), 0x55667788);
        ck_assert_uint_eq(reg(FSTS, 4), 0);
    }
}
END_TEST

/* 3.7: 1 GiB at level 3, 2 MiB at level 2. */
START_TEST(iommu_large_page_adds_the_rest_of_the_address)
{
    static const struct { unsigned entry; uint64_t base; } rows[] = { { LEVEL2 + 511 * 8, 0x7fe00000 }, { LEVEL3 + 8, 0x40000000 } };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bench_init();
        translate(true);
        bench_put(rows[i].entry, 8, 0x83);
        ck_assert(put32(rows[i].base + PAGE + 0x10, 0x99));
        ck_assert_uint_eq(bench_get(PAGE + 0x10, 4), 0x99);
    }
}
END_TEST

START_TEST(iommu_pass_through_context_changes_no_address)
{
    translate(false);
    bench_put(CONTEXT, 8, 0x9);
    ck_assert(put32(STATUS, 7));
    ck_assert_uint_eq(bench_get(STATUS, 4), 7);
    ck_assert(!put32(UINT64_C(1) << 39, 7));
    ck_assert_uint_eq(reason(0), 4);
}
END_TEST

START_TEST(iommu_transfer_across_pages_goes_where_each_page_does)
{
    uint8_t out[16], in[16];

    translate(true);
    bench_put(LEVEL1 + 2 * 8, 8, STATUS | 3);
    for (unsigned i = 0; i < 16; i++)
        out[i] = (uint8_t)(i + 1);
    ck_assert(port->write(port, ADDRESS + 0xff8, out, 16));
    ck_assert_mem_eq(bench.memory + PAGE + 0xff8, out, 8);
    ck_assert_mem_eq(bench.memory + STATUS, out + 8, 8);
    ck_assert(port->read(port, ADDRESS + 0xff8, in, 16));
    ck_assert_mem_eq(in, out, 16);
    bench_put(LEVEL1 + 2 * 8, 8, 0);
    ck_assert(!port->read(port, ADDRESS + 0xff8, in, 16));
    ck_assert_mem_eq(in, out, 8);
    ck_assert_uint_eq(in[8], 0xff);
}
END_TEST

/* One entry is not as it should be.  7.1.3 names the fault; the record has the page, the source and whether it was a read. */
START_TEST(iommu_fault_is_the_one_the_table_names)
{
    static const struct { const char *what; uint64_t at, value; unsigned write, read; } rows[] = {
        { "root entry not present", ROOT, CONTEXTS, 1, 1 },
        { "root entry, reserved", ROOT, CONTEXTS | 3, 0xa, 0xa },
        { "root entry, reserved upper half", ROOT + 8, 1, 0xa, 0xa },
        { "context table is nowhere", ROOT, UINT64_C(0x100000001), 9, 9 },
        { "context entry not present", CONTEXT, LEVEL4, 2, 2 },
        { "context entry, reserved", CONTEXT, LEVEL4 | 0x11, 0xb, 0xb },
        { "context entry, reserved upper half", CONTEXT + 8, UINT64_C(0x1000002), 0xb, 0xb },
        { "context entry, width of 57 bits", CONTEXT + 8, 3, 3, 3 },
        { "context entry, width of 30 bits", CONTEXT + 8, 0, 3, 3 },
        { "context entry, type 1 without device TLBs", CONTEXT, LEVEL4 | 5, 3, 3 },
        { "context entry, type 3", CONTEXT, LEVEL4 | 0xd, 3, 3 },
        { "tables are nowhere", CONTEXT, UINT64_C(0x100000001), 7, 7 },
        { "level 4 not present", LEVEL4, 0, 5, 6 },
        { "level 4, page", LEVEL4, LEVEL3 | 0x83, 0xc, 0xc },
        { "level 3 is nowhere", LEVEL4, UINT64_C(0x100000003), 7, 7 },
        { "level 3, page of 1 GiB that is not aligned", LEVEL3 + 8, 0x200083, 0xc, 0xc },
        { "level 3 for reads alone", LEVEL3 + 8, LEVEL2 | 1, 5, 0 },
        { "level 2, page of 2 MiB that is not aligned", LEVEL2 + 511 * 8, 0x1083, 0xc, 0xc },
        { "level 1 for writes alone", LEVEL1 + 8, PAGE | 2, 0, 6 },
        { "level 1, beyond the memory's addresses", LEVEL1 + 8, UINT64_C(1) << 40 | PAGE | 3, 0xc, 0xc },
        { "level 1, snoop control", LEVEL1 + 8, PAGE | 0x803, 0xc, 0xc },
        { "level 1, ignored bits", LEVEL1 + 8, UINT64_C(0x7ff0000000000000) | PAGE | 0x707, 0, 0 },
        { "level 1 not present, reserved bits", LEVEL1 + 8, UINT64_C(1) << 40, 5, 6 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        bool write = i & 1;
        unsigned expected = write ? rows[i / 2].write : rows[i / 2].read;
        uint32_t v;

        bench_init();
        translate(true);
        bench_put(rows[i / 2].at, 8, rows[i / 2].value);
        ck_assert_msg((write ? put32(ADDRESS + 0x20, 1) : get32(ADDRESS + 0x20, &v)) == !expected, "%s", rows[i / 2].what);
        ck_assert_msg(reason(0) == expected, "%s: %x", rows[i / 2].what, reason(0));
        ck_assert_uint_eq(there(0), expected != 0);
        if (!expected)
            continue;
        ck_assert_uint_eq(record(0, false), ADDRESS);
        ck_assert_uint_eq(record(0, true) & 0xffff, SOURCE);
        ck_assert_uint_eq(record(0, true) >> 62 & 1, !write);
    }
}
END_TEST

/* Root table nowhere: 8; an address beyond the context's width: 4. */
START_TEST(iommu_fault_of_root_table_and_width)
{
    uint32_t v;

    translate(false);
    ck_assert(!get32(UINT64_C(1) << 39 | ADDRESS, &v));
    ck_assert_uint_eq(reason(0), 4);
    set(RTADDR, 8, UINT64_C(0x100000000));
    ck_assert(get32(ADDRESS, &v)); /* not before it is set */
    set(GCMD, 4, TE | SRTP);
    ck_assert(!get32(ADDRESS, &v));
    ck_assert_uint_eq(v, UINT32_MAX);
    ck_assert_uint_eq(reason(1), 8);
}
END_TEST

START_TEST(iommu_context_may_ask_for_no_faults)
{
    uint32_t v;

    translate(true);
    bench_put(CONTEXT, 8, LEVEL4 | 3);
    bench_put(LEVEL1 + 8, 8, 0);
    ck_assert(!get32(ADDRESS, &v));
    bench_put(CONTEXT, 8, LEVEL4 | 2);
    ck_assert(!get32(ADDRESS, &v));
    ck_assert_uint_eq(reg(FSTS, 4), 0);
    bench_put(ROOT, 8, 0);
    ck_assert(!get32(ADDRESS, &v));
    ck_assert_uint_eq(reason(0), 1);
}
END_TEST

/* -- the fault log (7.2, 7.3) --------------------------------------------------------------------------------------------- */

START_TEST(iommu_fault_log_fills_and_overflows)
{
    uint32_t v;

    translate(true);
    bench_put(LEVEL1 + 8, 8, 0);
    for (unsigned i = 0; i < record_count(); i++) {
        get32(ADDRESS, &v);
        ck_assert(there(i));
        ck_assert_uint_eq(reg(FSTS, 4), 2); /* PPF; FRI is the first one's */
    }
    get32(ADDRESS, &v);
    ck_assert_uint_eq(reg(FSTS, 4), 3); /* PFO */
    set(records() + 12, 4, UINT32_C(1) << 31);
    ck_assert(!there(0));
    get32(ADDRESS, &v);
    ck_assert(!there(0)); /* nothing is recorded before PFO is cleared */
    set(FSTS, 4, 1);
    ck_assert_uint_eq(reg(FSTS, 4), 2);
    get32(ADDRESS, &v);
    ck_assert(there(0));
    for (unsigned i = 0; i < record_count(); i++)
        set(records() + i * 16 + 8, 8, UINT64_C(1) << 63);
    ck_assert_uint_eq(reg(FSTS, 4) & 3, 0);
    get32(ADDRESS, &v);
    ck_assert_uint_eq(reg(FSTS, 4), 2 | 1 << 8);
}
END_TEST

static void prepare_event(unsigned at)
{
    set(at + 4, 4, 0x41);
    set(at + 8, 4, 0xfee05000);
}

START_TEST(iommu_fault_event_comes_once_and_when_it_may)
{
    uint32_t v;

    translate(true);
    bench_put(LEVEL1 + 8, 8, 0);
    prepare_event(FECTL);
    ck_assert_uint_eq(reg(FECTL, 4), 0x80000000);
    get32(ADDRESS, &v);
    ck_assert_uint_eq(bench.messages, 0);
    ck_assert_uint_eq(reg(FECTL, 4), 0xc0000000); /* it waits */
    set(FECTL, 4, 0);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert_uint_eq(bench.message.vector, 0x41);
    ck_assert_uint_eq(bench.message.destination, 5);
    ck_assert_uint_eq(reg(FECTL, 4), 0);
    get32(ADDRESS, &v);
    ck_assert_uint_eq(bench.messages, 1); /* a status is there already */
    set(records() + 12, 4, UINT32_C(1) << 31);
    set(records() + 28, 4, UINT32_C(1) << 31);
    get32(ADDRESS, &v);
    ck_assert_uint_eq(bench.messages, 2);
    set(FECTL, 4, 0x80000000);
    set(records() + 44, 4, UINT32_C(1) << 31);
    get32(ADDRESS, &v);
    ck_assert_uint_eq(reg(FECTL, 4), 0xc0000000);
    set(records() + 60, 4, UINT32_C(1) << 31); /* all is serviced: nothing waits any more */
    ck_assert_uint_eq(reg(FECTL, 4), 0x80000000);
}
END_TEST

/* -- the queue --------------------------------------------------------------------------------------------------------------- */

static void queue_begin(void)
{
    plug();
    set(IQT, 8, 0);
    set(IQA, 8, LIST);
    set(GCMD, 4, QIE);
}

static void descriptor(unsigned n, uint64_t low, uint64_t high)
{
    bench_put(LIST + n * 16, 8, low);
    bench_put(LIST + n * 16 + 8, 8, high);
}

START_TEST(iommu_queue_takes_each_descriptor_and_tells_when_it_is_done)
{
    queue_begin();
    descriptor(0, 0x0001001800420000 | 0x31, 0);                      /* context cache, of a device */
    descriptor(1, 0x00420000 | 0xf2, ADDRESS | 0x45);                 /* IOTLB, of pages, drained */
    descriptor(2, UINT64_C(0x0000000700000000) | 0x10000014, 0);      /* interrupt entry cache, by index */
    descriptor(3, 0x4, 0);                                            /* ... all */
    descriptor(4, UINT64_C(0x1234567800000000) | 0x75, STATUS);       /* wait: status, interrupt, fence */
    prepare_event(IECTL);
    set(IECTL, 4, 0);
    set(IQT, 8, 5 * 16);
    ck_assert_uint_eq(reg(IQH, 8), 5 * 16);
    ck_assert_uint_eq(bench_get(STATUS, 4), 0x12345678);
    ck_assert_uint_eq(reg(ICS, 4), 1);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert_uint_eq(reg(FSTS, 4), 0);
    set(ICS, 4, 1);
    ck_assert_uint_eq(reg(ICS, 4), 0);
    set(GCMD, 4, 0);
    ck_assert_uint_eq(reg(IQH, 8), 0);
}
END_TEST

START_TEST(iommu_queue_stops_at_what_is_none)
{
    static const struct { uint64_t low, high; } rows[] = {
        { 0, 0 }, { 6, 0 }, { 0xf, 0 }, { 3, 0 }, { 0x201, 0 }, { 1, 0 }, { 2, 0 }, { 0x11, 1 }, { 0x1011, 0 }, { 0x12, 0x80 },
        { UINT64_C(0x100000012), 0 }, { 0x24, 0 }, { 0x14, 1 }, { 0x1025, STATUS }, { 0x25, STATUS | 1 }, { 0x105, 0 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bench_init();
        queue_begin();
        descriptor(0, 0x4, 0);
        descriptor(1, rows[i].low, rows[i].high);
        set(IQT, 8, 2 * 16);
        ck_assert_msg(reg(FSTS, 4) == 0x10 && reg(IQH, 8) == 16, "row %u", i);
        descriptor(1, UINT64_C(0x500000025), STATUS);
        set(FSTS, 4, 0x10); /* software has repaired it */
        ck_assert_uint_eq(reg(FSTS, 4), 0);
        ck_assert_uint_eq(reg(IQH, 8), 32);
        ck_assert_uint_eq(bench_get(STATUS, 4), 5);
    }
}
END_TEST

START_TEST(iommu_queue_goes_round_and_no_further)
{
    queue_begin();
    for (unsigned i = 0; i < 256; i++)
        descriptor(i, 4, 0);
    set(IQT, 8, 255 * 16);
    ck_assert_uint_eq(reg(IQH, 8), 255 * 16);
    set(IQT, 8, 16);
    ck_assert_uint_eq(reg(IQH, 8), 16);
    set(IQT, 8, 256 * 16); /* behind the end */
    ck_assert_uint_eq(reg(FSTS, 4), 0x10);
    set(IQT, 8, 32);
    set(FSTS, 4, 0x10);
    ck_assert_uint_eq(reg(IQH, 8), 32);
    set(IQA, 8, UINT64_C(0x100000000)); /* nowhere */
    set(IQT, 8, 48);
    ck_assert_uint_eq(reg(FSTS, 4), 0x10);
}
END_TEST

/* A DMA that reaches registers, as the board's does. */
static bool looping_write(struct dma *dma, uint64_t gpa, const void *data, size_t size)
{
    uint64_t v = 0;

    if (gpa < UNIT)
        return bench.dma.write(dma, gpa, data, size);
    memcpy(&v, data, size);
    bench_store(gpa, (unsigned)size, v);
    return true;
}

/* Each descriptor moves the tail: behind itself, so that the queue never ends. */
START_TEST(iommu_queue_that_feeds_itself_ends)
{
    static struct dma loops;

    loops = (struct dma){ .read = bench.dma.read, .write = looping_write };
    queue_begin();
    iommu->host.dma = &loops;
    for (unsigned i = 0; i < 256; i++)
        descriptor(i, (uint64_t)((i + 2) % 256 * 16) << 32 | 0x25, UNIT + IQT);
    set(IQT, 8, 16);
    ck_assert_uint_eq(reg(FSTS, 4), 0);
    set(GCMD, 4, 0);
    ck_assert_uint_eq(reg(IQH, 8), 0);
}
END_TEST

/* -- interrupts ------------------------------------------------------------------------------------------------------------------ */

/* Entry 5: vector 61, fixed, edge, to APIC 2, from the function alone. */
static void remap(uint64_t irta)
{
    plug();
    bench_put(IRTES + 5 * 16, 8, UINT64_C(0x200) << 32 | 0x61 << 16 | 1);
    bench_put(IRTES + 5 * 16 + 8, 8, 1 << 18 | SOURCE);
    set(IRTA, 8, IRTES | irta);
    set(GCMD, 4, SIRTP);
    set(GCMD, 4, IRE);
}

enum { MESSAGE_5 = 0xfee00000 | 5 << 5 | 1 << 4 };

START_TEST(iommu_entry_says_what_an_interrupt_becomes)
{
    static const struct { uint64_t irta, low, address; uint32_t data; struct irq_message m; } rows[] = {
        { 3, 0x0000020000610001, MESSAGE_5, 0, { 2, false, false, true, IRQ_FIXED, 0x61 } },
        { 3, 0x0000020000610001, 0xfee00000 | 3 << 5 | 3 << 3, 2, { 2, false, false, true, IRQ_FIXED, 0x61 } }, /* handle 3 and 2 */
        { 3, 0x0000020000610001, MESSAGE_5, 0x4077, { 2, false, false, true, IRQ_FIXED, 0x61 } },             /* no subhandle: ignored */
        { 3, 0x0000ff0000620035, MESSAGE_5, 0, { 0xff, true, true, true, IRQ_LOWEST, 0x62 } },
        { 3, 0x0000010000000081, MESSAGE_5, 0, { 1, false, false, true, IRQ_NMI, 0 } },
        { 3 | 1 << 11, 0x0001000200630005, MESSAGE_5, 0, { 0x10002, true, false, true, IRQ_FIXED, 0x63 } },
        { 3, 0x0000020000610f01, MESSAGE_5, 0, { 2, false, false, true, IRQ_FIXED, 0x61 } },                  /* bits for software */
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct irq_message *m = &bench.message, *e = &rows[i].m;

        bench_init();
        remap(rows[i].irta);
        bench_put(IRTES + 5 * 16, 8, rows[i].low);
        iommu_message(iommu, SOURCE, rows[i].address, rows[i].data);
        ck_assert_uint_eq(bench.messages, 1);
        ck_assert_msg(m->destination == e->destination && m->logical == e->logical && m->level == e->level && m->assert &&
                      m->delivery == e->delivery && m->vector == e->vector, "row %u", i);
    }
}
END_TEST

START_TEST(iommu_interrupt_fault_is_the_one_the_table_names)
{
    static const struct { const char *what; uint64_t low, high, address; uint32_t data; unsigned reason; } rows[] = {
        { "request, reserved", 1, 0, MESSAGE_5, 0x10000, 0x20 },
        { "index beyond the table", 1, 0, 0xfee00000 | 16 << 5 | 1 << 4, 0, 0x21 },
        { "index with bit 15", 1, 0, MESSAGE_5 | 4, 0, 0x21 },
        { "index and subhandle beyond the table", 1, 0, MESSAGE_5 | 8, 11, 0x21 },
        { "entry not present", 0, 0, MESSAGE_5, 0, 0x22 },
        { "entry, reserved", 0x1001, 0, MESSAGE_5, 0, 0x24 },
        { "entry, posted", 0x8001, 0, MESSAGE_5, 0, 0x24 },
        { "entry, destination of 32 bits", UINT64_C(1) << 32 | 1, 0, MESSAGE_5, 0, 0x24 },
        { "entry, reserved upper half", 1, 1 << 20, MESSAGE_5, 0, 0x24 },
        { "entry, delivery 3", 0x61, 0, MESSAGE_5, 0, 0x24 },
        { "entry, source verification 3", 1, 3 << 18, MESSAGE_5, 0, 0x24 },
        { "another source", 1, 1 << 18 | 0x20, MESSAGE_5, 0, 0x26 },
        { "another bus", 1, 2 << 18 | 0x0102, MESSAGE_5, 0, 0x26 },
        { "compatibility format", 1, 0, 0xfee02000, 0x61, 0x25 },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bench_init();
        remap(3);
        bench_put(IRTES + 5 * 16, 8, rows[i].low);
        bench_put(IRTES + 5 * 16 + 8, 8, rows[i].high);
        iommu_message(iommu, SOURCE, rows[i].address, rows[i].data);
        ck_assert_uint_eq(bench.messages, 0);
        ck_assert_msg(reason(0) == rows[i].reason, "%s: %x", rows[i].what, reason(0));
        ck_assert_uint_eq(record(0, true) & 0xffff, SOURCE);
        if (rows[i].reason >= 0x22 && rows[i].reason != 0x25)
            ck_assert_uint_eq(record(0, false) >> 48, 5);
    }
}
END_TEST

/* SVT 1 with SQ 0 to 3: none, bit 2, bits 2:1, bits 2:0 of the function do not count; SVT 2: a range of buses. */
START_TEST(iommu_source_is_compared_as_the_entry_says)
{
    static const struct { uint64_t high; uint16_t source; bool fits; } rows[] = {
        { 1 << 18 | 0x18, 0x18, true }, { 1 << 18 | 0x18, 0x1c, false }, { 1 << 18 | 1 << 16 | 0x18, 0x1c, true },
        { 1 << 18 | 1 << 16 | 0x18, 0x1a, false }, { 1 << 18 | 2 << 16 | 0x18, 0x1e, true }, { 1 << 18 | 2 << 16 | 0x18, 0x19, false },
        { 1 << 18 | 3 << 16 | 0x18, 0x1f, true }, { 1 << 18 | 3 << 16 | 0x18, 0x20, false }, { 0, 0x1234, true },
        { 2 << 18 | 0x0002, 0x0218, true }, { 2 << 18 | 0x0102, 0x0018, false }, { 2 << 18 | 0x0001, 0x0200, false },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bench_init();
        remap(3);
        bench_put(IRTES + 5 * 16 + 8, 8, rows[i].high);
        iommu_message(iommu, rows[i].source, MESSAGE_5, 0);
        ck_assert_msg(bench.messages == rows[i].fits, "row %u", i);
    }
}
END_TEST

START_TEST(iommu_entry_may_ask_for_no_faults)
{
    remap(3);
    bench_put(IRTES + 5 * 16, 8, 2);
    iommu_message(iommu, SOURCE, MESSAGE_5, 0);
    bench_put(IRTES + 5 * 16, 8, 0x1003);
    iommu_message(iommu, SOURCE, MESSAGE_5, 0);
    ck_assert_uint_eq(reg(FSTS, 4), 0);
    ck_assert_uint_eq(bench.messages, 0);
}
END_TEST

/* 5.1.4: with CFI, and not in extended mode; and all of them while nothing is remapped. */
START_TEST(iommu_compatibility_format_passes_where_it_may)
{
    static const struct { uint64_t irta; uint32_t command; bool passes; } rows[] = {
        { 3, 0, true }, { 3, IRE, false }, { 3, IRE | CFI, true }, { 3 | 1 << 11, IRE | CFI, false }, { 3, CFI, true },
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bench_init();
        remap(rows[i].irta);
        set(GCMD, 4, rows[i].command);
        iommu_message(iommu, SOURCE, 0xfee07000, 0x35);
        ck_assert_msg(bench.messages == rows[i].passes, "row %u", i);
        if (rows[i].passes)
            ck_assert_uint_eq(bench.message.destination << 8 | bench.message.vector, 0x735);
    }
}
END_TEST

/* 3.14: a write of four bytes there is an interrupt, whatever the function calls it; nothing else is anything. */
START_TEST(iommu_dma_to_the_interrupt_range_is_an_interrupt)
{
    uint8_t bytes[8] = { 0 };

    remap(3);
    ck_assert(put32(MESSAGE_5, 0));
    ck_assert_uint_eq(bench.message.vector, 0x61);
    ck_assert(!port->write(port, MESSAGE_5, bytes, 8));
    ck_assert(!port->read(port, 0xfee00020, bytes, 4));
    ck_assert_uint_eq(bytes[0], 0xff);
    ck_assert_uint_eq(bench.messages, 1);
}
END_TEST

static void bus_remap(struct irq_bus *bus, uint16_t source, uint64_t address, uint32_t data)
{
    (void)bus;
    ck_assert_uint_eq(source, 0xf0f8);
    iommu_message(iommu, source, address, data);
}

/* 5.1.5.1: an entry of the I/O APIC has the index in 63:49 and 11, format 48; the vector stays for the EOI. */
START_TEST(iommu_remaps_what_the_ioapic_sends)
{
    struct device *ioapic;
    struct irq pin;

    bench.irq_bus.remap = bus_remap;
    ioapic = device_create(&ioapic_class, &bench.host);
    pin = ioapic_input(ioapic, 3);
    remap(3);
    bench_put(IRTES + 5 * 16, 8, UINT64_C(0x200) << 32 | 0x61 << 16 | 0x11);
    bench_store(0xfec00000, 4, 0x17);
    bench_store(0xfec00010, 4, 5 << 17 | 1 << 16);
    ck_assert_uint_eq(bench_load(0xfec00010, 4), 5 << 17 | 1 << 16);
    bench_store(0xfec00000, 4, 0x16);
    bench_store(0xfec00010, 4, 0x8003);
    irq_raise(&pin);
    ck_assert_uint_eq(bench.messages, 1);
    ck_assert(bench.message.vector == 0x61 && bench.message.level && bench.message.destination == 2);
    bench_store(0xfec00040, 4, 3); /* EOI, by the entry's vector: the line is up still */
    ck_assert_uint_eq(bench.messages, 2);
}
END_TEST

/* -- whatever is in memory --------------------------------------------------------------------------------------------------------- */

START_TEST(iommu_takes_any_tables)
{
    uint64_t seed = 1;
    uint32_t v;

    plug();
    set(RTADDR, 8, 0);
    set(IRTA, 8, 0xf);
    set(IQA, 8, 0);
    set(GCMD, 4, SRTP | SIRTP);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < sizeof(bench.memory); i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            bench.memory[i] = (uint8_t)(i % 8 == 1 ? seed >> 60 << 4 : i % 8 > 1 ? 0 : seed >> 33 | 1);
        }
        set(GCMD, 4, TE | QIE | IRE);
        for (unsigned i = 0; i < 100; i++) {
            get32(seed >> (i % 40), &v);
            put32(seed >> (i % 40), v);
            iommu_message(iommu, (uint16_t)seed, 0xfee00000 | (seed & 0xfffff), (uint32_t)(seed >> 40));
            set(IQT, 8, seed & 0x7fff0);
            set(FSTS, 4, UINT32_MAX);
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        }
    }
}
END_TEST

START_TEST(iommu_registers_survive_all_writes)
{
    plug();
    for (unsigned at = 0; at < 0x1000; at += 4)
        for (unsigned bit = 0; bit < 33; bit++)
            set(at, 4, bit < 32 ? UINT32_C(1) << bit : UINT32_MAX);
    for (unsigned at = 0; at < 0x1000; at += 8) {
        set(at, 8, UINT64_MAX);
        reg(at, 8);
    }
    ck_assert_uint_eq(reg(0, 4), 0x10);
}
END_TEST

BENCH_MAIN("iommu", iommu_offers_what_drivers_look_for, iommu_command_bits_show_in_status, iommu_registers_invalidate_at_once,
           iommu_off_changes_no_address, iommu_tables_of_three_and_four_levels_lead_to_the_page,
           iommu_large_page_adds_the_rest_of_the_address, iommu_pass_through_context_changes_no_address,
           iommu_transfer_across_pages_goes_where_each_page_does, iommu_fault_is_the_one_the_table_names,
           iommu_fault_of_root_table_and_width, iommu_context_may_ask_for_no_faults, iommu_fault_log_fills_and_overflows,
           iommu_fault_event_comes_once_and_when_it_may, iommu_queue_takes_each_descriptor_and_tells_when_it_is_done,
           iommu_queue_stops_at_what_is_none, iommu_queue_goes_round_and_no_further, iommu_queue_that_feeds_itself_ends,
           iommu_entry_says_what_an_interrupt_becomes, iommu_interrupt_fault_is_the_one_the_table_names,
           iommu_source_is_compared_as_the_entry_says, iommu_entry_may_ask_for_no_faults, iommu_compatibility_format_passes_where_it_may,
           iommu_dma_to_the_interrupt_range_is_an_interrupt, iommu_remaps_what_the_ioapic_sends, iommu_takes_any_tables,
           iommu_registers_survive_all_writes)
