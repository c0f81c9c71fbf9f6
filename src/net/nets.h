/*
 * nets.h - the host's end of network cards: what `--net` says, the networks, and the thread that watches their sockets.
 *
 * The thread reads and writes nothing.  It waits until a socket is ready and rings; whoever runs the guest then calls
 * nets_look() between two instructions, and only there does anything reach a card.
 */
#ifndef NET_NETS_H
#define NET_NETS_H

#include "base/err.h"
#include "clock.h"
#include "net.h"

#include <glib.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>

enum { NETS = 4, NET_FORWARDS = 32 };

/* A port of the host that leads to one of the guest. */
struct net_forward {
    bool udp;
    struct in_addr host, guest; /* guest 0: the address that DHCP gives first */
    uint16_t host_port, guest_port;
};

struct net_options {
    struct net_forward forward[NET_FORWARDS];
    unsigned forwards;
    bool restricted;             /* the guest reaches nobody by itself */
    bool has_mac;
    uint8_t mac[NET_MAC_BYTES];
    uint16_t mtu;                /* 0: what networks have */
    char *rom, *tftp, *bootfile; /* of the heap; NULL: none */
};

/*
 * user[,hostfwd=tcp|udp:[HOSTADDR]:PORT-[GUESTADDR]:PORT]...[,mac=XX:XX:XX:XX:XX:XX][,restrict=on|off][,mtu=N][,rom=FILE]
 * [,tftp=FOLDER][,bootfile=NAME]; ",," is a comma.
 */
bool net_parse(const char *text, struct net_options *options, struct err *err);
void net_options_free(struct net_options *options);

/* A network: what a card sees, and what has to be polled for it. */
struct net_link {
    struct net_backend backend; /* first */
    bool stirred;               /* the card has sent: other sockets may be waited for now */
    /* Adds descriptors that it waits for; *timeout_ms becomes less where it wants to be looked at sooner. */
    void (*fill)(struct net_link *link, GArray *fds, uint32_t *timeout_ms);
    /* The same descriptors, with what has become of them. */
    void (*take)(struct net_link *link, const GArray *fds);
    void (*close)(struct net_link *link);
};

/* libslirp's: user.c.  mac: the card's.  Timers run on `clock`.  NULL and err: a port that cannot be had. */
struct net_link *user_open(const struct net_options *options, const uint8_t *mac, struct clock *clock, struct err *err);

struct nets {
    struct net_link *link[NETS];
    unsigned count;
    void (*ring)(void *opaque);  /* from the thread: nets_look() is due */
    void *opaque;
    GArray *fds;                 /* struct pollfd; nets_look()'s */
    pthread_t thread;
    bool running;                /* the thread */
    int wake;                    /* eventfd: the thread has something else to watch */
    pthread_mutex_t lock;        /* of what follows */
    GArray *watched;
    int timeout_ms;
    bool watching, quit;
};

/* `ring` is set.  Nothing is open in one that is otherwise zeroed.  False and err: nets_close() is still to follow. */
bool nets_open(struct nets *n, const struct net_options *options, unsigned count, struct clock *clock, struct err *err);
void nets_close(struct nets *n);

/* Between two instructions: moves what is there, and has the thread watch for more. */
void nets_look(struct nets *n);

/* Has a card sent something since?  Then it is time as well, but nothing is lost if that waits a little. */
bool nets_stirred(const struct nets *n);

/* Is there a socket from which something may come? */
bool nets_expect(const struct nets *n);

#endif
