/*
 * scene_compare.h - one row on two engines: what differs; and which rows KVM alone does not do as they are.
 */
#ifndef TESTS_SCENE_COMPARE_H
#define TESTS_SCENE_COMPARE_H

#include "lib/scene.h"

/*
 * "" or what differs between `other` and `alone`, the interpreter: the end, transactions, RAM, stack, registers.  Not IOPL, which some
 * KVMs do not show at CPL 3, and no flag that the instruction leaves undefined.
 */
void scene_compare(const struct scene *alone, const struct scene *other, char *why, size_t size);

/* Did KVM fail in this row?  A fault is an answer, if sometimes a wrong one.  `column`: of the outcomes. */
bool scene_kvm_fails(const struct vector_row *row, unsigned column);

/* Or has the interpreter, on the same row, sent something that KVM cannot say? */
bool scene_kvm_cuts(const struct scene *alone, const struct vector_row *row, unsigned column);

#endif
