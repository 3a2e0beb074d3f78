/* daemon/fetcher/part_file.h — inside of part.h: what is done with the files.
 *
 * The three jobs run in the pool's threads, one at a time for each part; the rest
 * is for either thread while no job runs.
 */
#ifndef GD_DAEMON_FETCHER_PART_FILE_H
#define GD_DAEMON_FETCHER_PART_FILE_H

#include "base/attr.h"
#include "daemon/fetcher/part.h"
#include "daemon/fetcher/validator.h"

#include <stdatomic.h>

enum gd_gate {
    GD_GATE_OPEN,
    GD_GATE_CLOSED, /* stopped */
    GD_GATE_PASSED, /* too late for that */
};

struct gd_part {
    uv_loop_t *uv;
    uv_work_t work;
    int (*job)(struct gd_part *p);
    gd_part_fn *fn;
    void *arg;
    atomic_int gate; /* enum gd_gate */
    bool busy;
    bool freed;
    bool resume;
    bool has_digest;
    bool keep;
    int rc;           /* of the job */
    const char *step; /* what failed, if so; static text */
    char failed_at[432];
    char *url;
    char *dir;
    char *name; /* this and the next two: in `dir` */
    char *part_name;
    char *validator_name;
    int dir_fd; /* -1: not open */
    int fd;     /* -1: there is no part */
    int old_fd; /* of a file that was replaced; closed in the pool */
    uint64_t max_bytes;
    uint64_t size; /* bytes in the part */
    struct gd_validator validator;
    struct gd_digest digest;
};

int gd_part_file_open(struct gd_part *p);
int gd_part_file_publish(struct gd_part *p);
int gd_part_file_discard(struct gd_part *p);

/* Puts an empty file in the place of the part. Errors: -errno, and p->step. */
GD_MUST_CHECK int gd_part_file_replace(struct gd_part *p);

/* Removes part and validator; they stay open. */
void gd_part_file_remove(struct gd_part *p);

/* Closes all descriptors. */
void gd_part_file_close(struct gd_part *p);

#endif
