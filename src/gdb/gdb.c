/*
 * gdb.c - the server's connection, and when the guest stands still.
 *
 * Not modelled: non-stop mode, more threads than one, signals to the guest, the protocol over a serial line (it would need timeouts).
 */
#define _GNU_SOURCE /* accept4 */
#include "gdb/server.h"

#include "debug.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT_MOST = 65535, SEND_SECONDS = 5 };

/* -- the socket -------------------------------------------------------------------------------------------------------------- */

static int listen_at(const struct sockaddr *address, socklen_t size, const char *where, struct err *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0) {
        err_set(err, "--gdb %s: %s", where, strerror(errno));
        return -1;
    }
    if (address->sa_family == AF_INET)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (!bind(fd, address, size) && !listen(fd, 1))
        return fd;
    err_set(err, "--gdb %s: %s", where, strerror(errno));
    close(fd);
    return -1;
}

/* Of this host alone: whoever connects may do to the guest what he likes. */
static int listen_tcp(uint64_t port, const char *where, struct err *err)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = { htonl(INADDR_LOOPBACK) } };

    return listen_at((const struct sockaddr *)&a, sizeof(a), where, err);
}

/* A socket that is left from a run which was killed. */
static void unlink_if_dead(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED)
        unlink(a->sun_path);
    close(fd);
}

static int listen_unix(const char *path, struct err *err)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(a.sun_path)) {
        err_set(err, "--gdb %s: a socket's name has at most %zu bytes", path, sizeof(a.sun_path) - 1);
        return -1;
    }
    strcpy(a.sun_path, path);
    unlink_if_dead(&a);
    return listen_at((const struct sockaddr *)&a, sizeof(a), path, err);
}

static int listen_where(const char *where, char **path, struct err *err)
{
    char *end;
    unsigned long port = strtoul(where, &end, 10);

    if (*where >= '0' && *where <= '9' && !*end) {
        if (port >= 1 && port <= PORT_MOST)
            return listen_tcp(port, where, err);
        err_set(err, "--gdb: ports are 1 to %d, not '%s'", PORT_MOST, where);
        return -1;
    }
    if (!strchr(where, '/')) {
        err_set(err, "--gdb: a TCP port, or the path of a socket with a '/' in it, not '%s'", where);
        return -1;
    }
    *path = g_strdup(where);
    return listen_unix(where, err);
}

struct gdb *gdb_listen(const char *where, struct err *err)
{
    struct gdb *g = g_new0(struct gdb, 1);

    g->fd = -1;
    g->listener = listen_where(where, &g->path, err);
    if (g->listener < 0) {
        g_free(g->path);
        g_free(g);
        return NULL;
    }
    g->xml = g_string_new(NULL);
    g->reply = g_string_new(NULL);
    g->sent = g_string_new(NULL);
    return g;
}

void gdb_close(struct gdb *g)
{
    if (!g)
        return;
    if (g->fd >= 0)
        close(g->fd);
    close(g->listener);
    if (g->path)
        unlink(g->path);
    g_string_free(g->xml, TRUE);
    g_string_free(g->reply, TRUE);
    g_string_free(g->sent, TRUE);
    g_free(g->path);
    g_free(g);
}

int gdb_socket(const struct gdb *g) { return g->fd >= 0 ? g->fd : g->listener; }
bool gdb_holds(const struct gdb *g) { return g->holds; }
bool gdb_connected(const struct gdb *g) { return g->fd >= 0; }

/* -- sending ----------------------------------------------------------------------------------------------------------------- */

/* Somebody who does not take what he asked for is gone. */
static void send_bytes(struct gdb *g, const char *bytes, size_t n)
{
    while (n && g->fd >= 0) {
        ssize_t sent = send(g->fd, bytes, n, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0) {
            gdb_hang_up(g);
            return;
        }
        bytes += sent;
        n -= (size_t)sent;
    }
}

void gdb_send(struct gdb *g)
{
    g_string_truncate(g->sent, 0);
    gdb_frame(g->sent, g->reply->str, g->reply->len);
    send_bytes(g, g->sent->str, g->sent->len);
}

static void send_stop(struct gdb *g)
{
    g_string_assign(g->reply, g->why);
    gdb_send(g);
}

/* -- running and standing still ---------------------------------------------------------------------------------------------- */

static void step_none(struct gdb *g)
{
    g->goes_on = false;
    for (unsigned i = 0; i < g->machine->cpus; i++)
        g->machine->cpu[i].v->debug.step = false;
}

static void hold(struct gdb *g)
{
    struct err err;

    g->holds = true;
    step_none(g);
    machine_show_state(g->machine, &err); /* what there is, if that fails: the run will say why */
}

void gdb_resume(struct gdb *g, bool step)
{
    gdb_points_apply(g);
    g->holds = false;
    if (!step)
        g->cpu = g->machine->at;
    g->goes_on = !step && gdb_point_here(g);
    gdb_vcpu(g)->debug.step = step || g->goes_on;
    if (gdb_vcpu(g)->debug.step)
        machine_give_turn(g->machine, g->cpu);
}

void gdb_let_go(struct gdb *g)
{
    g->points = 0;
    gdb_resume(g, false);
}

void gdb_hang_up(struct gdb *g)
{
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
    gdb_let_go(g);
}

void gdb_say_why(struct gdb *g, const char *signal, const char *reason)
{
    g_snprintf(g->why, sizeof(g->why), "%s%sthread:%02x;", signal, reason, g->cpu + 1);
}

/* Signals as gdb numbers them: SIGINT 2, SIGTRAP 5. */
static void stop_for_watch(struct gdb *g, unsigned hits)
{
    static const char *const names[POINT_TYPES] = { [POINT_WRITE] = "watch", [POINT_READ] = "rwatch", [POINT_ACCESS] = "awatch" };
    const struct gdb_point *p = gdb_point_watch(g, (unsigned)__builtin_ctz(hits));

    char text[48];

    if (!p)
        return;
    g_snprintf(text, sizeof(text), "%s:%" PRIx64 ";", names[p->type], p->address);
    gdb_say_why(g, "T05", text);
}

static void stop_for_step(struct gdb *g)
{
    const struct gdb_point *p = gdb_point_here(g);

    gdb_say_why(g, "T05", !p || !g->says_why ? "" : p->type == POINT_SOFTWARE ? "swbreak:;" : "hwbreak:;");
}

void gdb_stopped(struct gdb *g, bool step)
{
    struct vcpu *v = g->machine->cpu[g->machine->at].v;
    unsigned hits = v->debug.hits;

    if (g->fd < 0)
        return;
    if (step && !hits && g->goes_on) { /* over the breakpoint it was stopped at */
        step_none(g);
        return;
    }
    g->cpu = g->machine->at;
    hold(g);
    stop_for_step(g);
    if (hits)
        stop_for_watch(g, hits);
    v->debug.hits = 0;
    send_stop(g);
}

static void stop_for_signal(struct gdb *g)
{
    g->cpu = g->machine->at;
    hold(g);
    gdb_say_why(g, "T02", "");
}

void gdb_stopped_by_monitor(struct gdb *g)
{
    if (g->fd < 0 || g->holds)
        return;
    stop_for_signal(g);
    send_stop(g);
}

void gdb_ended(struct gdb *g, int status)
{
    if (g->fd < 0)
        return;
    g_string_printf(g->reply, "W%02x", status & 0xff);
    gdb_send(g);
}

/* -- receiving --------------------------------------------------------------------------------------------------------------- */

static void accept_one(struct gdb *g)
{
    struct timeval patience = { .tv_sec = SEND_SECONDS };
    int on = 1;

    g->fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC);
    if (g->fd < 0)
        return;
    setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* fails for a path's */
    setsockopt(g->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    memset(&g->parser, 0, sizeof(g->parser));
    g->no_ack = g->says_why = false;
    stop_for_signal(g);
}

static void take_packet(struct gdb *g)
{
    if (!g->no_ack)
        send_bytes(g, "+", 1);
    if (gdb_command(g, g->parser.data, g->parser.n))
        gdb_send(g);
}

static void take_byte(struct gdb *g, uint8_t byte)
{
    switch (gdb_parse(&g->parser, byte)) {
    case GDB_PACKET: take_packet(g); break;
    case GDB_DAMAGED:
        if (!g->no_ack)
            send_bytes(g, "-", 1);
        break;
    case GDB_AGAIN:
        if (!g->no_ack)
            send_bytes(g, g->sent->str, g->sent->len);
        break;
    case GDB_INTERRUPT:
        if (!g->holds) {
            stop_for_signal(g);
            send_stop(g);
        }
        break;
    default: break;
    }
}

void gdb_look(struct gdb *g)
{
    uint8_t bytes[4096];
    ssize_t n;

    if (g->fd < 0) {
        accept_one(g);
        return;
    }
    n = recv(g->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        gdb_hang_up(g);
    for (ssize_t i = 0; i < n && g->fd >= 0; i++)
        take_byte(g, bytes[i]);
}

void gdb_start(struct gdb *g, struct machine *machine, struct monitor *monitor, bool wait)
{
    g->machine = machine;
    g->monitor = monitor;
    monitor_observe(monitor);
    g->holds = wait;
    gdb_say_why(g, "T02", "");
    gdb_registers_init(&g->registers, &machine->vcpu.features);
    gdb_registers_describe(&g->registers, g->xml);
}
