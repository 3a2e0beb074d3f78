/* daemon/exec/remote_impl.h — between the parts of a remote; nobody else's. */
#ifndef GD_DAEMON_EXEC_REMOTE_IMPL_H
#define GD_DAEMON_EXEC_REMOTE_IMPL_H

#include "daemon/exec/remote.h"

/* launch.c: starts the worker program. r->ready and r->child watch it. Errors: -errno. */
GD_MUST_CHECK int gd_remote_launch(struct gd_remote *r);
void gd_remote_launch_done(struct gd_remote *r);
/* Called by launch.c: the worker listens now, or could not be started. */
void gd_remote_launched(struct gd_remote *r, bool listens);

/* finish.c: turns an EXITED into an outcome, syncs its files if it has any, and
 * reports it. Errors: -ENOMEM, and the end must come again. */
GD_MUST_CHECK int gd_remote_finish(struct gd_remote *r, struct gd_task *t,
                                   const struct gd_msg_view *v);

/* remote.c: gives the connection up and tries again, so that all ends come again. */
void gd_remote_start_over(struct gd_remote *r);

#endif
