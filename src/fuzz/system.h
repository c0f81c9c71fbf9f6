/*
 * system.h - cases of system state: paging-structure entries, descriptors, control registers, privilege.
 *
 * The data pages of a case are then mapped a second time, at SYSTEM_DATA, by structures that are the case's own, across the end
 * of a page directory's entry; and the GDT has descriptors of its own.  Instructions may be privileged.
 */
#ifndef FUZZ_SYSTEM_H
#define FUZZ_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

enum { SYSTEM_PML4E, SYSTEM_PDPTE, SYSTEM_PDE, SYSTEM_PTE = SYSTEM_PDE + 2, SYSTEM_ENTRIES = SYSTEM_PTE + 7,
       SYSTEM_SELECTOR = 0x50, SYSTEM_DESCRIPTORS = 6 };
#define SYSTEM_DATA UINT64_C(0x80401fc000) /* four pages below the end of what the first PDE maps */

struct fuzz_system {
    bool on;
    uint64_t entry[SYSTEM_ENTRIES];          /* addresses as in a fresh guest; flags drawn */
    uint64_t code_entry;                     /* of the code's page: the supervisor's for code at CPL 0 */
    uint64_t descriptor[SYSTEM_DESCRIPTORS]; /* from SYSTEM_SELECTOR on */
};

struct random;
struct fuzz_base;
struct fuzz_case;

/* After the instruction, registers and places have been drawn: everything else. */
void system_draw(struct random *r, const struct fuzz_base *base, struct fuzz_case *c);

#endif
