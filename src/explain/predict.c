/* predict.c - the habits of peers that concern more than one operand. */
#include "explain/predict.h"

#include "phys.h"

enum { KVM_PIO_BYTES = 1024, KVM_EXIT_BYTES = 8 };

/* What stays the same for one instruction. */
struct predictor {
    const struct split_policy *peer;
    unsigned arg;
    const struct insn *insn;
    const struct cpu *before;
    const struct access *access;
    unsigned n;
    struct prediction *out;
};

static void emit(struct predictor *p, struct predict_step step)
{
    if (p->out->n < PREDICT_STEPS)
        p->out->step[p->out->n++] = step;
}

static bool is_one_of(uint16_t mnemonic, const uint16_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == mnemonic)
            return true;
    return false;
}

#define IS(p, ...) is_one_of((p)->insn->mnemonic, (const uint16_t[]){ __VA_ARGS__ },                                   \
                             ARRAY_LEN(((const uint16_t[]){ __VA_ARGS__ })))

/* -- operands as this peer names them ----------------------------------------------------------------------------- */

/* The engine's form, or the one that tells the peer's habit. */
static enum access_form form_for(const struct predictor *p, const struct access *a)
{
    if (IS(p, ZYDIS_MNEMONIC_SLDT, ZYDIS_MNEMONIC_STR) && a->type == TRANSACTION_STORE)
        return FORM_SELECTOR;
    if (IS(p, ZYDIS_MNEMONIC_NEG, ZYDIS_MNEMONIC_NOT) && p->insn->prefixes & PREFIX_LOCK && a->type != TRANSACTION_STORE)
        return FORM_LOCK_RETRY;
    return a->form;
}

enum which { ALL, ONLY_PHANTOMS, NO_PHANTOMS };

/* One operand's fragments. */
static void split_one(struct predictor *p, const struct access *access, enum which which)
{
    struct access a = *access;
    struct split_list list;

    a.form = form_for(p, access);
    split(p->peer, p->arg, &a, &list);
    for (unsigned i = 0; i < list.seen && !p->out->gives_up; i++) {
        const struct split_fragment *f = &list.fragment[i];

        if (which != ALL && f->phantom != (which == ONLY_PHANTOMS))
            continue;
        emit(p, (struct predict_step){ .port = a.space == REGION_PIO, .phantom = f->phantom, .type = f->type,
                                       .address = a.gva + (uint64_t)f->at, .width = f->width, .count = 1 });
    }
    p->out->gives_up |= list.gives_up;
}

/* -- INS ---------------------------------------------------------------------------------------------------------- */

static bool is_ins(const struct predictor *p)
{
    return IS(p, ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW, ZYDIS_MNEMONIC_INSD);
}

/* QEMU and Bochs try the destination before they read the port. */
static void ins_tried_first(struct predictor *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct access *next = &p->access[i + 1];
        bool pair = i + 1 < p->n && p->access[i].space == REGION_PIO && next->space == REGION_MMIO;

        if (pair)
            split_one(p, next, ONLY_PHANTOMS);
        split_one(p, &p->access[i], ALL);
        if (pair) {
            split_one(p, next, NO_PHANTOMS);
            i++;
        }
    }
}

static bool is_device_byte(const struct predictor *p, uint64_t gva)
{
    for (unsigned i = 0; i < p->n; i++) {
        const struct access *a = &p->access[i];

        for (unsigned j = 0; j < a->pieces && a->space == REGION_MMIO; j++)
            if (gva - a->gva - a->piece[j].at < a->piece[j].width)
                return a->piece[j].range->kind != PIECE_MEMORY;
    }
    return false;
}

/* KVM's exits for a store of `bytes`: device bytes of a page, eight at a time. */
static bool kvm_exits(struct predictor *p, uint64_t gva, uint64_t bytes)
{
    unsigned before = p->out->n;

    for (uint64_t at = 0; at < bytes;) {
        unsigned n = 0;

        while (at + n < bytes && n < KVM_EXIT_BYTES && is_device_byte(p, gva + at + n) &&
               !(n && !((gva + at + n) & PAGE_OFFSET)))
            n++;
        if (n)
            emit(p, (struct predict_step){ .type = TRANSACTION_STORE, .address = gva + at, .width = n, .count = 1 });
        at += n ? n : 1;
    }
    return p->out->n > before;
}

/*
 * KVM reads as many elements as fit in the destination's page with one port exit.  Going upward it stores them as one
 * run of bytes; going downward element by element, and every exit makes it read the rest of the elements again.
 */
static void kvm_ins(struct predictor *p)
{
    unsigned width = p->insn->op[0].width ? p->insn->op[0].width
                     : p->insn->mnemonic == ZYDIS_MNEMONIC_INSB ? 1 : p->insn->mnemonic == ZYDIS_MNEMONIC_INSW ? 2 : 4;
    bool down = p->before->rflags & FLAG_DF, rep = p->insn->prefixes & (PREFIX_REP | PREFIX_REPNE);
    uint64_t rdi = p->before->slot[RDI], left = rep ? p->before->slot[RCX] : 1;
    uint16_t port = (uint16_t)p->before->slot[RDX];

    while (left) {
        uint64_t room = down ? rdi & PAGE_OFFSET : PAGE_BYTES - (rdi & PAGE_OFFSET);
        uint64_t n = bits_max(1, bits_min(bits_min(room, KVM_PIO_BYTES) / width, left)), done;

        emit(p, (struct predict_step){ .port = true, .type = TRANSACTION_LOAD, .address = port, .width = (uint8_t)width,
                                       .count = (uint16_t)n });
        if (!down)
            kvm_exits(p, rdi, (done = n) * width);
        else
            for (done = 1; !kvm_exits(p, rdi - (done - 1) * width, width) && done < n;)
                done++;
        rdi += (down ? -done : done) * width;
        left -= done;
    }
}

/* -- saved state -------------------------------------------------------------------------------------------------- */

enum { ENVIRONMENT_BYTES = 28 };

/* The linear address of the memory operand, in 64-bit code. */
static uint64_t operand_address(const struct predictor *p)
{
    const struct operand *o = &p->insn->op[0];
    uint64_t at = (uint64_t)o->displacement;

    if (o->has_base)
        at += p->before->slot[o->base & 15];
    if (o->has_index)
        at += p->before->slot[o->index & 15] << o->scale;
    return at + (o->segment == SEG_FS || o->segment == SEG_GS ? p->before->seg[o->segment].base : 0);
}

/* `width` bytes of an access from `from` on, as an access of their own. */
static struct access part_of(const struct access *a, unsigned from, unsigned width)
{
    struct access part = *a;

    part.gva += from;
    part.width = (uint8_t)width;
    part.enables = bits_mask(width);
    part.pieces = 0;
    for (unsigned i = 0; i < a->pieces; i++) {
        struct piece piece = a->piece[i];
        unsigned first = (unsigned)bits_max(piece.at, from), end = (unsigned)bits_min(piece.at + piece.width, from + width);

        if (first >= end)
            continue;
        piece.gpa += first - piece.at;
        piece.offset += first - piece.at;
        piece.at = (uint8_t)(first - from);
        piece.width = (uint8_t)(end - first);
        part.piece[part.pieces++] = piece;
    }
    return part;
}

/* FLDENV and FRSTOR on QEMU read the control, status and tag words, and nothing else of the environment. */
static void tcg_restore_x87(struct predictor *p)
{
    uint64_t base = operand_address(p);

    for (unsigned i = 0; i < p->n; i++) {
        uint64_t at = p->access[i].gva - base;
        struct access word = part_of(&p->access[i], 0, bits_min(2, p->access[i].width));

        if (at >= ENVIRONMENT_BYTES)
            split_one(p, &p->access[i], ALL);
        else if (at < 12)
            split_one(p, &word, ALL);
    }
}

/* FBLD on QEMU reads digit pairs from the last to the first, then the sign. */
static void tcg_load_decimal(struct predictor *p)
{
    uint64_t base = operand_address(p);

    for (int at = 8; at >= -1; at--) {
        uint64_t gva = base + (uint64_t)(at < 0 ? 9 : at);

        for (unsigned i = 0; i < p->n; i++)
            if (gva - p->access[i].gva < p->access[i].width) {
                struct access byte = part_of(&p->access[i], (unsigned)(gva - p->access[i].gva), 1);

                byte.form = FORM_PLAIN;
                split_one(p, &byte, ALL);
            }
    }
}

/* ... on Bochs bytes 8 and 9, then the others. */
static void bochs_load_decimal(struct predictor *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct access high = part_of(&p->access[i], 8, 2), low = part_of(&p->access[i], 0, 8);

        split_one(p, &high, ALL);
        split_one(p, &low, ALL);
    }
}

/* On Bochs the environment is read last word first. */
static void bochs_restore_x87(struct predictor *p)
{
    uint64_t base = operand_address(p);

    for (unsigned i = p->n; i-- > 0;)
        if (p->access[i].gva - base < ENVIRONMENT_BYTES)
            split_one(p, &p->access[i], ALL);
    for (unsigned i = 0; i < p->n; i++)
        if (p->access[i].gva - base >= ENVIRONMENT_BYTES)
            split_one(p, &p->access[i], ALL);
}

/* `count` times a word of `width` bytes, and one of `second` behind it, `step` bytes apart. */
struct saved {
    enum transaction_type type;
    uint16_t at;
    uint8_t width, second, step, count;
};

static const struct saved qemu_xsave[] = {
    { TRANSACTION_STORE, 0, 2, 0, 2, 3 },      { TRANSACTION_STORE, 8, 8, 0, 8, 2 },
    { TRANSACTION_STORE, 32, 8, 2, 16, 8 },    { TRANSACTION_STORE, 24, 4, 0, 4, 2 },
    { TRANSACTION_STORE, 160, 8, 0, 8, 32 },   { TRANSACTION_STORE, 576, 8, 0, 8, 32 },
    { TRANSACTION_LOAD, 512, 8, 0, 8, 1 },     { TRANSACTION_STORE, 512, 8, 0, 8, 1 },
};
static const struct saved bochs_xsave[] = {
    { TRANSACTION_LOAD, 512, 8, 0, 8, 1 },     { TRANSACTION_STORE, 0, 16, 0, 16, 1 },
    { TRANSACTION_STORE, 16, 4, 0, 4, 2 },     { TRANSACTION_STORE, 32, 16, 0, 16, 8 },
    { TRANSACTION_STORE, 24, 4, 0, 4, 2 },     { TRANSACTION_STORE, 160, 16, 0, 16, 16 },
    { TRANSACTION_STORE, 576, 16, 0, 16, 16 }, { TRANSACTION_STORE, 512, 8, 0, 8, 1 },
};

/* A word of the area as the peer writes it, if the instruction has touched a device there. */
static void saved_word(struct predictor *p, enum transaction_type type, uint64_t gva, unsigned width)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct access a = p->access[i];
        uint64_t from = gva - a.gva;

        if (from >= a.width || a.pieces != 1)
            continue;
        a.type = type;
        a.gva = gva;
        a.width = (uint8_t)width;
        a.enables = bits_mask(width);
        a.piece[0].gpa += from;
        a.piece[0].offset += from;
        a.piece[0].width = (uint8_t)width;
        split_one(p, &a, ALL);
        return;
    }
}

/* XSAVE in a peer's words and order; an area within one page. */
static void save_by_list(struct predictor *p, const struct saved *list, size_t n)
{
    uint64_t base = operand_address(p);

    for (size_t i = 0; i < n; i++)
        for (unsigned k = 0; k < list[i].count; k++) {
            uint64_t gva = base + list[i].at + k * list[i].step;

            saved_word(p, list[i].type, gva, list[i].width);
            if (list[i].second)
                saved_word(p, list[i].type, gva + list[i].width, list[i].second);
        }
}

/* -- order -------------------------------------------------------------------------------------------------------- */

static void in_order(struct predictor *p)
{
    for (unsigned i = 0; i < p->n; i++)
        split_one(p, &p->access[i], ALL);
}

static void in_reverse(struct predictor *p)
{
    for (unsigned i = p->n; i-- > 0;)
        split_one(p, &p->access[i], ALL);
}

/* The second of each two operands first. */
static void in_swapped_pairs(struct predictor *p)
{
    for (unsigned i = 0; i < p->n; i += 2) {
        if (i + 1 < p->n)
            split_one(p, &p->access[i + 1], ALL);
        split_one(p, &p->access[i], ALL);
    }
}

/* A far pointer as two words in order: JMP and CALL on Bochs, which reads those of LSS and relatives backwards. */
static void in_two_words(struct predictor *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        struct access offset, selector;
        unsigned width = p->access[i].width;

        if (p->access[i].form != FORM_FAR_POINTER || width <= 2) {
            split_one(p, &p->access[i], ALL);
            continue;
        }
        offset = part_of(&p->access[i], 0, width - 2);
        selector = part_of(&p->access[i], width - 2, 2);
        offset.form = selector.form = FORM_PLAIN;
        split_one(p, &offset, ALL);
        split_one(p, &selector, ALL);
    }
}

static bool is_cmps(const struct predictor *p)
{
    return IS(p, ZYDIS_MNEMONIC_CMPSB, ZYDIS_MNEMONIC_CMPSW, ZYDIS_MNEMONIC_CMPSD, ZYDIS_MNEMONIC_CMPSQ) &&
           p->insn->map == 0;
}

static bool is_x87_restore(const struct predictor *p)
{
    return IS(p, ZYDIS_MNEMONIC_FLDENV, ZYDIS_MNEMONIC_FRSTOR);
}

static bool is_xsave(const struct predictor *p) { return IS(p, ZYDIS_MNEMONIC_XSAVE, ZYDIS_MNEMONIC_XSAVEOPT); }

/* RETF: opcodes CA and CB. */
static bool is_far_return(const struct predictor *p)
{
    return IS(p, ZYDIS_MNEMONIC_RET) && (p->insn->opcode & 0xfe) == 0xca;
}

static void predict_kvm(struct predictor *p)
{
    if (is_ins(p))
        kvm_ins(p);
    else
        in_order(p);
}

/* QEMU's own translator, and Unicorn's, which descends from it. */
static void predict_tcg(struct predictor *p)
{
    if (is_ins(p))
        ins_tried_first(p);
    else if (is_cmps(p))
        in_swapped_pairs(p);
    else if (is_x87_restore(p))
        tcg_restore_x87(p);
    else if (IS(p, ZYDIS_MNEMONIC_FBLD))
        tcg_load_decimal(p);
    else if (is_xsave(p))
        save_by_list(p, qemu_xsave, ARRAY_LEN(qemu_xsave));
    else
        in_order(p);
}

static void predict_bochs(struct predictor *p)
{
    if (is_ins(p))
        ins_tried_first(p);
    else if (is_far_return(p))
        in_reverse(p);
    else if (IS(p, ZYDIS_MNEMONIC_JMP, ZYDIS_MNEMONIC_CALL))
        in_two_words(p);
    else if (is_x87_restore(p))
        bochs_restore_x87(p);
    else if (IS(p, ZYDIS_MNEMONIC_FBLD))
        bochs_load_decimal(p);
    else if (is_xsave(p))
        save_by_list(p, bochs_xsave, ARRAY_LEN(bochs_xsave));
    else
        in_order(p);
}

void predict(const struct split_policy *peer, unsigned arg, const struct insn *insn, const struct cpu *before,
             const struct access *access, unsigned n, struct prediction *out)
{
    struct predictor p = {
        .peer = peer, .arg = arg, .insn = insn, .before = before, .access = access, .n = n, .out = out,
    };

    out->n = 0;
    out->gives_up = false;
    if (peer == &split_kvm)
        predict_kvm(&p);
    else if (peer == &split_qemu || peer == &split_unicorn)
        predict_tcg(&p);
    else if (peer == &split_bochs)
        predict_bochs(&p);
    else
        in_order(&p);
}

/* -- QEMU's memory core behind another engine ---------------------------------------------------------------------- */

void predict_recut(struct prediction *p, const struct region_limits *limits)
{
    struct prediction in = *p;

    p->n = 0;
    for (unsigned i = 0; i < in.n; i++) {
        struct predict_step step = in.step[i];
        unsigned width = step.width * step.count, n;
        bool taken;

        for (unsigned done = 0; done < width && p->n < PREDICT_STEPS; done += n) {
            n = step.port ? 1 : split_step(limits, in.step[i].address + done, width - done, &taken);
            step.address = step.port ? in.step[i].address + done % step.width : in.step[i].address + done;
            p->step[p->n] = step;
            p->step[p->n].width = (uint8_t)n;
            p->step[p->n++].count = 1;
        }
    }
}

void predict_drop_invalid(struct prediction *p, unsigned min_bytes)
{
    unsigned n = 0;

    for (unsigned i = 0; i < p->n; i++)
        if (p->step[i].port || (p->step[i].width >= min_bytes && !(p->step[i].address & (p->step[i].width - 1u))))
            p->step[n++] = p->step[i];
    p->n = n;
}
