/*
 * pic.c - the two 8259A interrupt controllers of a PC, cascaded over IR2, with the ICH's edge/level registers.
 *
 * Not modelled: the MCS-80 mode of INTA, buffered mode (there are no bus buffers), and other cascades than a PC's.
 * Manual: Intel 8259A data sheet (order 231468-003); ELCR: Intel ICH9 data sheet (316972) section 13.4.
 */
#include "pic.h"

enum { ICW1_IC4 = 1, ICW1_SINGLE = 2, ICW1_LTIM = 8, ICW1 = 16 };
enum { ICW4_AEOI = 2, ICW4_SFNM = 16 };
enum { OCW3_RIS = 1, OCW3_RR = 2, OCW3_POLL = 4, OCW3 = 8, OCW3_SMM = 0x20, OCW3_ESMM = 0x40 };

#define CASCADE 2
#define ELCR_MASTER_MASK 0xf8 /* IRQ0, 1, 2 are always edge */
#define ELCR_SLAVE_MASK 0xde  /* IRQ8 and 13 too */

struct pic_chip {
    uint8_t irr, isr, imr, lines, elcr;
    uint8_t vector;       /* ICW2 bits 7:3 */
    uint8_t lowest;       /* the input of lowest priority: 7 unless rotated */
    uint8_t expects;      /* the ICW the next write to A0 = 1 is, or 0 */
    uint8_t icw1, icw4;
    bool special_mask, read_isr, poll, rotate_aeoi;
};

struct pic {
    struct pic_chip chip[2]; /* master, slave */
    struct irq interrupt;
};

/* The input in `set` with the highest priority, as a distance from the highest; 8 if none. */
static unsigned pic_rank(const struct pic_chip *c, uint8_t set)
{
    for (unsigned rank = 0; rank < 8; rank++)
        if (set >> ((c->lowest + 1 + rank) & 7) & 1)
            return rank;
    return 8;
}

static unsigned pic_line(const struct pic_chip *c, unsigned rank) { return (c->lowest + 1 + rank) & 7; }

/* The request to answer next, or -1. */
static int pic_pending(const struct pic *p, unsigned n)
{
    const struct pic_chip *c = &p->chip[n];
    uint8_t in_service = c->isr;
    unsigned request = pic_rank(c, c->irr & ~c->imr);

    if (request == 8)
        return -1;
    if (c->special_mask)
        in_service &= ~c->imr; /* special mask mode: only unmasked levels in service inhibit ... */
    if (n == 0 && c->icw4 & ICW4_SFNM)
        in_service &= ~BIT(CASCADE); /* special fully nested: a slave may interrupt itself */
    if (c->special_mask) /* ... and only their own level */
        return in_service >> pic_line(c, request) & 1 ? -1 : (int)pic_line(c, request);
    return request < pic_rank(c, in_service) ? (int)pic_line(c, request) : -1;
}

static bool pic_is_level(const struct pic_chip *c, unsigned line)
{
    return c->icw1 & ICW1_LTIM || c->elcr >> line & 1;
}

static void pic_set_input(struct pic_chip *c, unsigned line, bool level)
{
    uint8_t bit = (uint8_t)BIT(line);

    if (level && (pic_is_level(c, line) || !(c->lines & bit)))
        c->irr |= bit;
    if (!level)
        c->irr &= ~bit; /* a request must stay up until INTA, in both modes */
    c->lines = level ? c->lines | bit : c->lines & ~bit;
}

static void pic_update(struct pic *p)
{
    pic_set_input(&p->chip[0], CASCADE, pic_pending(p, 1) >= 0);
    irq_set(&p->interrupt, pic_pending(p, 0) >= 0);
}

/* INTA or poll: takes the request into service; its line, or -1 for a spurious one. */
static int pic_take(struct pic *p, unsigned n)
{
    struct pic_chip *c = &p->chip[n];
    int line = pic_pending(p, n);

    if (line < 0)
        return -1;
    if (!pic_is_level(c, (unsigned)line))
        c->irr &= ~BIT(line);
    if (!(c->icw4 & ICW4_AEOI))
        c->isr |= BIT(line);
    else if (c->rotate_aeoi)
        c->lowest = (uint8_t)line;
    return line;
}

bool pic_is_masked(const struct device *device, unsigned line)
{
    const struct pic *p = device->state;

    return p->chip[line >> 3].imr >> (line & 7) & 1;
}

uint8_t pic_acknowledge(struct device *device)
{
    struct pic *p = device->state;
    int line = pic_take(p, 0);
    unsigned n = 0;

    if (line == CASCADE) {
        n = 1;
        line = pic_take(p, 1);
        /* The slave's line is an output that drops and rises again if more is waiting: a new edge for the master. */
        pic_set_input(&p->chip[0], CASCADE, false);
    }
    pic_update(p);
    return p->chip[n].vector | (line < 0 ? 7 : (uint8_t)line);
}

static void pic_init(struct pic_chip *c, uint8_t v)
{
    c->icw1 = v;
    c->expects = 2;
    c->irr = 0; /* edge sense is reset: an input that is up must go down and up again */
    c->imr = c->isr = 0;
    c->lowest = 7;
    c->special_mask = c->read_isr = c->poll = c->rotate_aeoi = false;
    if (!(v & ICW1_IC4))
        c->icw4 = 0;
    for (unsigned line = 0; line < 8; line++)
        if (pic_is_level(c, line) && c->lines >> line & 1)
            c->irr |= BIT(line);
}

/* OCW2: R, SL, EOI in bits 7:5, a level in bits 2:0. */
static void pic_write_ocw2(struct pic_chip *c, uint8_t v)
{
    unsigned command = v >> 5, level = v & 7, rank;

    switch (command) {
    case 0: c->rotate_aeoi = false; break;
    case 4: c->rotate_aeoi = true; break;
    case 1: /* non-specific EOI */
    case 5: /* the same and rotate */
        rank = pic_rank(c, c->special_mask ? c->isr & ~c->imr : c->isr);
        if (rank == 8)
            break;
        level = pic_line(c, rank);
        c->isr &= ~BIT(level);
        if (command == 5)
            c->lowest = (uint8_t)level;
        break;
    case 3: c->isr &= ~BIT(level); break;
    case 7:
        c->isr &= ~BIT(level);
        c->lowest = (uint8_t)level;
        break;
    case 6: c->lowest = (uint8_t)level; break;
    default: break; /* 2: no operation */
    }
}

static void pic_write_ocw3(struct pic_chip *c, uint8_t v)
{
    if (v & OCW3_ESMM)
        c->special_mask = v & OCW3_SMM;
    if (v & OCW3_RR)
        c->read_isr = v & OCW3_RIS;
    c->poll = v & OCW3_POLL;
}

static void pic_write_a1(struct pic_chip *c, uint8_t v)
{
    switch (c->expects) {
    case 2:
        c->vector = v & 0xf8;
        c->expects = c->icw1 & ICW1_SINGLE ? (c->icw1 & ICW1_IC4 ? 4 : 0) : 3;
        break;
    case 3: c->expects = c->icw1 & ICW1_IC4 ? 4 : 0; break; /* a PC's cascade is soldered */
    case 4:
        c->icw4 = v;
        c->expects = 0;
        break;
    default: c->imr = v; break;
    }
}

static uint64_t pic_read_chip(struct pic *p, unsigned n, uint64_t offset)
{
    struct pic_chip *c = &p->chip[n];

    if (c->poll) { /* the next read, at either address, is an INTA that the program makes */
        int line;

        c->poll = false;
        line = pic_take(p, n);
        if (n == 1)
            pic_set_input(&p->chip[0], CASCADE, false);
        pic_update(p);
        return line < 0 ? 0 : 0x80u | (unsigned)line;
    }
    return offset ? c->imr : c->read_isr ? c->isr : c->irr;
}

static void pic_write_chip(struct pic *p, unsigned n, uint64_t offset, uint8_t v)
{
    struct pic_chip *c = &p->chip[n];

    if (offset)
        pic_write_a1(c, v);
    else if (v & ICW1)
        pic_init(c, v);
    else if (v & OCW3)
        pic_write_ocw3(c, v);
    else
        pic_write_ocw2(c, v);
    pic_update(p);
}

static uint64_t pic_read_master(void *s, uint64_t o, unsigned w) { (void)w; return pic_read_chip(s, 0, o); }
static uint64_t pic_read_slave(void *s, uint64_t o, unsigned w) { (void)w; return pic_read_chip(s, 1, o); }

static void pic_write_master(void *s, uint64_t o, unsigned w, uint64_t v)
{
    (void)w;
    pic_write_chip(s, 0, o, (uint8_t)v);
}

static void pic_write_slave(void *s, uint64_t o, unsigned w, uint64_t v)
{
    (void)w;
    pic_write_chip(s, 1, o, (uint8_t)v);
}

static uint64_t pic_read_elcr(void *state, uint64_t offset, unsigned width)
{
    struct pic *p = state;

    (void)width;
    return p->chip[offset & 1].elcr;
}

static void pic_write_elcr(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct pic *p = state;
    struct pic_chip *c = &p->chip[offset & 1];

    (void)width;
    c->elcr = (uint8_t)value & (offset & 1 ? ELCR_SLAVE_MASK : ELCR_MASTER_MASK);
    for (unsigned line = 0; line < 8; line++)
        if (pic_is_level(c, line) && !(offset == 0 && line == CASCADE))
            c->irr = (c->irr & ~BIT(line)) | (c->lines & BIT(line));
    pic_update(p);
}

static void pic_set_line(void *opaque, int line, bool level)
{
    struct pic *p = opaque;

    if (line == CASCADE || line < 0 || line > 15)
        return;
    pic_set_input(&p->chip[line >> 3], line & 7, level);
    pic_update(p);
}

/* The 8259A has no reset pin and is undefined until ICW1; we begin as after an ICW1 of 0x11 with all masked off. */
static void pic_reset(struct device *device)
{
    struct pic *p = device->state;

    for (unsigned n = 0; n < 2; n++) {
        struct pic_chip *c = &p->chip[n];

        *c = (struct pic_chip){ .lines = c->lines, .lowest = 7 };
    }
    p->chip[0].lines &= ~BIT(CASCADE);
    pic_update(p);
}

void pic_connect(struct device *device, struct irq interrupt)
{
    struct pic *p = device->state;

    p->interrupt = interrupt;
}

struct irq pic_input(struct device *device, unsigned line)
{
    return (struct irq){ .set = pic_set_line, .opaque = device->state, .line = (int)line };
}

static const struct region_ops pic_master_ops = {
    .read = pic_read_master, .write = pic_write_master, .limits = { .widths = W1 },
};
static const struct region_ops pic_slave_ops = {
    .read = pic_read_slave, .write = pic_write_slave, .limits = { .widths = W1 },
};
static const struct region_ops pic_elcr_ops = {
    .read = pic_read_elcr, .write = pic_write_elcr, .limits = { .widths = W1 },
};

#define STATE struct pic
FIELDS(pic_fields, FIELD_EACH(chip, irr), FIELD_EACH(chip, isr), FIELD_EACH(chip, imr), FIELD_EACH(chip, lines), FIELD_EACH(chip, elcr),
       FIELD_EACH(chip, vector), FIELD_EACH_MAX(chip, lowest, 7), FIELD_EACH_MAX(chip, expects, 4), FIELD_EACH(chip, icw1),
       FIELD_EACH(chip, icw4), FIELD_EACH(chip, special_mask), FIELD_EACH(chip, read_isr), FIELD_EACH(chip, poll),
       FIELD_EACH(chip, rotate_aeoi), FIELD_IRQ(interrupt))
#undef STATE

const struct device_class pic_class = {
    .name = "pic",
    .title = "two 8259A interrupt controllers and ELCR (Intel 231468, 316972)",
    .state_size = sizeof(struct pic),
    .region = {
        { REGION_PIO, 0x20, 2, &pic_master_ops, false },
        { REGION_PIO, 0xa0, 2, &pic_slave_ops, false },
        { REGION_PIO, 0x4d0, 2, &pic_elcr_ops, false },
    },
    .reset = pic_reset,
    .fields = &pic_fields,
};
