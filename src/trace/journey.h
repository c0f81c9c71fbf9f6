/*
 * journey.h - one guest instruction's device accesses, in order, with the fragments each became.
 *
 * The unit of traces and of diff.  The layout on disk is docs/trace.md.
 */
#ifndef TRACE_JOURNEY_H
#define TRACE_JOURNEY_H

#include "dispatch.h"
#include "engine.h"

#include <glib.h>

enum { JOURNEY_CODE_BYTES = 15 };

/* What one device callback, hole or exit saw of an access. */
struct journey_fragment {
    int16_t at;      /* first byte within the operand; a peer may read around it */
    uint8_t width;
    uint8_t type;    /* enum transaction_type */
    uint8_t reason;  /* enum split_reason */
    bool phantom;    /* the architecture does not ask for it */
    uint64_t address; /* gpa or port of the first byte */
};

struct journey_access {
    enum region_space space;
    enum transaction_type type;
    uint8_t width;
    uint16_t flags;       /* enum transaction_flags */
    uint64_t address;     /* gpa or port of the first byte */
    uint64_t enables;
    union wide data;      /* as loaded or stored; atomics: the old value */
    union wide operand;   /* atomics: the addend or new value; else zero */
    union wide compare;   /* COMPARE_SWAP: the expected value; else zero */
    enum transaction_result result;
    unsigned first, fragments; /* in journey.fragment */
};

struct journey {
    uint64_t number;
    enum engine_id engine;
    uint64_t rip;
    /*
     * rip is after the instruction: KVM has already advanced it when it reports a store.  Then `rip` is the next
     * instruction's, or a branch's target, and says nothing about where this one begins.
     */
    bool rip_after;
    uint8_t mode;          /* 16, 32 or 64: the code's operating mode; 0 unknown */
    uint8_t code_bytes;    /* 0: instruction unknown */
    uint8_t code[JOURNEY_CODE_BYTES];
    char *gave_up;         /* why the engine could not carry the instruction out; NULL: it did */
    GArray *access;        /* struct journey_access */
    GArray *fragment;      /* struct journey_fragment, of all accesses */
};

void journey_init(struct journey *journey);
void journey_free(struct journey *journey);

/* Empties it for the next one, keeping its memory. */
void journey_clear(struct journey *journey);

/* Appends what dispatch has done. */
void journey_add_report(struct journey *journey, const struct dispatch_report *report);

/* Appends an access that reached the device as it is, in one fragment: a KVM exit. */
void journey_add_whole(struct journey *journey, const struct journey_access *access);

/* Appends an access and its fragments; `access->first` and `fragments` are filled in. */
void journey_add(struct journey *journey, const struct journey_access *access,
                 const struct journey_fragment *fragment, unsigned fragments);

static inline unsigned journey_accesses(const struct journey *journey) { return journey->access->len; }

static inline const struct journey_access *journey_access_at(const struct journey *journey, unsigned i)
{
    return &g_array_index(journey->access, struct journey_access, i);
}

/* Fragment i of an access. */
static inline const struct journey_fragment *journey_fragment_at(const struct journey *journey,
                                                                 const struct journey_access *access, unsigned i)
{
    return &g_array_index(journey->fragment, struct journey_fragment, access->first + i);
}

/* What an atomic leaves in memory, from its old value and operand; `data` of anything else. */
union wide journey_stored(const struct journey_access *access);

/* As they are spelt on disk. */
extern const char *const journey_engine_names[ENGINE_COUNT];
extern const char *const journey_space_names[REGION_SPACES];
extern const char *const journey_type_names[TRANSACTION_TYPES];
extern const char *const journey_result_names[TRANSACTION_RETRY + 1];

#endif
