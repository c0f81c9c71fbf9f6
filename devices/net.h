/*
 * net.h - the host's end of a network card: what it sends and what waits for it, in Ethernet frames without their checksum.
 *
 * Everything is called from the thread that runs the guest.  Frames that come wait with the backend, which bounds how many.
 */
#ifndef DEVICES_NET_H
#define DEVICES_NET_H

#include <stddef.h>
#include <stdint.h>

#define NET_MAC_BYTES 6
#define NET_HEADER_BYTES 14        /* IEEE 802.3: two addresses and a type */
#define NET_FRAME_BYTES (65536 + NET_HEADER_BYTES) /* at most */

struct net_backend {
    uint8_t mac[NET_MAC_BYTES];    /* of the card */
    uint16_t mtu;                  /* bytes behind the header that the network takes; 0: 1500, as ever, and nobody says so */
    const uint8_t *rom;            /* the card's expansion ROM, so many bytes up to 16 MiB; NULL: none */
    size_t rom_bytes;
    /* NET_HEADER_BYTES to NET_FRAME_BYTES, valid during the call.  Answers may wait when it returns. */
    void (*send)(struct net_backend *b, const uint8_t *frame, size_t bytes);
    /* The frame that has waited longest, with its size; NULL: none.  It is there until it is taken. */
    const uint8_t *(*waiting)(struct net_backend *b, size_t *bytes);
    void (*taken)(struct net_backend *b);
    /* Filled in by the device: called between two instructions, when frames wait. */
    void (*arrived)(void *device);
    void *device;
};

#endif
