#include "base/fault.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void gd_faults_free(struct gd_faults *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++) {
        free(f->items[i].pointer);
        free(f->items[i].detail);
    }
    free(f->items);
    *f = (struct gd_faults){0};
}

void gd_pointer_put(struct gd_buf *to, const char *member)
{
    gd_buf_putc(to, '/');
    for (; *member; member++) {
        if (*member == '~')
            gd_buf_puts(to, "~0");
        else if (*member == '/')
            gd_buf_puts(to, "~1");
        else
            gd_buf_putc(to, *member);
    }
}

static bool make_room(struct gd_faults *f)
{
    if (f->items)
        return true;
    f->items = calloc(GD_MAX_FAULTS, sizeof(*f->items));
    return f->items != NULL;
}

void gd_faults_add(struct gd_faults *f, const char *pointer, const char *member, const char *fmt,
                   ...)
{
    f->n_all++;
    if (f->n == GD_MAX_FAULTS)
        return;
    char detail[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);

    struct gd_buf where = {0};
    struct gd_buf text = {0};
    gd_buf_puts(&where, pointer);
    if (member)
        gd_pointer_put(&where, member);
    gd_buf_puts(&text, detail);
    struct gd_fault item = {.pointer = gd_buf_take(&where, NULL),
                            .detail = gd_buf_take(&text, NULL)};
    if (!item.pointer || !item.detail || !make_room(f)) {
        free(item.pointer);
        free(item.detail);
        gd_buf_free(&where);
        gd_buf_free(&text);
        f->no_memory = true;
        return;
    }
    f->items[f->n++] = item;
}
