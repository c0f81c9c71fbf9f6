/* fib.c - Fibonacci numbers by two recursive calls: CALL, RET, PUSH, POP and little else. */
#include "guest.h"

/* Kept as written: gcc would turn one call into a loop and copy the other into itself. */
__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static u32 fibonacci(u32 n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static u32 fib_round(void) { return fibonacci(24); }

ROW(fib, .group = "integer", .unit = "call", .units = 150049, .round = fib_round);
