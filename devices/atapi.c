/*
 * atapi.c - a CD-ROM drive's packets: what a system asks before it reads, and READ, on an image of blocks of 2048 bytes.
 *
 * A medium is one data track in one session; up to 80 minutes of it is a CD-ROM, more a DVD-ROM.  The last block of an image that
 * ends within it reads as zeros behind the end.
 * Not modelled: audio, sub-channels, raw sectors of 2352 bytes, structures of a DVD, anything that writes.
 * Manual: MMC-6 (T10/1836-D), SPC-3 (T10/1416-D); how packets and sense travel: ACS-3 7.18 and its PACKET feature set.
 */
#include "ata.h"

#include <string.h>

enum { /* MMC-6 table 1 */
    TEST_UNIT_READY = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, START_STOP = 0x1b, PREVENT_ALLOW = 0x1e, READ_CAPACITY = 0x25, READ_10 = 0x28,
    SEEK_10 = 0x2b, READ_TOC = 0x43, GET_CONFIGURATION = 0x46, GET_EVENT = 0x4a, READ_DISC_INFORMATION = 0x51, READ_TRACK_INFORMATION = 0x52,
    MODE_SENSE_10 = 0x5a, READ_12 = 0xa8, SET_SPEED = 0xbb, MECHANISM_STATUS = 0xbd, READ_CD = 0xbe,
};
enum { CD_BLOCK = 2048, CD_BLOCKS_MOST = 80 * 60 * 75, LEAD_OUT = 0xaa, DATA_TRACK = 0x14, ANSWER_BYTES = 256 };
enum { PROFILE_CD = 0x08, PROFILE_DVD = 0x10 };
enum { NOT_READY = 2, MEDIUM_ERROR = 3, ILLEGAL_REQUEST = 5, UNIT_ATTENTION = 6 }; /* SPC-3 table 27 */
enum { /* SPC-3 annex D: additional sense */
    ASC_READ_ERROR = 0x11, ASC_OPCODE = 0x20, ASC_RANGE = 0x21, ASC_FIELD = 0x24, ASC_CHANGED = 0x28, ASC_RESET = 0x29, ASC_NO_MEDIUM = 0x3a,
    ASC_PREVENTED = 0x53,
};
enum { EVENT_NONE = 0, EVENT_NEW = 2, EVENT_GONE = 3 }; /* MMC-6 table 249 */
enum { REASON_DONE = 3 }; /* interrupt reason: to the host, no data */

/* -- sense --------------------------------------------------------------------------------------------------------------------- */

static void atapi_fail(struct ata_drive *d, struct ata_task *t, uint8_t key, uint8_t asc, uint8_t ascq)
{
    d->sense = key;
    d->asc = asc;
    d->ascq = ascq;
    ata_fail(t, (uint8_t)(key << 4 | ATA_ABRT));
}

static bool atapi_has_medium(const struct ata_drive *d) { return d->backend && !d->open; }

static uint32_t atapi_blocks(const struct ata_drive *d)
{
    uint64_t blocks = d->backend ? (d->backend->bytes + CD_BLOCK - 1) / CD_BLOCK : 0;

    return (uint32_t)bits_min(blocks, UINT32_MAX);
}

static uint16_t atapi_profile(const struct ata_drive *d)
{
    return !atapi_has_medium(d) ? 0 : atapi_blocks(d) > CD_BLOCKS_MOST ? PROFILE_DVD : PROFILE_CD;
}

/* What the host has room for. */
static void atapi_answer(struct ata_task *t, void *answer, size_t bytes, size_t room) { ata_move(t, answer, bits_min(bytes, room), true); }

static void run_ready(struct ata_drive *d, struct ata_task *t)
{
    (void)d;
    (void)t;
}

static void run_sense(struct ata_drive *d, struct ata_task *t)
{
    uint8_t sense[18] = { 0x70, 0, d->sense, [7] = 10, [12] = d->asc, [13] = d->ascq };

    if (!d->sense && d->attention) {
        sense[2] = UNIT_ATTENTION;
        sense[12] = d->attention;
        d->attention = 0;
    }
    d->sense = d->asc = d->ascq = 0;
    atapi_answer(t, sense, sizeof(sense), t->packet[4]);
}

/* -- what it is -------------------------------------------------------------------------------------------------------------------- */

static void run_inquiry(struct ata_drive *d, struct ata_task *t)
{
    uint8_t data[36] = { 5, 0x80, 5, 2, sizeof(data) - 5 };

    if (t->packet[1] & 1 || t->packet[2]) { /* vital product data: none */
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_FIELD, 0);
        return;
    }
    memcpy(data + 8, "WIDELOADCD-ROM          1.0 ", 28);
    atapi_answer(t, data, sizeof(data), ata_get_be(t->packet + 3, 2));
}

static void put_feature(uint8_t **at, uint16_t code, uint8_t flags, const uint8_t *data, uint8_t bytes)
{
    ata_put_be(*at, 2, code);
    (*at)[2] = flags;
    (*at)[3] = bytes;
    memcpy(*at + 4, data, bytes);
    *at += 4 + bytes;
}

/* MMC-6 5.3: features that a drive of these profiles has to have. */
static void run_configuration(struct ata_drive *d, struct ata_task *t)
{
    enum { PERSISTENT = 1, CURRENT = 1 };
    uint16_t profile = atapi_profile(d), from = (uint16_t)ata_get_be(t->packet + 2, 2);
    uint8_t cd = profile == PROFILE_CD, dvd = profile == PROFILE_DVD, medium = cd | dvd, select = t->packet[1] & 3;
    const struct {
        uint16_t code;
        uint8_t flags, bytes, data[8];
    } rows[] = {
        { 0x0000, PERSISTENT << 1 | CURRENT, 8, { 0, PROFILE_DVD, dvd, 0, 0, PROFILE_CD, cd, 0 } },
        { 0x0001, 2 << 2 | PERSISTENT << 1 | CURRENT, 8, { 0, 0, 0, 7, 1 } }, /* core: serial ATA */
        { 0x0003, 2 << 2 | PERSISTENT << 1 | CURRENT, 4, { 0x29 } },          /* removable medium: tray, eject, lock */
        { 0x0010, medium, 8, { 0, 0, CD_BLOCK >> 8, 0, 0, 1 } },              /* random readable */
        { 0x001e, (uint8_t)(2 << 2 | cd), 4, { 0 } },                         /* CD read */
        { 0x001f, dvd, 0, { 0 } },                                           /* DVD read */
    };
    uint8_t data[ANSWER_BYTES] = { 0 }, *at = data + 8;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (select == 2 ? rows[i].code == from : rows[i].code >= from && (select == 0 || rows[i].flags & CURRENT))
            put_feature(&at, rows[i].code, rows[i].flags, rows[i].data, rows[i].bytes);
    ata_put_be(data, 4, (uint64_t)(at - data) - 4);
    ata_put_be(data + 6, 2, profile);
    atapi_answer(t, data, (size_t)(at - data), ata_get_be(t->packet + 7, 2));
}

/* Pages of MODE SENSE: error recovery (01h), capabilities and mechanical status (2Ah: MMC-3 5.5.10). */
static void run_mode_sense(struct ata_drive *d, struct ata_task *t)
{
    enum { RECOVERY = 0x01, CAPABILITIES = 0x2a, ALL = 0x3f, SPEED = 4 * 176 };
    static const uint8_t recovery[8] = { RECOVERY, 6, 0, 5 };
    uint8_t capabilities[22] = { CAPABILITIES, 20, 0x03 /* reads CD-R, CD-RW */, 0, 0x70 /* multisession, mode 2 */, 0,
                                 (uint8_t)(0x29 | (d->locked ? 2 : 0)), 0 };
    uint8_t data[ANSWER_BYTES] = { 0 }, page = t->packet[2] & 0x3f;
    size_t at = 8;

    if (t->packet[2] >> 6 == 3 || (page != RECOVERY && page != CAPABILITIES && page != ALL)) {
        atapi_fail(d, t, ILLEGAL_REQUEST, t->packet[2] >> 6 == 3 ? 0x39 : ASC_FIELD, 0);
        return;
    }
    ata_put_be(capabilities + 8, 2, SPEED);
    ata_put_be(capabilities + 14, 2, SPEED);
    if (page != CAPABILITIES) {
        memcpy(data + at, recovery, sizeof(recovery));
        at += sizeof(recovery);
    }
    if (page != RECOVERY) {
        memcpy(data + at, capabilities, sizeof(capabilities));
        at += sizeof(capabilities);
    }
    ata_put_be(data, 2, at - 2);
    data[2] = atapi_has_medium(d) ? 0x01 : 0x70; /* a data CD; no disc */
    atapi_answer(t, data, at, ata_get_be(t->packet + 7, 2));
}

static void run_mechanism(struct ata_drive *d, struct ata_task *t)
{
    uint8_t data[8] = { 0, d->open ? 0x10 : 0, [5] = 1 };

    atapi_answer(t, data, sizeof(data), ata_get_be(t->packet + 8, 2));
}

/* -- the medium --------------------------------------------------------------------------------------------------------------------- */

static void run_event(struct ata_drive *d, struct ata_task *t)
{
    enum { POLLED = 1, MEDIA = 4, NO_EVENT = 0x80 };
    uint8_t data[8] = { 0, 6, MEDIA, 1 << MEDIA, d->event, (uint8_t)(atapi_has_medium(d) ? 2 : d->open ? 1 : 0) };
    size_t bytes = sizeof(data);

    if (!(t->packet[1] & POLLED)) {
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_FIELD, 0);
        return;
    }
    if (t->packet[4] & 1 << MEDIA) {
        d->event = EVENT_NONE;
    } else {
        data[1] = 2;
        data[2] = NO_EVENT;
        bytes = 4;
    }
    atapi_answer(t, data, bytes, ata_get_be(t->packet + 7, 2));
}

/* LoEj and Start: 2 opens the tray, 3 closes it. */
static void run_start_stop(struct ata_drive *d, struct ata_task *t)
{
    bool load = t->packet[4] & 2, start = t->packet[4] & 1;

    if (!load)
        return;
    if (!start && d->locked && !d->open) {
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_PREVENTED, 2);
        return;
    }
    if (d->open && start && d->backend) {
        d->attention = ASC_CHANGED;
        d->event = EVENT_NEW;
    } else if (!d->open && !start && d->backend) {
        d->event = EVENT_GONE;
    }
    d->open = !start;
}

static void run_prevent(struct ata_drive *d, struct ata_task *t) { d->locked = t->packet[4] & 1; }

static void run_capacity(struct ata_drive *d, struct ata_task *t)
{
    uint8_t data[8];

    ata_put_be(data, 4, atapi_blocks(d) - 1);
    ata_put_be(data + 4, 4, CD_BLOCK);
    ata_move(t, data, sizeof(data), true);
}

/* An address as minutes, seconds and frames, the first of which is 2 s before block 0; or as a number. */
static void put_address(uint8_t *to, uint32_t block, bool msf)
{
    uint32_t frame = block + 150;

    if (!msf) {
        ata_put_be(to, 4, block);
        return;
    }
    to[0] = 0;
    to[1] = (uint8_t)bits_min(frame / 75 / 60, 255);
    to[2] = (uint8_t)(frame / 75 % 60);
    to[3] = (uint8_t)(frame % 75);
}

/* Formats 0 (tracks) and 1 (sessions): MMC-6 tables 489 and 491. */
static void run_toc(struct ata_drive *d, struct ata_task *t)
{
    uint8_t data[20] = { 0, 0, 1, 1 }, format = t->packet[2] & 15, from = t->packet[6];
    bool msf = t->packet[1] & 2;
    size_t at = 4;

    if (!format)
        format = t->packet[9] >> 6; /* where it was in SFF-8020 */
    if (format > 1 || (!format && from > 1 && from != LEAD_OUT)) {
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_FIELD, 0);
        return;
    }
    if (format || from <= 1) {
        data[at + 1] = DATA_TRACK;
        data[at + 2] = 1;
        put_address(data + at + 4, 0, msf);
        at += 8;
    }
    if (!format) {
        data[at + 1] = DATA_TRACK;
        data[at + 2] = LEAD_OUT;
        put_address(data + at + 4, atapi_blocks(d), msf);
        at += 8;
    }
    ata_put_be(data, 2, at - 2);
    atapi_answer(t, data, at, ata_get_be(t->packet + 7, 2));
}

/* MMC-6 6.21: a complete disc of one session with one track. */
static void run_disc(struct ata_drive *d, struct ata_task *t)
{
    uint8_t data[34] = { 0, sizeof(data) - 2, 0x0e, 1, 1, 1, 1, 0x20 };

    if (t->packet[1] & 7) {
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_FIELD, 0);
        return;
    }
    memset(data + 16, 0xff, 8);
    atapi_answer(t, data, sizeof(data), ata_get_be(t->packet + 7, 2));
}

static void run_track(struct ata_drive *d, struct ata_task *t)
{
    uint8_t data[36] = { 0, sizeof(data) - 2, 1, 1, 0, 4 /* data, copying allowed */, 1 };

    if ((t->packet[1] & 3) > 1 || ((t->packet[1] & 3) == 1 && ata_get_be(t->packet + 2, 4) > 1)) {
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_FIELD, 0);
        return;
    }
    ata_put_be(data + 24, 4, atapi_blocks(d));
    atapi_answer(t, data, sizeof(data), ata_get_be(t->packet + 7, 2));
}

/* -- reading ------------------------------------------------------------------------------------------------------------------------- */

/* Behind the image's end there are zeros up to the end of a block. */
static bool atapi_read_image(struct ata_drive *d, uint64_t at, size_t bytes)
{
    size_t there = bits_min(bytes, d->backend->bytes - at);

    memset(d->bounce + there, 0, bytes - there);
    return d->backend->read(d->backend, at, d->bounce, there) == 0;
}

static void atapi_read(struct ata_drive *d, struct ata_task *t, uint32_t block, uint32_t count)
{
    uint32_t blocks = atapi_blocks(d);

    if (block > blocks || count > blocks - block) {
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_RANGE, 0);
        return;
    }
    while (count) {
        uint32_t n = (uint32_t)bits_min(count, ATA_BOUNCE_BYTES / CD_BLOCK);

        if (!atapi_read_image(d, (uint64_t)block * CD_BLOCK, n * CD_BLOCK)) {
            atapi_fail(d, t, MEDIUM_ERROR, ASC_READ_ERROR, 0);
            return;
        }
        if (!ata_move(t, d->bounce, n * CD_BLOCK, true))
            return;
        block += n;
        count -= n;
    }
}

static void run_read_10(struct ata_drive *d, struct ata_task *t)
{
    atapi_read(d, t, (uint32_t)ata_get_be(t->packet + 2, 4), (uint32_t)ata_get_be(t->packet + 7, 2));
}

static void run_read_12(struct ata_drive *d, struct ata_task *t)
{
    atapi_read(d, t, (uint32_t)ata_get_be(t->packet + 2, 4), (uint32_t)ata_get_be(t->packet + 6, 4));
}

/* MMC-6 6.19: the user data alone, of any kind of sector or of mode 1; or nothing. */
static void run_read_cd(struct ata_drive *d, struct ata_task *t)
{
    uint8_t kind = t->packet[1] >> 2 & 7, what = t->packet[9] & 0xf8;

    if ((kind != 0 && kind != 2) || (what && what != 0x10) || t->packet[10] & 7)
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_FIELD, 0);
    else
        atapi_read(d, t, (uint32_t)ata_get_be(t->packet + 2, 4), what ? (uint32_t)ata_get_be(t->packet + 6, 3) : 0);
}

static void run_seek(struct ata_drive *d, struct ata_task *t)
{
    if (ata_get_be(t->packet + 2, 4) >= atapi_blocks(d))
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_RANGE, 0);
}

/* -- which there are ------------------------------------------------------------------------------------------------------------------- */

enum { MEDIUM = 1, CALM = 2 /* a unit attention waits for another command */ };

static const struct atapi_row {
    uint8_t code, flags;
    void (*run)(struct ata_drive *d, struct ata_task *t);
} atapi_rows[] = {
    { TEST_UNIT_READY, MEDIUM, run_ready },
    { REQUEST_SENSE, CALM, run_sense },
    { INQUIRY, CALM, run_inquiry },
    { START_STOP, 0, run_start_stop },
    { PREVENT_ALLOW, 0, run_prevent },
    { READ_CAPACITY, MEDIUM, run_capacity },
    { READ_10, MEDIUM, run_read_10 },
    { SEEK_10, MEDIUM, run_seek },
    { READ_TOC, MEDIUM, run_toc },
    { GET_CONFIGURATION, CALM, run_configuration },
    { GET_EVENT, CALM, run_event },
    { READ_DISC_INFORMATION, MEDIUM, run_disc },
    { READ_TRACK_INFORMATION, MEDIUM, run_track },
    { MODE_SENSE_10, 0, run_mode_sense },
    { READ_12, MEDIUM, run_read_12 },
    { SET_SPEED, 0, run_ready },
    { MECHANISM_STATUS, 0, run_mechanism },
    { READ_CD, MEDIUM, run_read_cd },
};

static const struct atapi_row *atapi_find(uint8_t code)
{
    for (unsigned i = 0; i < ARRAY_LEN(atapi_rows); i++)
        if (atapi_rows[i].code == code)
            return &atapi_rows[i];
    return NULL;
}

/* False: the sense says why. */
static bool atapi_may_run(struct ata_drive *d, struct ata_task *t, const struct atapi_row *row)
{
    if (!row)
        atapi_fail(d, t, ILLEGAL_REQUEST, ASC_OPCODE, 0);
    else if (d->attention && !(row->flags & CALM))
        atapi_fail(d, t, UNIT_ATTENTION, d->attention, 0);
    else if (row->flags & MEDIUM && !atapi_has_medium(d))
        atapi_fail(d, t, NOT_READY, ASC_NO_MEDIUM, d->open ? 2 : 1);
    else
        return true;
    return false;
}

void atapi_packet(struct ata_drive *d, struct ata_task *t)
{
    const struct atapi_row *row = t->packet ? atapi_find(t->packet[0]) : NULL;
    bool attention = d->attention;

    if (row && t->packet[0] != REQUEST_SENSE)
        d->sense = d->asc = d->ascq = 0;
    if (!t->packet)
        ata_fail(t, ATA_ABRT);
    else if (atapi_may_run(d, t, row))
        row->run(d, t);
    else if (attention && d->sense == UNIT_ATTENTION)
        d->attention = 0;
    t->count = REASON_DONE;
    t->lba = (uint64_t)bits_min(t->moved, 0xfffe) << 8; /* the byte count */
}

void atapi_reset(struct ata_drive *d)
{
    d->sense = d->asc = d->ascq = 0;
    d->attention = ASC_RESET;
    d->event = EVENT_NONE;
    d->locked = d->open = false;
}

/* IDENTIFY PACKET DEVICE: ACS-3 7.13.  Packets of 12 bytes, removable, a CD-ROM. */
void atapi_identify(const struct ata_drive *d, uint8_t *id)
{
    ata_identify_common(d, id, "wideload CD-ROM");
    ata_put(id + 0 * 2, 2, 0x85c0);
    ata_put(id + 82 * 2, 2, 0x4218); /* NOP, DEVICE RESET, PACKET, power management */
    ata_put(id + 83 * 2, 2, 0x4000);
    ata_put(id + 84 * 2, 2, 0x4000);
    ata_put(id + 85 * 2, 2, 0x4218);
    ata_put(id + 87 * 2, 2, 0x4000);
}
