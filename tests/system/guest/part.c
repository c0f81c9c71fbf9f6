/*
 * part.c - one of the objects of the program that a guest compiles: PART is its function, NUMBER which.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int PART(int i);

int PART(int i)
{
    return i * NUMBER;
}
