#include "client/cli_source.h"

#include <string.h>

static void look_in_string(struct cli_looking *l, char c)
{
    if (l->escaped) {
        l->escaped = false;
        l->is_jobs = false; /* nobody writes "jobs" with escapes */
    } else if (c == '\\') {
        l->escaped = true;
    } else if (c == '"') {
        l->in_string = false;
        if (l->expects_key && l->is_jobs && l->n_key == 4)
            l->shape = CLI_SHAPE_BATCH;
        l->expects_key = false;
        return;
    } else if (l->is_jobs) {
        l->is_jobs = l->n_key < 4 && c == "jobs"[l->n_key];
    }
    l->n_key++;
}

static void look_at_start(struct cli_looking *l, char c)
{
    l->depth = 1;
    l->shape = c == '{' ? CLI_SHAPE_JOB : CLI_SHAPE_ARRAY;
    l->expects_key = true;
    l->sure = c != '{';
}

static void look_inside(struct cli_looking *l, char c)
{
    if (c == '"') {
        l->in_string = true;
        l->n_key = 0;
        l->is_jobs = true;
    } else if (c == '{' || c == '[') {
        l->depth++;
        l->expects_key = false;
    } else if (c == '}' || c == ']') {
        l->ended = --l->depth == 0;
    } else if (c == ',' && l->depth == 1) {
        l->expects_key = true;
    }
}

void cli_look(struct cli_looking *l, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !l->sure; i++) {
        char c = bytes[i];
        if (l->in_string) {
            look_in_string(l, c);
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            continue;
        } else if (l->ended) {
            l->shape = CLI_SHAPE_LINES;
            l->sure = true;
        } else if (l->shape == CLI_SHAPE_EMPTY) {
            look_at_start(l, c);
        } else {
            look_inside(l, c);
        }
    }
}
