/*
 * talk.c - the other end of tests/guest/net.c: sends datagrams to a port of this host, and prints what comes back.
 *
 *   talk free          a UDP port that nobody uses
 *   talk PORT WORD...  each word in a datagram, again until it is answered, for ten seconds; exit status 1: it was not
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRIES = 40, TRY_MS = 250 };

static int open_socket(struct sockaddr_in *own)
{
    socklen_t size = sizeof(*own);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    *own = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (fd < 0 || bind(fd, (struct sockaddr *)own, size) || getsockname(fd, (struct sockaddr *)own, &size))
        exit(2);
    return fd;
}

static int ask(int fd, const char *word)
{
    struct pollfd in = { .fd = fd, .events = POLLIN };
    char answer[2048];

    for (unsigned i = 0; i < TRIES; i++) {
        ssize_t n = send(fd, word, strlen(word), 0);

        if (n >= 0 && poll(&in, 1, TRY_MS) == 0)
            continue;
        n = n < 0 ? n : recv(fd, answer, sizeof(answer), 0);
        if (n == (ssize_t)strlen(word) && !memcmp(answer, word, (size_t)n))
            return printf("%s\n", word) < 0;
        usleep(TRY_MS * 1000); /* refused: nobody listens yet */
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_in own, to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = open_socket(&own);

    if (argc == 2 && !strcmp(argv[1], "free"))
        return printf("%u\n", ntohs(own.sin_port)) < 0;
    if (argc < 3)
        return 2;
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
        return 2;
    for (int i = 2; i < argc; i++)
        if (ask(fd, argv[i]))
            return 1;
    return 0;
}
