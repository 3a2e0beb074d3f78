#include "daemon/fetcher/digest.h"

#include <errno.h>

#define SHA256_BYTES 32

int gd_digest_init(struct gd_digest *d)
{
    if (gnutls_hash_init(&d->handle, GNUTLS_DIG_SHA256) == 0)
        return 0;
    d->handle = NULL;
    return -ENOMEM; /* SHA-256 is always there */
}

void gd_digest_done(struct gd_digest *d)
{
    if (d->handle)
        gnutls_hash_deinit(d->handle, NULL);
    d->handle = NULL;
}

void gd_digest_put(struct gd_digest *d, const void *bytes, size_t n)
{
    (void)gnutls_hash(d->handle, bytes, n); /* cannot fail */
}

void gd_digest_take(struct gd_digest *d, char text[GD_DIGEST_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[SHA256_BYTES];
    gnutls_hash_output(d->handle, raw);
    for (unsigned i = 0; i < SHA256_BYTES; i++) {
        text[(size_t)2 * i] = hex[raw[i] >> 4];
        text[(size_t)2 * i + 1] = hex[raw[i] & 15];
    }
    text[(size_t)2 * SHA256_BYTES] = '\0';
}
