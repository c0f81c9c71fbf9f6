/* sha256.c - SHA-256 (FIPS 180-4) of 64 KiB: 32-bit rotates, logic and additions in long dependent chains. */
#include "guest.h"

#define MESSAGE_BYTES 65536
static u8 message[MESSAGE_BYTES + 64];

static const u32 constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 rotate(u32 v, unsigned n) { return v >> n | v << (32 - n); }

static void sha256_block(u32 h[8], const u8 *p)
{
    u32 w[64], v[8];

    for (unsigned i = 0; i < 16; i++, p += 4)
        w[i] = (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
    for (unsigned i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    for (unsigned i = 0; i < 8; i++)
        v[i] = h[i];
    for (unsigned i = 0; i < 64; i++) {
        u32 a = v[0], e = v[4];
        u32 t = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + constants[i] + w[i];
        u32 s = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

        v[7] = v[6], v[6] = v[5], v[5] = e, v[4] = v[3] + t;
        v[3] = v[2], v[2] = v[1], v[1] = a, v[0] = t + s;
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] += v[i];
}

/* The bytes 0, 1, ..., 255, 0, ... and the padding. */
static int sha256_setup(void)
{
    u32 bits = MESSAGE_BYTES * 8;

    for (u32 i = 0; i < MESSAGE_BYTES; i++)
        message[i] = (u8)i;
    message[MESSAGE_BYTES] = 0x80;
    for (unsigned i = 0; i < 4; i++)
        message[MESSAGE_BYTES + 60 + i] = (u8)(bits >> (24 - 8 * i));
    return 1;
}

/* The digest's first four bytes. */
static u32 sha256_round(void)
{
    u32 h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

    for (u32 at = 0; at < sizeof(message); at += 64)
        sha256_block(h, message + at);
    return h[0];
}

ROW(sha256, .group = "integer", .unit = "KiB", .units = 64, .setup = sha256_setup, .round = sha256_round);
