/*
 * help_sys.c - control and debug registers, MSRs, CPUID, interrupt flag, descriptor-table registers, TLB and cache
 * control (SDM 2; SDM 3A 2.5, 5.1, 11).
 */
#include "x86/helpers.h"

#include "base/log.h"
#include "walk.h"
#include "x86/cpuid.h"
#include "x86/msr.h"
#include "x86/save.h"
#include "x86/segment.h"

#include <inttypes.h>
#include <string.h>

static bool gp(struct vcpu *v) { return vcpu_raise_error(v, EXCEPTION_GP, 0); }
static bool supervisor(struct vcpu *v) { return v->cpu.cpl == 0 || gp(v); }

/* -- control registers ----------------------------------------------------------------------------------------------- */

uint64_t help_read_control(struct vcpu *v, uint64_t reg)
{
    struct cpu *c = &v->cpu;

    if (!supervisor(v))
        return 0;
    switch (reg) {
    case 0: return c->cr0;
    case 2: return c->cr2;
    case 3: return c->cr3;
    case 4: return c->cr4;
    case 8: return v->host.read_cr8 ? v->host.read_cr8(v->host.opaque) : c->cr8;
    default: return vcpu_raise(v, EXCEPTION_UD);
    }
}

/* PAE paging needs its four PDPTEs whenever it comes into force. */
static bool load_pdptes(struct vcpu *v, uint64_t cr0, uint64_t cr3, uint64_t cr4, uint64_t efer)
{
    if (cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & (EFER_LMA | EFER_LME)) && !mmu_load_pdptes(&v->mmu, cr3))
        return gp(v);
    return true;
}

/* Entering and leaving long mode with CR0.PG (SDM 3A 10.8.5). */
static bool write_cr0(struct vcpu *v, uint64_t value)
{
    struct cpu *c = &v->cpu;
    uint64_t efer = c->efer, changed = value ^ c->cr0;

    value |= CR0_ET;
    value &= CR0_PG | CR0_CD | CR0_NW | CR0_AM | CR0_WP | CR0_NE | CR0_ET | CR0_TS | CR0_EM | CR0_MP | CR0_PE;
    if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
        return gp(v);
    if (changed & CR0_PG && value & CR0_PG && efer & EFER_LME) {
        if (!(c->cr4 & CR4_PAE) || c->seg[SEG_CS].ar & AR_L || !(c->seg[SEG_TR].ar & 8)) /* a 16-bit TSS */
            return gp(v);
        efer |= EFER_LMA;
    } else if (changed & CR0_PG && !(value & CR0_PG)) {
        if (c->mode & MODE_CODE64 || c->cr4 & CR4_PCIDE)
            return gp(v);
        efer &= ~(uint64_t)EFER_LMA;
    }
    if (changed & (CR0_PG | CR0_CD | CR0_NW) && !load_pdptes(v, value, c->cr3, c->cr4, efer))
        return false;
    c->cr0 = value;
    c->efer = efer;
    return true;
}

static bool write_cr3(struct vcpu *v, uint64_t value)
{
    struct cpu *c = &v->cpu;

    if (cpu_long_mode(c)) {
        if (c->cr4 & CR4_PCIDE)
            value &= ~BIT(63);
        if (value >> CPUID_PHYSICAL_BITS)
            return gp(v);
    } else {
        value = (uint32_t)value;
    }
    if (!load_pdptes(v, c->cr0, value, c->cr4, c->efer))
        return false;
    if (c->cr3 == value)
        tlb_flush_local(&v->mmu); /* else vcpu_update() does.  Bit 63 asks for less: more is allowed (SDM 3A 5.10.4) */
    c->cr3 = value;
    return true;
}

static bool write_cr4(struct vcpu *v, uint64_t value)
{
    struct cpu *c = &v->cpu;
    uint64_t changed = value ^ c->cr4;

    if (value & ~cpuid_cr4_mask(&v->features))
        return gp(v);
    if (cpu_long_mode(c) && (!(value & CR4_PAE) || changed & CR4_LA57))
        return gp(v);
    if (value & CR4_PCIDE && (!cpu_long_mode(c) || (changed & CR4_PCIDE && c->cr3 & 0xfff)))
        return gp(v);
    if (changed & (CR4_PGE | CR4_PSE | CR4_PAE | CR4_SMEP) && !load_pdptes(v, c->cr0, c->cr3, value, c->efer))
        return false;
    c->cr4 = value;
    return true;
}

static bool write_cr8(struct vcpu *v, uint64_t value)
{
    if (value > 15)
        return gp(v);
    v->cpu.cr8 = value;
    if (v->host.write_cr8)
        v->host.write_cr8(v->host.opaque, value);
    return true;
}

uint64_t help_write_control(struct vcpu *v, uint64_t value, uint64_t reg)
{
    struct cpu *c = &v->cpu;
    bool ok;

    if (!supervisor(v))
        return 0;
    if (!(c->mode & MODE_CODE64))
        value = (uint32_t)value;
    switch (reg) {
    case 0: ok = value >> 32 ? gp(v) : write_cr0(v, value); break;
    case 2: c->cr2 = value; ok = true; break;
    case 3: ok = write_cr3(v, value); break;
    case 4: ok = value >> 32 ? gp(v) : write_cr4(v, value); break;
    case 8: ok = write_cr8(v, value); break;
    default: ok = vcpu_raise(v, EXCEPTION_UD); break;
    }
    if (ok)
        vcpu_update(v);
    return ok;
}

uint64_t help_clts(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!supervisor(v))
        return 0;
    v->cpu.cr0 &= ~(uint64_t)CR0_TS;
    vcpu_update(v);
    return 1;
}

uint64_t help_smsw(struct vcpu *v, uint64_t width)
{
    if (v->cpu.cr4 & CR4_UMIP && v->cpu.cpl)
        return gp(v);
    return bits_trunc(v->cpu.cr0, (unsigned)width);
}

/* LMSW sets PE but cannot clear it. */
uint64_t help_lmsw(struct vcpu *v, uint64_t value, uint64_t imm)
{
    uint64_t keep = ~UINT64_C(0xe);

    (void)imm;
    if (!supervisor(v) || !write_cr0(v, (v->cpu.cr0 & keep) | (value & 0xf)))
        return 0;
    vcpu_update(v);
    return 1;
}

/* -- debug registers ---------------------------------------------------------------------------------------------------- */

static bool debug_allowed(struct vcpu *v, uint64_t *reg)
{
    struct cpu *c = &v->cpu;

    if (*reg == 4 || *reg == 5) {
        if (c->cr4 & CR4_DE)
            return vcpu_raise(v, EXCEPTION_UD);
        *reg += 2;
    }
    if (!supervisor(v))
        return false;
    if (c->dr[7] & 0x2000) { /* GD */
        v->fault = (struct fault){ .vector = EXCEPTION_DB, .dr6 = 0x2000 };
        return false;
    }
    return true;
}

uint64_t help_read_debug(struct vcpu *v, uint64_t reg) { return debug_allowed(v, &reg) ? v->cpu.dr[reg & 7] : 0; }

uint64_t help_write_debug(struct vcpu *v, uint64_t value, uint64_t reg)
{
    struct cpu *c = &v->cpu;

    if (!debug_allowed(v, &reg))
        return 0;
    if (!(c->mode & MODE_CODE64))
        value = (uint32_t)value;
    if (reg >= 6 && value >> 32)
        return gp(v);
    if (reg == 6)
        value = (value & 0xe00f) | 0xffff0ff0;
    if (reg == 7)
        value = (value & 0xffff2fff) | 0x400;
    c->dr[reg & 7] = value;
    vcpu_update(v);
    return 1;
}

/* -- flags and halting ----------------------------------------------------------------------------------------------------- */

static bool iopl_allows(const struct vcpu *v)
{
    unsigned iopl = (v->cpu.rflags & FLAG_IOPL) >> 12;

    return v->cpu.rflags & FLAG_VM ? iopl == 3 : v->cpu.cpl <= iopl;
}

uint64_t help_cli(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!iopl_allows(v))
        return gp(v);
    v->cpu.rflags &= ~(uint64_t)FLAG_IF;
    return 1;
}

uint64_t help_sti(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!iopl_allows(v))
        return gp(v);
    if (!(v->cpu.rflags & FLAG_IF))
        v->cpu.shadow = SHADOW_STI;
    v->cpu.rflags |= FLAG_IF;
    return 1;
}

uint64_t help_clac(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (v->cpu.cpl)
        return vcpu_raise(v, EXCEPTION_UD);
    v->cpu.rflags &= ~(uint64_t)FLAG_AC;
    vcpu_update(v);
    return 1;
}

uint64_t help_stac(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (v->cpu.cpl)
        return vcpu_raise(v, EXCEPTION_UD);
    v->cpu.rflags |= FLAG_AC;
    vcpu_update(v);
    return 1;
}

uint64_t help_hlt(struct vcpu *v, uint64_t a, uint64_t b, uint64_t imm)
{
    (void)a, (void)b, (void)imm;
    if (!supervisor(v))
        return 0;
    v->cpu.rip = v->next_rip;
    v->cpu.activity = CPU_HALTED;
    return 1;
}

/* CPUID does not offer MONITOR. */
uint64_t help_monitor(struct vcpu *v, uint64_t imm) { (void)imm; return vcpu_raise(v, EXCEPTION_UD); }
uint64_t help_mwait(struct vcpu *v, uint64_t imm) { (void)imm; return vcpu_raise(v, EXCEPTION_UD); }

/* -- MSRs, CPUID, time -------------------------------------------------------------------------------------------------------- */

static void set_edx_eax(struct vcpu *v, uint64_t value)
{
    v->cpu.slot[RAX] = (uint32_t)value;
    v->cpu.slot[RDX] = value >> 32;
}

static uint64_t edx_eax(const struct vcpu *v) { return (uint32_t)v->cpu.slot[RAX] | v->cpu.slot[RDX] << 32; }

uint64_t help_rdmsr(struct vcpu *v, uint64_t imm)
{
    uint64_t value;

    (void)imm;
    if (!supervisor(v))
        return 0;
    if (!msr_read(v, (uint32_t)v->cpu.slot[RCX], &value)) {
        log_printf(LOG_GUEST, "rdmsr %x: no such register\n", (uint32_t)v->cpu.slot[RCX]);
        return gp(v);
    }
    set_edx_eax(v, value);
    return 1;
}

uint64_t help_wrmsr(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!supervisor(v))
        return 0;
    if (!msr_write(v, (uint32_t)v->cpu.slot[RCX], edx_eax(v))) {
        log_printf(LOG_GUEST, "wrmsr %x %" PRIx64 ": refused\n", (uint32_t)v->cpu.slot[RCX], edx_eax(v));
        return gp(v);
    }
    return 1;
}

/*
 * Cycles they take on processors since Skylake, about (Intel's optimization manual, 2.5.4: PAUSE up to 140), where an
 * instruction takes one: what waits in a loop waits in few rounds.
 */
enum { PAUSE_NS = 140, RDTSC_NS = 25 };

static void dawdle(struct vcpu *v, uint64_t ns, bool waits)
{
    if (v->host.dawdle)
        v->host.dawdle(v->host.opaque, ns, waits);
}

uint64_t help_pause(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    dawdle(v, PAUSE_NS, true);
    return 1;
}

uint64_t help_rdtsc(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (v->cpu.cr4 & CR4_TSD && v->cpu.cpl)
        return gp(v);
    dawdle(v, RDTSC_NS, false);
    set_edx_eax(v, vcpu_tsc(v));
    return 1;
}

uint64_t help_rdtscp(struct vcpu *v, uint64_t imm)
{
    if (!help_rdtsc(v, imm))
        return 0;
    v->cpu.slot[RCX] = (uint32_t)v->cpu.msr.tsc_aux;
    return 1;
}

/* No performance counters: every index is out of range. */
uint64_t help_rdpmc(struct vcpu *v, uint64_t imm) { (void)imm; return gp(v); }
uint64_t help_rdpid(struct vcpu *v, uint64_t imm) { (void)imm; return (uint32_t)v->cpu.msr.tsc_aux; }

uint64_t help_cpuid(struct vcpu *v, uint64_t imm)
{
    uint64_t *r = v->cpu.slot;
    struct cpuid_result c = cpuid(&v->cpuid, &v->cpu, (uint32_t)r[RAX], (uint32_t)r[RCX]);

    (void)imm;
    r[RAX] = c.eax;
    r[RBX] = c.ebx;
    r[RCX] = c.ecx;
    r[RDX] = c.edx;
    return 1;
}

/* -- XCR0, PKRU, FS and GS bases ------------------------------------------------------------------------------------------------ */

static bool xsave_enabled(struct vcpu *v) { return v->cpu.cr4 & CR4_OSXSAVE || vcpu_raise(v, EXCEPTION_UD); }

uint64_t help_xgetbv(struct vcpu *v, uint64_t imm)
{
    uint32_t index = (uint32_t)v->cpu.slot[RCX];

    (void)imm;
    if (!xsave_enabled(v))
        return 0;
    if (index > feature_has(&v->features, FEATURE_xgetbv1))
        return gp(v);
    set_edx_eax(v, index ? v->cpu.xcr0 & save_in_use(&v->cpu) : v->cpu.xcr0);
    return 1;
}

/* SDM 1 13.3: x87 always; AVX needs SSE; the three AVX-512 bits go together and need AVX. */
static bool xcr0_valid(const struct vcpu *v, uint64_t value)
{
    uint64_t avx512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM, avx = XCR0_SSE | XCR0_AVX;

    if (!(value & XCR0_X87) || value & ~cpuid_xcr0_mask(&v->features))
        return false;
    if (value & XCR0_AVX && !(value & XCR0_SSE))
        return false;
    return !(value & avx512) || ((value & avx512) == avx512 && (value & avx) == avx);
}

uint64_t help_xsetbv(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!xsave_enabled(v) || !supervisor(v))
        return 0;
    if ((uint32_t)v->cpu.slot[RCX] || !xcr0_valid(v, edx_eax(v)))
        return gp(v);
    v->cpu.xcr0 = edx_eax(v);
    vcpu_update(v);
    return 1;
}

static bool pkru_allowed(struct vcpu *v)
{
    if (!(v->cpu.cr4 & CR4_PKE))
        return vcpu_raise(v, EXCEPTION_UD);
    return !(uint32_t)v->cpu.slot[RCX] || gp(v);
}

uint64_t help_rdpkru(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (pkru_allowed(v))
        set_edx_eax(v, v->cpu.pkru);
    return 1;
}

uint64_t help_wrpkru(struct vcpu *v, uint64_t imm)
{
    (void)imm;
    if (!pkru_allowed(v))
        return 0;
    if ((uint32_t)v->cpu.slot[RDX])
        return gp(v);
    v->cpu.pkru = (uint32_t)v->cpu.slot[RAX];
    vcpu_update(v);
    return 1;
}

static bool bases_enabled(struct vcpu *v) { return (v->cpu.cr4 & CR4_FSGSBASE && v->cpu.mode & MODE_CODE64) || vcpu_raise(v, EXCEPTION_UD); }

static uint64_t read_base(struct vcpu *v, unsigned segment, unsigned width)
{
    return bases_enabled(v) ? bits_trunc(v->cpu.seg[segment].base, width) : 0;
}

static uint64_t write_base(struct vcpu *v, unsigned segment, uint64_t value, unsigned width)
{
    value = bits_trunc(value, width);
    if (!bases_enabled(v))
        return 0;
    if (!segment_base_is_canonical(value))
        return gp(v);
    v->cpu.seg[segment].base = value;
    return 1;
}

uint64_t help_rdfsbase(struct vcpu *v, uint64_t width) { return read_base(v, SEG_FS, (unsigned)width); }
uint64_t help_rdgsbase(struct vcpu *v, uint64_t width) { return read_base(v, SEG_GS, (unsigned)width); }
uint64_t help_wrfsbase(struct vcpu *v, uint64_t value, uint64_t width) { return write_base(v, SEG_FS, value, (unsigned)width); }
uint64_t help_wrgsbase(struct vcpu *v, uint64_t value, uint64_t width) { return write_base(v, SEG_GS, value, (unsigned)width); }

uint64_t help_swapgs(struct vcpu *v, uint64_t imm)
{
    uint64_t base = v->cpu.seg[SEG_GS].base;

    (void)imm;
    if (!(v->cpu.mode & MODE_CODE64))
        return vcpu_raise(v, EXCEPTION_UD);
    if (!supervisor(v))
        return 0;
    v->cpu.seg[SEG_GS].base = v->cpu.msr.kernel_gs_base;
    v->cpu.msr.kernel_gs_base = base;
    return 1;
}

/* -- descriptor-table registers --------------------------------------------------------------------------------------------------- */

/* shape: operand size, 0x100 stack segment, 0x400 64-bit mode. */
static bool load_table(struct vcpu *v, uint64_t linear, uint64_t shape, struct descriptor_table *t)
{
    bool wide = shape >> 10 & 1;
    union wide data = { .q = { 0 } };
    uint64_t base;

    if (!supervisor(v))
        return false;
    if (!access_load(&v->mmu, linear, &data, wide ? 10 : 6, FORM_TABLE, shape & 0x100 ? ACCESS_STACK : 0))
        return vcpu_raise_mmu(v);
    memcpy(&base, &data.b[2], 8);
    if (!wide)
        base &= (shape & 0xff) == 2 ? 0xffffff : 0xffffffff;
    else if (!segment_base_is_canonical(base))
        return gp(v);
    *t = (struct descriptor_table){ .base = base, .limit = data.h[0] };
    return true;
}

static bool store_table(struct vcpu *v, uint64_t linear, uint64_t shape, const struct descriptor_table *t)
{
    bool wide = shape >> 10 & 1;
    union wide data = { .h = { t->limit } };

    if (v->cpu.cr4 & CR4_UMIP && v->cpu.cpl)
        return gp(v);
    memcpy(&data.b[2], &t->base, 8);
    return access_store(&v->mmu, linear, &data, wide ? 10 : 6, FORM_TABLE, shape & 0x100 ? ACCESS_STACK : 0) || vcpu_raise_mmu(v);
}

uint64_t help_lgdt(struct vcpu *v, uint64_t linear, uint64_t shape) { return load_table(v, linear, shape, &v->cpu.gdtr); }
uint64_t help_lidt(struct vcpu *v, uint64_t linear, uint64_t shape) { return load_table(v, linear, shape, &v->cpu.idtr); }
uint64_t help_sgdt(struct vcpu *v, uint64_t linear, uint64_t shape) { return store_table(v, linear, shape, &v->cpu.gdtr); }
uint64_t help_sidt(struct vcpu *v, uint64_t linear, uint64_t shape) { return store_table(v, linear, shape, &v->cpu.idtr); }

/* -- TLB and caches --------------------------------------------------------------------------------------------------------------------- */

uint64_t help_invlpg(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    (void)shape;
    if (!supervisor(v))
        return 0;
    tlb_flush_page(&v->mmu, linear);
    return 1;
}

/* SDM 2 INVPCID: types 0 to 3; every one may flush more than asked, and only 2 asks for global pages. */
uint64_t help_invpcid(struct vcpu *v, uint64_t linear, uint64_t type, uint64_t stack)
{
    union wide data;

    if (!supervisor(v))
        return 0;
    if (type > 3)
        return gp(v);
    if (!access_load(&v->mmu, linear, &data, 16, FORM_PLAIN, stack ? ACCESS_STACK : 0))
        return vcpu_raise_mmu(v);
    if (type == 0 && !segment_base_is_canonical(data.q[1]))
        return gp(v);
    if (type < 2 && (data.q[0] >> 12 || (data.q[0] && !(v->cpu.cr4 & CR4_PCIDE))))
        return gp(v);
    if (type == 2)
        tlb_flush(&v->mmu);
    else
        tlb_flush_local(&v->mmu);
    return 1;
}

uint64_t help_invd(struct vcpu *v, uint64_t imm) { (void)imm; return supervisor(v); }
uint64_t help_wbinvd(struct vcpu *v, uint64_t imm) { (void)imm; return supervisor(v); }

/*
 * A cache line is translated as for a load, and nothing is read: a device must not notice.  The access is carried out
 * as a hint all the same, because the policy that imitates KVM makes a load of it.
 */
static uint64_t flush_line(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    struct access a = { .type = TRANSACTION_LOAD, .form = FORM_HINT, .width = 1, .gva = linear, .enables = 1 };

    if (!access_prepare(&v->mmu, &a, ACCESS_READ | (shape & 0x100 ? ACCESS_STACK : 0)))
        return vcpu_raise_mmu(v);
    access_perform(&v->mmu, &a);
    return 1;
}

uint64_t help_clflush(struct vcpu *v, uint64_t linear, uint64_t shape) { return flush_line(v, linear, shape); }
uint64_t help_clflushopt(struct vcpu *v, uint64_t linear, uint64_t shape) { return flush_line(v, linear, shape); }

uint64_t help_clwb(struct vcpu *v, uint64_t linear, uint64_t shape)
{
    return access_probe(&v->mmu, linear, 1, ACCESS_READ | (shape & 0x100 ? ACCESS_STACK : 0)) || vcpu_raise_mmu(v);
}
