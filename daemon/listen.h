/* daemon/listen.h — listening sockets from addresses as people write them.
 *
 * "127.0.0.1:4284", "[::1]:0", "localhost:0", "unix:/path". Until callers have
 * identities, only loopback and unix sockets: whoever reaches the daemon may run
 * commands as its user.
 */
#ifndef GD_DAEMON_LISTEN_H
#define GD_DAEMON_LISTEN_H

#include "base/attr.h"
#include "base/err.h"

/* Opens one; returns its descriptor and its port (0: a unix socket). Errors, with words:
 * -EINVAL (not an address, or not one of this machine alone), -errno. */
GD_MUST_CHECK int gd_listen_open(const char *address, int *ret_fd, unsigned *ret_port,
                                 struct gd_err *err);

/* Removes the socket file of a unix address; nothing for others. */
void gd_listen_unlink(const char *address);

#endif
