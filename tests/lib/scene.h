/*
 * scene.h - a row of the measured tables set up and carried out: the operand where its placement says, the state its
 * instruction needs, and everything that happened.
 */
#ifndef TESTS_SCENE_H
#define TESTS_SCENE_H

#include "explain/predict.h"
#include "lib/assemble.h"
#include "fuzz/guest.h"
#include "lib/recorder.h"
#include "lib/vectors.h"

#define SCENE_OPERAND UINT64_C(0x10000000) /* two pages, linear */
#define SCENE_DEST UINT64_C(0x10010000)    /* RAM destination of MOVS and relatives; the tables say +100000 */
#define SCENE_SOURCE UINT64_C(0x10020800)  /* RAM source */

enum { SCENE_RAM_PAGES = 5, SCENE_DEST_PAGE = 2, SCENE_SOURCE_PAGE = 3, SCENE_READ_ONLY_PAGE = 4 };

/* What backs one of the operand's two pages. */
struct scene_page {
    bool present, writable, ram;
    unsigned page; /* of the recorder or of the RAM */
};

struct scene {
    struct guest g;
    struct recorder recorder;
    uint8_t *ram;
    struct phys_memory memory;
    struct scene_page page[2];
    uint64_t operand;
    bool constant;                     /* the device holds the same byte everywhere */
    /* what happened */
    struct guest_end end;
    struct cpu before;
    struct insn insn;                  /* the first instruction but STD */
    unsigned accesses;
    struct access access[PREDICT_ACCESSES];
};

/* On KVM with assist: what KVM cannot do is done all the same. */
bool scene_create(struct scene *s, const struct engine *engine, struct err *err);
void scene_destroy(struct scene *s);

/* Carries out one row's instruction under a policy. */
void scene_run(struct scene *s, const struct vector_row *row, const struct snippet *code, enum guest_ring ring,
               const struct split_policy *policy);

/* An offset in the recorder as one from the operand's start. */
int scene_operand_offset(const struct scene *s, unsigned offset);

/* RAM bytes that changed, as in the tables: "+0,+1,+100000" or "-". */
void scene_ram_changed(const struct scene *s, char *text, size_t size);

/* How it ended: "ok", "#PF@+4", "#GP", or what else happened. */
void scene_print_outcome(const struct scene *s, char *text, size_t size);

/* A table's instructions by their id, text NULL: none; and their code. */
void scene_collect_forms(const struct vectors *v, struct snippet forms[VECTOR_FORMS]);
bool scene_assemble_forms(struct snippet forms[VECTOR_FORMS]);

#endif
