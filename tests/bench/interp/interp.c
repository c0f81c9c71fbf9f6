/* interp.c - integer work for make bench-interp: sieve, CRC, quicksort, recursion, a bytecode loop.  No library. */
typedef unsigned long u64;
typedef unsigned u32;
typedef unsigned char u8;

static u8 *const bytes = (u8 *)0x300000;
static u32 *const words = (u32 *)0x400000;

static u32 sieve(u32 n)
{
    u32 primes = 0;

    for (u32 i = 0; i < n; i++)
        bytes[i] = 1;
    for (u32 i = 2; i < n; i++)
        if (bytes[i]) {
            primes++;
            for (u32 j = i * 2; j < n; j += i)
                bytes[j] = 0;
        }
    return primes;
}

static u32 crc(const u8 *p, u32 n)
{
    u32 c = ~0u;

    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (0xedb88320 & -(c & 1));
    }
    return ~c;
}

static void sort(u32 *a, int n)
{
    u32 pivot = a[n / 2];
    int i = 0, j = n - 1;

    if (n < 2)
        return;
    for (;; i++, j--) {
        u32 t;

        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i >= j)
            break;
        t = a[i];
        a[i] = a[j];
        a[j] = t;
    }
    sort(a, i);
    sort(a + i, n - i);
}

static u64 fibonacci(u64 n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

static u64 bytecode(u32 rounds)
{
    static const u8 program[] = { 0, 1, 2, 3, 1, 2, 0, 4 };
    u64 a = 1, b = 2;

    for (u32 pc = 0; rounds;)
        switch (program[pc++]) {
        case 0: a += b; break;
        case 1: b ^= a << 1; break;
        case 2: a -= 7; break;
        case 3: b = b >> 3 | b << 61; break;
        default: pc = 0; rounds--; break;
        }
    return a ^ b;
}

void bench(void);
void bench(void)
{
    volatile u64 result = 0;

    for (int k = 0; k < ROUNDS; k++) {
        u32 x = 1;

        result += sieve(200000);
        result += crc(bytes, 200000);
        for (int i = 0; i < 40000; i++)
            words[i] = x = x * 1103515245 + 12345;
        sort(words, 40000);
        result += fibonacci(24);
        result += bytecode(60000);
    }
}
