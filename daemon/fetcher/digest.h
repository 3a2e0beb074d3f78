/* daemon/fetcher/digest.h — SHA-256 of bytes as they come.
 *
 * Any thread, one at a time. All zero bytes is a digest that was not begun.
 */
#ifndef GD_DAEMON_FETCHER_DIGEST_H
#define GD_DAEMON_FETCHER_DIGEST_H

#include "base/attr.h"

#include <gnutls/crypto.h>

#include <stddef.h>

/* 64 hex digits and a NUL. */
#define GD_DIGEST_TEXT 65

struct gd_digest {
    gnutls_hash_hd_t handle; /* NULL: not begun */
};

/* Errors: -ENOMEM. */
GD_MUST_CHECK int gd_digest_init(struct gd_digest *d);

/* Frees it; not begun is fine. */
void gd_digest_done(struct gd_digest *d);

void gd_digest_put(struct gd_digest *d, const void *bytes, size_t n);

/* Writes the digest in lower-case hex and begins anew. */
void gd_digest_take(struct gd_digest *d, char text[GD_DIGEST_TEXT]);

#endif
