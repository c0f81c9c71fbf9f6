/*
 * user.c - a network of the user's own: libslirp answers for a router, a DHCP and a name server, and opens the host's sockets.
 *
 * 10.0.2.0/24 with the host at .2, the name server at .3 and the guest at .15, and fec0::/64 with the same.  Frames for the guest
 * wait in a queue, and what does not fit there is lost, as on a wire; TCP sends it again.
 */
#include "net/nets.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <slirp/libslirp.h>
#include <string.h>

enum { QUEUE_BYTES = 4 << 20, FRAME_COST = 256 }; /* what a small frame counts, at least */
enum { NS_PER_MS = 1000000 };

struct user_timer {
    SlirpTimerId id;
    void *argument;
    int64_t deadline_ms;  /* INT64_MAX: not set */
};

struct user {
    struct net_link link; /* first */
    Slirp *slirp;
    struct clock *clock;
    GQueue frames;        /* GBytes */
    size_t queued;        /* what they cost */
    struct user_timer timer[SLIRP_TIMER_NUM];
    GArray *fds;          /* while slirp fills it in or reads it */
};

/* -- what slirp asks for ---------------------------------------------------------------------------------------------------- */

static size_t user_cost(size_t bytes) { return MAX(bytes, FRAME_COST); }

static ssize_t user_frame(const void *frame, size_t bytes, void *opaque)
{
    struct user *u = opaque;

    if (bytes < NET_HEADER_BYTES || bytes > NET_FRAME_BYTES || u->queued + user_cost(bytes) > QUEUE_BYTES)
        return (ssize_t)bytes;
    u->queued += user_cost(bytes);
    g_queue_push_tail(&u->frames, g_bytes_new(frame, bytes));
    return (ssize_t)bytes;
}

static void user_complain(const char *text, void *opaque)
{
    (void)opaque;
    log_printf(LOG_GUEST, "network: %s\n", text);
}

static int64_t user_now(void *opaque) { return (int64_t)clock_now(((struct user *)opaque)->clock); }

static void *user_timer_new(SlirpTimerId id, void *argument, void *opaque)
{
    struct user *u = opaque;

    u->timer[id] = (struct user_timer){ id, argument, INT64_MAX };
    return &u->timer[id];
}

static void user_timer_free(void *timer, void *opaque)
{
    (void)opaque;
    ((struct user_timer *)timer)->deadline_ms = INT64_MAX;
}

static void user_timer_set(void *timer, int64_t deadline_ms, void *opaque)
{
    (void)opaque;
    ((struct user_timer *)timer)->deadline_ms = deadline_ms;
}

static void user_watch(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void user_notify(void *opaque) { (void)opaque; }

static const SlirpCb user_callbacks = {
    .send_packet = user_frame, .guest_error = user_complain, .clock_get_ns = user_now, .timer_new_opaque = user_timer_new,
    .timer_free = user_timer_free, .timer_mod = user_timer_set, .register_poll_fd = user_watch, .unregister_poll_fd = user_watch,
    .notify = user_notify,
};

/* -- what a card asks for ----------------------------------------------------------------------------------------------------- */

static void user_send(struct net_backend *b, const uint8_t *frame, size_t bytes)
{
    struct user *u = (struct user *)b;

    u->link.stirred = true;
    slirp_input(u->slirp, frame, (int)bytes);
}

static const uint8_t *user_waiting(struct net_backend *b, size_t *bytes)
{
    GBytes *first = g_queue_peek_head(&((struct user *)b)->frames);

    return first ? g_bytes_get_data(first, bytes) : NULL;
}

static void user_taken(struct net_backend *b)
{
    struct user *u = (struct user *)b;
    GBytes *first = g_queue_pop_head(&u->frames);

    u->queued -= user_cost(g_bytes_get_size(first));
    g_bytes_unref(first);
}

/* -- what is polled ------------------------------------------------------------------------------------------------------------- */

static const struct { int slirp; short poll; } user_events[] = {
    { SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI }, { SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int user_add(int fd, int events, void *opaque)
{
    struct user *u = opaque;
    struct pollfd p = { .fd = fd };

    for (unsigned i = 0; i < G_N_ELEMENTS(user_events); i++)
        p.events |= events & user_events[i].slirp ? user_events[i].poll : 0;
    g_array_append_val(u->fds, p);
    return (int)u->fds->len - 1;
}

static int user_events_of(int i, void *opaque)
{
    const struct pollfd *p = &g_array_index(((struct user *)opaque)->fds, struct pollfd, i);
    int events = 0;

    for (unsigned e = 0; e < G_N_ELEMENTS(user_events); e++)
        events |= p->revents & user_events[e].poll ? user_events[e].slirp : 0;
    return events;
}

static void user_fill(struct net_link *link, GArray *fds, uint32_t *timeout_ms)
{
    struct user *u = (struct user *)link;
    int64_t now = user_now(u) / NS_PER_MS;

    u->fds = fds;
    slirp_pollfds_fill(u->slirp, timeout_ms, user_add, u);
    for (unsigned i = 0; i < SLIRP_TIMER_NUM; i++)
        if (u->timer[i].deadline_ms - now < *timeout_ms)
            *timeout_ms = (uint32_t)MAX(u->timer[i].deadline_ms - now, 0);
}

static void user_run_timers(struct user *u)
{
    int64_t now = user_now(u) / NS_PER_MS;

    for (unsigned i = 0; i < SLIRP_TIMER_NUM; i++)
        if (u->timer[i].deadline_ms <= now) {
            u->timer[i].deadline_ms = INT64_MAX;
            slirp_handle_timer(u->slirp, u->timer[i].id, u->timer[i].argument);
        }
}

static void user_take(struct net_link *link, const GArray *fds)
{
    struct user *u = (struct user *)link;

    u->fds = (GArray *)(uintptr_t)fds;
    slirp_pollfds_poll(u->slirp, 0, user_events_of, u);
    user_run_timers(u);
    if (!g_queue_is_empty(&u->frames) && link->backend.arrived)
        link->backend.arrived(link->backend.device);
}

/* -- life --------------------------------------------------------------------------------------------------------------------------- */

static void user_close(struct net_link *link)
{
    struct user *u = (struct user *)link;

    if (u->slirp)
        slirp_cleanup(u->slirp);
    while (!g_queue_is_empty(&u->frames))
        user_taken(&link->backend);
    g_free(u);
}

static bool user_forward(struct user *u, const struct net_forward *f, struct err *err)
{
    char text[INET_ADDRSTRLEN];

    if (slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port) == 0)
        return true;
    inet_ntop(AF_INET, &f->host, text, sizeof(text));
    return err_set(err, "--net: hostfwd=: %s port %u of %s: %s", f->udp ? "UDP" : "TCP", f->host_port, text, strerror(errno));
}

static SlirpConfig user_config(const struct net_options *o)
{
    SlirpConfig c = { .version = 4, .restricted = o->restricted, .in_enabled = true, .in6_enabled = true, .vprefix_len = 64,
                      .if_mtu = o->mtu, .if_mru = o->mtu, .tftp_path = o->tftp, .bootfile = o->bootfile };

    inet_pton(AF_INET, "10.0.2.0", &c.vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &c.vnetmask);
    inet_pton(AF_INET, "10.0.2.2", &c.vhost);
    inet_pton(AF_INET, "10.0.2.3", &c.vnameserver);
    inet_pton(AF_INET, "10.0.2.15", &c.vdhcp_start);
    inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c.vhost6);
    inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
    return c;
}

/* What may be refused; u->slirp may be there, or not yet. */
static bool user_start(struct user *u, const struct net_options *o, struct err *err)
{
    const SlirpConfig config = user_config(o);
    bool ok = true;

    if (o->tftp && !g_file_test(o->tftp, G_FILE_TEST_IS_DIR))
        return err_set(err, "--net: tftp=%s: no folder", o->tftp);
    u->slirp = slirp_new(&config, &user_callbacks, u);
    if (!u->slirp)
        return err_set(err, "--net: libslirp does not start");
    for (unsigned i = 0; ok && i < o->forwards; i++)
        ok = user_forward(u, &o->forward[i], err);
    return ok;
}

struct net_link *user_open(const struct net_options *o, const uint8_t *mac, struct clock *clock, struct err *err)
{
    struct user *u = g_new0(struct user, 1);

    u->link = (struct net_link){ .backend = { .send = user_send, .waiting = user_waiting, .taken = user_taken, .mtu = o->mtu },
                                 .fill = user_fill, .take = user_take, .close = user_close };
    memcpy(u->link.backend.mac, mac, NET_MAC_BYTES);
    u->clock = clock;
    g_queue_init(&u->frames);
    for (unsigned i = 0; i < SLIRP_TIMER_NUM; i++)
        u->timer[i].deadline_ms = INT64_MAX;
    if (user_start(u, o, err))
        return &u->link;
    user_close(&u->link);
    return NULL;
}
