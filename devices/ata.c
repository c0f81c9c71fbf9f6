/*
 * ata.c - an ATA disk's commands: identification, transfers by PIO, DMA and queued, TRIM, the cache, power, SMART's outside.
 *
 * The write cache is the host's; with it off, and after a write with FUA, what was written is flushed.  What the host cannot read
 * is UNC, what it cannot write or flush ABRT, and what lies beyond the end IDNF.
 * Not modelled: CHS addresses, security, HPA and DCO, SMART's self-tests and logs, streaming, NCQ's send, receive and non-data.
 * Manual: ACS-3 (T13/2161-D rev 5).
 */
#include "ata.h"

#include <string.h>

enum { /* ACS-3 table A.1 */
    NOP = 0x00, DATA_SET_MANAGEMENT = 0x06, DEVICE_RESET = 0x08, READ = 0x20, READ_EXT = 0x24, READ_DMA_EXT = 0x25, READ_MULTIPLE_EXT = 0x29,
    READ_LOG_EXT = 0x2f, WRITE = 0x30, WRITE_EXT = 0x34, WRITE_DMA_EXT = 0x35, WRITE_MULTIPLE_EXT = 0x39, WRITE_DMA_FUA_EXT = 0x3d,
    VERIFY = 0x40, VERIFY_EXT = 0x42, READ_QUEUED = 0x60, WRITE_QUEUED = 0x61, DIAGNOSTIC = 0x90, PACKET = 0xa0, IDENTIFY_PACKET = 0xa1,
    SMART = 0xb0, READ_MULTIPLE = 0xc4, WRITE_MULTIPLE = 0xc5, SET_MULTIPLE = 0xc6, READ_DMA = 0xc8, WRITE_DMA = 0xca,
    WRITE_MULTIPLE_FUA_EXT = 0xce, STANDBY_IMMEDIATE = 0xe0, IDLE_IMMEDIATE = 0xe1, STANDBY = 0xe2, IDLE = 0xe3, CHECK_POWER = 0xe5,
    SLEEP = 0xe6, FLUSH = 0xe7, FLUSH_EXT = 0xea, IDENTIFY = 0xec, SET_FEATURES = 0xef,
};
enum { LBA_MODE = 0x40, FUA_BIT = 0x80 }; /* of the device register */
enum { POWER_ACTIVE = 0xff, POWER_IDLE = 0x80, POWER_STANDBY = 0x00 };
enum { MULTIPLE_MOST = 16, TRIM_BLOCKS = 8, TRIM_ENTRIES = ATA_SECTOR / 8 };
enum { LOG_DIRECTORY = 0x00, LOG_QUEUE_ERROR = 0x10 };

/* -- bytes ---------------------------------------------------------------------------------------------------------------- */

void ata_put(uint8_t *to, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> i * 8);
}

void ata_put_be(uint8_t *to, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> (width - 1 - i) * 8);
}

uint64_t ata_get_be(const uint8_t *from, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value = value << 8 | from[i];
    return value;
}

static uint64_t ata_get(const uint8_t *from, unsigned width)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)from[i] << i * 8;
    return value;
}

static void put_word(uint8_t *identify, unsigned word, uint16_t value) { ata_put(identify + word * 2, 2, value); }

void ata_put_text(uint8_t *identify, unsigned word, unsigned words, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < words * 2u; i++)
        identify[word * 2 + (i ^ 1)] = i < n ? (uint8_t)text[i] : ' ';
}

bool ata_move(struct ata_task *t, void *data, size_t bytes, bool to_host)
{
    if (!t->move(t->opaque, data, bytes, to_host))
        return false;
    t->moved += (uint32_t)bytes;
    return true;
}

void ata_fail(struct ata_task *t, uint8_t error)
{
    t->status = ATA_READY | ATA_ERR;
    t->error = error;
}

/* -- IDENTIFY DEVICE: ACS-3 7.12.7 ------------------------------------------------------------------------------------------- */

static uint64_t ata_sectors(const struct ata_drive *d) { return d->backend ? d->backend->bytes / ATA_SECTOR : 0; }

/* What disks and packet devices have in common: names, and how data moves. */
void ata_identify_common(const struct ata_drive *d, uint8_t *id, const char *model)
{
    char serial[BLOCK_SERIAL_BYTES + 1] = "WL00000";

    serial[6] = (char)('1' + d->number % 9);
    ata_put_text(id, 10, 10, d->backend && d->backend->serial[0] ? d->backend->serial : serial);
    ata_put_text(id, 23, 4, "1.0");
    ata_put_text(id, 27, 20, model);
    put_word(id, 49, 0x0f00); /* DMA, LBA, IORDY */
    put_word(id, 50, 0x4000);
    put_word(id, 53, 0x0006); /* words 64 to 70 and 88 are valid */
    put_word(id, 63, (uint16_t)(0x0007 | (d->transfer_mode >> 3 == 4 ? 0x100 << (d->transfer_mode & 7) : 0)));
    put_word(id, 64, 0x0003);
    for (unsigned word = 65; word <= 68; word++)
        put_word(id, word, 120);
    put_word(id, 76, 0x000e); /* SATA: 1.5, 3 and 6 Gb/s */
    put_word(id, 77, 0x0006);
    put_word(id, 80, 0x07f0); /* up to ACS-3 */
    put_word(id, 88, (uint16_t)(0x007f | (d->transfer_mode >> 3 == 8 ? 0x100 << (d->transfer_mode & 7) : 0)));
}

/* 7.12.7.83: the sum of all bytes is 0. */
void ata_identify_end(uint8_t *id)
{
    uint8_t sum = 0xa5;

    id[510] = 0xa5;
    for (unsigned i = 0; i < 510; i++)
        sum = (uint8_t)(sum + id[i]);
    id[511] = (uint8_t)-sum;
}

/* What a BIOS makes an address of: 16 heads of 63 sectors. */
static void identify_geometry(const struct ata_drive *d, uint8_t *id)
{
    uint64_t sectors = ata_sectors(d), cylinders = bits_min(sectors / (16 * 63), 16383);

    put_word(id, 1, (uint16_t)cylinders);
    put_word(id, 3, 16);
    put_word(id, 6, 63);
    ata_put(id + 60 * 2, 4, bits_min(sectors, 0xfffffff));
    ata_put(id + 100 * 2, 8, sectors);
    if (d->backend && d->backend->sector > ATA_SECTOR)
        put_word(id, 106, (uint16_t)(0x6000 | __builtin_ctz(d->backend->sector / ATA_SECTOR)));
    put_word(id, 209, 0x4000);
}

static void identify_features(const struct ata_drive *d, uint8_t *id)
{
    uint16_t cache = d->write_through ? 0 : 0x20, ahead = d->no_look_ahead ? 0 : 0x40, smart = d->smart_off ? 0 : 1;

    put_word(id, 82, 0x4069); /* NOP, look-ahead, write cache, power management, SMART */
    put_word(id, 83, 0x7400); /* FLUSH CACHE (EXT), 48 bits */
    put_word(id, 84, 0x4060); /* WRITE DMA FUA EXT, general purpose logs */
    put_word(id, 85, 0x4008 | cache | ahead | smart);
    put_word(id, 86, 0xb400);
    put_word(id, 87, 0x4060);
    put_word(id, 119, 0x4000);
    put_word(id, 120, 0x4000);
}

static void ata_identify(const struct ata_drive *d, uint8_t *id)
{
    ata_identify_common(d, id, "wideload disk");
    put_word(id, 0, 0x0040);
    put_word(id, 47, 0x8000 | MULTIPLE_MOST);
    put_word(id, 59, d->multiple ? 0x100 | d->multiple : 0);
    put_word(id, 75, ATA_QUEUE - 1);
    put_word(id, 76, 0x010e); /* ... and NCQ */
    identify_geometry(d, id);
    identify_features(d, id);
    if (d->backend && !d->backend->read_only) {
        put_word(id, 105, TRIM_BLOCKS);
        put_word(id, 169, 1);
    }
    put_word(id, 217, 1); /* does not rotate */
}

static void run_identify(struct ata_drive *d, struct ata_task *t)
{
    uint8_t id[ATA_SECTOR] = { 0 };
    bool packet = d->kind == ATA_CDROM;

    if (packet)
        atapi_identify(d, id);
    else
        ata_identify(d, id);
    ata_identify_end(id);
    ata_move(t, id, sizeof(id), true);
}

/* A packet device aborts it, and shows what it is. */
static void run_identify_disk(struct ata_drive *d, struct ata_task *t)
{
    if (d->kind == ATA_DISK) {
        run_identify(d, t);
        return;
    }
    ata_signature(d, t);
    ata_fail(t, ATA_ABRT);
    t->protocol = ATA_NO_DATA;
}

/* -- transfers ------------------------------------------------------------------------------------------------------------ */

/* [*sector, *sector + *count), as a command of 28 or 48 bits or a queued one says; false and an error. */
static bool ata_range(const struct ata_drive *d, struct ata_task *t, uint64_t *sector, uint64_t *count, bool ext)
{
    uint64_t sectors = ata_sectors(d);

    if (!(t->device & LBA_MODE)) {
        ata_fail(t, ATA_ABRT);
        return false;
    }
    *sector = ext ? t->lba : (t->lba & 0xffffff) | (uint64_t)(t->device & 15) << 24;
    *count = t->protocol == ATA_QUEUED ? t->features : ext ? t->count : t->count & 0xff;
    if (!*count)
        *count = ext ? 65536 : 256;
    if (*sector <= sectors && *count <= sectors - *sector)
        return true;
    ata_fail(t, ATA_IDNF);
    return false;
}

/* Of commands that transfer: which have 48 bits. */
static bool ata_is_ext(uint8_t command)
{
    return command < 0xc0 && command != READ && command != READ + 1 && command != WRITE && command != VERIFY;
}

static void run_read(struct ata_drive *d, struct ata_task *t)
{
    uint64_t sector, count;

    if (!ata_range(d, t, &sector, &count, ata_is_ext(t->command)))
        return;
    for (uint64_t at = sector * ATA_SECTOR, end = at + count * ATA_SECTOR; at < end;) {
        size_t n = bits_min(end - at, ATA_BOUNCE_BYTES);

        if (d->backend->read(d->backend, at, d->bounce, n)) {
            t->lba = at / ATA_SECTOR;
            ata_fail(t, ATA_UNC);
            return;
        }
        if (!ata_move(t, d->bounce, n, true))
            return;
        at += n;
    }
}

static void ata_flush(struct ata_drive *d, struct ata_task *t)
{
    if (!d->backend || d->backend->flush(d->backend))
        ata_fail(t, ATA_ABRT);
}

static bool ata_forces(const struct ata_drive *d, const struct ata_task *t)
{
    return d->write_through || t->command == WRITE_DMA_FUA_EXT || t->command == WRITE_MULTIPLE_FUA_EXT ||
           (t->command == WRITE_QUEUED && t->device & FUA_BIT);
}

static void run_write(struct ata_drive *d, struct ata_task *t)
{
    uint64_t sector, count;

    if (!ata_range(d, t, &sector, &count, ata_is_ext(t->command)))
        return;
    if (d->backend->read_only) {
        ata_fail(t, ATA_ABRT);
        return;
    }
    for (uint64_t at = sector * ATA_SECTOR, end = at + count * ATA_SECTOR; at < end;) {
        size_t n = bits_min(end - at, ATA_BOUNCE_BYTES);

        if (!ata_move(t, d->bounce, n, false))
            return;
        if (d->backend->write(d->backend, at, d->bounce, n)) {
            t->lba = at / ATA_SECTOR;
            ata_fail(t, ATA_ABRT);
            return;
        }
        at += n;
    }
    if (ata_forces(d, t))
        ata_flush(d, t);
}

static void run_verify(struct ata_drive *d, struct ata_task *t)
{
    uint64_t sector, count;

    if (!ata_range(d, t, &sector, &count, ata_is_ext(t->command)))
        return;
    for (uint64_t at = sector * ATA_SECTOR, end = at + count * ATA_SECTOR, n; at < end; at += n) {
        n = bits_min(end - at, ATA_BOUNCE_BYTES);
        if (d->backend->read(d->backend, at, d->bounce, n)) {
            ata_fail(t, ATA_UNC);
            return;
        }
    }
}

static void run_multiple(struct ata_drive *d, struct ata_task *t)
{
    if (!d->multiple)
        ata_fail(t, ATA_ABRT);
    else if (t->protocol == ATA_PIO_IN)
        run_read(d, t);
    else
        run_write(d, t);
}

static void run_flush(struct ata_drive *d, struct ata_task *t) { ata_flush(d, t); }

/* -- DATA SET MANAGEMENT: ACS-3 7.6 --------------------------------------------------------------------------------------------- */

/* An entry: a sector in 47:0, so many in 63:48; 0: none. */
static bool ata_trim(struct ata_drive *d, struct ata_task *t, const uint8_t *entry)
{
    uint64_t sector = ata_get(entry, 6), count = ata_get(entry + 6, 2), sectors = ata_sectors(d);

    if (!count)
        return true;
    if (sector > sectors || count > sectors - sector)
        ata_fail(t, ATA_IDNF);
    else if (d->backend->discard(d->backend, sector * ATA_SECTOR, count * ATA_SECTOR))
        ata_fail(t, ATA_ABRT);
    return !(t->status & ATA_ERR);
}

static void run_data_set(struct ata_drive *d, struct ata_task *t)
{
    if (t->features != 1 || !t->count || t->count > TRIM_BLOCKS || !d->backend || d->backend->read_only) {
        ata_fail(t, ATA_ABRT);
        return;
    }
    for (unsigned block = 0; block < t->count; block++) {
        if (!ata_move(t, d->bounce, ATA_SECTOR, false))
            return;
        for (unsigned i = 0; i < TRIM_ENTRIES; i++)
            if (!ata_trim(d, t, d->bounce + i * 8))
                return;
    }
    if (d->write_through)
        ata_flush(d, t);
}

/* -- logs and SMART -------------------------------------------------------------------------------------------------------------- */

/* 9.2 and 9.13: the directory says that log 10h has a page; reading that ends the error. */
static void run_read_log(struct ata_drive *d, struct ata_task *t)
{
    uint8_t page[ATA_SECTOR] = { 0 }, sum = 0, log = (uint8_t)t->lba;

    if (t->count != 1 || (t->lba & 0xff00ff00) || (log != LOG_DIRECTORY && log != LOG_QUEUE_ERROR)) {
        ata_fail(t, ATA_ABRT);
        return;
    }
    if (log == LOG_DIRECTORY) {
        page[0] = 1;
        page[LOG_QUEUE_ERROR * 2] = 1;
    } else {
        memcpy(page, d->log, ATA_LOG_BYTES);
        for (unsigned i = 0; i < ATA_SECTOR; i++)
            sum = (uint8_t)(sum + page[i]);
        page[ATA_SECTOR - 1] = (uint8_t)-sum;
        d->queue_error = false;
    }
    ata_move(t, page, sizeof(page), true);
}

static void ata_note_queue_error(struct ata_drive *d, const struct ata_task *t, unsigned tag)
{
    d->queue_error = true;
    memset(d->log, 0, sizeof(d->log));
    d->log[0] = (uint8_t)tag;
    d->log[2] = t->status;
    d->log[3] = t->error;
    ata_put(d->log + 4, 3, t->lba);
    d->log[7] = t->device;
    ata_put(d->log + 8, 3, t->lba >> 24);
    ata_put(d->log + 12, 2, t->count);
}

/* 7.48: what there is to say is that all is well.  The data of an older SMART: revision 10h, no attributes. */
static void run_smart(struct ata_drive *d, struct ata_task *t)
{
    enum { READ_DATA = 0xd0, AUTOSAVE = 0xd2, ENABLE = 0xd8, DISABLE = 0xd9, RETURN_STATUS = 0xda };
    uint8_t data[ATA_SECTOR] = { 0x10 };
    uint8_t what = (uint8_t)t->features;

    t->protocol = what == READ_DATA ? ATA_PIO_IN : ATA_NO_DATA;
    if ((t->lba >> 8 & 0xffff) != 0xc24f || (d->smart_off && what != ENABLE)) {
        ata_fail(t, ATA_ABRT);
    } else if (what == READ_DATA) {
        data[ATA_SECTOR - 1] = (uint8_t)-0x10;
        ata_move(t, data, sizeof(data), true);
    } else if (what == ENABLE || what == DISABLE) {
        d->smart_off = what == DISABLE;
    } else if (what != AUTOSAVE && what != RETURN_STATUS) {
        ata_fail(t, ATA_ABRT);
    }
}

/* -- settings ---------------------------------------------------------------------------------------------------------------------- */

static void run_set_features(struct ata_drive *d, struct ata_task *t)
{
    enum { CACHE_ON = 0x02, TRANSFER_MODE = 0x03, AHEAD_OFF = 0x55, CACHE_OFF = 0x82, AHEAD_ON = 0xaa };

    switch (t->features & 0xff) {
    case CACHE_ON: d->write_through = false; break;
    case CACHE_OFF:
        d->write_through = true;
        if (d->kind == ATA_DISK)
            ata_flush(d, t);
        break;
    case AHEAD_ON: d->no_look_ahead = false; break;
    case AHEAD_OFF: d->no_look_ahead = true; break;
    case TRANSFER_MODE: d->transfer_mode = (uint8_t)t->count; break;
    default: ata_fail(t, ATA_ABRT); break;
    }
}

static void run_set_multiple(struct ata_drive *d, struct ata_task *t)
{
    uint8_t n = (uint8_t)t->count;

    if (n > MULTIPLE_MOST || n & (n - 1))
        ata_fail(t, ATA_ABRT);
    else
        d->multiple = n;
}

static void run_power(struct ata_drive *d, struct ata_task *t)
{
    bool standby = t->command == STANDBY_IMMEDIATE || t->command == STANDBY || t->command == SLEEP;

    if (standby && d->kind == ATA_DISK)
        ata_flush(d, t);
    d->power = standby ? POWER_STANDBY : POWER_IDLE;
}

static void run_check_power(struct ata_drive *d, struct ata_task *t) { t->count = d->power; }

static void run_diagnostic(struct ata_drive *d, struct ata_task *t)
{
    ata_signature(d, t);
    t->status = ATA_READY;
}

static void run_device_reset(struct ata_drive *d, struct ata_task *t)
{
    ata_reset(d);
    ata_signature(d, t);
}

static void run_nothing(struct ata_drive *d, struct ata_task *t)
{
    (void)d;
    ata_fail(t, ATA_ABRT);
}

/* -- which there are ------------------------------------------------------------------------------------------------------------------ */

enum { DISK = 1 << ATA_DISK, CD = 1 << ATA_CDROM, BOTH = DISK | CD };

static const struct ata_row {
    uint8_t command, kinds;
    enum ata_protocol protocol;
    void (*run)(struct ata_drive *d, struct ata_task *t);
} ata_rows[] = {
    { NOP, BOTH, ATA_NO_DATA, run_nothing },
    { DATA_SET_MANAGEMENT, DISK, ATA_DMA, run_data_set },
    { DEVICE_RESET, CD, ATA_NO_DATA, run_device_reset },
    { READ, DISK, ATA_PIO_IN, run_read },
    { READ + 1, DISK, ATA_PIO_IN, run_read },
    { READ_EXT, DISK, ATA_PIO_IN, run_read },
    { READ_DMA_EXT, DISK, ATA_DMA, run_read },
    { READ_MULTIPLE_EXT, DISK, ATA_PIO_IN, run_multiple },
    { READ_LOG_EXT, DISK, ATA_PIO_IN, run_read_log },
    { WRITE, DISK, ATA_PIO_OUT, run_write },
    { WRITE_EXT, DISK, ATA_PIO_OUT, run_write },
    { WRITE_DMA_EXT, DISK, ATA_DMA, run_write },
    { WRITE_MULTIPLE_EXT, DISK, ATA_PIO_OUT, run_multiple },
    { WRITE_DMA_FUA_EXT, DISK, ATA_DMA, run_write },
    { VERIFY, DISK, ATA_NO_DATA, run_verify },
    { VERIFY_EXT, DISK, ATA_NO_DATA, run_verify },
    { READ_QUEUED, DISK, ATA_QUEUED, run_read },
    { WRITE_QUEUED, DISK, ATA_QUEUED, run_write },
    { DIAGNOSTIC, BOTH, ATA_NO_DATA, run_diagnostic },
    { PACKET, CD, ATA_PACKET, atapi_packet },
    { IDENTIFY_PACKET, CD, ATA_PIO_IN, run_identify },
    { SMART, DISK, ATA_NO_DATA, run_smart },
    { READ_MULTIPLE, DISK, ATA_PIO_IN, run_multiple },
    { WRITE_MULTIPLE, DISK, ATA_PIO_OUT, run_multiple },
    { SET_MULTIPLE, DISK, ATA_NO_DATA, run_set_multiple },
    { READ_DMA, DISK, ATA_DMA, run_read },
    { WRITE_DMA, DISK, ATA_DMA, run_write },
    { WRITE_MULTIPLE_FUA_EXT, DISK, ATA_PIO_OUT, run_multiple },
    { STANDBY_IMMEDIATE, BOTH, ATA_NO_DATA, run_power },
    { IDLE_IMMEDIATE, BOTH, ATA_NO_DATA, run_power },
    { STANDBY, DISK, ATA_NO_DATA, run_power },
    { IDLE, DISK, ATA_NO_DATA, run_power },
    { CHECK_POWER, BOTH, ATA_NO_DATA, run_check_power },
    { SLEEP, BOTH, ATA_NO_DATA, run_power },
    { FLUSH, DISK, ATA_NO_DATA, run_flush },
    { FLUSH_EXT, DISK, ATA_NO_DATA, run_flush },
    { IDENTIFY, BOTH, ATA_PIO_IN, run_identify_disk },
    { SET_FEATURES, BOTH, ATA_NO_DATA, run_set_features },
};

static const struct ata_row *ata_find(const struct ata_drive *d, uint8_t command)
{
    for (unsigned i = 0; i < ARRAY_LEN(ata_rows); i++)
        if (ata_rows[i].command == command && ata_rows[i].kinds >> d->kind & 1)
            return &ata_rows[i];
    return NULL;
}

/* After a queued command has failed, the drive wants its log looked at before anything else (ACS-3 4.15.4). */
static bool ata_refuses(const struct ata_drive *d, const struct ata_task *t)
{
    return d->queue_error && t->command != READ_LOG_EXT && t->command != IDENTIFY;
}

void ata_run(struct ata_drive *d, struct ata_task *t)
{
    const struct ata_row *row = ata_find(d, t->command);
    unsigned tag = t->count >> 3 & (ATA_QUEUE - 1);

    t->status = ATA_READY;
    t->error = 0;
    t->moved = 0;
    t->protocol = row ? row->protocol : ATA_NO_DATA;
    if (!row || ata_refuses(d, t)) {
        ata_fail(t, ATA_ABRT);
        return;
    }
    if (t->protocol == ATA_PIO_IN || t->protocol == ATA_PIO_OUT || t->protocol == ATA_DMA || t->protocol == ATA_QUEUED)
        d->power = POWER_ACTIVE;
    row->run(d, t);
    if (t->protocol == ATA_QUEUED && t->status & ATA_ERR)
        ata_note_queue_error(d, t, tag);
}

void ata_signature(const struct ata_drive *d, struct ata_task *t)
{
    t->count = 1;
    t->lba = d->kind == ATA_CDROM ? 0xeb1401 : 1;
    t->device = 0;
    t->status = d->kind == ATA_CDROM ? 0 : ATA_READY;
    t->error = 1; /* passed */
}

void ata_reset(struct ata_drive *d)
{
    d->multiple = 0;
    d->transfer_mode = 0x45; /* UDMA 5 */
    d->power = POWER_ACTIVE;
    d->write_through = d->no_look_ahead = d->smart_off = d->queue_error = false;
    memset(d->log, 0, sizeof(d->log));
    d->log[0] = 0x80; /* not of a queued command */
    atapi_reset(d);
}
