/* daemon/proto/channel.h — one connection between gatherd and a worker.
 *
 *   open --(peer gone, broken message, no memory)--> gone --> freed by the owner
 *
 * Sends never block: what the socket does not take waits in order. Messages over
 * GD_MSG_PACKET_MAX travel as a sealed memfd. Receiving hands out one message at
 * a time, of a bounded number of packets per round of the loop.
 *
 * Thread: loop thread only.
 */
#ifndef GD_DAEMON_PROTO_CHANNEL_H
#define GD_DAEMON_PROTO_CHANNEL_H

#include "base/attr.h"
#include "daemon/loop/loop.h"
#include "daemon/proto/msg.h"

struct gd_channel;

struct gd_channel_ops {
    /* A message came. The view is valid for the call. May free the channel. */
    void (*message)(struct gd_channel *c, const struct gd_msg_view *v, void *arg);
    /* The other side is gone (rc 0) or the channel failed (rc < 0): once, never from
     * inside a call into the channel. The owner frees it, now or later. */
    void (*gone)(struct gd_channel *c, int rc, void *arg);
};

/* Takes `own_fd` (a connected SOCK_SEQPACKET socket, made non-blocking) in any
 * case. NULL: out of memory or descriptors; errno says. */
struct gd_channel *gd_channel_new(struct gd_loop *l, int own_fd, const struct gd_channel_ops *ops,
                                  void *arg) GD_MUST_CHECK;

/* Sends what the socket still takes, and closes it. NULL is fine. */
void gd_channel_free(struct gd_channel *c);

/* Sends `m` and empties it: at the end of this round of the loop, or up to 2 ms later if
 * something has just been sent, with all that comes until then. Failure (no memory)
 * breaks the channel, as the peer going away does: `gone` follows, so there is nothing to
 * check. */
void gd_channel_send(struct gd_channel *c, struct gd_msg *m);

/* Sends now what waits for its time: for one who will not run the loop next. */
void gd_channel_flush(struct gd_channel *c);

/* True while messages wait for room in the socket, or many do for their time: the other
 * side does not read as fast as we write, and what may be left out should be. */
bool gd_channel_is_behind(const struct gd_channel *c);

/* Hands out everything that has arrived, to the last message before the peer's
 * end; then the channel is gone (without the callback). For a peer that died. */
void gd_channel_drain(struct gd_channel *c);

/* Uid of the process at the other end; (uid_t)-1 if unknown. */
uid_t gd_channel_peer_uid(const struct gd_channel *c);

#endif
