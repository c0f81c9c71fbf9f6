/* nets.c - all networks of a machine, and the thread that waits for their sockets. */
#include "net/nets.h"

#include "load/load.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* -- the thread --------------------------------------------------------------------------------------------------------------- */

/* What to wait for: `wake`, and behind it what nets_look() has asked for, if nobody has been rung for since. */
static bool nets_list(struct nets *n, GArray *list, int *timeout_ms)
{
    struct pollfd wake = { .fd = n->wake, .events = POLLIN };
    bool go_on;

    pthread_mutex_lock(&n->lock);
    g_array_set_size(list, 0);
    g_array_append_val(list, wake);
    if (n->watching && n->watched->len)
        g_array_append_vals(list, n->watched->data, n->watched->len);
    *timeout_ms = n->watching ? n->timeout_ms : -1;
    go_on = !n->quit;
    pthread_mutex_unlock(&n->lock);
    return go_on;
}

static void nets_ready(struct nets *n)
{
    pthread_mutex_lock(&n->lock);
    n->watching = false;
    pthread_mutex_unlock(&n->lock);
    n->ring(n->opaque);
}

static void *nets_watch(void *opaque)
{
    struct nets *n = opaque;
    GArray *list = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    eventfd_t count;
    int timeout_ms;

    while (nets_list(n, list, &timeout_ms)) {
        struct pollfd *p = (struct pollfd *)(void *)list->data;

        if (poll(p, list->len, timeout_ms) < 0)
            continue;
        if (p[0].revents)
            eventfd_read(n->wake, &count);
        else
            nets_ready(n);
    }
    g_array_free(list, TRUE);
    return NULL;
}

static bool nets_start(struct nets *n, struct err *err)
{
    sigset_t all, before;
    int error;

    sigfillset(&all); /* signals are for the thread that runs the guest */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&n->thread, NULL, nets_watch, n);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !error || err_set(err, "--net: no thread: %s", strerror(error));
}

/* -- looking --------------------------------------------------------------------------------------------------------------------- */

static int nets_fill(struct nets *n)
{
    uint32_t timeout_ms = UINT32_MAX;

    g_array_set_size(n->fds, 0);
    for (unsigned i = 0; i < n->count; i++)
        n->link[i]->fill(n->link[i], n->fds, &timeout_ms);
    return timeout_ms > INT32_MAX ? -1 : (int)timeout_ms;
}

static bool nets_same(const GArray *a, const GArray *b)
{
    for (unsigned i = 0; i < a->len && a->len == b->len; i++) {
        const struct pollfd *p = &g_array_index(a, struct pollfd, i), *q = &g_array_index(b, struct pollfd, i);

        if (p->fd != q->fd || p->events != q->events)
            return false;
    }
    return a->len == b->len;
}

/* The thread is woken only where it waits for something else, or for too long. */
static void nets_hand_over(struct nets *n, int timeout_ms)
{
    bool wake;

    pthread_mutex_lock(&n->lock);
    wake = !n->watching || !nets_same(n->fds, n->watched) || (unsigned)timeout_ms < (unsigned)n->timeout_ms;
    if (wake) {
        g_array_set_size(n->watched, 0);
        if (n->fds->len)
            g_array_append_vals(n->watched, n->fds->data, n->fds->len);
        n->timeout_ms = timeout_ms;
        n->watching = true;
    }
    pthread_mutex_unlock(&n->lock);
    if (wake)
        eventfd_write(n->wake, 1);
}

void nets_look(struct nets *n)
{
    if (!n->count)
        return;
    nets_fill(n);
    if (poll((struct pollfd *)(void *)n->fds->data, n->fds->len, 0) >= 0)
        for (unsigned i = 0; i < n->count; i++) {
            n->link[i]->stirred = false;
            n->link[i]->take(n->link[i], n->fds);
        }
    nets_hand_over(n, nets_fill(n));
}

bool nets_stirred(const struct nets *n)
{
    bool stirred = false;

    for (unsigned i = 0; i < n->count; i++)
        stirred |= n->link[i]->stirred;
    return stirred;
}

bool nets_expect(const struct nets *n) { return n->count && n->fds->len; }

/* -- life -------------------------------------------------------------------------------------------------------------------------- */

/* Administered locally (IEEE 802 8.4): nobody's, and the last byte is the card's number. */
static const uint8_t nets_mac[NET_MAC_BYTES] = { 0x02, 'W', 'L', 0, 0, 0 };

enum { ROM_MAX = 16 << 20, ROM_BLOCK = 512 };

/* PCI Firmware 3.0 section 5.1: images of whole blocks, each with a signature. */
static bool nets_load_rom(struct net_backend *b, const char *path, struct err *err)
{
    uint8_t *rom = load_file(path, ROM_MAX, &b->rom_bytes, err);

    b->rom = rom;
    if (!rom)
        return false;
    return (b->rom_bytes % ROM_BLOCK == 0 && rom[0] == 0x55 && rom[1] == 0xaa) || err_set(err, "%s: no expansion ROM", path);
}

static bool nets_open_links(struct nets *n, const struct net_options *o, unsigned count, struct clock *clock, struct err *err)
{
    for (; n->count < count; n->count++, o++) {
        uint8_t mac[NET_MAC_BYTES];

        memcpy(mac, o->has_mac ? o->mac : nets_mac, NET_MAC_BYTES);
        if (!o->has_mac)
            mac[NET_MAC_BYTES - 1] = (uint8_t)(n->count + 1);
        n->link[n->count] = user_open(o, mac, clock, err);
        if (!n->link[n->count])
            return false;
        if (o->rom && !nets_load_rom(&n->link[n->count]->backend, o->rom, err))
            return n->count++, false;
    }
    return true;
}

bool nets_open(struct nets *n, const struct net_options *options, unsigned count, struct clock *clock, struct err *err)
{
    if (!count)
        return true;
    n->fds = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    n->watched = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    n->timeout_ms = -1;
    pthread_mutex_init(&n->lock, NULL);
    if (!nets_open_links(n, options, count, clock, err))
        return false;
    n->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->wake < 0)
        return err_set(err, "--net: %s", strerror(errno));
    n->running = nets_start(n, err);
    return n->running;
}

static void nets_stop(struct nets *n)
{
    pthread_mutex_lock(&n->lock);
    n->quit = true;
    pthread_mutex_unlock(&n->lock);
    eventfd_write(n->wake, 1);
    pthread_join(n->thread, NULL);
}

void nets_close(struct nets *n)
{
    if (n->running)
        nets_stop(n);
    if (n->wake > 0)
        close(n->wake);
    for (unsigned i = 0; i < n->count; i++) {
        g_free((void *)(uintptr_t)n->link[i]->backend.rom);
        n->link[i]->close(n->link[i]);
    }
    if (n->fds) {
        g_array_free(n->fds, TRUE);
        g_array_free(n->watched, TRUE);
    }
    *n = (struct nets){ .count = 0 };
}
