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
                             sizeof((const uint16_t[]){ __VA_ARGS__ }) / sizeof(uint16_t))

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

/* -- order -------------------------------------------------------------------------------------------------------- */

static void in_order(struct predictor *p)
{
    for (unsigned i = 0; i < p->n; i++)
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

static bool is_cmps(const struct predictor *p)
{
    return IS(p, ZYDIS_MNEMONIC_CMPSB, ZYDIS_MNEMONIC_CMPSW, ZYDIS_MNEMONIC_CMPSD, ZYDIS_MNEMONIC_CMPSQ);
}

static void predict_kvm(struct predictor *p)
{
    if (is_ins(p))
        kvm_ins(p);
    else
        in_order(p);
}

static void predict_tcg(struct predictor *p)
{
    if (is_ins(p))
        ins_tried_first(p);
    else if (is_cmps(p))
        in_swapped_pairs(p);
    else
        in_order(p);
}

static void predict_bochs(struct predictor *p)
{
    if (is_ins(p))
        ins_tried_first(p);
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
