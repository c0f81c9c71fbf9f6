/*
 * acpi_pm.c - ACPI fixed hardware in the layout of an ICH9: PM timer, PM1 event and control, GPE0, SMI_EN, APM ports.
 *
 * There is no system management mode.  SMI_EN.APMC_EN therefore reads as set, which tells firmware that somebody
 * already handles SMIs from port 0xb2, and this file does what such a handler would: 2 and 3 written there switch
 * SCI_EN on and off.  Not modelled: TCO watchdog, sleep states other than suspend to RAM and
 * soft-off, GPE sources (bits never rise).
 * Manual: ACPI 6.4 section 4.8; Intel ICH9 data sheet (316972) section 13.8.3, "Power Management I/O Registers".
 */
#include "acpi_pm.h"

enum { PM1_STS = 0x00, PM1_EN = 0x02, PM1_CNT = 0x04, PM1_TMR = 0x08, GPE0_STS = 0x20, GPE0_EN = 0x28, SMI_EN = 0x30,
       SMI_STS = 0x34, ALT_GP_SMI_EN = 0x38 };
enum { STS_TIMER = 1 << 0, STS_BUS_MASTER = 1 << 4, STS_GLOBAL = 1 << 5, STS_POWER_BUTTON = 1 << 8, STS_RTC = 1 << 10,
       STS_WAKE = 1 << 15 };
enum { STS_ALL = 0xcd31, STS_EVENTS = STS_TIMER | STS_GLOBAL | STS_POWER_BUTTON | STS_RTC };
enum { CNT_SCI = 1 << 0, CNT_GLOBAL_RELEASE = 1 << 2, CNT_SLEEP_TYPE = 7 << 10, CNT_SLEEP = 1 << 13 };
enum { SMI_EN_GLOBAL = 1 << 0, SMI_EN_EOS = 1 << 1, SMI_EN_APMC = 1 << 5 };
enum { APM_ACPI_ENABLE = 2, APM_ACPI_DISABLE = 3 };

#define TIMER_BITS 24
#define PM_REGION_BYTES 128
#define CNT_KEPT 0x1c03

struct acpi_pm {
    uint8_t reg[PM_REGION_BYTES]; /* all that is plain storage */
    uint16_t status, enable;
    uint32_t control;
    uint64_t gpe_status, gpe_enable;
    uint8_t apm[2];
    bool asleep, woken;           /* woken: until the reset that follows */
    uint64_t synced_ns;           /* TMROF_STS is true up to here */
    struct clock_timer timer;
    struct clock *clock;
    struct acpi_pm_wires wires;
};

static uint64_t acpi_pm_ticks(const struct acpi_pm *pm, uint64_t ns)
{
    (void)pm;
    return clock_ns_to_ticks(ns, ACPI_PM_TIMER_HZ);
}

/* TMR_STS rises when bit 23 of the timer changes (ACPI 4.8.3.3). */
static void acpi_pm_sync(struct acpi_pm *pm)
{
    uint64_t now = clock_now(pm->clock);

    if (acpi_pm_ticks(pm, now) >> (TIMER_BITS - 1) != acpi_pm_ticks(pm, pm->synced_ns) >> (TIMER_BITS - 1))
        pm->status |= STS_TIMER;
    pm->synced_ns = now;
}

/* ACPI 4.8.3.1: WAK_STS and the event that did it are there for who runs next. */
static void acpi_pm_wake(struct acpi_pm *pm)
{
    pm->asleep = false;
    pm->woken = true;
    pm->status |= STS_WAKE;
    irq_pulse(&pm->wires.wake);
}

static bool acpi_pm_is_called(const struct acpi_pm *pm)
{
    return pm->status & pm->enable & (STS_RTC | STS_POWER_BUTTON) || pm->gpe_status & pm->gpe_enable;
}

static void acpi_pm_update(struct acpi_pm *pm)
{
    bool event;

    acpi_pm_sync(pm);
    if (pm->asleep && acpi_pm_is_called(pm))
        acpi_pm_wake(pm);
    event = pm->status & pm->enable & STS_EVENTS || pm->gpe_status & pm->gpe_enable;
    irq_set(&pm->wires.sci, event && pm->control & CNT_SCI);
    clock_disarm(pm->clock, &pm->timer);
    if (pm->enable & STS_TIMER && !(pm->status & STS_TIMER)) {
        uint64_t half = acpi_pm_ticks(pm, pm->synced_ns) >> (TIMER_BITS - 1);

        clock_arm(pm->clock, &pm->timer, clock_ticks_to_ns((half + 1) << (TIMER_BITS - 1), ACPI_PM_TIMER_HZ));
    }
}

static void acpi_pm_fire(void *opaque) { acpi_pm_update(opaque); }

static void acpi_pm_write_control(struct acpi_pm *pm, uint32_t v)
{
    unsigned type = (v & CNT_SLEEP_TYPE) >> 10;

    pm->control = v & CNT_KEPT; /* SLP_EN and GBL_RLS read as zero */
    if (!(v & CNT_SLEEP))
        return;
    switch (type) {
    case 7: case 0: /* the ICH9's soft-off; what SeaBIOS writes to turn a virtual machine off */
        irq_pulse(&pm->wires.power_off);
        break;
    case 5: case 1: /* the ICH9's suspend to RAM; QEMU's */
        pm->asleep = true;
        irq_pulse(&pm->wires.sleep);
        break;
    default: break;
    }
}

/* -- registers byte by byte: the guest may use any width that is aligned ------------------------------------------ */

static uint64_t acpi_pm_read_register(struct acpi_pm *pm, unsigned at)
{
    switch (at) {
    case PM1_STS: return pm->status | (uint32_t)pm->enable << 16;
    case PM1_CNT: return pm->control;
    case PM1_TMR: return acpi_pm_ticks(pm, clock_now(pm->clock)) & bits_mask(TIMER_BITS);
    case GPE0_STS: return (uint32_t)pm->gpe_status;
    case GPE0_STS + 4: return pm->gpe_status >> 32;
    case GPE0_EN: return (uint32_t)pm->gpe_enable;
    case GPE0_EN + 4: return pm->gpe_enable >> 32;
    default: return pm->reg[at] | pm->reg[at + 1] << 8 | pm->reg[at + 2] << 16 | (uint32_t)pm->reg[at + 3] << 24;
    }
}

/* `mask` has ones where bytes are written; v is zero elsewhere. */
static void acpi_pm_write_register(struct acpi_pm *pm, unsigned at, uint32_t v, uint32_t mask)
{
    uint32_t old = (uint32_t)acpi_pm_read_register(pm, at), merged = (old & ~mask) | v;

    switch (at) {
    case PM1_STS:
        pm->status &= ~(v & STS_ALL); /* write one to clear */
        pm->enable = merged >> 16 & (STS_EVENTS | 1 << 14);
        break;
    case PM1_CNT: acpi_pm_write_control(pm, merged); break;
    case PM1_TMR: break;
    case GPE0_STS: pm->gpe_status &= ~(uint64_t)v; break;
    case GPE0_STS + 4: pm->gpe_status &= ~((uint64_t)v << 32); break;
    case GPE0_EN: pm->gpe_enable = (pm->gpe_enable & ~UINT64_C(0xffffffff)) | merged; break;
    case GPE0_EN + 4: pm->gpe_enable = (pm->gpe_enable & 0xffffffff) | (uint64_t)merged << 32; break;
    case SMI_EN: merged |= SMI_EN_APMC; /* fall through */
    case ALT_GP_SMI_EN:
        for (unsigned i = 0; i < 4; i++)
            pm->reg[at + i] = (uint8_t)(merged >> i * 8);
        break;
    default: break; /* SMI_STS: no SMI was ever raised; the rest is reserved */
    }
}

static uint64_t acpi_pm_read(void *state, uint64_t offset, unsigned width)
{
    struct acpi_pm *pm = state;
    unsigned at = (unsigned)offset & (PM_REGION_BYTES - 4);

    acpi_pm_update(pm);
    return bits_trunc(acpi_pm_read_register(pm, at) >> (offset & 3) * 8, width);
}

static void acpi_pm_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct acpi_pm *pm = state;
    unsigned at = (unsigned)offset & (PM_REGION_BYTES - 4), shift = (offset & 3) * 8;
    uint32_t mask = (uint32_t)(bits_mask(width * 8) << shift);

    acpi_pm_sync(pm);
    acpi_pm_write_register(pm, at, (uint32_t)(value << shift) & mask, mask);
    acpi_pm_update(pm);
}

static uint64_t acpi_pm_read_apm(void *state, uint64_t offset, unsigned width)
{
    struct acpi_pm *pm = state;

    (void)width;
    return pm->apm[offset & 1];
}

static void acpi_pm_write_apm(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct acpi_pm *pm = state;

    (void)width;
    pm->apm[offset & 1] = (uint8_t)value;
    if (offset == 0 && value == APM_ACPI_ENABLE)
        pm->control |= CNT_SCI;
    if (offset == 0 && value == APM_ACPI_DISABLE)
        pm->control &= ~(uint32_t)CNT_SCI;
    acpi_pm_update(pm);
}

static void acpi_pm_reset(struct device *device)
{
    struct acpi_pm *pm = device->state;

    for (unsigned i = 0; i < PM_REGION_BYTES; i++)
        pm->reg[i] = 0;
    pm->reg[SMI_EN] = SMI_EN_EOS | SMI_EN_APMC;
    if (!pm->woken)
        pm->status = 0;
    pm->enable = 0;
    pm->asleep = pm->woken = false;
    pm->control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->apm[0] = pm->apm[1] = 0;
    pm->synced_ns = clock_now(pm->clock);
    acpi_pm_update(pm);
}

static void acpi_pm_create(struct device *device)
{
    struct acpi_pm *pm = device->state;

    pm->clock = device->host.clock;
    pm->timer = (struct clock_timer){ .fire = acpi_pm_fire, .opaque = pm };
}

static void acpi_pm_destroy(struct device *device)
{
    struct acpi_pm *pm = device->state;

    clock_disarm(pm->clock, &pm->timer);
}

void acpi_pm_connect(struct device *device, const struct acpi_pm_wires *wires)
{
    struct acpi_pm *pm = device->state;

    pm->wires = *wires;
}

void acpi_pm_place(struct device *device, uint16_t base, bool enabled)
{
    region_move(&device->region[0], base, enabled);
}

void acpi_pm_press_power_button(struct device *device)
{
    struct acpi_pm *pm = device->state;

    pm->status |= STS_POWER_BUTTON;
    if (pm->asleep)
        acpi_pm_wake(pm);
    acpi_pm_update(pm);
}

static void acpi_pm_set_rtc(void *opaque, int line, bool level)
{
    struct acpi_pm *pm = opaque;

    (void)line;
    if (!level)
        return;
    pm->status |= STS_RTC;
    acpi_pm_update(pm);
}

struct irq acpi_pm_rtc(struct device *device) { return (struct irq){ .set = acpi_pm_set_rtc, .opaque = device->state }; }

static const struct region_ops acpi_pm_ops = {
    .read = acpi_pm_read, .write = acpi_pm_write, .limits = { .widths = W1 | W2 | W4 },
};
static const struct region_ops acpi_pm_apm_ops = {
    .read = acpi_pm_read_apm, .write = acpi_pm_write_apm, .limits = { .widths = W1 },
};

#define STATE struct acpi_pm
FIELDS(acpi_pm_fields, FIELD_ARRAY(reg), FIELD(status), FIELD(enable), FIELD(control), FIELD(gpe_status), FIELD(gpe_enable),
       FIELD_ARRAY(apm), FIELD(asleep), FIELD(woken), FIELD_PAST(synced_ns), FIELD_DEADLINE(timer), WIRING(clock),
       FIELD_IRQ(wires.sci), FIELD_IRQ(wires.power_off), FIELD_IRQ(wires.sleep), FIELD_IRQ(wires.wake))
#undef STATE

const struct device_class acpi_pm_class = {
    .name = "acpi-pm",
    .title = "ACPI fixed hardware and APM ports (ACPI 6.4, ICH9 316972)",
    .state_size = sizeof(struct acpi_pm),
    .region = {
        { REGION_PIO, 0x0600, PM_REGION_BYTES, &acpi_pm_ops, true },
        { REGION_PIO, 0xb2, 2, &acpi_pm_apm_ops, false },
    },
    .create = acpi_pm_create,
    .reset = acpi_pm_reset,
    .destroy = acpi_pm_destroy,
    .fields = &acpi_pm_fields,
};
