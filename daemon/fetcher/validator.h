/* daemon/fetcher/validator.h — what is known of the server's version that a part
 * file is a part of.
 *
 * A small text file beside it, `<to>.part.validator`, written before the body's
 * first byte: the strong ETag or the Last-Modified, as If-Range wants it. It counts
 * for the same URL only, and only until the machine starts anew: after a crash the
 * length of a file says little about what is in it.
 *
 * The file is 0600 and holds a digest of the URL, not the URL (it may carry a
 * password).
 */
#ifndef GD_DAEMON_FETCHER_VALIDATOR_H
#define GD_DAEMON_FETCHER_VALIDATOR_H

#include "base/attr.h"
#include "daemon/fetcher/digest.h"

/* A longer one is not kept. */
#define GD_VALIDATOR_MAX 255

struct gd_validator {
    char boot_id[40];
    char url[GD_DIGEST_TEXT];
    char text[GD_VALIDATOR_MAX + 1]; /* "": none */
};

/* Sets what a validator for `url` must agree with. Errors: -ENOMEM. */
GD_MUST_CHECK int gd_validator_init(struct gd_validator *v, const char *url);

/* Reads the file `name` in `dir_fd` into v->text; "" if it is absent, broken, not
 * ours or for something else. */
void gd_validator_read(struct gd_validator *v, int dir_fd, const char *name);

/* Writes `text` to the file, in place of what was there. NULL, too long, not
 * writable: there is no file, and the part will be fetched anew. */
void gd_validator_write(struct gd_validator *v, int dir_fd, const char *name, const char *text);

#endif
