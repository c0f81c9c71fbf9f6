/*
 * virtio_net.c - the virtio network card: one pair of queues, a control queue, and the filter that it sets.
 *
 * A frame is sent when its notification returns.  Received frames wait with the backend until there are buffers.
 * Not modelled: offloads, more pairs of queues, VLAN filters, receive hashes, coalescing, announcements.
 * Manual: VIRTIO 1.2 section 5.1.
 */
#include "virtio_net.h"

#include "virtio_pci.h"

#include <stdlib.h>

enum { /* section 5.1.3 */
    F_MTU = 3, F_MAC = 5, F_MRG_RXBUF = 15, F_STATUS = 16, F_CTRL_VQ = 17, F_CTRL_RX = 18, F_CTRL_RX_EXTRA = 20, F_CTRL_MAC_ADDR = 23,
};
enum { MAC = 0, STATUS = 6, MTU = 10, CONFIG_END = 12, LINK_UP = 1 }; /* section 5.1.4 */
enum { RECEIVE, TRANSMIT, CONTROL, QUEUES };                /* section 5.1.2 */
enum { HEADER_BYTES = 12, NUM_BUFFERS = 10 };               /* section 5.1.6: struct virtio_net_hdr */
enum { CLASS_RX = 0, CLASS_MAC = 1, ACK_OK = 0, ACK_ERR = 1, COMMAND_BYTES = 2 }; /* section 5.1.6.5 */
enum { ROM_REGION = 6 }; /* behind those of BAR 0 */
enum { PROMISC = 0, ALLMULTI = 1, ALLUNI = 2, NOMULTI = 3, NOUNI = 4, NOBCAST = 5, RX_COMMANDS = 6 };
enum { TABLE_SET = 0, ADDR_SET = 1 };
enum { UNICAST, MULTICAST, TABLES, TABLE_MACS = 32, OVERFLOW = TABLE_MACS + 1 };

struct virtio_net {
    struct virtio_pci pci; /* first */
    struct net_backend *backend;
    uint8_t *bounce;       /* NET_FRAME_BYTES */
    bool rx[RX_COMMANDS];  /* as the driver has set them */
    uint8_t macs[TABLES];  /* so many in each table; OVERFLOW: more than fit, and all pass */
    uint8_t table[TABLES][TABLE_MACS * NET_MAC_BYTES];
};

/* -- the filter ------------------------------------------------------------------------------------------------------------- */

static bool net_is_listed(const struct virtio_net *d, unsigned table, const uint8_t *mac)
{
    for (unsigned i = 0; i < d->macs[table] && i < TABLE_MACS; i++)
        if (!memcmp(d->table[table] + i * NET_MAC_BYTES, mac, NET_MAC_BYTES))
            return true;
    return d->macs[table] == OVERFLOW;
}

/* Section 5.1.6.5.1: what passes by where it goes to.  A driver that never set a filter gets everything. */
static bool net_passes(const struct virtio_net *d, const uint8_t *to)
{
    static const uint8_t broadcast[NET_MAC_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    if (d->rx[PROMISC] || !virtio_has(&d->pci.virtio, F_CTRL_RX))
        return true;
    if (!memcmp(to, broadcast, NET_MAC_BYTES))
        return !d->rx[NOBCAST];
    if (to[0] & 1)
        return !d->rx[NOMULTI] && (d->rx[ALLMULTI] || net_is_listed(d, MULTICAST, to));
    return !d->rx[NOUNI] && (d->rx[ALLUNI] || !memcmp(to, d->pci.virtio.config + MAC, NET_MAC_BYTES) || net_is_listed(d, UNICAST, to));
}

/* -- receiving -------------------------------------------------------------------------------------------------------------- */

/* A frame on its way into chains, of which the first begins with a header. */
struct net_receipt {
    const uint8_t *frame;
    size_t bytes, at;      /* so much of it has gone */
    unsigned chains;
    struct virtio_use use[VIRTIO_QUEUE_SIZE];
    struct virtio_chain first, next;
};

enum net_verdict { NET_TAKEN, NET_DROPPED, NET_WAITS };

/* The next chain gets as much as fits.  A first one without room for the header is nothing a frame fits into. */
static bool net_fill(struct virtio *v, struct net_receipt *r, const struct virtio_chain *c)
{
    unsigned skip = r->chains ? 0 : HEADER_BYTES;
    size_t n;

    if (c->writable_bytes < skip)
        return false;
    n = bits_min(c->writable_bytes - skip, r->bytes - r->at);
    virtio_write(v, c, skip, r->frame + r->at, n);
    r->at += n;
    r->use[r->chains++] = (struct virtio_use){ c->head, (uint32_t)n + skip };
    return true;
}

/* Section 5.1.6.4: into one chain, or with MRG_RXBUF into as many as it takes. */
static enum net_verdict net_spread(struct virtio *v, struct net_receipt *r)
{
    do {
        struct virtio_chain *c = r->chains ? &r->next : &r->first;

        if (r->chains == VIRTIO_QUEUE_SIZE || (r->chains && !virtio_has(v, F_MRG_RXBUF)))
            return NET_DROPPED;
        if (!virtio_pop(v, RECEIVE, c))
            return NET_WAITS;
        if (!net_fill(v, r, c)) {
            virtio_unpop(v, RECEIVE, 1);
            return NET_DROPPED;
        }
    } while (r->at < r->bytes);
    return NET_TAKEN;
}

/* The driver sees all chains of a frame, or none. */
static enum net_verdict net_receive(struct virtio *v, const uint8_t *frame, size_t bytes)
{
    struct net_receipt r;
    uint8_t header[HEADER_BYTES] = { 0 };
    enum net_verdict verdict;

    r.frame = frame;
    r.bytes = bytes;
    r.at = r.chains = 0;
    verdict = net_spread(v, &r);
    if (verdict != NET_TAKEN) {
        virtio_unpop(v, RECEIVE, r.chains);
        return verdict;
    }
    header[NUM_BUFFERS] = (uint8_t)r.chains;
    header[NUM_BUFFERS + 1] = (uint8_t)(r.chains >> 8);
    virtio_write(v, &r.first, 0, header, sizeof(header));
    virtio_push_all(v, RECEIVE, r.use, r.chains);
    return verdict;
}

/* While a notification is looked at, or between virtio_begin() and virtio_end(). */
static void net_deliver(struct virtio_net *d)
{
    struct net_backend *b = d->backend;
    struct virtio *v = &d->pci.virtio;
    const uint8_t *frame;
    size_t bytes;

    if (!b || !v->queue[RECEIVE].enabled)
        return;
    while ((frame = b->waiting(b, &bytes))) {
        if (net_passes(d, frame) && net_receive(v, frame, bytes) == NET_WAITS)
            break;
        b->taken(b);
    }
    virtio_tell(v, RECEIVE);
}

static void net_drop_all(struct virtio_net *d)
{
    size_t bytes;

    while (d->backend && d->backend->waiting(d->backend, &bytes))
        d->backend->taken(d->backend);
}

/* A card that nobody drives hears nothing.  What comes while it sends is delivered when that is done. */
static void net_arrived(void *device)
{
    struct virtio_net *d = ((struct device *)device)->state;
    struct virtio *v = &d->pci.virtio;

    if (v->busy)
        return;
    if (!virtio_begin(v, RECEIVE)) {
        net_drop_all(d);
        return;
    }
    net_deliver(d);
    virtio_end(v);
}

/* -- sending ------------------------------------------------------------------------------------------------------------------ */

static void net_send(struct virtio_net *d, const struct virtio_chain *c)
{
    uint64_t bytes = c->readable_bytes - HEADER_BYTES;

    if (c->readable_bytes < HEADER_BYTES + NET_HEADER_BYTES || bytes > NET_FRAME_BYTES)
        return;
    if (d->backend && virtio_read(&d->pci.virtio, c, HEADER_BYTES, d->bounce, bytes))
        d->backend->send(d->backend, d->bounce, bytes);
}

static void net_transmit(struct virtio_net *d)
{
    struct virtio *v = &d->pci.virtio;
    struct virtio_chain chain;

    while (virtio_pop(v, TRANSMIT, &chain)) {
        net_send(d, &chain);
        virtio_push(v, TRANSMIT, &chain, 0);
    }
    virtio_tell(v, TRANSMIT);
    net_deliver(d);
}

/* -- control -------------------------------------------------------------------------------------------------------------------- */

static bool net_set_rx(struct virtio_net *d, const struct virtio_chain *c, unsigned command)
{
    unsigned feature = command > ALLMULTI ? F_CTRL_RX_EXTRA : F_CTRL_RX;
    uint8_t on;

    if (command >= RX_COMMANDS || !virtio_has(&d->pci.virtio, feature) || !virtio_read(&d->pci.virtio, c, COMMAND_BYTES, &on, 1))
        return false;
    d->rx[command] = on;
    return true;
}

/* Section 5.1.6.5.2: two tables, each a number of entries and these. */
static bool net_set_tables(struct virtio_net *d, const struct virtio_chain *c)
{
    uint64_t at = COMMAND_BYTES;

    for (unsigned t = 0; t < TABLES; t++) {
        uint8_t n[4];
        uint64_t count;

        if (!virtio_read(&d->pci.virtio, c, at, n, 4))
            return false;
        count = n[0] | (uint64_t)n[1] << 8 | (uint64_t)n[2] << 16 | (uint64_t)n[3] << 24;
        at += 4;
        if (count * NET_MAC_BYTES > c->readable_bytes - at)
            return false;
        d->macs[t] = (uint8_t)bits_min(count, OVERFLOW);
        if (!virtio_read(&d->pci.virtio, c, at, d->table[t], bits_min(count, TABLE_MACS) * NET_MAC_BYTES))
            return false;
        at += count * NET_MAC_BYTES;
    }
    return true;
}

static bool net_set_mac(struct virtio_net *d, const struct virtio_chain *c, unsigned command)
{
    struct virtio *v = &d->pci.virtio;

    if (command == TABLE_SET)
        return virtio_has(v, F_CTRL_RX) && net_set_tables(d, c);
    return command == ADDR_SET && virtio_has(v, F_CTRL_MAC_ADDR) && virtio_read(v, c, COMMAND_BYTES, v->config + MAC, NET_MAC_BYTES);
}

static bool net_command(struct virtio_net *d, const struct virtio_chain *c)
{
    uint8_t command[COMMAND_BYTES];

    if (!virtio_read(&d->pci.virtio, c, 0, command, sizeof(command)))
        return false;
    switch (command[0]) {
    case CLASS_RX: return net_set_rx(d, c, command[1]);
    case CLASS_MAC: return net_set_mac(d, c, command[1]);
    default: return false;
    }
}

static void net_control(struct virtio_net *d)
{
    struct virtio *v = &d->pci.virtio;
    struct virtio_chain chain;

    while (virtio_pop(v, CONTROL, &chain)) {
        uint8_t ack = net_command(d, &chain) ? ACK_OK : ACK_ERR;

        virtio_push(v, CONTROL, &chain, virtio_write(v, &chain, 0, &ack, 1) ? 1 : 0);
    }
    virtio_tell(v, CONTROL);
}

static void net_notified(struct virtio *v, unsigned n)
{
    struct virtio_net *d = (struct virtio_net *)v;

    switch (n) {
    case RECEIVE: net_deliver(d); break;
    case TRANSMIT: net_transmit(d); break;
    default: net_control(d); break;
    }
}

/* -- the ROM -------------------------------------------------------------------------------------------------------------------- */

static uint64_t net_read_rom(void *state, uint64_t offset, unsigned width)
{
    const struct net_backend *b = ((struct virtio_net *)state)->backend;
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)(b && offset + i < b->rom_bytes ? b->rom[offset + i] : 0xff) << i * 8;
    return value;
}

static void net_write_rom(void *state, uint64_t offset, unsigned width, uint64_t value)
{
    (void)state;
    (void)offset;
    (void)width;
    (void)value;
}

static const struct region_ops net_rom_ops = { .read = net_read_rom, .write = net_write_rom, .limits = { .widths = W_REGISTERS } };

/* -- life ------------------------------------------------------------------------------------------------------------------------ */

static void net_reset(struct virtio *v)
{
    struct virtio_net *d = (struct virtio_net *)v;

    v->offered |= BIT(F_MAC) | BIT(F_MRG_RXBUF) | BIT(F_STATUS) | BIT(F_CTRL_VQ) | BIT(F_CTRL_RX) | BIT(F_CTRL_RX_EXTRA) | BIT(F_CTRL_MAC_ADDR);
    if (d->backend)
        memcpy(v->config + MAC, d->backend->mac, NET_MAC_BYTES);
    if (d->backend && d->backend->mtu) {
        v->offered |= BIT(F_MTU);
        virtio_config_set(v, MTU, 2, d->backend->mtu);
    }
    virtio_config_set(v, STATUS, 2, d->backend ? LINK_UP : 0);
    memset(d->rx, 0, sizeof(d->rx));
    memset(d->macs, 0, sizeof(d->macs));
    memset(d->table, 0, sizeof(d->table));
    net_drop_all(d);
}

static const struct virtio_kind net_kind = {
    .id = VIRTIO_ID_NET, .queues = QUEUES, .config_bytes = CONFIG_END, .reset = net_reset, .notified = net_notified,
};
static const struct pci_identity net_identity = VIRTIO_PCI_IDENTITY(VIRTIO_ID_NET, 0x020000);

static void virtio_net_reset(struct device *device) { virtio_pci_reset(device, &net_identity); }

static void virtio_net_create(struct device *device)
{
    struct virtio_net *d = device->state;

    virtio_pci_create(device, &net_kind);
    d->bounce = malloc(NET_FRAME_BYTES);
    if (!d->bounce)
        abort();
}

static void virtio_net_destroy(struct device *device) { free(((struct virtio_net *)device->state)->bounce); }

void virtio_net_connect(struct device *device, struct net_backend *backend)
{
    struct virtio_net *d = device->state;

    d->backend = backend;
    if (backend) {
        backend->arrived = net_arrived;
        backend->device = device;
    }
    if (backend && backend->rom) {
        pci_function_rom(&d->pci.function, device, ROM_REGION, backend->rom_bytes);
        device_reset(device);
    }
    virtio_reset(&d->pci.virtio);
}

#define STATE struct virtio_net
FIELDS(virtio_net_fields, VIRTIO_PCI_FIELDS(pci), WIRING(backend), WIRING(bounce), FIELD_ARRAY(rx), FIELD_ARRAY_MAX(macs, OVERFLOW),
       FIELD_GRID(table))
#undef STATE

const struct device_class virtio_net_class = {
    .name = "virtio_net",
    .title = "virtio network card (VIRTIO 1.2 section 5.1)",
    .state_size = sizeof(struct virtio_net),
    .region = { VIRTIO_PCI_REGIONS, { REGION_MMIO, 0, PCI_ROM_LEAST, &net_rom_ops, true } },
    .create = virtio_net_create,
    .reset = virtio_net_reset,
    .destroy = virtio_net_destroy,
    .fields = &virtio_net_fields,
    .restored = virtio_pci_restored,
};
