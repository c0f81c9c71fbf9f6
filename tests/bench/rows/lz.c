/*
 * lz.c - decompression of 128 KiB: short byte copies that overlap, a branch at each token.
 *
 * A format of our own: a byte below 128 is a count less one of literals that follow; from 128 on, (byte & 127) + 3 bytes
 * are copied from a distance in the next two bytes, low first.
 */
#include "guest.h"

#define BYTES (128 * 1024)
#define LEAST 3
#define MOST (LEAST + 127)
#define HASHES 4096
static u8 plain[BYTES], packed[BYTES + BYTES / 64], output[BYTES];
static u32 packed_size, last_seen[HASHES];

/* -- compressor: greedy, one candidate for a hash of three bytes ------------------------------------------------------ */

/* Words of a small vocabulary, with random bytes now and then. */
static void make_text(void)
{
    u32 state = 6, at = 0;

    while (at < BYTES) {
        u32 r = random_next(&state) >> 8, word = r % 200, n = 2 + word % 9;

        if (r >> 20 == 0)
            n = 40;
        for (u32 i = 0; i < n && at < BYTES; i++)
            plain[at++] = (u8)(n == 40 ? random_next(&state) >> 24 : 'a' + (word * 7 + i * (word % 5 + 1)) % 26);
        if (at < BYTES)
            plain[at++] = ' ';
    }
}

static void emit_literals(u32 from, u32 to)
{
    while (from < to) {
        u32 n = to - from < 128 ? to - from : 128;

        packed[packed_size++] = (u8)(n - 1);
        while (n--)
            packed[packed_size++] = plain[from++];
    }
}

static u32 match_length(u32 a, u32 b)
{
    u32 n = 0;

    while (n < MOST && b + n < BYTES && plain[a + n] == plain[b + n])
        n++;
    return n;
}

static u32 hash_at(u32 at) { return (plain[at] * 961u + plain[at + 1] * 31u + plain[at + 2]) % HASHES; }

static int lz_setup(void)
{
    u32 literal = 0, at = 0;

    make_text();
    packed_size = 0;
    while (at + LEAST <= BYTES) {
        u32 *seen = &last_seen[hash_at(at)], candidate = *seen, n = 0;

        *seen = at + 1; /* 0: never */
        if (candidate && at - (candidate - 1) < 65536)
            n = match_length(candidate - 1, at);
        if (n < LEAST) {
            at++;
            continue;
        }
        emit_literals(literal, at);
        packed[packed_size++] = (u8)(128 + n - LEAST);
        packed[packed_size++] = (u8)(at - (candidate - 1));
        packed[packed_size++] = (u8)((at - (candidate - 1)) >> 8);
        literal = at += n;
    }
    emit_literals(literal, BYTES);
    return 1;
}

/* -- decompressor ----------------------------------------------------------------------------------------------------- */

static u32 decompress(u8 *out, const u8 *in, const u8 *end)
{
    u8 *start = out;

    while (in < end) {
        u32 n = *in++;

        if (n < 128) {
            for (n++; n; n--)
                *out++ = *in++;
        } else {
            const u8 *from = out - (in[0] | (u32)in[1] << 8);

            in += 2;
            for (n = n - 128 + LEAST; n; n--)
                *out++ = *from++;
        }
    }
    return (u32)(out - start);
}

static u32 lz_round(void)
{
    u32 sum = packed_size;

    for (u32 times = 0; times < 4; times++)
        sum = mix(sum, decompress(output, packed, packed + packed_size));
    for (u32 i = 0; i < BYTES; i += 61)
        sum = mix(sum, output[i]) + (output[i] != plain[i]);
    return sum;
}

ROW(lz, .group = "integer", .unit = "KiB", .units = 4 * BYTES / 1024, .setup = lz_setup, .round = lz_round);
