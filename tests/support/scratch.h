/* tests/support/scratch.h — a private directory for one test. */
#ifndef GD_TESTS_SCRATCH_H
#define GD_TESTS_SCRATCH_H

/* Makes it; scratch_dir is its path. */
void scratch_begin(void);

/* Removes it with all that is in it. */
void scratch_end(void);

extern char scratch_dir[64];

/* "<scratch_dir>/<name>"; one at a time. */
const char *scratch_path(const char *name);

/* Makes a file there with this text. */
void scratch_write(const char *name, const char *text);

#endif
