/* api/follow.h — ?follow=1: an output as it grows, until its task is done.
 *
 *   waiting --task runs--> asking --runner has spilled--> reading --end of file-->
 *   idle --file grows (inotify), task done--> reading … --end of file, task done--> over
 *
 * Waiting, asking and idle, the connection is suspended.
 */
#ifndef GD_API_FOLLOW_H
#define GD_API_FOLLOW_H

#include "api/http.h"

/* A response that follows a task which is not done. `tail` lines of what is there come
 * first, -1: all of it. NULL: out of memory. */
struct MHD_Response *gd_follow_new(struct gd_http *h, uint64_t task, bool is_err, int64_t tail);

/* A task has changed: whoever waits for its start looks again. */
void gd_follow_changed(struct gd_api *a, uint64_t task);

/* api/output.c: where the last lines of a file begin. */
off_t gd_output_tail_start(int fd, off_t size, uint64_t lines);

#endif
