/* parse.c - what `--net` says. */
#include "net/nets.h"

#include "words.h"

#include <arpa/inet.h>
#include <string.h>

static bool parse_port(const char *text, uint16_t *port)
{
    guint64 n;

    if (!g_ascii_string_to_unsigned(text, 10, 1, 65535, &n, NULL))
        return false;
    *port = (uint16_t)n;
    return true;
}

/* [ADDR]:PORT; without an address it stays what it is. */
static bool parse_end(char *text, struct in_addr *addr, uint16_t *port)
{
    char *colon = strrchr(text, ':');

    if (!colon)
        return false;
    *colon = 0;
    return (!*text || inet_pton(AF_INET, text, addr) == 1) && parse_port(colon + 1, port);
}

static bool parse_forward(struct net_options *o, const char *value, struct err *err)
{
    struct net_forward f = { .udp = g_str_has_prefix(value, "udp:") };
    char *host = g_strdup(value), *guest = strchr(host, '-');
    bool ok = guest && (f.udp || g_str_has_prefix(value, "tcp:"));

    if (ok) {
        *guest++ = 0;
        ok = parse_end(host + 4, &f.host, &f.host_port) && parse_end(guest, &f.guest, &f.guest_port);
    }
    g_free(host);
    if (!ok)
        return err_set(err, "--net: hostfwd=tcp|udp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, not '%s'", value);
    if (o->forwards == NET_FORWARDS)
        return err_set(err, "--net: at most %d hostfwd= for a card", NET_FORWARDS);
    o->forward[o->forwards++] = f;
    return true;
}

/* Six bytes; a station's own address is neither zero nor a group's (IEEE 802 8.2). */
static bool parse_mac(struct net_options *o, const char *value, struct err *err)
{
    bool ok = strlen(value) == 3 * NET_MAC_BYTES - 1;
    uint8_t any = 0;

    for (unsigned i = 0; ok && i < NET_MAC_BYTES; i++) {
        int high = g_ascii_xdigit_value(value[i * 3]), low = g_ascii_xdigit_value(value[i * 3 + 1]);

        ok = high >= 0 && low >= 0 && (i == NET_MAC_BYTES - 1 || value[i * 3 + 2] == ':');
        o->mac[i] = (uint8_t)(high << 4 | (low & 15));
        any |= o->mac[i];
    }
    o->has_mac = ok && any && !(o->mac[0] & 1);
    return o->has_mac || err_set(err, "--net: mac= takes the address of one station, not '%s'", value);
}

/* What libslirp takes. */
static bool parse_mtu(struct net_options *o, const char *value, struct err *err)
{
    guint64 n;

    if (!g_ascii_string_to_unsigned(value, 10, 576, 65520, &n, NULL))
        return err_set(err, "--net: mtu= from 576 to 65520, not '%s'", value);
    o->mtu = (uint16_t)n;
    return true;
}

static bool parse_name(const char *word, const char *key, char **name)
{
    if (!g_str_has_prefix(word, key) || !word[strlen(key)])
        return false;
    g_free(*name);
    *name = g_strdup(word + strlen(key));
    return true;
}

static bool parse_word(struct net_options *o, const char *word, struct err *err)
{
    if (g_str_has_prefix(word, "hostfwd="))
        return parse_forward(o, word + strlen("hostfwd="), err);
    if (g_str_has_prefix(word, "mac="))
        return parse_mac(o, word + strlen("mac="), err);
    if (g_str_has_prefix(word, "mtu="))
        return parse_mtu(o, word + strlen("mtu="), err);
    if (parse_name(word, "rom=", &o->rom) || parse_name(word, "tftp=", &o->tftp) || parse_name(word, "bootfile=", &o->bootfile))
        return true;
    if (!strcmp(word, "restrict=on") || !strcmp(word, "restrict=off")) {
        o->restricted = word[10] == 'n';
        return true;
    }
    return err_set(err, "--net: no option of a network: '%s' (hostfwd=, mac=, restrict=on|off, mtu=, rom=, tftp=, bootfile=)", word);
}

bool net_parse(const char *text, struct net_options *o, struct err *err)
{
    char *word = words_next(&text);
    bool ok = !strcmp(word, "user");

    *o = (struct net_options){ .forwards = 0 };
    if (!ok)
        err_set(err, "--net: 'user' first, not '%s'", word);
    g_free(word);
    while (ok && text) {
        word = words_next(&text);
        ok = parse_word(o, word, err);
        g_free(word);
    }
    return ok;
}

void net_options_free(struct net_options *o)
{
    g_free(o->rom);
    g_free(o->tftp);
    g_free(o->bootfile);
    o->rom = o->tftp = o->bootfile = NULL;
}
