/*
 * maze.c - a guest that goes where translated code is unsure of its ground: pages that are absent, read-only, shared, a
 * device's or nobody's, in an order of their own, changed while in use; accesses around their ends; stacks and code in them.
 *
 * Linked like the benchmark's guest, with its machine (tests/bench): `maze N` prints a checksum that is the same each round;
 * maze_device has a device's registers where maze has nobody's pages, in maze_global half of the pages are global.
 * Everything is drawn from one random sequence, so both engines of a lockstep run, and any other machine, do the same.
 */
#include "guest.h"

#define STEPS 4000
#define PAGES 48
#define FRAMES 32
#define NOBODY 0xd0000000ull
#define IOAPIC 0xfec00000ull
#define WRITABLE 2
#define GLOBAL 0x100
static u8 frames[FRAMES][4096] __attribute__((aligned(4096)));
static u32 state, faults;
static u64 elsewhere; /* a physical page that is not memory */
static int globals;    /* there are some */

static u32 draw(u32 n) { return (random_next(&state) >> 8) % n; }

static void *at(u32 offset) { return (u8 *)window_page(1) + offset % ((PAGES - 2) * 4096); }

/* Mostly near the end of a page. */
static void *somewhere(void) { return at(draw(4) ? (draw(PAGES - 1) + 1) * 4096 - draw(300) : draw(PAGES * 4096)); }

/* -- pages ------------------------------------------------------------------------------------------------------------- */

/* All that is cached goes when CR4.PGE changes. */
static void forget(void)
{
    if (globals)
        __asm__ volatile("mov %%cr4, %%rax\n xor $0x80, %%rax\n mov %%rax, %%cr4\n xor $0x80, %%rax\n mov %%rax, %%cr4" ::: "rax", "memory");
    else
        reload_cr3();
}

static void invalidate(u32 page, u64 was)
{
    if (draw(4))
        __asm__ volatile("invlpg (%0)" ::"r"(window_page(page)) : "memory");
    else if (was & GLOBAL)
        forget();
    else
        reload_cr3();
}

static u64 frame_entry(u32 access) { return (u64)frames[draw(FRAMES)] | 1 | access | (globals && draw(2) ? GLOBAL : 0); }

static void change(u32 page)
{
    u64 entry = 0, was = window_table[page];

    switch (draw(8)) {
    case 0: break;
    case 1: case 2: entry = frame_entry(0); break;
    case 3: entry = elsewhere | 1 | WRITABLE; break;
    case 4: entry = window_table[draw(PAGES)]; break; /* two names for one frame */
    default: entry = frame_entry(WRITABLE); break;
    }
    window_table[page] = entry;
    invalidate(page, was);
}

/* What is absent or may not be written becomes memory that may. */
__attribute__((interrupt)) static void page_fault(struct frame *frame, unsigned long error)
{
    u32 page;
    u64 cr2;

    frame->rflags &= ~0x10ull; /* AF, which logic leaves undefined, stays in memory otherwise */
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    page = (u32)(cr2 >> 12) & (WINDOW_PAGES - 1);
    faults = mix(faults, (u32)cr2 + (u32)error);
    if (window_table[page] & 1 && window_table[page] < NOBODY && draw(2))
        window_table[page] |= WRITABLE;
    else
        window_table[page] = frame_entry(WRITABLE);
    __asm__ volatile("invlpg (%0)" ::"r"(cr2) : "memory");
}

/* -- what is done there --------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) u32 words(u64 *p, u32 n)
{
    u64 sum = n;

    for (u32 i = 0; i < n; i++) {
        sum += p[i] ^ p[-(int)i];
        p[i + 1] = sum + p[i + 2];
        ((u32 *)p)[i * 3] += (u32)sum;
        ((u16 *)p)[i * 5 + 1] ^= (u16)i;
        ((u8 *)p)[i * 7] = (u8)sum;
    }
    return (u32)(sum ^ sum >> 32);
}

static __attribute__((noinline)) u32 bytes(u8 *p, u32 n)
{
    u32 sum = 0;

    while (n--) {
        sum = sum * 31 + *p;
        *p++ = (u8)(sum + n);
        if (sum & 64)
            p++;
    }
    return sum;
}

/* Indices that are known to be small. */
static __attribute__((noinline)) u32 tables(u8 *p, u32 n)
{
    u32 x = n;

    while (n--) {
        x = x * 5 + p[(u8)x] + ((u32 *)p)[x >> 8 & 63] + ((u16 *)(p + 3))[(u8)(x >> 16)];
        p[x & 127] += 3;
        ((u64 *)p)[x >> 24 & 31] ^= x;
    }
    return x;
}

/* Strides that are not known. */
static __attribute__((noinline)) u32 strides(u32 *p, u32 n, u32 stride)
{
    u32 sum = 0;

    while (n--) {
        sum += p[0] + p[stride] + p[2 * stride];
        p[stride] = sum;
        p += n & 1 ? stride : 1;
    }
    return sum;
}

/* Flags that are wanted after an access that may fault; none that the manual leaves undefined is ever seen. */
static __attribute__((noinline)) u32 flags(u8 *p, u64 a, u64 b)
{
    u64 r = 0;

    __asm__ volatile(
        "mov $12, %%ecx\n"
        "1: add %[b], %[a]\n mov (%[p]), %%rdx\n adc %%rdx, %[r]\n"
        "cmp %[b], %[a]\n movb $7, 3(%[p])\n ja 2f\n sbb %[a], 8(%[p])\n"
        "2: rol %[b]\n adc %%ecx, 16(%[p])\n setc %%dl\n add %%dl, 5(%[p])\n"
        "imul $77, %[a], %[a]\n setc %%dl\n seto %%dh\n xor %%rdx, %[r]\n"
        "lock xadd %[a], 24(%[p])\n rcl $1, %[a]\n bts %%rcx, 32(%[p])\n adc $0, %[b]\n"
        "neg %%dl\n mov %%rdx, 40(%[p])\n sbb %%rdx, %%rdx\n lock cmpxchg %%rcx, 48(%[p])\n cmovz %[b], %[r]\n"
        "inc %[b]\n incl 56(%[p])\n jo 3f\n dec %[b]\n"
        "3: add $61, %[p]\n dec %%ecx\n jnz 1b"
        : [a] "+r"(a), [b] "+r"(b), [r] "+r"(r), [p] "+r"(p)::"rax", "rcx", "rdx", "memory", "cc");
    return (u32)(r ^ a ^ b);
}

static __attribute__((noinline)) u32 strings(u8 *to, const u8 *from, u64 n)
{
    u64 left = n, count = n / 8;
    u8 *d = to;

    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n)::"memory");
    d = to + 5;
    __asm__ volatile("rep stosq" : "+D"(d), "+c"(count) : "a"(left * 0x0101010101ull) : "memory");
    d = to;
    n = left;
    __asm__ volatile("repe cmpsb" : "+D"(d), "+S"(from), "+c"(n)::"memory", "cc");
    left = n;
    __asm__ volatile("repne scasb" : "+D"(to), "+c"(left) : "a"(3) : "memory", "cc");
    return (u32)(n * 3 + left);
}

/* x87: whatever the bytes are as numbers; now and then there are too many on the stack, or too few. */
static __attribute__((noinline)) u32 reals(u8 *p, u32 n)
{
    u32 sum = 0;

    __asm__ volatile(
        "fninit\n1: fildl (%[p])\n fadds 5(%[p])\n fld %%st(0)\n fmull 12(%[p])\n fxch\n fstpl 24(%[p])\n"
        "fldt 33(%[p])\n fcomi %%st(1), %%st\n jbe 2f\n fsubp\n fistl 44(%[p])\n"
        "2: fnstsw %%ax\n add %%eax, %[sum]\n fsts 52(%[p])\n addl $3, 20(%[p])\n fnstsw 60(%[p])\n"
        "fstpt 62(%[p])\n fnstcw 72(%[p])\n fisttpll 76(%[p])\n fcoml 28(%[p])\n fnstenv 84(%[p])\n adc 96(%[p]), %[sum]\n" /* FIP */
        "test $4, %[n]\n jz 3f\n ffree %%st(2)\n"
        "3: add $61, %[p]\n dec %[n]\n jnz 1b"
        : [p] "+r"(p), [n] "+r"(n), [sum] "+r"(sum)::"rax", "memory", "cc");
    return sum;
}

static int is_memory(u8 *p, u32 n)
{
    for (u32 i = 0; i < n; i++)
        p[i] = (u8)(i * 3);
    for (u32 i = 0; i < n; i++)
        if (p[i] != (u8)(i * 3))
            return 0;
    return 1;
}

/* Pushes, pops, calls and returns on another stack; page faults have their own. */
static __attribute__((noinline)) u32 stack(u8 *top, u64 x)
{
    u64 r = x;

    if (!is_memory(top - 512, 512))
        return 1;
    __asm__ volatile(
        "mov %%rsp, %%r12\n mov %[top], %%rsp\n mov $6, %%ecx\n"
        "1: push %[r]\n push %%rcx\n call 2f\n pop %%rcx\n pop %%rdx\n add %%rdx, %[r]\n"
        "push $77\n push 8(%%rsp)\n pop %%rax\n add (%%rsp), %%rax\n lea 8(%%rsp), %%rsp\n xor %%rax, %[r]\n"
        "push %%rbp\n mov %%rsp, %%rbp\n sub $72, %%rsp\n mov %[r], -40(%%rbp)\n addl $3, -36(%%rbp)\n mov -40(%%rbp), %[r]\n leave\n"
        "dec %%ecx\n jnz 1b\n jmp 4f\n"
        "2: push %%rbx\n mov %[r], %%rbx\n rol $9, %%rbx\n test $3, %%bl\n jz 6f\n call 3f\n"
        "6: call 3f\n pop %%rbx\n ret\n"
        "3: push %%rbx\n xor %%rbx, %[r]\n pop %%rbx\n test $4, %%bl\n jz 5f\n add %%rsp, %[r]\n"
        "5: ret\n"
        "4: mov %%r12, %%rsp"
        : [r] "+r"(r) : [top] "r"(top) : "rax", "rcx", "rdx", "r12", "memory", "cc");
    return (u32)(r ^ r >> 32);
}

/* Code that is written, run, changed and run again, maybe over a page's end, maybe under another name. */
static __attribute__((noinline)) u32 code(u8 *p, u32 x)
{
    static const u8 body[] = { 0x8d, 0x87, 0, 0, 0, 0 /* lea eax, [rdi + imm] */, 0x83, 0xf0, 5 /* xor eax, 5 */, 0xc3 };
    u32 (*run)(u32) = (u32(*)(u32))p, sum = 0;

    if (!is_memory(p, sizeof(body)))
        return 1;
    for (u32 i = 0; i < sizeof(body); i++)
        p[i] = body[i];
    for (u32 n = 0; n < 20; n++) {
        sum += run(x + n);
        if (n % 6 == 5)
            p[3] += 9;
    }
    return sum;
}

/* RIP-relative, as position-independent programs are, to where no 32-bit address reaches: above 4 GiB. */
static __attribute__((noinline)) u32 far(u8 *p, u32 x)
{
    static const u8 body[] = {
        0x8b, 0x05, 0x7a, 0, 0, 0,       /* mov eax, [p + 0x80] */
        0x03, 0x05, 0x78, 0, 0, 0,       /* add eax, [p + 0x84] */
        0x2b, 0x3d, 0x76, 0, 0, 0,       /* sub edi, [p + 0x88] */
        0x83, 0x3d, 0x6f, 0, 0, 0, 0x0f, /* cmp dword [p + 0x88], 15 */
        0x83, 0xd8, 1,                   /* sbb eax, 1 */
        0x33, 0x05, 0x5e, 0, 0, 0,       /* xor eax, [p + 0x80] */
        0xc3,
    };
    u32 (*run)(u32), sum = 0;

    p = (u8 *)((u64)p & ~0xfffull);
    run = (u32(*)(u32))p;
    if (!is_memory(p, 256))
        return 1;
    for (u32 i = 0; i < sizeof(body); i++)
        p[i] = body[i];
    for (u32 n = 0; n < 40; n++)
        sum = mix(sum, run(x + n));
    return sum;
}

static u32 step(void)
{
    u8 *p = somewhere();
    u32 n = 1 + draw(24);

    switch (draw(12)) {
    case 0: return words((u64 *)p, n);
    case 1: return bytes(p, n * 8);
    case 2: return tables(p, n);
    case 3: return strides((u32 *)p, n, draw(40));
    case 4: return flags(p, (u64)draw(1 << 24) << 40 | draw(1 << 24), (u64)n << 59 | n);
    case 5: return strings(p, somewhere(), draw(700));
    case 6: return stack(p + 512, n * 0x123456789abcdefull);
    case 7: return code(p, n);
    case 8: return reals(p, n);
    case 9: return far(p, n);
    default:
        while (n-- > 16)
            change(draw(PAGES));
        return n;
    }
}

/* -- the machine ------------------------------------------------------------------------------------------------------------ */

/* The benchmark's descriptors, and a task-state segment with a stack for page faults. */
static void load_task(void)
{
    static u8 fault_stack[8192] __attribute__((aligned(16)));
    static u32 tss[26];
    static u64 gdt[10];
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) table;
    u64 stack = (u64)fault_stack + sizeof(fault_stack), base = (u64)tss;

    __asm__ volatile("sgdt %0" : "=m"(table));
    for (u32 i = 0; i <= table.limit / 8u; i++)
        gdt[i] = ((u64 *)table.base)[i];
    gdt[6] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
    gdt[7] = base >> 32;
    tss[9] = (u32)stack; /* IST1 */
    tss[10] = (u32)(stack >> 32);
    table.limit = sizeof(gdt) - 1;
    table.base = (u64)gdt;
    __asm__ volatile("lgdt %0\n ltr %w1" ::"m"(table), "r"(6 * 8));
}

static int setup(u64 other)
{
    struct {
        u16 limit;
        u64 base;
    } __attribute__((packed)) table;

    elsewhere = other;
    __asm__ volatile("mov %%cr0, %%rax\n or $0x10000, %%eax\n mov %%rax, %%cr0" ::: "rax"); /* WP */
    load_task();
    guest_set_gate(14, page_fault);
    __asm__ volatile("sidt %0" : "=m"(table));
    ((u8 *)table.base)[14 * 16 + 4] = 1; /* on IST1 */
    return 1;
}

static int maze_setup(void) { return setup(NOBODY); }
static int device_setup(void) { return setup(IOAPIC); }

static int global_setup(void)
{
    globals = 1;
    __asm__ volatile("mov %%cr4, %%rax\n or $0x80, %%rax\n mov %%rax, %%cr4" ::: "rax");
    return setup(NOBODY);
}

static u32 maze_round(void)
{
    u32 sum = 0;

    state = 1;
    faults = 0;
    for (u32 i = 0; i < FRAMES; i++)
        for (u32 k = 0; k < 4096; k++)
            frames[i][k] = (u8)(i + k * 7);
    for (u32 i = 0; i < WINDOW_PAGES; i++)
        window_table[i] = 0;
    forget();
    for (u32 i = 0; i < PAGES; i++)
        change(i);
    for (u32 i = 0; i < STEPS; i++)
        sum = mix(sum, step());
    return sum ^ faults;
}

ROW(maze, .group = "lockstep", .unit = "step", .units = STEPS, .setup = maze_setup, .round = maze_round);
ROW(maze_global, .group = "lockstep", .unit = "step", .units = STEPS, .setup = global_setup, .round = maze_round);
ROW(maze_device, .group = "lockstep", .unit = "step", .units = STEPS, .setup = device_setup, .round = maze_round);
