/* api/members.h — a small body that is one JSON object, member by member.
 *
 * Every fault of it is found; unknown members are faults with a suggestion.
 */
#ifndef GD_API_MEMBERS_H
#define GD_API_MEMBERS_H

#include "api/http.h"
#include "base/fault.h"

struct gd_member {
    const char *name;
    /* Takes the member's JSON, adding to the faults that `arg` knows of. */
    void (*set)(void *arg, struct gd_span json);
};

/* Reads `text` by `members` (the last has no name; at most 15). False: it was answered
 * with what is wrong, `nothing` saying what was not done. */
GD_MUST_CHECK bool gd_members_read(struct gd_http *h, struct gd_span text,
                                   const struct gd_member *members, struct gd_faults *faults,
                                   void *arg, const char *nothing);

/* Answers with the faults, or for want of memory with that. */
void gd_members_refuse(struct gd_http *h, const struct gd_faults *faults, const char *nothing);

#endif
