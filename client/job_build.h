/* client/job_build.h — what a job became; inside libgather only. */
#ifndef GATHER_JOB_BUILD_H
#define GATHER_JOB_BUILD_H

#include "base/attr.h"
#include "base/buf.h"
#include "client/gather.h"

/* Appends the JSON of `job`. Errors: E_NO_MEMORY, E_ARGUMENT (what stuck to it). */
GD_MUST_CHECK enum gather_code gather_job_put(struct gd_buf *to, const struct gather_job *job,
                                              struct gather_error *err);

#endif
