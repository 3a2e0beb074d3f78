#include "base/state.h"

#include <assert.h>
#include <string.h>

#define GD_TO(id) (1U << GD_##id)

static const struct {
    const char *name;
    unsigned next;
} states[GD_N_STATES] = {
#define X(id, number, text, to) [GD_##id] = {.name = (text), .next = (to)},
    GD_STATES(X)
#undef X
};

const char *gd_state_name(enum gd_state s)
{
    assert(s < GD_N_STATES);
    return states[s].name;
}

bool gd_state_parse(const char *name, enum gd_state *ret_state)
{
    for (unsigned s = 0; s < GD_N_STATES; s++)
        if (strcmp(states[s].name, name) == 0) {
            *ret_state = (enum gd_state)s;
            return true;
        }
    return false;
}

bool gd_state_may_go(enum gd_state from, enum gd_state to)
{
    assert(from < GD_N_STATES && to < GD_N_STATES);
    return (states[from].next & (1U << to)) != 0;
}

bool gd_state_is_final(enum gd_state s)
{
    assert(s < GD_N_STATES);
    return states[s].next == 0;
}

const char *gd_kind_name(enum gd_kind k)
{
    switch (k) {
#define X(id, number, name) \
    case GD_KIND_##id:      \
        return name;
        GD_KINDS(X)
#undef X
    case GD_KIND_NONE:
    case GD_N_KINDS:
        break;
    }
    return "none";
}

const char *gd_reason_name(enum gd_reason r)
{
    static const char *const names[] = {
#define X(id, name) [GD_REASON_##id] = (name),
        GD_REASONS(X)
#undef X
    };
    return names[r];
}
