/*
 * backend.h - the host's end of a character device: where a UART's or a debug console's bytes go.
 *
 * The host pushes input by calling `input` (set by the device) with as many bytes as `input_room` allows.
 */
#ifndef DEVICES_BACKEND_H
#define DEVICES_BACKEND_H

#include <stddef.h>
#include <stdint.h>

struct char_backend {
    void (*output)(void *opaque, const uint8_t *data, size_t size);
    void *opaque;
    /* Filled in by the device. */
    size_t (*input_room)(void *device);
    void (*input)(void *device, const uint8_t *data, size_t size);
    void *device;
};

static inline void backend_output(struct char_backend *backend, const void *data, size_t size)
{
    if (backend && backend->output)
        backend->output(backend->opaque, data, size);
}

#endif
