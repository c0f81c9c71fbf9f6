/*
 * tables.c - which fields of a machine are saved, and which states of a CPU are none.
 *
 * Not saved, because it is as good after a while: translations, of addresses and of code.  The guest cannot tell, unless
 * it has changed page tables without saying so (INVLPG), and then it may find either.
 */
#include "snapshot/tables.h"

#include "machine.h"

#define STATE struct cpu
#define SEGMENT_FIELDS(name)                                                                                           \
    FIELD_EACH(name, selector), FIELD_EACH_MAX(name, ar, 0x1ffff), FIELD_EACH(name, limit), FIELD_EACH(name, base)
#define TABLE_FIELDS(name) FIELD(name.base), FIELD(name.limit)
#define X87_FIELDS(x)                                                                                                  \
    FIELD_ARRAY(x.significand), FIELD_ARRAY(x.exponent), FIELD(x.control), FIELD(x.status), FIELD(x.opcode),           \
        FIELD(x.valid), FIELD(x.ip), FIELD(x.dp), FIELD(x.cs), FIELD(x.ds)
#define MSR_FIELDS(m)                                                                                                  \
    FIELD(m.apic_base), FIELD(m.tsc_adjust), FIELD(m.tsc_aux), FIELD(m.tsc_deadline), FIELD(m.star), FIELD(m.lstar),   \
        FIELD(m.cstar), FIELD(m.sfmask), FIELD(m.kernel_gs_base), FIELD(m.sysenter_cs), FIELD(m.sysenter_esp),         \
        FIELD(m.sysenter_eip), FIELD(m.pat), FIELD(m.mtrr_def_type), FIELD_ARRAY(m.mtrr_fixed),                        \
        FIELD_ARRAY(m.mtrr_base), FIELD_ARRAY(m.mtrr_mask), FIELD(m.misc_enable), FIELD(m.feature_control),            \
        FIELD(m.mcg_status), FIELD(m.debugctl), FIELD_MAX(m.pkrs, UINT32_MAX),                          \
        FIELD(m.spec_ctrl), FIELD(m.arch_capabilities), FIELD(m.microcode), FIELD(m.smbase), FIELD(m.xss)

FIELDS(cpu_fields, FIELD_FIRST(slot, GPRS), SCRATCH_REST(slot, GPRS), FIELD(rip), FIELD_MAX(rflags, 0x3f7fd7), SCRATCH(flag_z),
       SCRATCH(flag_s), SCRATCH(flag_c), SEGMENT_FIELDS(seg), TABLE_FIELDS(gdtr), TABLE_FIELDS(idtr), FIELD(cr0), FIELD(cr2), FIELD(cr3),
       FIELD(cr4), FIELD_MAX(cr8, 15), FIELD(efer), FIELD(xcr0), FIELD_ARRAY(dr), FIELD(pkru), MSR_FIELDS(msr), FIELD(tsc_base),
       FIELD_EACH_ARRAY(zmm, q), FIELD_ARRAY(k), FIELD_MAX(mxcsr, 0xffff), X87_FIELDS(x87), SCRATCH(scratch),
       FIELD_MAX(activity, CPU_SHUTDOWN), FIELD_MAX(shadow, SHADOW_MOV_SS), FIELD(nmi_blocked), SCRATCH(watched), SCRATCH(mode), SCRATCH(cpl))
#undef STATE

/*
 * Between two instructions, or two elements of a repetition (`again`).  A data breakpoint that MOV SS has hit is told after the
 * next instruction.
 */
#define STATE struct vcpu
FIELDS(vcpu_fields, WIRING(cpu), SCRATCH(fault), SCRATCH(first_fault), SCRATCH(next_rip), SCRATCH(delivered), FIELD(again), FIELD(tsc_khz),
       SCRATCH(mmu), FIELD_ARRAY(mmu.pdpte), FIELD_MAX(mmu.watch_hits, 15), SCRATCH(bus),
       FIELD(bus.touched), SCRATCH(code), FIELD(pins.intr), FIELD(pins.nmi), FIELD(pins.init),
       FIELD(pins.startup), FIELD(pins.startup_vector), WIRING(pins.acknowledge), WIRING(pins.opaque), WIRING(pins.changed),
       WIRING(pins.engine), WIRING(host), SCRATCH(features), SCRATCH(cpuid), SCRATCH(vendor), FIELD_MAX(retired, INT64_MAX), SCRATCH(in_block),
       SCRATCH(rip_after), SCRATCH(insn_bytes), SCRATCH(insn), SCRATCH(watching), SCRATCH(stop_on_touch), SCRATCH(assist),
       SCRATCH(debug), SCRATCH(exact), SCRATCH(attention), SCRATCH(end), WIRING(id), WIRING(cpus))
#undef STATE

/* Looking for --until's text, hand-overs and counts for --stats belong to a run, not to the guest. */
#define STATE struct machine
FIELDS(machine_fields, WIRING(config), SCRATCH(phys), SCRATCH(clock), WIRING(dma), SCRATCH(dma_bus), SCRATCH(vcpu), SCRATCH(cpu), WIRING(cpus),
       FIELD_MAX(at, APIC_CPUS - 1), FIELD_MAX(turn_ends, INT64_MAX), SCRATCH(turn_ends_ns), FIELD(pauses), WIRING(board), SCRATCH(runs),
       SCRATCH(switched), SCRATCH(switch_from), SCRATCH(switch_counts), FIELD_MAX(skipped_ns, INT64_MAX),
       FIELD_MAX(journeys, INT64_MAX / 1000), FIELD_MAX(exit_code, 0x7f), FIELD(debug_exited),
       FIELD(powered_off), FIELD(panicked), FIELD(reset_requested), FIELD(sleep_requested), FIELD(asleep), FIELD(woken),
       SCRATCH(until_seen), SCRATCH(interrupted), SCRATCH(until_matched), WIRING(disk),
       WIRING(disks), WIRING(nets), WIRING(share), WIRING(shares), WIRING(bell), SCRATCH(rung), SCRATCH(host_start_ns),
       SCRATCH(attend_at), SCRATCH(idle_waits), SCRATCH(threads), WIRING(console))
#undef STATE

#define STATE struct board
FIELDS(board_fields, WIRING(irq_bus), WIRING(config), WIRING(phys), WIRING(ram), WIRING(flash), WIRING(isa_rom), WIRING(ram_low_bytes),
       WIRING(ram_high_bytes), WIRING(ram_base), WIRING(ram_low), WIRING(ram_high), WIRING(rom_high),
       SCRATCH(vga_linear), SCRATCH(vga_window), SCRATCH(segment),
       FIELD_EACH_IRQ(pic_line), FIELD_EACH_IRQ(ioapic_line), FIELD_IRQ(lint0), FIELD_ARRAY(pic_sources), FIELD_ARRAY(ioapic_sources),
       WIRING(pic), WIRING(ioapic), WIRING(apic), WIRING(pit), WIRING(rtc), WIRING(hpet), WIRING(i8042), WIRING(com), WIRING(pci),
       WIRING(mch), WIRING(lpc), WIRING(acpi_pm), WIRING(fw_cfg), WIRING(debugcon), WIRING(debug_exit), WIRING(pvpanic), WIRING(post),
       WIRING(widereg), WIRING(testdev), WIRING(ahci), WIRING(vga), WIRING(edu), WIRING(iommu), WIRING(disk), WIRING(net), WIRING(virtio),
       WIRING(share), WIRING(mmio), WIRING(mmios))
#undef STATE

/* -- a CPU that can be ----------------------------------------------------------------------------------------------------- */

enum { CR0_ALL = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD,
       CR4_ALL = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT |
                 CR4_UMIP | CR4_LA57 | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS,
       EFER_ALL = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | EFER_FFXSR,
       XCR0_AVX512 = XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM,
       XCR0_ALL = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU };

/* SDM 3A 2.5, 10.8.5. */
static bool cpu_check_control(const struct cpu *c, struct err *err)
{
    bool paging = c->cr0 & CR0_PG, lma = c->efer & EFER_LMA;

    if (c->cr0 & ~(CR0_PG | CR0_ALL) || (paging && !(c->cr0 & CR0_PE)) || (c->cr0 & CR0_NW && !(c->cr0 & CR0_CD)))
        return err_set(err, "CR0 cannot be %#llx", (unsigned long long)c->cr0);
    if (c->cr4 & ~(uint64_t)CR4_ALL || (lma && !(c->cr4 & CR4_PAE)))
        return err_set(err, "CR4 cannot be %#llx", (unsigned long long)c->cr4);
    if (c->efer & ~(uint64_t)EFER_ALL || lma != (paging && c->efer & EFER_LME))
        return err_set(err, "EFER cannot be %#llx", (unsigned long long)c->efer);
    if (c->rflags & FLAG_VM && (lma || !(c->cr0 & CR0_PE)))
        return err_set(err, "RFLAGS cannot be %#llx", (unsigned long long)c->rflags);
    return true;
}

/* SDM 1 13.3. */
static bool cpu_check_vector(const struct cpu *c, struct err *err)
{
    uint64_t avx512 = c->xcr0 & XCR0_AVX512;

    if (c->xcr0 & ~(uint64_t)XCR0_ALL || !(c->xcr0 & XCR0_X87) || (c->xcr0 & XCR0_AVX && !(c->xcr0 & XCR0_SSE)) ||
        (avx512 && (avx512 != XCR0_AVX512 || !(c->xcr0 & XCR0_AVX))))
        return err_set(err, "XCR0 cannot be %#llx", (unsigned long long)c->xcr0);
    return true;
}

bool cpu_check(const struct cpu *c, struct err *err)
{
    if (!cpu_check_control(c, err) || !cpu_check_vector(c, err))
        return false;
    if ((c->dr[6] | c->dr[7]) >> 32)
        return err_set(err, "DR6 and DR7 have 32 bits");
    return true;
}
