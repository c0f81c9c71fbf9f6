/*
 * i8042.c - the keyboard controller of an AT, a PS/2 keyboard behind it, and port 0x92 (fast A20, fast reset).
 *
 * Not modelled: a mouse (commands to the auxiliary port go unanswered), the controller's RAM beyond its command byte,
 * typematic repeat, scan code sets 1 and 3, and all transfer times: an answer is there at once.
 * Manual: IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller" and
 * "Keyboards"; port 0x92: Intel ICH9 data sheet (316972) section 13.7.3.
 */
#include "i8042.h"

enum { STATUS_OBF = 1, STATUS_SYS = 4, STATUS_COMMAND = 8, STATUS_UNLOCKED = 16, STATUS_AUX = 32 };
enum { MODE_KBD_INT = 1, MODE_AUX_INT = 2, MODE_SYS = 4, MODE_KBD_OFF = 16, MODE_AUX_OFF = 32, MODE_XLATE = 64 };
enum { P2_RESET = 1, P2_A20 = 2, P2_KBD_INT = 16, P2_AUX_INT = 32 };
enum { PORT92_RESET = 1, PORT92_A20 = 2 };

#define KBD_QUEUE 32

struct i8042 {
    uint8_t status, mode, output, p2, port92;
    uint8_t command;        /* waits for its data byte at port 0x60, or 0 */
    uint8_t answer[4];      /* the controller's own bytes, ahead of the keyboard's */
    unsigned answers;
    bool answer_aux;        /* those come as if from the auxiliary device (0xd3) */
    /* the keyboard */
    uint8_t queue[KBD_QUEUE];
    unsigned first, count;
    uint8_t kbd_command;    /* waits for its parameter */
    uint8_t last_sent;
    bool scanning, broken;  /* broken: F0 has been seen by the translator */
    struct i8042_wires wires;
};

/* Set 2 to set 1, what the controller does to bytes from the keyboard while MODE_XLATE is set. */
static const uint8_t i8042_set1[0x80] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static uint8_t i8042_translate(uint8_t code)
{
    return code < 0x80 ? i8042_set1[code] : code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

/* -- output buffer ------------------------------------------------------------------------------------------------ */

static void i8042_update_interrupts(struct i8042 *k)
{
    bool full = k->status & STATUS_OBF, aux = k->status & STATUS_AUX;

    irq_set(&k->wires.keyboard, full && !aux && k->mode & MODE_KBD_INT);
    irq_set(&k->wires.auxiliary, full && aux && k->mode & MODE_AUX_INT);
}

/* The keyboard's next byte, translated; false if there is none to show (an F0 is swallowed). */
static bool i8042_take_key(struct i8042 *k, uint8_t *out)
{
    while (k->count && !(k->mode & MODE_KBD_OFF)) {
        uint8_t code = k->queue[k->first];

        k->first = (k->first + 1) % KBD_QUEUE;
        k->count--;
        if (!(k->mode & MODE_XLATE)) {
            *out = code;
            return true;
        }
        if (code == 0xf0) {
            k->broken = true;
            continue;
        }
        *out = i8042_translate(code) | (k->broken ? 0x80 : 0);
        k->broken = false;
        return true;
    }
    return false;
}

/* Fills the output buffer if it is empty and something waits. */
static void i8042_fill(struct i8042 *k)
{
    if (!(k->status & STATUS_OBF)) {
        if (k->answers) {
            k->output = k->answer[0];
            k->answers--;
            for (unsigned i = 0; i < k->answers; i++)
                k->answer[i] = k->answer[i + 1];
            k->status = (k->status & ~STATUS_AUX) | STATUS_OBF | (k->answer_aux ? STATUS_AUX : 0);
        } else if (i8042_take_key(k, &k->output)) {
            k->status = (k->status & ~STATUS_AUX) | STATUS_OBF;
        }
    }
    i8042_update_interrupts(k);
}

static void i8042_answer(struct i8042 *k, uint8_t v, bool aux)
{
    if (k->answers < ARRAY_LEN(k->answer))
        k->answer[k->answers++] = v;
    k->answer_aux = aux;
}

/* -- keyboard ----------------------------------------------------------------------------------------------------- */

static void i8042_kbd_send(struct i8042 *k, uint8_t v)
{
    if (k->count == KBD_QUEUE)
        return;
    k->queue[(k->first + k->count++) % KBD_QUEUE] = v;
    k->last_sent = v;
}

static void i8042_kbd_default(struct i8042 *k, bool scanning)
{
    k->first = k->count = 0;
    k->scanning = scanning;
}

static void i8042_kbd_parameter(struct i8042 *k, uint8_t v)
{
    uint8_t command = k->kbd_command;

    k->kbd_command = 0;
    i8042_kbd_send(k, 0xfa);
    if (command == 0xf0 && v == 0)
        i8042_kbd_send(k, 2); /* which set? */
}

static void i8042_kbd_receive(struct i8042 *k, uint8_t v)
{
    if (k->kbd_command && v < 0x80) { /* a command instead of a parameter is taken as one */
        i8042_kbd_parameter(k, v);
        return;
    }
    k->kbd_command = 0;
    switch (v) {
    case 0xed: case 0xf0: case 0xf3: /* indicators, set, typematic rate: a parameter follows */
        k->kbd_command = v;
        i8042_kbd_send(k, 0xfa);
        break;
    case 0xee: i8042_kbd_send(k, 0xee); break;
    case 0xf2:
        i8042_kbd_send(k, 0xfa);
        i8042_kbd_send(k, 0xab);
        i8042_kbd_send(k, 0x83);
        break;
    case 0xf4:
        k->scanning = true;
        i8042_kbd_send(k, 0xfa);
        break;
    case 0xf5:
        i8042_kbd_default(k, false);
        i8042_kbd_send(k, 0xfa);
        break;
    case 0xf6:
        i8042_kbd_default(k, k->scanning);
        i8042_kbd_send(k, 0xfa);
        break;
    case 0xfe: i8042_kbd_send(k, k->last_sent); break;
    case 0xff:
        i8042_kbd_default(k, true);
        i8042_kbd_send(k, 0xfa);
        i8042_kbd_send(k, 0xaa); /* basic assurance test passed */
        break;
    default: i8042_kbd_send(k, 0xfe); break; /* resend: not understood */
    }
}

/* -- controller --------------------------------------------------------------------------------------------------- */

static void i8042_update_a20(struct i8042 *k) { irq_set(&k->wires.a20, k->p2 & P2_A20 || k->port92 & PORT92_A20); }

static void i8042_write_p2(struct i8042 *k, uint8_t v)
{
    bool reset = !(v & P2_RESET);

    k->p2 = v | P2_RESET;
    i8042_update_a20(k);
    if (reset)
        irq_pulse(&k->wires.reset);
}

static uint8_t i8042_read_p2(const struct i8042 *k)
{
    uint8_t v = k->p2 & ~(P2_KBD_INT | P2_AUX_INT);

    if (k->status & STATUS_OBF)
        v |= k->status & STATUS_AUX ? P2_AUX_INT : P2_KBD_INT;
    return v;
}

static void i8042_write_command(struct i8042 *k, uint8_t v)
{
    k->status |= STATUS_COMMAND;
    k->command = 0;
    switch (v) {
    case 0x20: i8042_answer(k, k->mode, false); break;
    case 0x60: case 0xd1: case 0xd2: case 0xd3: case 0xd4: k->command = v; break;
    case 0xa7: k->mode |= MODE_AUX_OFF; break;
    case 0xa8: k->mode &= ~MODE_AUX_OFF; break;
    case 0xa9: case 0xab: i8042_answer(k, 0x00, false); break; /* interface test: no error */
    case 0xaa:
        k->status |= STATUS_SYS;
        i8042_answer(k, 0x55, false);
        break;
    case 0xad: k->mode |= MODE_KBD_OFF; break;
    case 0xae: k->mode &= ~MODE_KBD_OFF; break;
    case 0xc0: i8042_answer(k, 0x80, false); break; /* input port: keyboard not locked */
    case 0xd0: i8042_answer(k, i8042_read_p2(k), false); break;
    case 0xdd: i8042_write_p2(k, k->p2 & ~P2_A20); break; /* as most AT clones have it */
    case 0xdf: i8042_write_p2(k, k->p2 | P2_A20); break;
    default:
        if (v >= 0xf0 && !(v & 1)) /* pulse output port bits that are 0; bit 0 is reset */
            irq_pulse(&k->wires.reset);
        break;
    }
}

static void i8042_write_data(struct i8042 *k, uint8_t v)
{
    uint8_t command = k->command;

    k->command = 0;
    k->status &= ~STATUS_COMMAND;
    switch (command) {
    case 0x60:
        k->mode = v & 0x7f;
        k->status = (k->status & ~STATUS_SYS) | (v & MODE_SYS ? STATUS_SYS : 0);
        break;
    case 0xd1: i8042_write_p2(k, v); break;
    case 0xd2: i8042_answer(k, v, false); break;
    case 0xd3: i8042_answer(k, v, true); break;
    case 0xd4: break; /* nobody is plugged in there */
    default:
        k->mode &= ~MODE_KBD_OFF; /* sending to the keyboard enables its interface */
        i8042_kbd_receive(k, v);
        break;
    }
}

static uint64_t i8042_read_60(void *state, uint64_t offset, unsigned width)
{
    struct i8042 *k = state;
    uint8_t v = k->output;

    (void)offset;
    (void)width;
    k->status &= ~STATUS_OBF;
    i8042_update_interrupts(k); /* the line falls before the next byte raises it */
    i8042_fill(k);
    return v;
}

static void i8042_write_60(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)offset;
    (void)width;
    i8042_write_data(state, (uint8_t)value);
    i8042_fill(state);
}

static uint64_t i8042_read_64(void *state, uint64_t offset, unsigned width)
{
    struct i8042 *k = state;

    (void)offset;
    (void)width;
    return k->status | STATUS_UNLOCKED;
}

static void i8042_write_64(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)offset;
    (void)width;
    i8042_write_command(state, (uint8_t)value);
    i8042_fill(state);
}

static uint64_t i8042_read_92(void *state, uint64_t offset, unsigned width)
{
    struct i8042 *k = state;

    (void)offset;
    (void)width;
    return k->port92;
}

static void i8042_write_92(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct i8042 *k = state;
    bool reset = value & ~k->port92 & PORT92_RESET; /* INIT_NOW acts on 0 to 1 */

    (void)offset;
    (void)width;
    k->port92 = (uint8_t)value & (PORT92_RESET | PORT92_A20);
    i8042_update_a20(k);
    if (reset)
        irq_pulse(&k->wires.reset);
}

static void i8042_reset(struct device *device)
{
    struct i8042 *k = device->state;
    struct i8042_wires wires = k->wires;

    *k = (struct i8042){ .mode = MODE_KBD_INT | MODE_AUX_INT, .p2 = P2_RESET | P2_A20, .scanning = true,
                         .wires = wires };
    i8042_update_a20(k);
    i8042_update_interrupts(k);
}

void i8042_connect(struct device *device, const struct i8042_wires *wires)
{
    struct i8042 *k = device->state;

    k->wires = *wires;
    i8042_update_a20(k);
}

size_t i8042_type(struct device *device, const uint8_t *codes, size_t size)
{
    struct i8042 *k = device->state;
    size_t taken = 0;

    while (k->scanning && taken < size && k->count < KBD_QUEUE)
        i8042_kbd_send(k, codes[taken++]);
    i8042_fill(k);
    return taken;
}

static const struct region_ops i8042_60_ops = {
    .read = i8042_read_60, .write = i8042_write_60, .limits = { .widths = W1 },
};
static const struct region_ops i8042_64_ops = {
    .read = i8042_read_64, .write = i8042_write_64, .limits = { .widths = W1 },
};
static const struct region_ops i8042_92_ops = {
    .read = i8042_read_92, .write = i8042_write_92, .limits = { .widths = W1 },
};

#define STATE struct i8042
FIELDS(i8042_fields, FIELD(status), FIELD(mode), FIELD(output), FIELD(p2), FIELD(port92), FIELD(command), FIELD_ARRAY(answer),
       FIELD_MAX(answers, ARRAY_LEN(FIELD_OF(answer))), FIELD(answer_aux), FIELD_ARRAY(queue), FIELD_MAX(first, KBD_QUEUE - 1),
       FIELD_MAX(count, KBD_QUEUE), FIELD(kbd_command), FIELD(last_sent), FIELD(scanning), FIELD(broken), FIELD_IRQ(wires.keyboard),
       FIELD_IRQ(wires.auxiliary), SCRATCH(wires.a20), FIELD_IRQ(wires.reset))
#undef STATE

static bool i8042_restored(struct device *device, struct err *err)
{
    (void)err;
    i8042_update_a20(device->state);
    return true;
}

const struct device_class i8042_class = {
    .name = "i8042",
    .title = "keyboard controller, PS/2 keyboard and port 0x92 (IBM PS/2 HITR)",
    .state_size = sizeof(struct i8042),
    .region = {
        { REGION_PIO, 0x60, 1, &i8042_60_ops, false },
        { REGION_PIO, 0x64, 1, &i8042_64_ops, false },
        { REGION_PIO, 0x92, 1, &i8042_92_ops, false },
    },
    .reset = i8042_reset,
    .fields = &i8042_fields,
    .restored = i8042_restored,
};
