/*
 * recorder.h - a device of 64 KiB that takes every access whole, keeps its bytes and writes down what it saw; and a
 * handful of ports that read 77.
 */
#ifndef TESTS_RECORDER_H
#define TESTS_RECORDER_H

#include "phys.h"

enum { RECORDER_BYTES = 16 * 4096, RECORDER_PORT = 0x61, RECORDER_PORTS = 4, RECORDS = 512 };

/* One byte moved; atomics are a load and a store. */
struct byte_record {
    uint16_t offset;
    uint8_t value;
};

struct recorder {
    struct region region, ports;
    struct region_ops ops;            /* limits may be changed between runs */
    uint8_t bytes[RECORDER_BYTES];
    unsigned transactions, n;
    struct transaction transaction[RECORDS];
    unsigned loads, stores;           /* single bytes, in order */
    struct byte_record load[RECORDS * 4], store[RECORDS * 4];
};

/* What the measured devices held: byte i is 7 i ^ i / 256 ^ 5a. */
uint8_t recorder_byte(unsigned offset);

/* Bytes as above, nothing seen. */
void recorder_reset(struct recorder *r);

/* At gpa, and its ports at RECORDER_PORT. */
void recorder_init(struct recorder *r, struct phys *phys, uint64_t gpa);

#endif
