/*
 * split.h - how one access is cut into the transactions its regions take.
 *
 * split() is pure: the same request gives the same list, and nothing is touched.  Engines, explain, diff and the
 * tests all call this one.
 */
#ifndef SOFTMMU_SPLIT_H
#define SOFTMMU_SPLIT_H

#include "types.h"

/* Why a fragment ends where it ends, or is not the access itself. */
enum split_reason {
    SPLIT_WHOLE,     /* not cut */
    SPLIT_PAGE,      /* page end */
    SPLIT_EDGE,      /* end of a region, of RAM or of a hole */
    SPLIT_WIDTH,     /* wider than the region (or the policy's bus) takes */
    SPLIT_ALIGNMENT, /* not naturally aligned for the region */
    SPLIT_TYPE,      /* the region has no such transaction type */
    SPLIT_ENABLES,   /* the region has no byte enables */
    SPLIT_PEER,      /* the imitated peer does it so; see the policy's file */
};

struct split_fragment {
    uint8_t piece;              /* index of the piece it belongs to */
    uint8_t width;
    int16_t at;                 /* first byte within the operand; a peer that reads around it: negative or beyond */
    enum transaction_type type;
    uint16_t flags;
    uint64_t enables;           /* relative to the fragment */
    enum split_reason reason;
    bool phantom;               /* a peer's: the architecture asks for none of these bytes, or not in this direction */
};

#define SPLIT_FRAGMENTS 192

/*
 * Enough for 64 phantom reads, 64 loads and 64 stores of a byte each; nothing makes more.
 *
 * gives_up   the imitated peer does not carry this instruction out (emulation failure, #UD, endless loop); what its
 *            device sees are the first `seen` fragments.  The list is complete nevertheless, as if it could.
 */
struct split_list {
    unsigned n;
    bool gives_up;
    unsigned seen;
    struct split_fragment fragment[SPLIT_FRAGMENTS];
};

struct split_policy {
    const char *name;
    const char *summary;
    void (*split)(const struct access *access, unsigned arg, struct split_list *out);
};

extern const struct split_policy split_whole, split_natural, split_kvm, split_qemu, split_bochs, split_unicorn,
    split_bus, split_pcie;
extern const struct split_policy *const split_policies[]; /* NULL-terminated */

/*
 * split - cut the device part of a resolved access (memory pieces get no fragment).
 *
 * Fragments are in the order they are carried out.  Every policy keeps these promises for LOAD and STORE:
 * `whole`, `natural`, `kvm`, `bus:N`, `pcie` cover exactly the enabled bytes asked for, ascending, each once.
 */
void split(const struct split_policy *policy, unsigned arg, const struct access *access, struct split_list *out);

/*
 * split_step - the first cut of `left` bytes at a region's offset: as many as the region takes at once.
 *
 * *taken is false where it takes no shape that begins here (all its widths are larger, or aligned and this is not):
 * the bytes returned are then refused by the dispatcher.
 */
unsigned split_step(const struct region_limits *limits, uint64_t offset, unsigned left, bool *taken);

/* "natural", "bus:16": the policy and its argument; NULL if there is none such. */
const struct split_policy *split_find(const char *text, unsigned *arg);

const char *split_reason_name(enum split_reason reason);

/* -- for the policies ----------------------------------------------------------------------------------------- */

/*
 * How many of the `left` bytes at operand byte `from` the policy would send at once (1..left), and why not all.
 * The region's own limits come on top of it.
 */
typedef unsigned split_reach(const struct access *access, const struct piece *piece, unsigned from, unsigned left,
                             unsigned arg, enum split_reason *reason);

/* The frame of the policies that keep the promises above: types, pieces, runs of enabled bytes, region limits. */
void split_exactly(const struct access *access, unsigned arg, split_reach *reach, struct split_list *out);

/*
 * split_peer - a fragment as a peer makes it: [at, at + width) of the operand, cut at pieces, memory left out.
 *
 * Bytes outside the operand go to the nearest piece; a span wholly outside becomes a phantom.
 */
void split_peer(const struct access *access, enum transaction_type type, int at, unsigned width,
                enum split_reason reason, bool phantom, struct split_list *out);

/* The same for a fragment that the peer made wider than what it covers: it stays with the piece it begins in. */
void split_peer_uncut(const struct access *access, enum transaction_type type, unsigned at, unsigned width,
                      bool phantom, struct split_list *out);

/* Calls `carry` for the LOAD, the STORE or both that a peer without typed transactions makes of the access. */
void split_phases(const struct access *access, struct split_list *out,
                  void (*carry)(const struct access *access, enum transaction_type type, struct split_list *out));

/* Bytes of the operand's first page from byte `from` on, at most `left`. */
unsigned split_page_part(const struct access *access, unsigned from, unsigned left);

/* The length of the run of equal enable bits that begins at `from`; *enabled is what they are. */
unsigned split_run(uint64_t enables, unsigned from, unsigned end, bool *enabled);

/* The peer does not do this instruction; its device sees what `out` has now. */
void split_gives_up(struct split_list *out);

/*
 * split_words - far pointers, descriptor-table operands and 80-bit reals are two words to every emulator.
 *
 * Returns the size of the first word, or 0 if the operand is one.
 */
unsigned split_words(const struct access *access);

#endif
