/*
 * x11_keys.c — from keycodes to characters (protocol, chapter 5, "keyboards", and appendix A,
 * "keysym encoding").
 */
#include "vision/display/x11.h"

#include <string.h>

enum { SHIFT = 1, LOCK = 2, CONTROL = 4 };

enum nn_status vi_x11_map_keys(struct vi_x11 *x)
{
    const uint8_t *reply = NULL;
    size_t size, count = (size_t)x->max_keycode - x->min_keycode + 1;
    x->remap = false;
    enum nn_status status =
        vi_x11_request(x, "11n112", X_GET_KEYBOARD_MAPPING, 0, x->min_keycode, (uint32_t)count, 0);
    if (!status) status = vi_x11_reply(x, &reply, &size);
    if (status || !reply) return status;
    memset(x->keysyms, 0, sizeof x->keysyms);
    size_t each = reply[1];
    if (each == 0 || (size - 32) / 4 / each < count) return NN_OK; /* a server without keys */
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < 2 && k < each; k++)
            x->keysyms[x->min_keycode + i][k] = vi_x11_32(reply + 32 + 4 * (i * each + k));
    return NN_OK;
}

/* The character of a keysym; 0: none. */
static int character(uint32_t keysym)
{
    static const struct {
        uint16_t keysym;
        uint8_t key;
    } special[] = {
        {0xff08, '\b'}, {0xff09, '\t'}, {0xff0a, '\n'}, {0xff0d, '\n'}, {0xff1b, 27},
        {0xff80, ' '},  {0xff89, '\t'}, {0xff8d, '\n'}, {0xffbd, '='},
    };
    if ((keysym >= 0x20 && keysym <= 0x7e) || (keysym >= 0xa0 && keysym <= 0xff))
        return (int)keysym;
    if (keysym >= 0x1000100 && keysym <= 0x110ffff) return (int)(keysym - 0x1000000);
    if (keysym >= 0xffaa && keysym <= 0xffb9) return (int)(keysym - 0xff80); /* keypad: * ... 9 */
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (keysym == special[i].keysym) return special[i].key;
    return 0;
}

static int upper(int key)
{
    bool latin = key >= 0xe0 && key <= 0xfe && key != 0xf7;
    return (key >= 'a' && key <= 'z') || latin ? key - 32 : key;
}

int vi_x11_character(const struct vi_x11 *x, const struct vi_x11_key *key)
{
    const uint32_t *keysyms = x->keysyms[key->code];
    int plain = character(keysyms[0]), shifted = character(keysyms[1]);
    bool keypad = keysyms[1] >= 0xff80 && keysyms[1] <= 0xffbd;
    bool shift = key->state & SHIFT;
    if (!keysyms[1]) shifted = upper(plain);
    int typed = shift || keypad ? shifted : plain; /* keypads type numbers here, always */
    if (key->state & LOCK && !shift) typed = upper(typed);
    if (key->state & CONTROL && typed >= '@' && typed < 127) typed &= 31;
    return typed;
}
