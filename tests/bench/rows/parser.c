/*
 * parser.c - tokeniser and recursive-descent parser over 64 KiB of generated expressions: switches, unpredictable
 * branches, calls.
 *
 *   line   = sum ';'        sum = product { ('+' | '-') product }      product = factor { ('*' | '&') factor }
 *   factor = number | name | '(' sum ')' | '-' factor
 */
#include "guest.h"

#define TEXT_BYTES 65536
#define DEEPEST 4
static char text[TEXT_BYTES + 256];
static u32 text_size;

/* -- generator -------------------------------------------------------------------------------------------------------- */

static void emit(char c) { text[text_size++] = c; }

static void emit_factor(u32 *state, unsigned depth)
{
    u32 r = random_next(state) >> 8;

    if (r % 4 == 0 && depth < DEEPEST) {
        emit('(');
        emit_factor(state, depth + 1);
        emit("+-*&"[r >> 4 & 3]);
        emit_factor(state, depth + 1);
        emit(')');
    } else if (r % 4 == 1) {
        for (unsigned n = 0; n <= (r >> 4) % 6; n++)
            emit((char)('a' + (r >> (6 + n)) % 26));
    } else {
        if (r % 4 == 2)
            emit('-');
        for (unsigned n = 0; n <= (r >> 4) % 5; n++)
            emit((char)('0' + (r >> (6 + n)) % 10));
    }
    if (r >> 20 & 1)
        emit(' ');
}

static int parser_setup(void)
{
    u32 state = 3;

    text_size = 0;
    while (text_size < TEXT_BYTES) {
        emit_factor(&state, 0);
        emit(random_next(&state) >> 28 ? "+-*&"[state >> 20 & 3] : ';');
    }
    text_size -= text[text_size - 1] != ';';
    emit(';');
    emit(0);
    return 1;
}

/* -- parser ----------------------------------------------------------------------------------------------------------- */

enum token { END, NUMBER, NAME, PLUS, MINUS, TIMES, AND, OPEN, CLOSE, SEMICOLON, BAD };

static const char *at;
static enum token token;
static u32 value; /* of a NUMBER; a NAME's hash */

static enum token scan(void)
{
    for (;;) {
        char c = *at++;

        switch (c) {
        case ' ': case '\t': case '\n': continue;
        case 0: at--; return END;
        case '+': return PLUS;
        case '-': return MINUS;
        case '*': return TIMES;
        case '&': return AND;
        case '(': return OPEN;
        case ')': return CLOSE;
        case ';': return SEMICOLON;
        case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
            for (value = (u32)(c - '0'); *at >= '0' && *at <= '9'; at++)
                value = value * 10 + (u32)(*at - '0');
            return NUMBER;
        default:
            if (c < 'a' || c > 'z')
                return BAD;
            for (value = (u32)c; *at >= 'a' && *at <= 'z'; at++)
                value = value * 31 + (u32)*at;
            return NAME;
        }
    }
}

static void next(void) { token = scan(); }

static u32 parse_sum(void);

static u32 parse_factor(void)
{
    u32 v = value;

    switch (token) {
    case NUMBER: next(); return v;
    case NAME: next(); return v ^ 0x5a5a5a5a;
    case MINUS: next(); return 0 - parse_factor();
    case OPEN:
        next();
        v = parse_sum();
        next();
        return v;
    default: next(); return 0;
    }
}

static u32 parse_product(void)
{
    u32 v = parse_factor();

    for (;;)
        switch (token) {
        case TIMES: next(); v *= parse_factor(); break;
        case AND: next(); v &= parse_factor(); break;
        default: return v;
        }
}

static u32 parse_sum(void)
{
    u32 v = parse_product();

    for (;;)
        switch (token) {
        case PLUS: next(); v += parse_product(); break;
        case MINUS: next(); v -= parse_product(); break;
        default: return v;
        }
}

static u32 parser_round(void)
{
    u32 sum = 0;

    at = text;
    for (next(); token != END; next())
        sum = mix(sum, parse_sum());
    return sum;
}

ROW(parser, .group = "integer", .unit = "KiB", .units = TEXT_BYTES / 1024, .setup = parser_setup, .round = parser_round);
