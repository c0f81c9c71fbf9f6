/*
 * ata.h - a drive behind a SATA link: an ATA disk (ata.c) or an ATAPI CD-ROM (atapi.c), without any controller.
 *
 * A controller (ahci.c) keeps a `struct ata_drive` in its state for each, fills in a `struct ata_task` from the registers that
 * its host sent, and calls ata_run(), which is done when it returns.  Nothing in a task is trusted.
 * Manual: ACS-3 (T13/2161-D) for the registers and commands, MMC-6 and SPC-3 for packets.
 */
#ifndef DEVICES_ATA_H
#define DEVICES_ATA_H

#include "block.h"
#include "fields.h"

enum ata_kind { ATA_NOTHING, ATA_DISK, ATA_CDROM };
enum { ATA_SECTOR = BLOCK_SECTOR_BYTES, ATA_BOUNCE_BYTES = 1 << 18, ATA_PACKET_BYTES = 16, ATA_QUEUE = 32, ATA_LOG_BYTES = 16 };

/* ACS-3 section 6: status and error. */
enum { ATA_BSY = 0x80, ATA_DRDY = 0x40, ATA_SEEK = 0x10, ATA_DRQ = 0x08, ATA_ERR = 0x01, ATA_READY = ATA_DRDY | ATA_SEEK };
enum { ATA_UNC = 0x40, ATA_IDNF = 0x10, ATA_ABRT = 0x04 };

struct ata_drive {
    struct block_backend *backend; /* NULL: a CD-ROM drive without a medium, or no drive */
    enum ata_kind kind;
    uint8_t *bounce;               /* ATA_BOUNCE_BYTES for its use; the controller's */
    unsigned number;               /* tells drives without a serial number apart */
    uint8_t multiple;              /* sectors, as SET MULTIPLE MODE has said */
    uint8_t transfer_mode;         /* as SET FEATURES has said */
    uint8_t power;                 /* what CHECK POWER MODE answers */
    bool write_through, no_look_ahead, smart_off;
    bool queue_error;              /* nothing but a look at the log until then */
    uint8_t log[ATA_LOG_BYTES];    /* of it: log 10h (ACS-3 9.13) begins so */
    /* A CD-ROM drive's. */
    uint8_t sense, asc, ascq;
    uint8_t attention;             /* ASC of a unit attention that has not been told yet; 0: none */
    uint8_t event;                 /* of the medium, for GET EVENT STATUS NOTIFICATION */
    bool locked, open;
};

enum ata_protocol { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA, ATA_QUEUED, ATA_PACKET };

struct ata_task {
    /* What the host has written; LBA and count are as wide as the command has them. */
    uint8_t command, device;
    uint16_t features, count;
    uint64_t lba;
    const uint8_t *packet; /* ATA_PACKET_BYTES; NULL: none */
    /* Moves the next bytes to or from the host; false: it takes no more, and why is its own knowledge. */
    bool (*move)(void *opaque, void *data, size_t bytes, bool to_host);
    void *opaque;
    /* What comes of it; count and lba are what the registers show then. */
    enum ata_protocol protocol;
    uint8_t status, error;
    uint32_t moved;        /* bytes */
};

/* Power-on, or a reset by the link or by SRST. */
void ata_reset(struct ata_drive *drive);

/* The registers after a reset: the signature (ACS-3 table 206). */
void ata_signature(const struct ata_drive *drive, struct ata_task *task);

void ata_run(struct ata_drive *drive, struct ata_task *task);

/* -- between ata.c and atapi.c ------------------------------------------------------------------------------------------ */

void ata_put(uint8_t *to, unsigned width, uint64_t value);     /* little endian */
void ata_put_be(uint8_t *to, unsigned width, uint64_t value);
uint64_t ata_get_be(const uint8_t *from, unsigned width);
/* `words` words of text, padded with blanks, the first character of each in its high byte. */
void ata_put_text(uint8_t *identify, unsigned word, unsigned words, const char *text);
void ata_identify_common(const struct ata_drive *drive, uint8_t *identify, const char *model);
void ata_identify_end(uint8_t *identify);
bool ata_move(struct ata_task *task, void *data, size_t bytes, bool to_host);
void ata_fail(struct ata_task *task, uint8_t error);

void atapi_identify(const struct ata_drive *drive, uint8_t *identify);
void atapi_packet(struct ata_drive *drive, struct ata_task *task);
void atapi_reset(struct ata_drive *drive);

/* Rows of a device's fields, for an array of structs with a drive in each. */
#define ATA_FIELDS_EACH(a, d)                                                                                          \
    WIRING_EACH(a, d.backend), WIRING_EACH(a, d.kind), WIRING_EACH(a, d.bounce), WIRING_EACH(a, d.number),             \
        FIELD_EACH(a, d.multiple), FIELD_EACH(a, d.transfer_mode), FIELD_EACH(a, d.power),                             \
        FIELD_EACH(a, d.write_through), FIELD_EACH(a, d.no_look_ahead), FIELD_EACH(a, d.smart_off),                    \
        FIELD_EACH(a, d.queue_error), FIELD_EACH_ARRAY(a, d.log), FIELD_EACH(a, d.sense), FIELD_EACH(a, d.asc),        \
        FIELD_EACH(a, d.ascq), FIELD_EACH(a, d.attention), FIELD_EACH(a, d.event), FIELD_EACH(a, d.locked),            \
        FIELD_EACH(a, d.open)

#endif
