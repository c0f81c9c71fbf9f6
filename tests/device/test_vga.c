/*
 * test_vga.c - a VGA programmed by hand: modes as IBM's tables have them (PS/2 Hardware Interface, "Video Subsystem"), Bochs's VBE
 * registers, and what is on the screen.
 */
#include "pci.h"
#include "vga.h"

#include "lib/bench.h"

#include <stdlib.h>
#include <string.h>

enum { FUNCTION = 0x8000b800, BAR = 0xe0000000, TEXT = 0xb8000, GRAPHICS = 0xa0000 };

static struct device *pci, *vga;
static struct vga_mapping mapping;
static unsigned maps;

static void map(void *opaque, const struct vga_mapping *m)
{
    (void)opaque;
    mapping = *m;
    maps++;
}

static void config_put(unsigned offset, unsigned width, uint32_t v)
{
    bench_out(0xcf8, 4, FUNCTION | (offset & 0xfc));
    bench_out((uint16_t)(0xcfc + (offset & 3)), width, v);
}

static void plug(void)
{
    const struct vga_sink sink = { map, NULL };

    pci = device_create(&pci_class, &bench.host);
    vga = device_create(&vga_class, &bench.host);
    vga_connect(vga, pci, 23 << 3, &sink);
}

static void indexed(uint16_t port, uint8_t index, uint8_t value)
{
    bench_outb(port, index);
    bench_outb((uint16_t)(port + 1), value);
}

static uint8_t get_indexed(uint16_t port, uint8_t index)
{
    bench_outb(port, index);
    return bench_inb((uint16_t)(port + 1));
}

/* -- modes ------------------------------------------------------------------------------------------------------------------------- */

struct mode {
    uint8_t misc, sequencer[5], crtc[25], graphics[9], attribute[21];
};

static const struct mode text = {
    0x67, { 3, 0x00, 3, 0, 2 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0, 0x4f, 0x0d, 0x0e, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff },
    { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0, 0x0f, 8, 0 },
};
static const struct mode planes = { /* 12h */
    0xe3, { 3, 0x01, 15, 0, 6 },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0x0b, 0x3e, 0, 0x40, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, 0x28, 0, 0xe7, 4, 0xe3, 0xff },
    { 0, 0, 0, 0, 0, 0, 5, 15, 0xff },
    { 0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 1, 0, 15, 0, 0 },
};
static const struct mode chained = { /* 13h */
    0x63, { 3, 0x01, 15, 0, 0x0e },
    { 0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80, 0xbf, 0x1f, 0, 0x41, 0, 0, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, 0x28, 0x40, 0x96, 0xb9, 0xa3, 0xff },
    { 0, 0, 0, 0, 0, 0x40, 5, 15, 0xff },
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0x41, 0, 15, 0, 0 },
};

static void set_mode(const struct mode *m)
{
    bench_outb(0x3c2, m->misc);
    for (uint8_t i = 0; i < 5; i++)
        indexed(0x3c4, i, m->sequencer[i]);
    indexed(0x3d4, 0x11, 0);
    for (uint8_t i = 0; i < 25; i++)
        indexed(0x3d4, i, m->crtc[i]);
    for (uint8_t i = 0; i < 9; i++)
        indexed(0x3ce, i, m->graphics[i]);
    bench_inb(0x3da);
    for (uint8_t i = 0; i < 21; i++) {
        bench_outb(0x3c0, i);
        bench_outb(0x3c0, m->attribute[i]);
    }
    bench_outb(0x3c0, 0x20);
    bench_outb(0x3c8, 0);
    for (unsigned i = 0; i < 768; i++) /* colour n is (n, 63 - n, 0) */
        bench_outb(0x3c9, (uint8_t)(i % 3 == 0 ? i / 3 : i % 3 == 1 ? 63 - i / 3 : 0));
}

static uint8_t *draw(unsigned width, unsigned height)
{
    unsigned w, h;
    uint8_t *rgb;

    vga_size(vga, &w, &h);
    ck_assert_uint_eq(w, width);
    ck_assert_uint_eq(h, height);
    rgb = malloc((size_t)w * h * 3 + 1);
    rgb[w * h * 3] = 0x5a;
    vga_draw(vga, rgb);
    ck_assert_uint_eq(rgb[w * h * 3], 0x5a);
    return rgb;
}

/* The red of a DAC's six bits says which colour it is. */
static unsigned colour(const uint8_t *rgb, unsigned width, unsigned x, unsigned y)
{
    const uint8_t *p = rgb + (y * width + x) * 3;

    ck_assert_uint_eq(p[1] >> 2, (63u - (p[0] >> 2)) & 63);
    return p[0] >> 2;
}

/* -- text ----------------------------------------------------------------------------------------------------------------------------- */

/* Character 'A' of font 0: as IBM's BIOS loads it, through plane 2 without odd and even. */
static void load_font(void)
{
    indexed(0x3c4, 2, 4);
    indexed(0x3c4, 4, 6);
    indexed(0x3ce, 5, 0);
    indexed(0x3ce, 6, 4);
    for (unsigned row = 0; row < 16; row++)
        bench_store(GRAPHICS + 'A' * 32 + row, 1, 0x81 | (row == 3 ? 0xff : 0));
    indexed(0x3c4, 2, 3);
    indexed(0x3c4, 4, 2);
    indexed(0x3ce, 5, 0x10);
    indexed(0x3ce, 6, 0x0e);
}

START_TEST(vga_text_is_characters_and_attributes)
{
    static struct vga_text screen;
    uint8_t *rgb;

    plug();
    set_mode(&text);
    load_font();
    bench_store(TEXT + (80 + 2) * 2, 2, 0x1e41);
    ck_assert_uint_eq(bench_load(TEXT + (80 + 2) * 2, 2), 0x1e41);
    ck_assert_uint_eq(bench_load(TEXT + (80 + 2) * 2 + 1, 1), 0x1e);
    ck_assert_uint_eq(bench_load(GRAPHICS, 1), 0xff); /* not decoded now */
    indexed(0x3d4, 0x0e, 0);
    indexed(0x3d4, 0x0f, 83);
    ck_assert(vga_text(vga, &screen));
    ck_assert(screen.columns == 80 && screen.rows == 25);
    ck_assert_uint_eq(screen.cell[1][2].character, 'A');
    ck_assert_uint_eq(screen.cell[1][2].attribute, 0x1e);
    ck_assert(screen.cursor_column == 3 && screen.cursor_row == 1);
    rgb = draw(720, 400);
    ck_assert_uint_eq(colour(rgb, 720, 18, 16), 0x3e); /* colour 14 by the palette */
    ck_assert_uint_eq(colour(rgb, 720, 19, 16), 1);
    ck_assert_uint_eq(colour(rgb, 720, 19, 19), 0x3e);
    ck_assert_uint_eq(colour(rgb, 720, 26, 16), 1); /* the ninth */
    free(rgb);
    indexed(0x3d4, 0x0d, 80); /* the second line comes first */
    ck_assert(vga_text(vga, &screen));
    ck_assert_uint_eq(screen.cell[0][2].character, 'A');
    indexed(0x3c4, 1, 0x20);
    ck_assert(!vga_text(vga, &screen));
    free(draw(0, 0));
}
END_TEST

/* -- planes: write modes 0 to 3, read modes 0 and 1, rotation, functions, the bit mask ------------------------------------------------------ */

static uint32_t all_planes(unsigned offset)
{
    uint32_t v = 0;

    indexed(0x3ce, 5, 0);
    for (uint8_t p = 0; p < 4; p++) {
        indexed(0x3ce, 4, p);
        v |= (uint32_t)bench_load(GRAPHICS + offset, 1) << p * 8;
    }
    return v;
}

START_TEST(vga_planes_are_written_in_four_ways)
{
    uint8_t *rgb;

    plug();
    set_mode(&planes);
    indexed(0x3c4, 2, 5); /* planes 0 and 2 */
    bench_store(GRAPHICS, 1, 0xa5);
    ck_assert_uint_eq(all_planes(0), 0x00a500a5);
    indexed(0x3c4, 2, 15);
    indexed(0x3ce, 3, 4); /* rotate right by 4 */
    bench_store(GRAPHICS + 1, 1, 0x12);
    ck_assert_uint_eq(all_planes(1), 0x21212121);
    indexed(0x3ce, 3, 0x18); /* XOR with the latches, which have address 0's */
    all_planes(0);
    bench_store(GRAPHICS + 2, 1, 0xff);
    ck_assert_uint_eq(all_planes(2), 0xff5aff5a);
    indexed(0x3ce, 3, 0);
    indexed(0x3ce, 0, 2);
    indexed(0x3ce, 1, 15); /* set and reset: plane 1 */
    bench_store(GRAPHICS + 3, 1, 0x00);
    ck_assert_uint_eq(all_planes(3), 0x0000ff00);
    indexed(0x3ce, 1, 0);
    all_planes(0);
    indexed(0x3ce, 5, 1); /* the latches */
    bench_store(GRAPHICS + 4, 1, 0x00);
    ck_assert_uint_eq(all_planes(4), 0x00a500a5);
    indexed(0x3ce, 8, 0x0f);
    indexed(0x3ce, 5, 2); /* a colour, under the mask; the latches have address 4's */
    bench_store(GRAPHICS + 4, 1, 0x0a);
    ck_assert_uint_eq(all_planes(4), 0x0fa00fa0);
    indexed(0x3ce, 8, 0xff);
    indexed(0x3ce, 5, 3); /* set and reset under the byte as a mask */
    bench_store(GRAPHICS + 4, 1, 0xf0);
    ck_assert_uint_eq(all_planes(4), 0x0f00ff00);
    indexed(0x3ce, 2, 0x02);
    indexed(0x3ce, 7, 0x0f);
    indexed(0x3ce, 5, 8); /* which pixels are of colour 2 */
    ck_assert_uint_eq(bench_load(GRAPHICS + 4, 1), 0xf0);
    indexed(0x3ce, 7, 0x02);
    ck_assert_uint_eq(bench_load(GRAPHICS + 4, 1), 0xff);
    rgb = draw(640, 480);
    ck_assert_uint_eq(colour(rgb, 640, 0, 0), 5);
    ck_assert_uint_eq(colour(rgb, 640, 1, 0), 0);
    ck_assert_uint_eq(colour(rgb, 640, 32, 0), 2);
    ck_assert_uint_eq(colour(rgb, 640, 36, 0), 0x3a); /* colour 10 */
    ck_assert_ptr_null(mapping.window);
    free(rgb);
}
END_TEST

START_TEST(vga_chain_4_is_plain_memory)
{
    uint8_t *rgb;

    plug();
    set_mode(&chained);
    ck_assert_ptr_eq(mapping.window, mapping.linear);
    bench_store(GRAPHICS + 320, 4, 0x28272625);
    ck_assert_uint_eq(mapping.linear[322], 0x27);
    mapping.window[2] = 0x33;
    ck_assert_uint_eq(bench_load(GRAPHICS, 4), 0x00330000);
    rgb = draw(320, 200);
    ck_assert_uint_eq(colour(rgb, 320, 2, 0), 0x33);
    ck_assert_uint_eq(colour(rgb, 320, 0, 1), 0x25);
    free(rgb);
    indexed(0x3c4, 2, 7);
    ck_assert_ptr_null(mapping.window);
    bench_store(GRAPHICS, 4, 0x01010101);
    ck_assert_uint_eq(bench_load(GRAPHICS, 4), 0x00010101);
    indexed(0x3c4, 2, 15);
    ck_assert_ptr_nonnull(mapping.window);
    bench_outb(0x3c2, 0x61); /* memory off */
    ck_assert_ptr_null(mapping.window);
    ck_assert_uint_eq(bench_load(GRAPHICS, 1), 0xff);
}
END_TEST

START_TEST(vga_registers_read_back)
{
    plug();
    set_mode(&text);
    ck_assert_uint_eq(bench_inb(0x3cc), 0x67);
    ck_assert_uint_eq(get_indexed(0x3d4, 0x13), 0x28);
    indexed(0x3d4, 0x00, 0x77); /* protected by bit 7 of 11h */
    ck_assert_uint_eq(get_indexed(0x3d4, 0x00), 0x5f);
    ck_assert_uint_eq(bench_inb(0x3b5), 0xff); /* where a monochrome CRTC would be */
    bench_inb(0x3da);
    bench_outb(0x3c0, 0x26);
    ck_assert_uint_eq(bench_inb(0x3c1), 0x14);
    bench_outb(0x3c7, 10);
    ck_assert_uint_eq(bench_inb(0x3c7), 3);
    ck_assert_uint_eq(bench_inb(0x3c9), 10);
    ck_assert_uint_eq(bench_inb(0x3c9), 53);
    ck_assert_uint_eq(bench_inb(0x3c9), 0);
    ck_assert_uint_eq(bench_inb(0x3c9), 11);
    for (unsigned seen = 0, i = 0; seen != 3; i++) { /* both levels of the retrace, within a frame */
        ck_assert_uint_lt(i, 200);
        seen |= bench_inb(0x3da) & 8 ? 1 : 2;
        bench_advance(100000);
    }
}
END_TEST

/* -- VBE ---------------------------------------------------------------------------------------------------------------------------------- */

static void vbe_put(uint16_t index, uint16_t value)
{
    bench_out(0x1ce, 2, index);
    bench_out(0x1cf, 2, value);
}

static uint16_t vbe_get(uint16_t index)
{
    bench_out(0x1ce, 2, index);
    return (uint16_t)bench_in(0x1d0, 2);
}

static void vbe_mode(uint16_t width, uint16_t height, uint16_t bits)
{
    vbe_put(4, 0);
    vbe_put(1, width);
    vbe_put(2, height);
    vbe_put(3, bits);
    vbe_put(4, 0x41);
}

START_TEST(vbe_has_linear_modes)
{
    uint8_t *rgb;

    plug();
    ck_assert_uint_eq(vbe_get(0), 0xb0c5);
    ck_assert_uint_eq(vbe_get(10), VGA_MEMORY_BYTES >> 16);
    config_put(0x10, 4, BAR);
    config_put(0x04, 2, 2);
    ck_assert(mapping.linear_enabled && mapping.linear_base == BAR);
    vbe_mode(800, 600, 32);
    ck_assert_uint_eq(vbe_get(4), 0x41);
    bench_store(BAR + (800 * 2 + 1) * 4, 4, 0x00112233);
    rgb = draw(800, 600);
    ck_assert_mem_eq(rgb + (800 * 2 + 1) * 3, "\x11\x22\x33", 3);
    free(rgb);
    vbe_put(9, 2); /* two lines down */
    vbe_put(8, 1);
    rgb = draw(800, 600);
    ck_assert_mem_eq(rgb, "\x11\x22\x33", 3);
    free(rgb);
    vbe_put(6, 1600);
    ck_assert_uint_eq(vbe_get(6), 1600);
    ck_assert_uint_eq(vbe_get(7), VGA_MEMORY_BYTES / 6400);
    bench_outb(0x3c2, 0x63);
    vbe_put(5, 3);
    ck_assert_ptr_eq(mapping.window, mapping.linear + 3 * 65536);
    vbe_mode(640, 480, 16);
    bench_store(BAR, 2, 0xf81f);
    rgb = draw(640, 480);
    ck_assert_mem_eq(rgb, "\xff\0\xff\0\0\0", 6); /* it has been cleared */
    free(rgb);
    vbe_put(4, 2);
    ck_assert(vbe_get(1) == 2560 && vbe_get(2) == 1600 && vbe_get(3) == 32);
    vbe_mode(2560, 1600, 32); /* does not fit */
    ck_assert_uint_eq(vbe_get(4) & 1, 0);
    vbe_mode(640, 480, 4);
    ck_assert_uint_eq(vbe_get(4) & 1, 0);
}
END_TEST

/* Whatever is in its registers, a picture stays in its size. */
START_TEST(vga_random_registers_do_no_harm)
{
    static struct vga_text screen;

    srand(1);
    plug();
    set_mode(&text);
    for (unsigned i = 0; i < 150; i++) {
        unsigned w, h;
        uint8_t *rgb;

        for (unsigned n = 0; n < 200; n++) {
            bench_outb((uint16_t)(0x3b0 + rand() % 0x30), (uint8_t)rand());
            vbe_put((uint16_t)(rand() % 12), (uint16_t)(rand() % 3 ? rand() % 100 * 8 : rand()));
            bench_store(GRAPHICS + (uint64_t)rand() % 0x1fff8 / 8 * 8, 8, (uint64_t)rand());
            bench_load(GRAPHICS + (uint64_t)rand() % 0x1fff8 / 8 * 8, 8);
        }
        if (i & 1)
            vbe_put(4, 0), set_mode(i & 2 ? &planes : &text);
        for (unsigned n = 0; n < 10; n++)
            indexed(0x3d4, (uint8_t)(rand() % 25), (uint8_t)rand());
        bench_inb(0x3da);
        bench_outb(0x3c0, 0x20);
        vga_size(vga, &w, &h);
        rgb = malloc((size_t)w * h * 3 + 1);
        rgb[(size_t)w * h * 3] = 0x5a;
        vga_draw(vga, rgb);
        ck_assert_uint_eq(rgb[(size_t)w * h * 3], 0x5a);
        free(rgb);
        vga_text(vga, &screen);
    }
}
END_TEST

BENCH_MAIN("vga", vga_text_is_characters_and_attributes, vga_planes_are_written_in_four_ways, vga_chain_4_is_plain_memory,
           vga_registers_read_back, vbe_has_linear_modes, vga_random_registers_do_no_harm)
