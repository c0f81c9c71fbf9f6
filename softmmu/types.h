/*
 * types.h - the words the soft-MMU's five stops share: an access, its physical pieces, a bus.
 *
 *   access.c    cut it at the page boundary; resolve every piece; only then move bytes
 *   tlb.c       have we translated this page already?
 *   walk.c      if not, walk the guest's tables (perm.c decides who may)
 *   phys.c      guest-physical address -> RAM, or the region that claims it     <- KVM exits and DMA enter here
 *   dispatch.c  widths and alignment, then the device's callback
 */
#ifndef SOFTMMU_TYPES_H
#define SOFTMMU_TYPES_H

#include "base/wide.h"
#include "region.h"

#define PAGE_BYTES 4096u
#define PAGE_OFFSET (PAGE_BYTES - 1)

/* What an access wants of a page; a read-modify-write asks for READ | WRITE from the start. */
enum access_intent { ACCESS_READ = 1, ACCESS_WRITE = 2, ACCESS_EXECUTE = 4 };

/*
 * How the instruction names its operand.  wideload itself treats all alike; the policies that imitate a peer
 * need it, because that peer carries these out in its own ways (tests/vectors/).
 */
enum access_form {
    FORM_PLAIN,
    FORM_RMW,         /* the load or the store of a read-modify-write */
    FORM_CMPXCHG16B,
    FORM_MASKED,      /* VMASKMOV, VPMASKMOV, EVEX with a mask: `element` bytes per enabled lane */
    FORM_MASKMOV,     /* MASKMOVQ, MASKMOVDQU */
    FORM_ELEMENT,     /* one element of a gather or scatter */
    FORM_STRING,      /* one element of MOVS, STOS, LODS, SCAS, CMPS */
    FORM_STRING_IO,   /* one element of INS, OUTS: port side or memory side */
    FORM_X87,         /* FLD, FST and relatives */
    FORM_SAVE,        /* one word of FNSTENV, FNSAVE, FXSAVE, XSAVE and their loads */
    FORM_TABLE,       /* SGDT, SIDT, LGDT, LIDT */
    FORM_FAR_POINTER,
    FORM_STACK,       /* PUSH, POP, CALL, RET, ENTER, LEAVE, IRET */
    FORM_VECTOR,      /* SSE, AVX, AVX-512 plain load or store */
    FORM_DIRECT,      /* MOVDIRI, MOVDIR64B, ENQCMD */
    FORM_FETCH,
    FORM_WALK,
    FORM_DESCRIPTOR,  /* implicit reads and writes of GDT, LDT, IDT, TSS */
    /*
     * The forms below exist for peers' habits that a plain operand does not show.  With them a list of accesses,
     * one per operand in architectural order, is enough to predict what a peer's device sees of an instruction:
     * split each in turn.  INS and OUTS with REP: KVM merges, so describe a run of elements as one STRING_IO store.
     */
    FORM_LOCK_RETRY,  /* the load of LOCK NEG, LOCK NOT: QEMU and Unicorn read once more before it */
    FORM_SELECTOR,    /* the store of SLDT, STR: KVM reads 4 bytes there first */
    FORM_HINT,        /* CLFLUSH, CLFLUSHOPT (type LOAD, width 1): no device access at all, but KVM reads */
};

enum piece_kind { PIECE_HOLE, PIECE_MEMORY, PIECE_REGION };

struct phys_range;

/* Part of an access that is contiguous in one physical page and lies in one range of the map. */
struct piece {
    uint8_t at, width;              /* bytes of the operand */
    uint8_t page;                   /* 0 or 1: the operand's first or second page */
    uint64_t gpa;
    const struct phys_range *range; /* valid until the map's generation changes; its kind is the piece's */
    uint64_t offset;                /* within the region; for memory and holes: within the range */
};

#define ACCESS_PIECES 64

/*
 * One architectural operand: described once, cut and carried out by the stops.  The pieces are most of its size:
 * access_begin() leaves them alone, where `= { ... }` would clear 2.5 KB for each guest access.
 */
struct access {
    enum region_space space;
    enum transaction_type type;
    enum access_form form;
    uint8_t width;     /* 1..64 */
    uint8_t element;   /* bytes of a lane where MASKED, else 0 */
    uint16_t flags;    /* enum transaction_flags */
    uint64_t gva;      /* linear address; the port for PIO; the gpa where there is none */
    uint64_t enables;
    union wide data, compare;
    uint64_t generation; /* of the map when the first piece was resolved (phys_resolve) */
    unsigned pieces;
    struct piece piece[ACCESS_PIECES];
};

/* A plain operand in memory.  Callers then set what is special: space, form, flags, element, data. */
static inline void access_begin(struct access *access, enum transaction_type type, uint64_t gva, unsigned width)
{
    access->space = REGION_MMIO;
    access->type = type;
    access->form = FORM_PLAIN;
    access->width = (uint8_t)width;
    access->element = 0;
    access->flags = 0;
    access->gva = gva;
    access->enables = bits_mask(width);
    access->data = access->compare = (union wide){ 0 };
    access->pieces = 0;
}

#endif
