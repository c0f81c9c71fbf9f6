/* keys.c - Ctrl-A and a key. */
#include "console/keys.h"

static const struct {
    uint8_t key;
    enum key_action action;
} key_actions[] = {
    { KEY_ESCAPE, KEY_BYTE }, { 'x', KEY_QUIT }, { 'c', KEY_SWITCH }, { 'h', KEY_HELP }, { '?', KEY_HELP },
};

const char keys_help[] =
    "Ctrl-A x       ends the run\n"
    "Ctrl-A c       from the console to the monitor and back\n"
    "Ctrl-A h       this\n"
    "Ctrl-A Ctrl-A  sends Ctrl-A\n";

enum key_action keys_take(struct keys *keys, uint8_t *byte)
{
    if (!keys->escaped) {
        keys->escaped = *byte == KEY_ESCAPE;
        return keys->escaped ? KEY_NOTHING : KEY_BYTE;
    }
    keys->escaped = false;
    for (unsigned i = 0; i < sizeof(key_actions) / sizeof(key_actions[0]); i++)
        if (key_actions[i].key == *byte)
            return key_actions[i].action;
    return KEY_HELP;
}
