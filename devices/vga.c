/*
 * vga.c - a VGA: sequencer, CRTC, graphics and attribute controllers, DAC, four planes at A0000 to BFFFF, and Bochs's VBE registers
 * with a linear frame buffer.
 *
 * Where an access to the window at A0000 is one to linear memory (chain 4 without any arithmetic, VBE's banks), and in the
 * linear frame buffer always, the board maps the memory itself and the device sees nothing of it.
 * Not modelled: CGA's and EGA's registers beyond the VGA's, light pen, interrupt of vertical retrace, 4-bit VBE modes, panning by
 * pixels, and addresses of chain 4 that skip three bytes in each plane (they are packed instead).
 * Manuals: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"; the VBE registers: Bochs's vbe.h and QEMU's
 * docs/specs/standard-vga.
 */
#include "vga.h"

#include "vga_state.h"

enum { PORTS_BASE = 0x3b0, PORTS = 0x30, WINDOW_ALL = 0x20000, VBE_PORTS = 0x1ce };
enum { MISC_COLOUR = 1, MISC_RAM = 2 };
enum { SR_MASK = 2, SR_MODE = 4, SR4_EXTENDED = 2, SR4_SEQUENTIAL = 4, SR4_CHAIN4 = 8 };
enum { GR_SET_RESET, GR_ENABLE_SET, GR_COMPARE, GR_ROTATE, GR_READ_MAP, GR_MODE, GR_MISC, GR_CARE, GR_BIT_MASK };
enum { GR5_READ_COMPARE = 8, GR5_ODD_EVEN = 0x10, GR6_ODD_EVEN = 2, CR_PROTECT = 0x11 };
enum { PLANE_BYTES = 65536, PLANES_MASK = PLANE_BYTES * 4 - 1 };
enum { FRAME_NS = 14285714, LINE_NS = 31778 }; /* 70 Hz, 31.5 kHz */
enum { VBE_ID_LEAST = 0xb0c0, VBE_ID_NEWEST = 0xb0c5, BANK_BYTES = 65536 };

/* -- where memory is plain -------------------------------------------------------------------------------------------------- */

static bool vbe_on(const struct vga *v) { return v->vbe[VBE_ENABLE] & VBE_ENABLED; }

/* Chain 4, all planes, write mode 0 without arithmetic, read mode 0: at A0000, 64 or 128 KiB. */
static bool vga_is_plain(const struct vga *v)
{
    return v->sequencer[SR_MODE] & SR4_CHAIN4 && (v->sequencer[SR_MASK] & 15) == 15 && !(v->graphics[GR_ENABLE_SET] & 15) &&
           !v->graphics[GR_ROTATE] && !(v->graphics[GR_MODE] & (3 | GR5_READ_COMPARE)) && v->graphics[GR_BIT_MASK] == 0xff &&
           !(v->graphics[GR_MISC] & 8);
}

static uint8_t *vga_window(struct vga *v)
{
    uint64_t bank = (uint64_t)v->vbe[VBE_BANK] * BANK_BYTES;

    if (!(v->misc & MISC_RAM) || (v->graphics[GR_MISC] & 8))
        return NULL;
    if (vbe_on(v))
        return bank + BANK_BYTES <= VGA_MEMORY_BYTES ? v->memory + bank : NULL;
    return vga_is_plain(v) ? v->memory : NULL;
}

static void vga_map(struct vga *v)
{
    const struct region *linear = &v->function.device->region[0];
    struct vga_mapping mapping = { .linear = v->memory, .linear_base = linear->base, .linear_enabled = linear->enabled,
                                   .window = vga_window(v) };

    if (v->sink.map)
        v->sink.map(v->sink.opaque, &mapping);
}

/* -- the planes: "Graphics Controller" ---------------------------------------------------------------------------------------- */

/* The offset in the window's 128 KiB that is decoded; false: nothing is there now. */
static bool vga_decode(const struct vga *v, uint64_t *at)
{
    static const struct { uint32_t base, size; } map[4] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
    unsigned n = v->graphics[GR_MISC] >> 2 & 3;

    if (!(v->misc & MISC_RAM) || *at < map[n].base || *at - map[n].base >= map[n].size)
        return false;
    *at -= map[n].base;
    return true;
}

static bool vga_is_odd_even(const struct vga *v) { return !(v->sequencer[SR_MODE] & SR4_SEQUENTIAL); }

static uint8_t vga_read_byte(struct vga *v, uint64_t at)
{
    uint8_t result = 0xff, plane = v->graphics[GR_READ_MAP] & 3;

    if (vbe_on(v))
        return at < BANK_BYTES ? v->memory[(v->vbe[VBE_BANK] * (uint64_t)BANK_BYTES + at) % VGA_MEMORY_BYTES] : 0xff;
    if (!vga_decode(v, &at))
        return 0xff;
    if (v->sequencer[SR_MODE] & SR4_CHAIN4)
        return v->memory[at & PLANES_MASK];
    if (v->graphics[GR_MODE] & GR5_ODD_EVEN) {
        plane = (uint8_t)((plane & 2) | (at & 1));
        at &= ~UINT64_C(1);
    }
    at = at % PLANE_BYTES * 4;
    memcpy(v->latch, v->memory + at, 4);
    if (!(v->graphics[GR_MODE] & GR5_READ_COMPARE))
        return v->latch[plane];
    for (unsigned p = 0; p < 4; p++)
        if (v->graphics[GR_CARE] >> p & 1)
            result &= (uint8_t)~(v->latch[p] ^ (v->graphics[GR_COMPARE] >> p & 1 ? 0xff : 0));
    return result;
}

static uint8_t vga_rotate(uint8_t value, unsigned n) { return (uint8_t)(value >> n | value << (8 - n)); }

static uint8_t vga_combine(const struct vga *v, uint8_t value, uint8_t latch)
{
    switch (v->graphics[GR_ROTATE] >> 3 & 3) {
    case 1: return value & latch;
    case 2: return value | latch;
    case 3: return value ^ latch;
    default: return value;
    }
}

/* What a write puts into plane p. */
static uint8_t vga_plane_value(const struct vga *v, unsigned p, uint8_t value)
{
    uint8_t mask = v->graphics[GR_BIT_MASK], latch = v->latch[p], rotated = vga_rotate(value, v->graphics[GR_ROTATE] & 7);
    uint8_t set = v->graphics[GR_SET_RESET] >> p & 1 ? 0xff : 0;

    switch (v->graphics[GR_MODE] & 3) {
    case 0:
        value = v->graphics[GR_ENABLE_SET] >> p & 1 ? set : rotated;
        break;
    case 1: return latch;
    case 2: value = value >> p & 1 ? 0xff : 0; break;
    default:
        mask &= rotated;
        value = set;
        break;
    }
    value = vga_combine(v, value, latch);
    return (uint8_t)((value & mask) | (latch & ~mask));
}

static void vga_write_byte(struct vga *v, uint64_t at, uint8_t value)
{
    uint8_t planes = v->sequencer[SR_MASK] & 15;

    if (vbe_on(v)) {
        if (at < BANK_BYTES)
            v->memory[(v->vbe[VBE_BANK] * (uint64_t)BANK_BYTES + at) % VGA_MEMORY_BYTES] = value;
        return;
    }
    if (!vga_decode(v, &at))
        return;
    if (v->sequencer[SR_MODE] & SR4_CHAIN4) {
        if (planes >> (at & 3) & 1)
            v->memory[at & PLANES_MASK] = vga_plane_value(v, at & 3, value);
        return;
    }
    if (vga_is_odd_even(v)) {
        planes &= at & 1 ? 0xa : 0x5;
        at &= ~UINT64_C(1);
    }
    for (unsigned p = 0; p < 4; p++)
        if (planes >> p & 1)
            v->memory[at % PLANE_BYTES * 4 + p] = vga_plane_value(v, p, value);
}

static uint64_t vga_read_memory(void *state, uint64_t offset, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)vga_read_byte(state, offset + i) << i * 8;
    return value;
}

static void vga_write_memory(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        vga_write_byte(state, offset + i, (uint8_t)(value >> i * 8));
}

/* Of the linear frame buffer, where nobody has mapped it. */
static uint64_t vga_read_linear(void *state, uint64_t offset, unsigned width)
{
    uint64_t value = 0;

    memcpy(&value, ((struct vga *)state)->memory + offset, width);
    return value;
}

static void vga_write_linear(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    memcpy(((struct vga *)state)->memory + offset, &value, width);
}

/* -- ports 0x3b0 to 0x3df ------------------------------------------------------------------------------------------------------- */

/* Reading it makes the attribute controller expect an index.  Bit 3: vertical retrace; bit 0: that or the horizontal one. */
static uint8_t vga_read_status(struct vga *v)
{
    uint64_t in_frame = clock_now(v->clock) % FRAME_NS, in_line = in_frame % LINE_NS;
    bool vertical = in_frame > FRAME_NS * UINT64_C(9) / 10;

    v->attribute_data = false;
    return (uint8_t)((vertical ? 8 : 0) | (vertical || in_line > LINE_NS * 4 / 5 ? 1 : 0));
}

static uint8_t vga_read_dac(struct vga *v)
{
    uint8_t value = v->dac[v->dac_read * 3 + v->dac_part];

    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_read++;
    }
    return value;
}

static void vga_write_dac(struct vga *v, uint8_t value)
{
    v->dac[v->dac_write * 3 + v->dac_part] = v->vbe[VBE_ENABLE] & VBE_DAC_8BIT ? value : value & 0x3f;
    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_write++;
    }
}

static void vga_write_attribute(struct vga *v, uint8_t value)
{
    static const uint8_t mask[5] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };
    uint8_t at = v->attribute_index & 31;

    if (!v->attribute_data)
        v->attribute_index = value & 63;
    else if (at < 16)
        v->attribute[at] = value & 0x3f;
    else if (at < 16 + sizeof(mask))
        v->attribute[at] = value & mask[at - 16];
    v->attribute_data = !v->attribute_data;
}

/* Bit 7 of 11h protects the registers of the timing, but not the bit of the line compare in 7. */
static void vga_write_crtc(struct vga *v, uint8_t value)
{
    uint8_t at = v->crtc_index;

    if (at > 0x18)
        return;
    if (v->crtc[CR_PROTECT] & 0x80 && at <= 7) {
        if (at == 7)
            v->crtc[7] = (v->crtc[7] & ~0x10) | (value & 0x10);
        return;
    }
    v->crtc[at] = value;
}

static void vga_write_sequencer(struct vga *v, uint8_t value)
{
    static const uint8_t mask[8] = { 3, 0x3d, 0x0f, 0x3f, 0x0e };

    v->sequencer[v->sequencer_index & 7] = value & mask[v->sequencer_index & 7];
    vga_map(v);
}

static void vga_write_graphics(struct vga *v, uint8_t value)
{
    static const uint8_t mask[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };

    v->graphics[v->graphics_index & 15] = value & mask[v->graphics_index & 15];
    vga_map(v);
}

/* Ports of the CRTC and of status 1 stand at 3bx or at 3dx. */
static bool vga_is_elsewhere(const struct vga *v, unsigned port)
{
    bool colour = v->misc & MISC_COLOUR;

    return port < 0x3c0 ? colour : port >= 0x3d0 && !colour;
}

static uint64_t vga_read_port(void *state, uint64_t offset, unsigned width)
{
    struct vga *v = state;
    unsigned port = PORTS_BASE + (unsigned)offset;

    (void)width;
    if (vga_is_elsewhere(v, port))
        return 0xff;
    switch (port) {
    case 0x3c0: return v->attribute_data ? v->attribute[v->attribute_index & 31] : v->attribute_index;
    case 0x3c1: return v->attribute[v->attribute_index & 31];
    case 0x3c2: return 0x10; /* a monitor is there */
    case 0x3c3: return v->enable;
    case 0x3c4: return v->sequencer_index;
    case 0x3c5: return v->sequencer[v->sequencer_index & 7];
    case 0x3c6: return v->dac_mask;
    case 0x3c7: return v->dac_state;
    case 0x3c8: return v->dac_write;
    case 0x3c9: return vga_read_dac(v);
    case 0x3ca: return v->feature;
    case 0x3cc: return v->misc;
    case 0x3ce: return v->graphics_index;
    case 0x3cf: return v->graphics[v->graphics_index & 15];
    case 0x3b4: case 0x3d4: return v->crtc_index;
    case 0x3b5: case 0x3d5: return v->crtc[v->crtc_index & 31];
    case 0x3ba: case 0x3da: return vga_read_status(v);
    default: return 0xff;
    }
}

static void vga_set_dac_index(struct vga *v, uint8_t value, bool read)
{
    *(read ? &v->dac_read : &v->dac_write) = value;
    v->dac_part = 0;
    v->dac_state = read ? 3 : 0;
}

static void vga_write_port(void *state, uint64_t offset, unsigned width, uint64_t data)
{
    struct vga *v = state;
    unsigned port = PORTS_BASE + (unsigned)offset;
    uint8_t value = (uint8_t)data;

    (void)width;
    if (vga_is_elsewhere(v, port))
        return;
    switch (port) {
    case 0x3c0: vga_write_attribute(v, value); break;
    case 0x3c2:
        v->misc = value & ~0x10;
        vga_map(v);
        break;
    case 0x3c3: v->enable = value & 1; break;
    case 0x3c4: v->sequencer_index = value & 7; break;
    case 0x3c5: vga_write_sequencer(v, value); break;
    case 0x3c6: v->dac_mask = value; break;
    case 0x3c7: vga_set_dac_index(v, value, true); break;
    case 0x3c8: vga_set_dac_index(v, value, false); break;
    case 0x3c9: vga_write_dac(v, value); break;
    case 0x3ce: v->graphics_index = value & 15; break;
    case 0x3cf: vga_write_graphics(v, value); break;
    case 0x3b4: case 0x3d4: v->crtc_index = value & 31; break;
    case 0x3b5: case 0x3d5: vga_write_crtc(v, value); break;
    case 0x3ba: case 0x3da: v->feature = value & 0x10; break;
    default: break;
    }
}

/* -- VBE ----------------------------------------------------------------------------------------------------------------------------- */

static bool vbe_has_depth(unsigned bits) { return bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32; }

/* Bytes of a pixel. */
static unsigned vbe_pixel(const struct vga *v) { return (v->vbe[VBE_BPP] + 7u) / 8; }

bool vga_linear_mode(const struct vga *v, struct vga_linear *m)
{
    const uint16_t *r = v->vbe;

    if (!vbe_on(v))
        return false;
    m->width = r[VBE_XRES];
    m->height = r[VBE_YRES];
    m->bits = r[VBE_BPP];
    m->pitch = (uint64_t)r[VBE_VIRT_WIDTH] * vbe_pixel(v);
    m->start = r[VBE_Y_OFFSET] * m->pitch + (uint64_t)r[VBE_X_OFFSET] * vbe_pixel(v);
    return true;
}

/* A picture that does not fit into memory is none. */
static void vbe_enable(struct vga *v, uint16_t value)
{
    uint16_t *r = v->vbe;
    uint64_t bytes = (uint64_t)r[VBE_XRES] * r[VBE_YRES] * vbe_pixel(v);

    if (value & VBE_ENABLED && !vbe_on(v)) {
        if (!r[VBE_XRES] || !r[VBE_YRES] || !vbe_has_depth(r[VBE_BPP]) || bytes > VGA_MEMORY_BYTES)
            value &= ~VBE_ENABLED;
        r[VBE_VIRT_WIDTH] = r[VBE_XRES];
        r[VBE_VIRT_HEIGHT] = r[VBE_YRES];
        r[VBE_X_OFFSET] = r[VBE_Y_OFFSET] = 0;
        if (value & VBE_ENABLED && !(value & VBE_KEEP))
            memset(v->memory, 0, bytes);
    }
    r[VBE_ENABLE] = value & (VBE_ENABLED | VBE_CAPABILITIES | VBE_DAC_8BIT | VBE_LINEAR | VBE_KEEP);
    r[VBE_BANK] = 0;
}

/* A wider line leaves fewer of them. */
static void vbe_set_virtual_width(struct vga *v, uint16_t value)
{
    uint64_t pitch = (uint64_t)value * vbe_pixel(v);

    if (value < v->vbe[VBE_XRES] || !pitch || VGA_MEMORY_BYTES / pitch < v->vbe[VBE_YRES])
        return;
    v->vbe[VBE_VIRT_WIDTH] = value;
    v->vbe[VBE_VIRT_HEIGHT] = (uint16_t)bits_min(VGA_MEMORY_BYTES / pitch, UINT16_MAX);
}

static void vbe_write(struct vga *v, uint16_t value)
{
    uint16_t *r = v->vbe;

    switch (v->vbe_index) {
    case VBE_ID: r[VBE_ID] = value >= VBE_ID_LEAST && value <= VBE_ID_NEWEST ? value : r[VBE_ID]; break;
    case VBE_XRES: r[VBE_XRES] = !vbe_on(v) && value <= VGA_WIDTH_MOST && !(value & 7) ? value : r[VBE_XRES]; break;
    case VBE_YRES: r[VBE_YRES] = !vbe_on(v) && value <= VGA_HEIGHT_MOST ? value : r[VBE_YRES]; break;
    case VBE_BPP: r[VBE_BPP] = vbe_on(v) ? r[VBE_BPP] : value ? value & 63 : 8; break;
    case VBE_ENABLE: vbe_enable(v, value); break;
    case VBE_BANK: r[VBE_BANK] = value; break;
    case VBE_VIRT_WIDTH: vbe_set_virtual_width(v, value); break;
    case VBE_X_OFFSET: case VBE_Y_OFFSET: r[v->vbe_index] = value; break;
    default: break;
    }
    vga_map(v);
}

static uint16_t vbe_read(const struct vga *v)
{
    if (v->vbe[VBE_ENABLE] & VBE_CAPABILITIES && v->vbe_index >= VBE_XRES && v->vbe_index <= VBE_BPP)
        return v->vbe_index == VBE_XRES ? VGA_WIDTH_MOST : v->vbe_index == VBE_YRES ? VGA_HEIGHT_MOST : 32;
    if (v->vbe_index == VBE_MEMORY)
        return VGA_MEMORY_BYTES / 65536;
    return v->vbe_index < VBE_REGISTERS ? v->vbe[v->vbe_index] : 0;
}

/* The index at 0x1ce, data of 16 bits at 0x1cf or 0x1d0. */
static uint64_t vbe_read_port(void *state, uint64_t offset, unsigned width)
{
    struct vga *v = state;

    return width != 2 ? 0xff : offset ? vbe_read(v) : v->vbe_index;
}

static void vbe_write_port(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    struct vga *v = state;

    if (width == 2 && offset)
        vbe_write(v, (uint16_t)value);
    else if (width == 2)
        v->vbe_index = (uint16_t)value;
}

/* -- life ----------------------------------------------------------------------------------------------------------------------------- */

static const struct pci_identity vga_identity = {
    .vendor = 0x1234, .device = 0x1111, .revision = 2, .class_code = 0x030000, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    .bar[0] = { .kind = PCI_BAR_MEMORY, .prefetchable = true, .size = VGA_MEMORY_BYTES, .first_region = 0, .regions = 1 },
};

static void vga_written(struct device *device, unsigned offset, unsigned width)
{
    (void)offset;
    (void)width;
    vga_map(device->state);
}

/* Memory keeps what is in it. */
static void vga_reset(struct device *device)
{
    struct vga *v = device->state;

    pci_function_init(&v->function, device, &vga_identity);
    v->misc = v->feature = v->enable = 0;
    v->sequencer_index = v->crtc_index = v->graphics_index = v->attribute_index = 0;
    memset(v->sequencer, 0, sizeof(v->sequencer));
    memset(v->crtc, 0, sizeof(v->crtc));
    memset(v->graphics, 0, sizeof(v->graphics));
    memset(v->attribute, 0, sizeof(v->attribute));
    memset(v->dac, 0, sizeof(v->dac));
    memset(v->latch, 0, sizeof(v->latch));
    memset(v->vbe, 0, sizeof(v->vbe));
    v->attribute_data = false;
    v->dac_mask = 0xff;
    v->dac_read = v->dac_write = v->dac_state = v->dac_part = 0;
    v->vbe_index = 0;
    v->vbe[VBE_ID] = VBE_ID_NEWEST;
    v->vbe[VBE_BPP] = 8;
    vga_map(v);
}

static void vga_create(struct device *device)
{
    struct vga *v = device->state;

    v->clock = device->host.clock;
    v->function.written = vga_written;
}

void vga_connect(struct device *device, struct device *pci, uint8_t devfn, const struct vga_sink *sink)
{
    struct vga *v = device->state;

    v->sink = *sink;
    pci_add(pci, &v->function, devfn);
    vga_map(v);
}

static const struct region_ops vga_linear_ops = { .read = vga_read_linear, .write = vga_write_linear, .limits = { .widths = W_REGISTERS } };
static const struct region_ops vga_memory_ops = { .read = vga_read_memory, .write = vga_write_memory, .limits = { .widths = W_REGISTERS } };
static const struct region_ops vga_port_ops = { .read = vga_read_port, .write = vga_write_port, .limits = { .widths = W1 } };
static const struct region_ops vbe_port_ops = {
    .read = vbe_read_port, .write = vbe_write_port, .limits = { .widths = W1 | W2, .flags = REGION_UNALIGNED },
};

#define STATE struct vga
FIELDS(vga_fields, FIELD_ARRAY(memory), PCI_FUNCTION_FIELDS(function), WIRING(sink), WIRING(clock), FIELD(misc), FIELD(feature),
       FIELD(enable), FIELD(sequencer_index), FIELD_ARRAY(sequencer), FIELD(crtc_index), FIELD_ARRAY(crtc), FIELD(graphics_index),
       FIELD_ARRAY(graphics), FIELD(attribute_index), FIELD_ARRAY(attribute), FIELD(attribute_data), FIELD_ARRAY(dac), FIELD(dac_mask),
       FIELD(dac_read), FIELD(dac_write), FIELD(dac_state), FIELD_MAX(dac_part, 2), FIELD_ARRAY(latch), FIELD(vbe_index), FIELD_ARRAY(vbe))
#undef STATE

static bool vga_restored(struct device *device, struct err *err)
{
    struct vga *v = device->state;
    const uint16_t *r = v->vbe;

    if (r[VBE_XRES] > VGA_WIDTH_MOST || r[VBE_YRES] > VGA_HEIGHT_MOST || (vbe_on(v) && !vbe_has_depth(r[VBE_BPP])))
        return err_set(err, "vga: no picture has %u by %u pixels of %u bits", r[VBE_XRES], r[VBE_YRES], r[VBE_BPP]);
    pci_function_restored(&v->function);
    vga_map(v);
    return true;
}

const struct device_class vga_class = {
    .name = "vga",
    .title = "VGA with Bochs's VBE registers (IBM PS/2 Hardware Interface)",
    .state_size = sizeof(struct vga),
    .region = {
        { REGION_MMIO, 0, VGA_MEMORY_BYTES, &vga_linear_ops, true },
        { REGION_MMIO, VGA_WINDOW_BASE, WINDOW_ALL, &vga_memory_ops, false },
        { REGION_PIO, PORTS_BASE, PORTS, &vga_port_ops, false },
        { REGION_PIO, VBE_PORTS, 3, &vbe_port_ops, false },
    },
    .create = vga_create,
    .reset = vga_reset,
    .fields = &vga_fields,
    .restored = vga_restored,
};
