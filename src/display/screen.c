/* screen.c - ncurses at work: cells of the VGA's text as characters of code page 437 in sixteen colours. */
#define NCURSES_WIDECHAR 1
#include "display/screen.h"

#include "display/keyboard.h"
#include "i8042.h"
#include "vga.h"

#include <curses.h>
#include <glib.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { UPDATE_US = 40000, WAITING = 256 };

struct screen {
    const struct device *vga;
    struct device *keyboard;
    SCREEN *terminal;
    gint64 updated;
    bool hidden;
    uint8_t waiting[WAITING]; /* codes for the keyboard */
    size_t count;
    struct vga_text text;
};

static struct screen *open_screen; /* for the way out */

/* Code page 437: 00 to 1f, then 7f, then 80 to ff. */
static const wchar_t low[] = L" ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼";
static const wchar_t high[] = L"⌂ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
                              L"└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
                              L"αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";
_Static_assert(sizeof(low) / sizeof(*low) == 33 && sizeof(high) / sizeof(*high) == 130, "a character for each number");

static wchar_t wide_of(uint8_t c)
{
    wchar_t w = c < 0x20 ? low[c] : c < 0x7f ? (wchar_t)c : high[c - 0x7f];

    return MB_CUR_MAX > 1 || w < 0x7f ? w : L'+';
}

/* -- the terminal ----------------------------------------------------------------------------------------------------------- */

/* White on black is the terminal's own pair. */
static short pair_of(unsigned foreground, unsigned background) { return (short)(background * 8 + (7 - foreground)); }

static void make_colours(void)
{
    static const short ansi[8] = { COLOR_BLACK, COLOR_BLUE, COLOR_GREEN, COLOR_CYAN, COLOR_RED, COLOR_MAGENTA, COLOR_YELLOW, COLOR_WHITE };

    if (!has_colors())
        return;
    start_color();
    for (unsigned pair = 1; pair < 64; pair++)
        init_pair((short)pair, ansi[7 - pair % 8], ansi[pair / 8]);
}

static void leave_terminal(void)
{
    if (open_screen && !open_screen->hidden)
        endwin();
}

struct screen *screen_open(const struct device *vga, struct device *keyboard)
{
    struct screen *s = g_new0(struct screen, 1);

    setlocale(LC_CTYPE, "");
    s->vga = vga;
    s->keyboard = keyboard;
    s->terminal = newterm(NULL, stdout, stdin);
    if (!s->terminal) {
        g_free(s);
        return NULL;
    }
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    make_colours();
    if (!open_screen)
        atexit(leave_terminal);
    open_screen = s;
    return s;
}

void screen_close(struct screen *s)
{
    if (!s)
        return;
    leave_terminal();
    open_screen = NULL;
    delscreen(s->terminal);
    g_free(s);
}

void screen_hide(struct screen *s)
{
    s->hidden = true;
    endwin();
}

void screen_show(struct screen *s)
{
    s->hidden = false;
    clearok(stdscr, TRUE);
    s->updated = 0;
    screen_update(s);
}

/* -- what is shown ------------------------------------------------------------------------------------------------------------- */

static void show_cell(unsigned row, unsigned column, uint8_t character, uint8_t attribute)
{
    wchar_t text[2] = { wide_of(character), 0 };
    cchar_t cell;

    setcchar(&cell, text, attribute & 8 ? A_BOLD : A_NORMAL, pair_of(attribute & 7, attribute >> 4 & 7), NULL);
    mvadd_wch((int)row, (int)column, &cell);
}

static void show_text(const struct vga_text *t)
{
    for (unsigned row = 0; row < t->rows && row < (unsigned)LINES; row++)
        for (unsigned column = 0; column < t->columns && column < (unsigned)COLS; column++)
            show_cell(row, column, t->cell[row][column].character, t->cell[row][column].attribute);
    curs_set(t->cursor_row >= 0 && t->cursor_row < LINES && t->cursor_column < COLS);
    if (t->cursor_row >= 0)
        move(t->cursor_row, t->cursor_column);
}

static void show_graphics(const struct screen *s)
{
    unsigned width, height;

    vga_size(s->vga, &width, &height);
    erase();
    if (width)
        mvprintw(0, 0, "a picture of %u by %u pixels (Ctrl-A c, screendump FILE)", width, height);
}

static void feed_keyboard(struct screen *s)
{
    size_t taken = i8042_type(s->keyboard, s->waiting, s->count);

    s->count -= taken;
    memmove(s->waiting, s->waiting + taken, s->count);
}

void screen_update(struct screen *s)
{
    gint64 now = g_get_monotonic_time();

    feed_keyboard(s);
    if (s->hidden || now - s->updated < UPDATE_US)
        return;
    s->updated = now;
    if (vga_text(s->vga, &s->text))
        show_text(&s->text);
    else
        show_graphics(s);
    refresh();
}

/* -- keys ------------------------------------------------------------------------------------------------------------------------ */

int screen_key(struct screen *s)
{
    int key = getch();

    (void)s;
    return key == ERR ? -1 : key;
}

static size_t codes_of_key(int key, uint8_t *codes)
{
    static const struct { int key; uint8_t code, extended; } rows[] = {
        { KEY_UP, 0x75, 1 }, { KEY_DOWN, 0x72, 1 }, { KEY_LEFT, 0x6b, 1 }, { KEY_RIGHT, 0x74, 1 }, { KEY_HOME, 0x6c, 1 },
        { KEY_END, 0x69, 1 }, { KEY_PPAGE, 0x7d, 1 }, { KEY_NPAGE, 0x7a, 1 }, { KEY_IC, 0x70, 1 }, { KEY_DC, 0x71, 1 },
        { KEY_BACKSPACE, 0x66, 0 }, { KEY_ENTER, 0x5a, 0 }, { KEY_F(1), 0x05, 0 }, { KEY_F(2), 0x06, 0 }, { KEY_F(3), 0x04, 0 },
        { KEY_F(4), 0x0c, 0 }, { KEY_F(5), 0x03, 0 }, { KEY_F(6), 0x0b, 0 }, { KEY_F(7), 0x83, 0 }, { KEY_F(8), 0x0a, 0 },
        { KEY_F(9), 0x01, 0 }, { KEY_F(10), 0x09, 0 }, { KEY_F(11), 0x78, 0 }, { KEY_F(12), 0x07, 0 },
    };

    if (key >= 0 && key < 256)
        return keyboard_byte((uint8_t)key, codes);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].key == key)
            return keyboard_press(rows[i].code, rows[i].extended, codes);
    return 0;
}

void screen_type(struct screen *s, int key)
{
    uint8_t codes[KEYBOARD_CODES];
    size_t n = codes_of_key(key, codes);

    if (n > WAITING - s->count)
        return;
    memcpy(s->waiting + s->count, codes, n);
    s->count += n;
    feed_keyboard(s);
}
