/* quicksort.c - quicksort of 20000 random numbers: compares and branches that no predictor knows, recursion. */
#include "guest.h"

#define COUNT 20000
static u32 numbers[COUNT];

static void sort(u32 *a, int n)
{
    u32 pivot;
    int i = 0, j = n - 1;

    if (n < 2)
        return;
    pivot = a[n / 2];
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

static u32 quicksort_round(void)
{
    u32 state = 1, sum = 0;

    for (u32 i = 0; i < COUNT; i++)
        numbers[i] = random_next(&state);
    sort(numbers, COUNT);
    for (u32 i = 1; i < COUNT; i++)
        sum = mix(sum, numbers[i]) + (numbers[i - 1] > numbers[i]);
    return sum;
}

ROW(quicksort, .group = "integer", .unit = "sort", .units = 1, .round = quicksort_round);
