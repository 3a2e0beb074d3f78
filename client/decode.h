/* client/decode.h — what the daemon's answers say; inside libgather only.
 *
 * Every answer is taken for hostile: it may be cut short, be HTML of a proxy,
 * have members of the wrong type or numbers of any size. It is checked as strict
 * JSON first, then read by tables that name each member, its type and whether it
 * must be there. Members that no table knows are for newer clients and ignored.
 *
 * All return 0, E_NO_MEMORY, or E_PROTOCOL with a sentence that names the member;
 * on failure `*ret` is left alone. A former `*ret` is freed on success.
 */
#ifndef GATHER_DECODE_H
#define GATHER_DECODE_H

#include "base/attr.h"
#include "base/buf.h"
#include "client/gather.h"

GD_MUST_CHECK enum gather_code gather_decode_task(struct gd_span text, struct gather_task *ret,
                                                  struct gather_error *err);
GD_MUST_CHECK enum gather_code gather_decode_batch(struct gd_span text, struct gather_batch *ret,
                                                   struct gather_error *err);
GD_MUST_CHECK enum gather_code gather_decode_result(struct gd_span text, struct gather_result *ret,
                                                    struct gather_error *err);
/* `null` gives an empty one. */
GD_MUST_CHECK enum gather_code gather_decode_exception(struct gd_span text,
                                                       struct gather_exception *ret,
                                                       struct gather_error *err);

/* One member of an object: a number, which must be there, or a truth value, which
 * leaves `*ret` alone if it is missing. */
GD_MUST_CHECK enum gather_code gather_decode_int(struct gd_span text, const char *member,
                                                 int64_t *ret, struct gather_error *err);
GD_MUST_CHECK enum gather_code gather_decode_bool(struct gd_span text, const char *member,
                                                  bool *ret, struct gather_error *err);

/* Any JSON: a checked copy. */
GD_MUST_CHECK enum gather_code gather_decode_any(struct gd_span text, char **ret,
                                                 struct gather_error *err);

/* A page of a list: runs `fn` with each element of the array `member` until it
 * returns other than 0, which then is returned. `*ret_next` is the target of the
 * next page, NULL: this was the last. */
typedef enum gather_code gather_element_fn(void *arg, struct gd_span element,
                                           struct gather_error *err);
GD_MUST_CHECK enum gather_code gather_decode_page(struct gd_span text, const char *member,
                                                  gather_element_fn *fn, void *arg, char **ret_next,
                                                  struct gather_error *err);

/* An answer with a status of 300 or more. Always an error: the problem that it
 * describes, or E_PROTOCOL if it describes none. */
enum gather_code gather_decode_problem(int status, struct gd_span text, struct gather_error *err);

void gather_result_clear(struct gather_result *result);

#endif
