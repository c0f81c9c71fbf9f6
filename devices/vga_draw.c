/*
 * vga_draw.c - what is on a VGA's screen: text by the font in plane 2, planes, 256 colours, CGA's, and VBE's linear modes.
 *
 * A picture is computed when somebody asks; blinking characters are shown.  Rows that the CRTC shows twice are one.
 * Not modelled: panning by pixels, overscan, skew, underlines.
 * Manual: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem".
 */
#include "vga_state.h"

enum { CR_END_H = 1, CR_OVERFLOW = 7, CR_SCAN = 9, CR_CURSOR_FROM = 0x0a, CR_CURSOR_TO = 0x0b, CR_START = 0x0c, CR_CURSOR = 0x0e,
       CR_END_V = 0x12, CR_OFFSET = 0x13, CR_UNDERLINE = 0x14, CR_MODE = 0x17, CR_COMPARE = 0x18 };
enum { AR_MODE = 0x10, AR_PLANES = 0x12, AR_SELECT = 0x14, SR_CLOCK = 1, SR_FONT = 3, GR_MODE = 5, GR_MISC = 6 };

enum mode { MODE_OFF, MODE_TEXT, MODE_PLANES, MODE_CGA, MODE_256, MODE_LINEAR };

struct screen {
    enum mode mode;
    unsigned width, height; /* pixels */
    unsigned character_width, character_height;
    unsigned rows_each;     /* lines of the CRTC that a row of pixels takes */
    struct vga_linear linear;
};

/* -- the mode ----------------------------------------------------------------------------------------------------------------- */

static enum mode mode_of(const struct vga *v)
{
    if (!(v->attribute_index & 0x20) || v->sequencer[SR_CLOCK] & 0x20) /* the palette is being written; screen off */
        return MODE_OFF;
    if (!(v->graphics[GR_MISC] & 1))
        return MODE_TEXT;
    return v->graphics[GR_MODE] & 0x40 ? MODE_256 : v->graphics[GR_MODE] & 0x20 ? MODE_CGA : MODE_PLANES;
}

static void screen_of(const struct vga *v, struct screen *s)
{
    unsigned lines = v->crtc[CR_END_V] | (v->crtc[CR_OVERFLOW] & 2u) << 7 | (v->crtc[CR_OVERFLOW] & 0x40u) << 3;
    unsigned clocks = v->crtc[CR_END_H] + 1u, scan = (v->crtc[CR_SCAN] & 31u) + 1, twice = v->crtc[CR_SCAN] & 0x80 ? 2 : 1;

    *s = (struct screen){ .mode = MODE_LINEAR };
    if (vga_linear_mode(v, &s->linear)) {
        s->width = s->linear.width;
        s->height = s->linear.height;
        return;
    }
    s->mode = mode_of(v);
    s->character_width = s->mode == MODE_TEXT && !(v->sequencer[SR_CLOCK] & 1) ? 9 : 8;
    s->character_height = s->mode == MODE_TEXT ? scan : 1;
    s->rows_each = s->mode == MODE_TEXT || s->mode == MODE_CGA || !(v->crtc[CR_MODE] & 1) ? twice : scan * twice;
    s->width = s->mode == MODE_256 ? clocks * 4 : clocks * s->character_width;
    s->height = (lines + 1) / s->rows_each;
    if (s->mode == MODE_OFF)
        s->width = s->height = 0;
}

/* -- colours ------------------------------------------------------------------------------------------------------------------- */

static void put_dac(const struct vga *v, unsigned colour, uint8_t *rgb)
{
    const uint8_t *entry = v->dac + (colour & v->dac_mask) * 3;

    for (unsigned i = 0; i < 3; i++)
        rgb[i] = v->vbe[VBE_ENABLE] & VBE_DAC_8BIT ? entry[i] : (uint8_t)((entry[i] & 0x3f) << 2 | (entry[i] & 0x3f) >> 4);
}

/* "Attribute Controller": four bits, the palette, and bits 5:4 and 7:6 by the colour select register. */
static void put_palette(const struct vga *v, unsigned bits, uint8_t *rgb)
{
    unsigned colour = v->attribute[bits & v->attribute[AR_PLANES] & 15] & 0x3f, select = v->attribute[AR_SELECT];

    if (v->attribute[AR_MODE] & 0x80)
        colour = (colour & 15) | (select & 3) << 4;
    put_dac(v, colour | (select & 12) << 4, rgb);
}

/* -- addresses ------------------------------------------------------------------------------------------------------------------ */

static unsigned crtc_word(const struct vga *v, unsigned at) { return (unsigned)v->crtc[at] << 8 | v->crtc[at + 1]; }

/* The counter at the beginning of a line of the CRTC, and which line of its row it is. */
static unsigned line_start(const struct vga *v, const struct screen *s, unsigned line, unsigned *in_row)
{
    unsigned scan = (v->crtc[CR_SCAN] & 31u) + 1, twice = v->crtc[CR_SCAN] & 0x80 ? 2 : 1;
    unsigned compare = v->crtc[CR_COMPARE] | (v->crtc[CR_OVERFLOW] & 0x10u) << 4 | (v->crtc[CR_SCAN] & 0x40u) << 3;
    unsigned start = crtc_word(v, CR_START), row;

    (void)s;
    if (line > compare) {
        line -= compare + 1;
        start = 0;
    }
    row = line / twice / scan;
    *in_row = line / twice % scan;
    return start + row * v->crtc[CR_OFFSET] * 2;
}

/* "CRT Controller", mode control: bytes, words, or dwords (which are packed here); rows of CGA and Hercules are interleaved. */
static unsigned plane_address(const struct vga *v, unsigned counter, unsigned in_row)
{
    unsigned mode = v->crtc[CR_MODE], at = counter;

    if (!(v->crtc[CR_UNDERLINE] & 0x40) && !(mode & 0x40))
        at = counter << 1 | (counter >> (mode & 0x20 ? 15 : 13) & 1);
    if (!(mode & 1))
        at = (at & ~0x2000u) | (in_row & 1) << 13;
    if (!(mode & 2))
        at = (at & ~0x4000u) | (in_row >> 1 & 1) << 14;
    return at & 0xffff;
}

/* -- text ------------------------------------------------------------------------------------------------------------------------- */

struct cell {
    unsigned counter;
    uint8_t character, attribute;
};

static struct cell cell_at(const struct vga *v, unsigned counter)
{
    const uint8_t *planes = v->memory + plane_address(v, counter, 0) * 4;

    return (struct cell){ counter, planes[0], planes[1] };
}

/* Sequencer register 3: bits of two fonts' numbers; bit 3 of the attribute chooses. */
static uint8_t font_row(const struct vga *v, struct cell c, unsigned row)
{
    uint8_t select = v->sequencer[SR_FONT];
    unsigned font = c.attribute & 8 ? (select >> 2 & 3) | (select >> 3 & 4) : (select & 3) | (select >> 2 & 4);
    unsigned at = (font & 3) * 0x4000 + (font >> 2) * 0x2000 + c.character * 32u + row;

    return v->memory[(at & 0xffff) * 4 + 2];
}

static bool cursor_in(const struct vga *v, unsigned counter, unsigned row)
{
    return counter == crtc_word(v, CR_CURSOR) && !(v->crtc[CR_CURSOR_FROM] & 0x20) && row >= (v->crtc[CR_CURSOR_FROM] & 31u) &&
           row <= (v->crtc[CR_CURSOR_TO] & 31u);
}

/* The ninth pixel is background, or the eighth's for characters that draw lines. */
static bool text_pixel(const struct vga *v, struct cell c, uint8_t bits, unsigned x)
{
    if (x < 8)
        return bits >> (7 - x) & 1;
    return v->attribute[AR_MODE] & 4 && c.character >= 0xc0 && c.character <= 0xdf && bits & 1;
}

static void draw_text_line(const struct vga *v, const struct screen *s, unsigned line, uint8_t *rgb)
{
    unsigned in_row, counter = line_start(v, s, line, &in_row);

    for (unsigned column = 0; column < s->width / s->character_width; column++) {
        struct cell c = cell_at(v, counter + column);
        uint8_t bits = cursor_in(v, c.counter, in_row) ? 0xff : font_row(v, c, in_row);
        unsigned background = c.attribute >> 4 & (v->attribute[AR_MODE] & 8 ? 7 : 15);

        for (unsigned x = 0; x < s->character_width; x++, rgb += 3)
            put_palette(v, text_pixel(v, c, bits, x) ? c.attribute & 15 : background, rgb);
    }
}

bool vga_text(const struct device *device, struct vga_text *t)
{
    const struct vga *v = device->state;
    struct screen s;
    unsigned in_row;

    screen_of(v, &s);
    if (s.mode != MODE_TEXT)
        return false;
    t->columns = (unsigned)bits_min(s.width / s.character_width, VGA_TEXT_COLUMNS);
    t->rows = (unsigned)bits_min(s.height / s.character_height, VGA_TEXT_ROWS);
    t->cursor_column = t->cursor_row = -1;
    for (unsigned row = 0; row < t->rows; row++) {
        unsigned counter = line_start(v, &s, row * s.character_height * s.rows_each, &in_row);

        for (unsigned column = 0; column < t->columns; column++) {
            struct cell c = cell_at(v, counter + column);

            t->cell[row][column].character = c.character;
            t->cell[row][column].attribute = c.attribute;
            if (c.counter == crtc_word(v, CR_CURSOR) && !(v->crtc[CR_CURSOR_FROM] & 0x20)) {
                t->cursor_row = (int)row;
                t->cursor_column = (int)column;
            }
        }
    }
    return true;
}

/* -- graphics -------------------------------------------------------------------------------------------------------------------------- */

static void draw_planes_line(const struct vga *v, const struct screen *s, unsigned line, uint8_t *rgb)
{
    unsigned in_row, counter = line_start(v, s, line, &in_row);

    for (unsigned x = 0; x < s->width; x++, rgb += 3) {
        const uint8_t *planes = v->memory + plane_address(v, counter + x / 8, in_row) * 4;
        unsigned bits = 0;

        for (unsigned p = 0; p < 4; p++)
            bits |= (planes[p] >> (7 - x % 8) & 1u) << p;
        put_palette(v, bits, rgb);
    }
}

/* Two bits a pixel: the even byte of a pair is in plane 0, the odd one in plane 1; planes 2 and 3 give two more. */
static void draw_cga_line(const struct vga *v, const struct screen *s, unsigned line, uint8_t *rgb)
{
    unsigned in_row, counter = line_start(v, s, line, &in_row);

    for (unsigned x = 0; x < s->width; x++, rgb += 3) {
        const uint8_t *planes = v->memory + plane_address(v, counter + x / 8, in_row) * 4;
        unsigned odd = x / 4 & 1, shift = 6 - x % 4 * 2;

        put_palette(v, (planes[odd] >> shift & 3u) | (planes[odd + 2] >> shift & 3u) << 2, rgb);
    }
}

static void draw_256_line(const struct vga *v, const struct screen *s, unsigned line, uint8_t *rgb)
{
    unsigned in_row, counter = line_start(v, s, line, &in_row);

    for (unsigned x = 0; x < s->width; x++, rgb += 3)
        put_dac(v, v->memory[((counter + x / 4) & 0xffff) * 4 + x % 4], rgb);
}

static uint8_t widen(unsigned value, unsigned bits) { return (uint8_t)(value * 255 / ((1u << bits) - 1)); }

static void put_pixel(const struct vga *v, unsigned bits, const uint8_t *from, uint8_t *rgb)
{
    unsigned word = bits == 8 ? 0 : from[0] | (unsigned)from[1] << 8;

    if (bits == 8) {
        put_dac(v, from[0], rgb);
    } else if (bits <= 16) {
        unsigned green = bits == 16 ? 6 : 5;

        rgb[0] = widen(word >> (5 + green) & 31, 5);
        rgb[1] = widen(word >> 5 & ((1u << green) - 1), green);
        rgb[2] = widen(word & 31, 5);
    } else {
        for (unsigned i = 0; i < 3; i++)
            rgb[i] = from[2 - i];
    }
}

/* What lies behind the end of memory is black. */
static void draw_linear_line(const struct vga *v, const struct screen *s, unsigned line, uint8_t *rgb)
{
    unsigned pixel = (s->linear.bits + 7) / 8;
    uint64_t at = s->linear.start + line * s->linear.pitch;

    for (unsigned x = 0; x < s->width; x++, rgb += 3, at += pixel)
        if (at + pixel <= VGA_MEMORY_BYTES)
            put_pixel(v, s->linear.bits, v->memory + at, rgb);
}

void vga_size(const struct device *device, unsigned *width, unsigned *height)
{
    struct screen s;

    screen_of(device->state, &s);
    *width = s.width;
    *height = s.height;
}

void vga_draw(const struct device *device, uint8_t *rgb)
{
    static void (*const draw[])(const struct vga *v, const struct screen *s, unsigned line, uint8_t *rgb) = {
        [MODE_TEXT] = draw_text_line, [MODE_PLANES] = draw_planes_line, [MODE_CGA] = draw_cga_line, [MODE_256] = draw_256_line,
        [MODE_LINEAR] = draw_linear_line,
    };
    const struct vga *v = device->state;
    struct screen s;

    screen_of(v, &s);
    memset(rgb, 0, (size_t)s.width * s.height * 3);
    for (unsigned row = 0; row < s.height; row++)
        draw[s.mode](v, &s, s.mode == MODE_LINEAR ? row : row * s.rows_each, rgb + (size_t)row * s.width * 3);
}
