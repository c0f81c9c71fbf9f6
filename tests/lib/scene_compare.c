/* scene_compare.c - the end, the device, RAM, registers. */
#include "lib/scene_compare.h"

#include "fuzz/undefined.h"

#include <stdio.h>
#include <string.h>

static bool same_transaction(const struct transaction *a, const struct transaction *b)
{
    return a->type == b->type && a->width == b->width && a->flags == b->flags && a->offset == b->offset && a->enables == b->enables &&
           !memcmp(&a->data, &b->data, a->width) && (a->type != TRANSACTION_COMPARE_SWAP || !memcmp(&a->compare, &b->compare, a->width));
}

static bool same_transactions(const struct scene *alone, const struct scene *other, char *why, size_t size)
{
    const struct recorder *a = &alone->recorder, *b = &other->recorder;

    for (unsigned i = 0; i < bits_min(bits_min(a->transactions, b->transactions), RECORDS); i++)
        if (!same_transaction(&a->transaction[i], &b->transaction[i])) {
            snprintf(why, size, "transaction %u: type %d of %u bytes at %+d, not type %d of %u bytes at %+d", i, (int)b->transaction[i].type,
                     b->transaction[i].width, scene_operand_offset(other, (unsigned)b->transaction[i].offset), (int)a->transaction[i].type,
                     a->transaction[i].width, scene_operand_offset(alone, (unsigned)a->transaction[i].offset));
            return false;
        }
    if (a->transactions != b->transactions)
        snprintf(why, size, "%u transactions, not %u", b->transactions, a->transactions);
    return a->transactions == b->transactions;
}

void scene_compare(const struct scene *alone, const struct scene *other, char *why, size_t size)
{
    char ours[64], theirs[64], ram[2][VECTOR_TEXT];

    *why = 0;
    scene_print_outcome(alone, ours, sizeof(ours));
    scene_print_outcome(other, theirs, sizeof(theirs));
    scene_ram_changed(alone, ram[0], sizeof(ram[0]));
    scene_ram_changed(other, ram[1], sizeof(ram[1]));
    if (strcmp(ours, theirs) || alone->end.error != other->end.error)
        snprintf(why, size, "ends with %s error %x, not %s error %x", theirs, other->end.error, ours, alone->end.error);
    else if (!same_transactions(alone, other, why, size))
        return;
    else if (strcmp(ram[0], ram[1]))
        snprintf(why, size, "RAM changed %.100s, not %.100s", ram[1], ram[0]);
    else if (memcmp(alone->ram, other->ram, SCENE_RAM_PAGES * PAGE_BYTES))
        snprintf(why, size, "RAM at %.100s holds something else", ram[0]);
    else if (memcmp(alone->g.ram + GUEST_STACK, other->g.ram + GUEST_STACK, PAGE_BYTES))
        snprintf(why, size, "the stack holds something else");
    else
        cpu_compare(&alone->g.vcpu.cpu, &other->g.vcpu.cpu, undefined_flags(&alone->insn, &alone->before) | FLAG_IOPL, why, size);
}

bool scene_kvm_fails(const struct vector_row *row, unsigned column)
{
    return strcmp(row->outcome[column], "ok") && row->outcome[column][0] != '#';
}

bool scene_kvm_cuts(const struct scene *alone, const struct vector_row *row, unsigned column)
{
    const struct recorder *r = &alone->recorder;

    for (unsigned i = 0; !strcmp(row->outcome[column], "ok") && i < bits_min(r->transactions, RECORDS); i++)
        if (r->transaction[i].width > 8 || r->transaction[i].type > TRANSACTION_STORE)
            return true;
    return false;
}
