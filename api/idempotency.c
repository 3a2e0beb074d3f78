#include "api/idempotency.h"

#include "base/limits.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "key" as a structured field's string, or as a bare token (RFC 8941, 3.3.3). */
static char *parse(const char *value)
{
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        value++;
        n -= 2;
    }
    for (size_t i = 0; i < n; i++)
        if (value[i] < ' ' || value[i] > '~' || value[i] == '"' || value[i] == '\\')
            n = 0;
    if (n == 0 || n > GD_MAX_KEY_BYTES)
        return NULL;
    return strndup(value, n);
}

bool gd_idempotency_read(struct gd_http *h, char **ret_key, struct gd_idempotency *ret)
{
    const char *value = gd_http_header(h, "Idempotency-Key");
    if (!value)
        return true;
    *ret_key = parse(value);
    if (!*ret_key) {
        gd_http_fail(h, GD_PROBLEM_BAD_REQUEST,
                     "Idempotency-Key must have 1 to %d printable ASCII characters",
                     (int)GD_MAX_KEY_BYTES);
        return false;
    }
    ret->key = (struct gd_span){*ret_key, strlen(*ret_key)};
    gnutls_hash_hd_t hash = h->digest;
    h->digest = NULL;
    int rc = hash ? 0 : gnutls_hash_init(&hash, GNUTLS_DIG_SHA256);
    if (rc == 0)
        rc = gnutls_hash(hash, h->target, strlen(h->target) + 1);
    if (rc == 0)
        rc = gnutls_hash(hash, h->body.ptr ? h->body.ptr : "", h->body.len);
    if (hash)
        gnutls_hash_deinit(hash, ret->fingerprint);
    if (rc < 0)
        gd_http_error(h, -ENOMEM);
    return rc == 0;
}
